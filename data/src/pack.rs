//! Several examples in one row, with bounds that attention does not cross.

use std::collections::BTreeSet;

use crate::tokenize::Example;

/// The place of one example in a packed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Index of its first token.
    pub start: usize,
    /// One past its last token.
    pub end: usize,
    /// The segment whose tokens stand before this one's as a shared prefix; none is shared so far.
    pub parent: Option<usize>,
    /// The id of the example.
    pub row_id: String,
}

/// A row of `T` tokens, made of whole examples laid end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedRow {
    /// Token ids, `T`.
    pub tokens: Vec<u32>,
    /// Positions, `T`: they start at 0 in each segment.
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
}

/// Packs examples into rows of at most `capacity_tokens`, best fit decreasing; a longer example stands alone.
///
/// Longest first, each into the fullest row that still takes it, ties to the earlier example and the earlier row: the
/// result depends on nothing but the lengths. Inside a row the examples stand in their given order, and rows stand in
/// the order of their first example.
pub fn pack(examples: &[&Example], capacity_tokens: usize) -> Vec<PackedRow> {
    let mut by_length: Vec<usize> = (0..examples.len()).collect();
    by_length.sort_by_key(|&index| std::cmp::Reverse(examples[index].tokens.len()));
    let mut bins: Vec<Vec<usize>> = Vec::new();
    let mut room: BTreeSet<(usize, usize)> = BTreeSet::new();
    for index in by_length {
        let length = examples[index].tokens.len();
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
        bins[bin].push(index);
        room.insert((left - length, bin));
    }
    for bin in &mut bins {
        bin.sort_unstable();
    }
    bins.sort_unstable_by_key(|bin| bin[0]);
    bins.iter().map(|bin| lay(bin.iter().map(|&index| examples[index]))).collect()
}

fn lay<'a>(examples: impl Iterator<Item = &'a Example>) -> PackedRow {
    let mut row =
        PackedRow { tokens: Vec::new(), positions: Vec::new(), supervised: Vec::new(), segments: Vec::new() };
    for example in examples {
        let start = row.tokens.len();
        row.tokens.extend_from_slice(&example.tokens);
        row.positions.extend(0..example.tokens.len() as u32);
        row.supervised.extend_from_slice(&example.supervised);
        row.segments.push(Segment { start, end: row.tokens.len(), parent: None, row_id: example.id.clone() });
    }
    row
}

#[cfg(test)]
mod tests {
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
}
