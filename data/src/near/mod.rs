//! Near-duplicates: rows whose sets of character 5-grams have a Jaccard index of a given size or more.
//!
//! A row is pushed once and waits on disk. Rows that meet in a band of their sketches are compared exactly, so that
//! nothing is called a duplicate that is none; of the pairs there are, 99.5% of those just at the threshold meet, and
//! nearly all above. Clusters are joined through any chain of pairs.

mod buckets;
mod clusters;
mod finder;
mod sketch;
mod text;
mod union;

#[cfg(test)]
pub(crate) mod exam;
#[cfg(test)]
mod tests;

pub use clusters::{Cluster, Clusters, Pair};
pub use finder::{Keep, NearFinder, NearOptions};

pub(crate) use finder::{LEAST_SIMILARITY, MOST_ROWS};
pub(crate) use sketch::{Bands, Care, Sketcher, agreement, least_agreement};
pub(crate) use text::{common, comparable, compared, each_shingle, fold, is_space, shingle_set};
