//! Pairs of rows that have keys in common, and what holds of them.

use rayon::prelude::*;

use super::features::{Content, grams};
use super::finder::{Found, LeakOptions};
use super::join::join;
use super::leaks::LeakKind;
use super::lines::SharedLines;
use super::side::{InOrder, Side};
use crate::near::{Care, agreement, common, least_agreement};
use crate::spill::{Sorted, Sorter, SpillError};

/// Digests compared for the rows that share one key: a hundredth of a second at most.
const MOST_LOOKS: usize = 1 << 24;

/// Training rows of one key that are held in memory.
const MOST_MEETING: usize = 1 << 16;

/// The rarest anchors of a held-out row, by which the rows that may contain it are found, and the rows taken by each.
const RAREST_ANCHORS: usize = 6;
const MOST_BY_ANCHOR: usize = 32;

/// The share of a held-out row's anchors that stand in some training row if it can be contained in one: of a tenth of
/// its 5-grams changed, at most half of its anchors are touched.
const LEAST_ANCHORS_PRESENT: f64 = 0.5;

/// The fewest characters of a content that may be said to be contained in another: about eight words.
const LEAST_CONTAINED_CHARACTERS: usize = 40;

/// A run of words in more training rows than this is a phrase that many use (as in GPT-3).
const MOST_BY_GRAM: usize = 10;

/// Pairs that are compared side by side.
const BATCH_PAIRS: usize = 1 << 13;

/// Both sides, to be compared.
pub(super) struct Search<'a> {
    pub(super) options: &'a LeakOptions,
    pub(super) held_out: &'a Side,
    pub(super) train: &'a Side,
    pub(super) shared: &'a SharedLines,
}

impl Search<'_> {
    /// All pairs of which some kind holds, by held-out row, training row and kind.
    pub(super) fn pairs(&self, ours: InOrder, theirs: InOrder) -> Result<Sorted<Found>, SpillError> {
        let mut candidates = Sorter::new(&self.options.scratch.part(4));
        self.near(&ours.near, &theirs.near, &mut candidates)?;
        self.containing(&ours.anchors, &theirs.anchors, &mut candidates)?;
        let mut found = Sorter::new(&self.options.scratch.part(8));
        self.compare(&candidates.finish()?, &mut found)?;
        self.overlap(&ours.grams, &theirs.grams, &mut found)?;
        let most = self.options.pairs_per_row.max(1);
        join(&ours.short, &theirs.short, most, |meeting| {
            for &(_, row) in meeting.held_out {
                for &(_, train) in meeting.train {
                    found.push((row, train, LeakKind::Conversation as u32, 1f64.to_bits()))?;
                }
            }
            Ok(())
        })?;
        found.finish()
    }

    /// Rows that share a band or are canonically equal, and whose digests allow them to be near: of each held-out row
    /// and key as many as are listed in the end, those whose digests agree most.
    fn near(
        &self,
        ours: &Sorted<(u64, u32, u64)>,
        theirs: &Sorted<(u64, u32, u64)>,
        candidates: &mut Sorter<(u32, u32)>,
    ) -> Result<(), SpillError> {
        let least = least_agreement(self.options.similarity, Care::LEAKS);
        let most = self.options.pairs_per_row.max(1);
        let mut near: Vec<(u32, u32)> = Vec::new();
        join(ours, theirs, MOST_MEETING, |meeting| {
            let looks = (MOST_LOOKS / meeting.held_out.len()).max(most);
            for &(_, row, digest) in meeting.held_out {
                let others = meeting.train.iter().take(looks);
                near.clear();
                near.extend(others.filter_map(|&(_, train, other)| {
                    let agreed = agreement(digest, other);
                    (agreed >= least).then_some((u32::MAX - agreed, train))
                }));
                if near.len() > most {
                    near.select_nth_unstable(most - 1);
                }
                for &(_, train) in near.iter().take(most) {
                    candidates.push((row, train))?;
                }
            }
            Ok(())
        })
    }

    /// Rows that may contain a held-out row: those that have one of its rarest anchors.
    fn containing(
        &self,
        ours: &Sorted<(u64, u32)>,
        theirs: &Sorted<(u64, u32)>,
        candidates: &mut Sorter<(u32, u32)>,
    ) -> Result<(), SpillError> {
        let scratch = self.options.scratch.part(4);
        // (held-out row, training rows that have the anchor, anchor).
        let mut counted = Sorter::new(&scratch);
        join(ours, theirs, 0, |meeting| {
            let train_count = u32::try_from(meeting.train_count).unwrap_or(u32::MAX);
            meeting.held_out.iter().try_for_each(|&(anchor, row)| counted.push((row, train_count, anchor)))
        })?;
        let mut rarest = Sorter::new(&scratch);
        let mut of_row: Vec<(u32, u64)> = Vec::new();
        let mut close = |row: u32, of_row: &mut Vec<(u32, u64)>| {
            let absent = of_row.partition_point(|&(train_count, _)| train_count == 0);
            let present = of_row.len() - absent;
            if present as f64 >= LEAST_ANCHORS_PRESENT * of_row.len() as f64 {
                let rare = of_row[absent..].iter().take(RAREST_ANCHORS);
                rare.into_iter().try_for_each(|&(_, anchor)| rarest.push((anchor, row)))?;
            }
            of_row.clear();
            Ok::<(), SpillError>(())
        };
        let mut current = None;
        for record in counted.finish()?.iter() {
            let (row, train_count, anchor) = record?;
            if let Some(last) = current.replace(row).filter(|&last| last != row) {
                close(last, &mut of_row)?;
            }
            of_row.push((train_count, anchor));
        }
        if let Some(last) = current {
            close(last, &mut of_row)?;
        }
        join(&rarest.finish()?, theirs, MOST_BY_ANCHOR, |meeting| {
            for &(_, row) in meeting.held_out {
                meeting.train.iter().try_for_each(|&(_, train)| candidates.push((row, train)))?;
            }
            Ok(())
        })
    }

    /// Compares candidates exactly; each pair once, in order, whatever the number of threads.
    fn compare(&self, candidates: &Sorted<(u32, u32)>, found: &mut Sorter<Found>) -> Result<(), SpillError> {
        let mut batch: Vec<(u32, u32)> = Vec::with_capacity(BATCH_PAIRS);
        let mut flush = |batch: &mut Vec<(u32, u32)>| {
            let of_row: Vec<&[(u32, u32)]> = batch.chunk_by(|one, other| one.0 == other.0).collect();
            let pairs: Result<Vec<Vec<Found>>, SpillError> =
                of_row.par_iter().map(|pairs| self.compare_row(pairs)).collect();
            pairs?.into_iter().flatten().try_for_each(|pair| found.push(pair))?;
            batch.clear();
            Ok::<(), SpillError>(())
        };
        let mut last = None;
        for candidate in candidates.iter() {
            let candidate = Some(candidate?);
            if candidate == last {
                continue;
            }
            if batch.len() >= BATCH_PAIRS {
                flush(&mut batch)?;
            }
            batch.extend(candidate);
            last = candidate;
        }
        flush(&mut batch)
    }

    /// Compares pairs of one held-out row.
    fn compare_row(&self, pairs: &[(u32, u32)]) -> Result<Vec<Found>, SpillError> {
        let mut text = String::new();
        let mut content = |side: &Side, row| {
            side.read(row, &mut text)?;
            Ok::<Content, SpillError>(Content::new(&text, self.shared))
        };
        let Some(&(row, _)) = pairs.first() else { return Ok(Vec::new()) };
        let own = content(self.held_out, row)?;
        let (own_set, own_form) = (own.shingles(), own.canonical());
        let may_be_contained = own.characters() >= LEAST_CONTAINED_CHARACTERS;
        let mut found = Vec::new();
        for &(_, train) in pairs {
            let other = content(self.train, train)?;
            let other_set = other.shingles();
            let both = common(&own_set, &other_set);
            let jaccard = both as f64 / (own_set.len() + other_set.len() - both) as f64;
            let contained = both as f64 / own_set.len() as f64;
            let (kind, similarity) = if own.raw == other.raw {
                (LeakKind::Exact, jaccard)
            } else if jaccard >= self.options.similarity && own_form == other.canonical() {
                (LeakKind::Canonical, jaccard)
            } else if jaccard >= self.options.similarity {
                (LeakKind::Near, jaccard)
            } else if may_be_contained && contained >= self.options.contained {
                (LeakKind::Contained, contained)
            } else {
                continue;
            };
            found.push((row, train, kind as u32, similarity.to_bits()));
        }
        Ok(found)
    }

    /// Rows that have runs of words in common that few rows have.
    fn overlap(
        &self,
        ours: &Sorted<(u64, u32)>,
        theirs: &Sorted<(u64, u32)>,
        found: &mut Sorter<Found>,
    ) -> Result<(), SpillError> {
        let mut shared = Sorter::new(&self.options.scratch.part(4));
        join(ours, theirs, MOST_BY_GRAM, |meeting| {
            if meeting.train_count > MOST_BY_GRAM {
                return Ok(());
            }
            for &(_, row) in meeting.held_out {
                meeting.train.iter().try_for_each(|&(_, train)| shared.push((row, train)))?;
            }
            Ok(())
        })?;
        // The last held-out row and how many runs it has.
        let mut runs = (None, 0);
        let mut close = |pair: (u32, u32), count: usize| {
            if runs.0 != Some(pair.0) {
                let mut text = String::new();
                self.held_out.read(pair.0, &mut text)?;
                let content = Content::new(&text, self.shared);
                runs = (Some(pair.0), grams(&content.compared, self.options.overlap_words.max(1)).len());
            }
            let share = count as f64 / runs.1.max(1) as f64;
            if share >= self.options.overlap {
                found.push((pair.0, pair.1, LeakKind::Overlap as u32, share.to_bits()))?;
            }
            Ok::<(), SpillError>(())
        };
        let mut current: Option<((u32, u32), usize)> = None;
        for record in shared.finish()?.iter() {
            let pair: (u32, u32) = record?;
            match &mut current {
                Some((same, count)) if *same == pair => *count += 1,
                _ => {
                    if let Some((last, count)) = current.replace((pair, 1)) {
                        close(last, count)?;
                    }
                }
            }
        }
        current.map_or(Ok(()), |(last, count)| close(last, count))
    }
}
