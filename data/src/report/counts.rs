//! Nearest-rank statistics of counts that are not all kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Nearest-rank statistics of counts; all 0 where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// The smallest.
    pub min: usize,
    /// The smallest that half of them do not exceed.
    pub median: usize,
    /// The smallest that 95 of 100 do not exceed.
    pub p95: usize,
    /// The largest.
    pub max: usize,
    /// Their sum.
    pub total: usize,
}

/// How often each count occurred: as many entries as there are different lengths, however many rows there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    times: BTreeMap<usize, usize>,
    number: usize,
}

/// One bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// The smallest count that falls into it.
    pub from: usize,
    /// The first that does not.
    pub to: usize,
    /// How many do.
    pub rows: usize,
}

/// Bars of a histogram: enough to see the shape, few enough for a page.
const BARS: usize = 32;

impl Counts {
    pub(crate) fn add(&mut self, count: usize) {
        *self.times.entry(count).or_default() += 1;
        self.number += 1;
    }

    /// The statistics of all that were added.
    pub(crate) fn statistics(&self) -> Statistics {
        let (Some((&min, _)), Some((&max, _))) = (self.times.first_key_value(), self.times.last_key_value())
        else {
            return Statistics::default();
        };
        let total = self.times.iter().map(|(count, times)| count * times).sum();
        Statistics { min, median: self.rank(50), p95: self.rank(95), max, total }
    }

    /// The smallest count that `percent` of 100 do not exceed.
    fn rank(&self, percent: usize) -> usize {
        let wanted = (self.number * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (&count, &times) in &self.times {
            seen += times;
            if seen >= wanted {
                return count;
            }
        }
        0
    }

    /// Bars of equal width from the smallest to the largest, at most 32.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let statistics = self.statistics();
        if self.number == 0 {
            return Vec::new();
        }
        let width = (statistics.max - statistics.min + 1).div_ceil(BARS);
        let count = (statistics.max - statistics.min) / width + 1;
        let bar = |index: usize| {
            let (from, to) = (statistics.min + index * width, statistics.min + (index + 1) * width);
            Bar { from, to, rows: self.times.range(from..to).map(|(_, times)| times).sum() }
        };
        (0..count).map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: impl IntoIterator<Item = usize>) -> Counts {
        let mut all = Counts::default();
        counts.into_iter().for_each(|count| all.add(count));
        all
    }

    #[test]
    fn statistics_are_of_nearest_rank() {
        let hundred = of((1..=100).rev()).statistics();
        assert_eq!(hundred, Statistics { min: 1, median: 50, p95: 95, max: 100, total: 5050 });
        assert_eq!(of([7]).statistics(), Statistics { min: 7, median: 7, p95: 7, max: 7, total: 7 });
        assert_eq!(of([1, 3, 9]).statistics(), Statistics { min: 1, median: 3, p95: 9, max: 9, total: 13 });
        assert_eq!(of([]).statistics(), Statistics::default());
    }

    #[test]
    fn every_count_stands_in_one_bar() {
        for counts in [vec![5], (0..1000).collect(), vec![3, 3, 90], (10..=41).collect(), (10..=42).collect()]
        {
            let bars = of(counts.clone()).bars();
            assert!(bars.len() <= BARS, "{}", bars.len());
            assert_eq!(bars.iter().map(|bar| bar.rows).sum::<usize>(), counts.len());
            assert!(bars.windows(2).all(|two| two[0].to == two[1].from));
            assert!(bars[0].rows > 0 && bars[bars.len() - 1].rows > 0);
        }
        assert!(of([]).bars().is_empty());
    }
}
