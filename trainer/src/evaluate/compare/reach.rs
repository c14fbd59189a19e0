//! How far a score may be from what was seen, by the right and wrong cases behind it.

use rtune_metrics::compare::{Cases, Comparison, Outcomes, Settings, widen};

use super::Pairs;
use super::measure::{Measure, OfLabels, Reading, Scores};
use super::report::ReportSide;

impl Measure {
    /// Widens the interval of a comparison of `cases` to what its right and wrong cases leave open: where every draw is the same, it
    /// would be a point otherwise.
    pub(super) fn widen(
        &self,
        comparison: &mut Comparison,
        pairs: &Pairs,
        cases: &Cases,
        settings: &Settings,
    ) {
        if let Some(reach) = self.reach(pairs, cases, settings.alpha) {
            widen(comparison, reach, settings);
        }
    }

    /// Below the difference and above it; `None` for scores that are not of right and wrong cases.
    fn reach(&self, pairs: &Pairs, cases: &Cases, alpha: f64) -> Option<[f64; 2]> {
        let of = |[first, second]: &[Vec<bool>; 2], cases: &Cases| {
            Outcomes::new(first, second, cases, alpha).reach()
        };
        match (&self.scores, self.name.as_str()) {
            (Scores::Weighted(outcomes), _) => Some(of(outcomes, cases)),
            (Scores::Labels(reading, score), _) => {
                let right = pairs.right(*reading);
                let of_class = |class: usize| Some(of(&right, &pairs.concerned(*reading, class, cases)?));
                match score {
                    OfLabels::F1(class) => of_class(*class),
                    OfLabels::MacroF1 => {
                        let classes = pairs.labels.as_ref().map_or(0, rtune_metrics::classify::LabelSet::len);
                        mean((0..classes).filter_map(of_class))
                    }
                    // From -1 to 1, twice as far as a share.
                    OfLabels::Mcc => Some(of(&right, cases).map(|reach| 2.0 * reach)),
                }
            }
            (Scores::Ratios(_), "grounded") => {
                let supported =
                    |side: &ReportSide| side.grounded_answers().is_some_and(|[good, all]| good == all);
                Some(of(&pairs.per_case(|_, side| supported(side)), cases))
            }
            (Scores::Ratios(_), "field-f1") => {
                let all_right = |side: &ReportSide| {
                    let fields =
                        side.extracted.as_ref().and_then(|one| one.fields.as_ref()).map(|one| one.all);
                    fields.is_some_and(|all| all.right == all.found && all.right == all.expected)
                };
                Some(of(&pairs.per_case(|_, side| all_right(side)), cases))
            }
            _ => None,
        }
    }
}

impl Pairs {
    /// Whether each case has the label that was expected, with both models.
    fn right(&self, reading: Reading) -> [Vec<bool>; 2] {
        self.labelled(reading).map(|all| all.into_iter().map(|(gold, found)| found == Some(gold)).collect())
    }

    /// Those of `cases` that the F-score of `class` is made of: the others may be anything. `None` if there are none.
    fn concerned(&self, reading: Reading, class: usize, cases: &Cases) -> Option<Cases> {
        let labelled = self.labelled(reading);
        let is_of =
            |case: &usize| labelled.iter().any(|all| all[*case].0 == class || all[*case].1 == Some(class));
        let members: Vec<usize> = cases.iter().filter(is_of).collect();
        (!members.is_empty()).then(|| cases.among(&members))
    }
}

fn mean(reaches: impl Iterator<Item = [f64; 2]>) -> Option<[f64; 2]> {
    let reaches: Vec<[f64; 2]> = reaches.collect();
    let of = |end: usize| reaches.iter().map(|reach| reach[end]).sum::<f64>() / reaches.len() as f64;
    (!reaches.is_empty()).then(|| [of(0), of(1)])
}
