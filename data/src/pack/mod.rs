//! Several examples in one row, with bounds that attention does not cross.

mod prefixes;

use std::collections::BTreeSet;

use crate::tokenize::Example;

/// The place of one example in a packed row, or of what several begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Index of its first token.
    pub start: usize,
    /// One past its last token.
    pub end: usize,
    /// The segment whose tokens stand before this one's as a prefix that it shares with others.
    pub parent: Option<usize>,
    /// The id of the example; empty for a shared prefix, which is of several.
    pub row_id: String,
}

/// A row of `T` tokens, made of whole examples laid end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedRow {
    /// Token ids, `T`.
    pub tokens: Vec<u32>,
    /// Positions, `T`: they start at 0 in each segment, or go on from the prefix.
    pub positions: Vec<u32>,
    /// Whether a token is a target, `T`; the first token of a segment never is.
    pub supervised: Vec<bool>,
    /// The segments, in order and without gaps.
    pub segments: Vec<Segment>,
}

impl PackedRow {
    /// Cumulative bounds of the segments: 0 first, `T` last.
    pub fn bounds(&self) -> Vec<usize> {
        std::iter::once(0).chain(self.segments.iter().map(|segment| segment.end)).collect()
    }

    /// The parent of each segment; empty where none has one.
    pub fn parents(&self) -> Vec<Option<usize>> {
        let parents: Vec<Option<usize>> = self.segments.iter().map(|segment| segment.parent).collect();
        if parents.iter().all(Option::is_none) { Vec::new() } else { parents }
    }

    /// Tokens of the longest document, shared prefix and all.
    pub fn longest(&self) -> usize {
        self.positions.iter().max().map_or(0, |&last| last as usize + 1)
    }

    /// Each shared prefix: its tokens, and how many examples go on from it.
    pub fn prefixes(&self) -> Vec<(usize, usize)> {
        let mut children = vec![0; self.segments.len()];
        self.segments.iter().filter_map(|segment| segment.parent).for_each(|parent| children[parent] += 1);
        let lengths = self.segments.iter().map(|segment| segment.end - segment.start);
        lengths.zip(children).filter(|(_, children)| *children > 0).collect()
    }
}

/// Examples that stay together, and how many tokens at their beginning they share.
struct Item {
    prefix: usize,
    /// In their given order.
    members: Vec<usize>,
    /// What they take together.
    tokens: usize,
}

impl Item {
    fn alone(member: usize, tokens: usize) -> Self {
        Self { prefix: 0, members: vec![member], tokens }
    }
}

/// Packs examples into rows of at most `capacity_tokens`, best fit decreasing; a longer example stands alone.
///
/// Longest first, each into the fullest row that still takes it, ties to the earlier example and the earlier row: the
/// result depends on nothing but the lengths. Inside a row the examples stand in their given order, and rows stand in
/// the order of their first example.
pub fn pack(examples: &[&Example], capacity_tokens: usize) -> Vec<PackedRow> {
    let alone = examples.iter().enumerate().map(|(index, example)| Item::alone(index, example.tokens.len()));
    fill(examples, alone.collect(), capacity_tokens)
}

/// [`pack`], where examples that begin with the same tokens share these: they stand in the row once, as a segment that is
/// the parent of what is left of each. What is learnt is never shared, nor the token before it.
pub fn pack_shared(examples: &[&Example], capacity_tokens: usize) -> Vec<PackedRow> {
    fill(examples, prefixes::families(examples, capacity_tokens), capacity_tokens)
}

fn fill(examples: &[&Example], mut items: Vec<Item>, capacity_tokens: usize) -> Vec<PackedRow> {
    items.sort_by_key(|item| (std::cmp::Reverse(item.tokens), item.members[0]));
    let mut bins: Vec<Vec<Item>> = Vec::new();
    let mut room: BTreeSet<(usize, usize)> = BTreeSet::new();
    for item in items {
        let length = item.tokens;
        let (left, bin) = match room.range((length, 0)..).next().copied() {
            Some(place) => {
                room.remove(&place);
                place
            }
            None => {
                bins.push(Vec::new());
                (capacity_tokens.max(length), bins.len() - 1)
            }
        };
        bins[bin].push(item);
        room.insert((left - length, bin));
    }
    for bin in &mut bins {
        bin.sort_unstable_by_key(|item| item.members[0]);
    }
    bins.sort_unstable_by_key(|bin| bin[0].members[0]);
    bins.iter().map(|bin| lay(examples, bin)).collect()
}

fn lay(examples: &[&Example], items: &[Item]) -> PackedRow {
    let mut row =
        PackedRow { tokens: Vec::new(), positions: Vec::new(), supervised: Vec::new(), segments: Vec::new() };
    let mut add = |example: &Example, places: std::ops::Range<usize>, parent, row_id: &str| {
        let start = row.tokens.len();
        row.tokens.extend_from_slice(&example.tokens[places.clone()]);
        row.supervised.extend_from_slice(&example.supervised[places.clone()]);
        row.positions.extend(places.start as u32..places.end as u32);
        row.segments.push(Segment { start, end: row.tokens.len(), parent, row_id: row_id.to_owned() });
        row.segments.len() - 1
    };
    for Item { prefix, members, .. } in items {
        // What one example has to itself need not be cut off it.
        let shared = if members.len() > 1 { *prefix } else { 0 };
        let parent = (shared > 0).then(|| add(examples[members[0]], 0..shared, None, ""));
        for &member in members {
            let example = examples[member];
            add(example, shared..example.tokens.len(), parent, &example.id);
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::record::Origin;
    use crate::stream::{stream, uniform_below};

    fn example(index: usize, length: usize) -> Example {
        Example {
            id: format!("row-{index}"),
            origin: Origin { file: Path::new("a.jsonl").into(), line: index as u64 + 1 },
            tokens: (0..length).map(|token| (index * 1000 + token) as u32).collect(),
            supervised: (0..length).map(|token| token > length / 2).collect(),
        }
    }

    fn lengths(rows: &[PackedRow]) -> Vec<Vec<usize>> {
        rows.iter()
            .map(|row| row.segments.iter().map(|segment| segment.end - segment.start).collect())
            .collect()
    }

    #[test]
    fn the_fullest_row_that_still_fits_is_taken() {
        let examples: Vec<Example> =
            [3, 6, 5, 4, 2].iter().enumerate().map(|(index, &length)| example(index, length)).collect();
        let rows = pack(&examples.iter().collect::<Vec<_>>(), 10);
        assert_eq!(lengths(&rows), [vec![3, 5, 2], vec![6, 4]]);
        assert_eq!(rows[0].bounds(), [0, 3, 8, 10]);
        assert_eq!(rows[0].positions, [0, 1, 2, 0, 1, 2, 3, 4, 0, 1]);
        assert_eq!(rows[0].segments[1].row_id, "row-2");
    }

    #[test]
    fn a_row_over_the_capacity_stands_alone() {
        let examples = [example(0, 12), example(1, 3)];
        assert_eq!(lengths(&pack(&[&examples[0], &examples[1]], 10)), [vec![12], vec![3]]);
        assert!(pack(&[], 10).is_empty());
    }

    #[test]
    fn nothing_is_lost_doubled_or_over_full() {
        let mut random = stream(5, "test", "pack", 0);
        for _ in 0..200 {
            let count = uniform_below(&mut random, 40) as usize;
            let capacity = 1 + uniform_below(&mut random, 64) as usize;
            let examples: Vec<Example> =
                (0..count).map(|index| example(index, 1 + uniform_below(&mut random, 50) as usize)).collect();
            let references: Vec<&Example> = examples.iter().collect();
            let rows = pack(&references, capacity);
            assert_eq!(rows, pack(&references, capacity));
            let mut seen = Vec::new();
            for row in &rows {
                assert!(row.tokens.len() <= capacity || row.segments.len() == 1);
                assert_eq!(*row.bounds().last().unwrap_or(&0), row.tokens.len());
                for segment in &row.segments {
                    let index: usize = segment.row_id["row-".len()..].parse().expect("an index");
                    let inside = segment.start..segment.end;
                    assert_eq!(row.tokens[inside.clone()], examples[index].tokens);
                    assert_eq!(row.supervised[inside.clone()], examples[index].supervised);
                    let expected: Vec<u32> = (0..inside.len() as u32).collect();
                    assert_eq!(row.positions[inside], expected);
                    seen.push(index);
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
            // No two rows could have been one: best fit leaves at most one row half empty.
            let half_empty = rows.iter().filter(|row| row.tokens.len() * 2 <= capacity).count();
            assert!(half_empty <= 1, "{half_empty} rows half empty");
        }
    }

    /// `prompt` numbers of a family, then numbers of its own, of which all but the first are learnt.
    fn behind(index: usize, family: u32, prompt: usize, own: usize) -> Example {
        let begin = (0..prompt).map(|token| family * 100 + token as u32);
        Example {
            tokens: begin.chain((0..own).map(|token| (index * 1000 + token) as u32 + 50_000)).collect(),
            supervised: (0..prompt + own).map(|token| token > prompt).collect(),
            ..example(index, 0)
        }
    }

    /// Tokens, whether they are learnt, and positions of an example.
    type Whole = (Vec<u32>, Vec<bool>, Vec<u32>);

    /// What each example was, by the segments of the rows.
    fn unpacked(rows: &[PackedRow]) -> BTreeMap<String, Whole> {
        let mut found = BTreeMap::new();
        for row in rows {
            let mut end = 0;
            for segment in &row.segments {
                assert_eq!(segment.start, end, "no gaps");
                end = segment.end;
                if segment.row_id.is_empty() {
                    assert!(segment.parent.is_none());
                    assert!(row.supervised[segment.start..segment.end].iter().all(|one| !one));
                    continue;
                }
                let parent = segment.parent.map_or(0..0, |parent| {
                    let parent = &row.segments[parent];
                    assert!(!row.supervised[segment.start], "what is before it is another's too");
                    parent.start..parent.end
                });
                let places: Vec<usize> = parent.chain(segment.start..segment.end).collect();
                let whole = (
                    places.iter().map(|&at| row.tokens[at]).collect(),
                    places.iter().map(|&at| row.supervised[at]).collect(),
                    places.iter().map(|&at| row.positions[at]).collect(),
                );
                assert!(found.insert(segment.row_id.clone(), whole).is_none(), "once");
            }
            assert_eq!(end, row.tokens.len());
        }
        found
    }

    #[test]
    fn what_examples_begin_with_stands_there_once() {
        let examples = [behind(0, 1, 20, 5), behind(1, 2, 30, 4), behind(2, 1, 20, 7), behind(3, 2, 30, 3)];
        let references: Vec<&Example> = examples.iter().collect();
        let rows = pack_shared(&references, 100);
        assert_eq!(rows.len(), 1);
        // The first token of its own is not learnt, so that the one before it belongs to the example.
        assert_eq!(rows[0].tokens.len(), 20 + 5 + 7 + 30 + 4 + 3);
        assert_eq!(rows[0].parents(), [None, Some(0), Some(0), None, Some(3), Some(3)]);
        assert_eq!(rows[0].prefixes(), [(20, 2), (30, 2)]);
        assert_eq!(rows[0].longest(), 34);
        // Half of the room: one row a family; less: no family.
        assert_eq!(lengths(&pack_shared(&references, 38)), [vec![20, 5, 7], vec![30, 4, 3]]);
        assert_eq!(lengths(&pack_shared(&references, 30)), [vec![25], vec![34], vec![27], vec![33]]);
        assert!(pack_shared(&references, 30).iter().all(|row| row.parents().is_empty()));
    }

    #[test]
    fn what_is_learnt_is_not_shared() {
        let learnt = |mut example: Example| {
            example.supervised.fill(true);
            example
        };
        let examples = [learnt(behind(0, 1, 20, 5)), learnt(behind(1, 1, 20, 5))];
        assert_eq!(lengths(&pack_shared(&[&examples[0], &examples[1]], 100)), [vec![25, 25]]);
        // Equal examples share all but the token before the first that is learnt.
        let equal = [behind(0, 1, 20, 5), Example { id: "row-1".to_owned(), ..behind(0, 1, 20, 5) }];
        assert_eq!(lengths(&pack_shared(&[&equal[0], &equal[1]], 100)), [vec![20, 5, 5]]);
    }

    #[test]
    fn every_example_is_whole_however_it_is_packed() {
        let mut random = stream(6, "test", "prefixes", 0);
        for _ in 0..200 {
            let mut below = |bound: u64| uniform_below(&mut random, bound) as usize;
            let count = below(40);
            let capacity = 20 + below(150);
            let prompts = [below(60), below(60), below(60)];
            let examples: Vec<Example> = (0..count)
                .map(|index| {
                    let family = below(3);
                    // Families 0 and 1 begin alike.
                    behind(index, (family / 2) as u32, prompts[family], 2 + below(30))
                })
                .collect();
            let references: Vec<&Example> = examples.iter().collect();
            let (rows, plain) = (pack_shared(&references, capacity), pack(&references, capacity));
            assert_eq!(unpacked(&rows), unpacked(&plain));
            let tokens = |rows: &[PackedRow]| rows.iter().map(|row| row.tokens.len()).sum::<usize>();
            assert!(tokens(&rows) <= tokens(&plain));
            assert!(rows.iter().all(|row| row.tokens.len() <= capacity || row.segments.len() == 1));
            assert_eq!(rows, pack_shared(&references, capacity));
        }
    }
}
