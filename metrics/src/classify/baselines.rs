//! What needs no model: a score says little without them beside it.

use std::collections::HashMap;

/// Neighbouring characters that are compared.
const GRAM_CHARACTERS: usize = 5;

type Gram = [char; GRAM_CHARACTERS];

/// The class that is most frequent, the first of equals; `None` without a label or a class.
#[must_use]
pub fn majority(classes: usize, labels: &[usize]) -> Option<usize> {
    let count = |class: usize| labels.iter().filter(|&&label| label == class).count();
    if labels.is_empty() {
        return None;
    }
    (0..classes).max_by_key(|&class| (count(class), std::cmp::Reverse(class)))
}

/// Training rows, to answer with the label of the one that shares most runs of five characters.
#[derive(Clone, Debug, Default)]
pub struct NearestRow {
    /// The rows that have a gram, in order.
    rows: HashMap<Gram, Vec<u32>>,
    /// How many different grams a row has.
    sizes: Vec<u32>,
}

impl NearestRow {
    /// Case and runs of whitespace do not count.
    #[must_use]
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut index = Self::default();
        for (row, text) in (0_u32..).zip(texts) {
            let grams = grams(text);
            index.sizes.push(grams.len() as u32);
            for gram in grams {
                index.rows.entry(gram).or_default().push(row);
            }
        }
        index
    }

    /// The row whose grams are most like those of `text`, by Jaccard's measure, with that measure; the first of equals,
    /// `None` where no row shares any.
    #[must_use]
    pub fn nearest(&self, text: &str) -> Option<(usize, f64)> {
        let grams = grams(text);
        let mut shared: HashMap<u32, u32> = HashMap::new();
        for row in grams.iter().filter_map(|gram| self.rows.get(gram)).flatten() {
            *shared.entry(*row).or_default() += 1;
        }
        let jaccard = |(row, shared): (u32, u32)| {
            let union = grams.len() as u32 + self.sizes[row as usize] - shared;
            (row as usize, f64::from(shared) / f64::from(union))
        };
        let better =
            |one: &(usize, f64), other: &(usize, f64)| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0));
        shared.into_iter().map(jaccard).max_by(better)
    }
}

/// The different grams of a text; one, filled up with spaces, of a shorter text.
fn grams(text: &str) -> Vec<Gram> {
    let text = text.to_lowercase();
    let mut characters: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    if !characters.is_empty() && characters.len() < GRAM_CHARACTERS {
        characters.resize(GRAM_CHARACTERS, ' ');
    }
    let mut grams: Vec<Gram> =
        characters.windows(GRAM_CHARACTERS).filter_map(|gram| gram.try_into().ok()).collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}
