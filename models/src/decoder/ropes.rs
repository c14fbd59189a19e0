//! The rotations of a decoder, and how a row turns by them.

use std::borrow::Cow;

use rtune_kernels::real::Real;
use rtune_kernels::rope::{Table, Turn};

use crate::families::{DecoderSpec, RopeSpec};

/// Cosines and sines of a decoder's rotations for positions up to a bound.
#[derive(Clone, Debug)]
pub(super) struct Ropes<R> {
    /// One for each rotation; behind the positions of one that has others for long documents stand those.
    tables: Vec<Table<R>>,
    /// Tokens of the longest document that is not long.
    longest_short: Vec<Option<usize>>,
    positions: usize,
}

/// The rotations of a row: which place of each table every token turns by.
pub(super) struct Turns<'a, R> {
    ropes: &'a Ropes<R>,
    places: Vec<Cow<'a, [u32]>>,
}

impl<R: Real> Ropes<R> {
    pub(super) fn new(spec: &DecoderSpec, positions: usize) -> Self {
        let table = |rope: &RopeSpec| {
            let short = Table::new(positions, &rope.frequencies, rope.scale);
            match &rope.long {
                Some((_, frequencies)) => short.followed_by(&Table::new(positions, frequencies, rope.scale)),
                None => short,
            }
        };
        let longest_short = spec.ropes.iter().map(|rope| rope.long.as_ref().map(|long| long.0));
        Self {
            tables: spec.ropes.iter().map(table).collect(),
            longest_short: longest_short.collect(),
            positions,
        }
    }

    /// Cosines and sines, one table for each rotation.
    pub(super) fn tables(&self) -> &[Table<R>] {
        &self.tables
    }

    /// How many positions there are.
    pub(super) fn positions(&self) -> usize {
        self.positions
    }

    /// How the tokens of a row turn: a document is long by itself, whatever stands beside it.
    pub(super) fn turns<'a>(&'a self, positions_t: &'a [u32], bounds: &[usize]) -> Turns<'a, R> {
        let places = self.longest_short.iter().map(|longest_short| match longest_short {
            None => Cow::Borrowed(positions_t),
            Some(longest) => {
                let mut places = positions_t.to_vec();
                for document in bounds.windows(2) {
                    let places = &mut places[document[0]..document[1]];
                    let length = places.iter().max().map_or(0, |&last| last as usize + 1);
                    if length > *longest {
                        places.iter_mut().for_each(|place| *place += self.positions as u32);
                    }
                }
                Cow::Owned(places)
            }
        });
        Turns { ropes: self, places: places.collect() }
    }
}

impl<R: Real> Turns<'_, R> {
    /// For each rotation the place of every token in its table.
    pub(super) fn into_places(self) -> Vec<Vec<u32>> {
        self.places.into_iter().map(Cow::into_owned).collect()
    }

    /// Turns `x_the` in place by the rotation `rope`, if there is one.
    pub(super) fn turn(&self, rope: Option<usize>, x_the: &mut [R], heads: usize, turn: Turn) {
        if let Some(rope) = rope {
            self.ropes.tables[rope].turn(x_the, &self.places[rope], heads, turn);
        }
    }
}
