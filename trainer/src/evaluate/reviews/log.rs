//! The file of reviews.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::{Review, ReviewKey};
use crate::error::TrainerError;
use crate::line_log::LineLog;

/// A file of reviews that one process writes to.
#[derive(Debug)]
pub struct ReviewLog {
    lines: LineLog,
    path: PathBuf,
}

impl ReviewLog {
    /// Opens the file, or makes it; with the reviews that are in it.
    ///
    /// # Errors
    /// [`TrainerError::Unreadable`] for a line that is no review; those of [`LineLog::open`].
    pub fn open(path: &Path) -> Result<(Self, Vec<Review>), TrainerError> {
        let (lines, text) = LineLog::open(path, &|line| review(line).map(|_| ()))?;
        Ok((Self { lines, path: path.to_owned() }, parsed(path, &text)?))
    }

    /// Writes a review down; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`TrainerError::File`], after which the file is as it was; [`TrainerError::Unreadable`] for what is no review.
    pub fn append(&mut self, review: &Review) -> Result<(), TrainerError> {
        let unreadable = |problem| TrainerError::Unreadable { file: self.path.clone(), problem };
        review.check().map_err(unreadable)?;
        let line = serde_json::to_string(review).map_err(|error| unreadable(error.to_string()))?;
        self.lines.append(&line)
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<Review>, TrainerError> {
    parsed(path, &LineLog::read(path, &|line| review(line).map(|_| ()))?)
}

fn review(line: &str) -> Result<Review, String> {
    let review: Review = serde_json::from_str(line).map_err(|error| format!("not a review: {error}"))?;
    review.check().map(|()| review)
}

fn parsed(path: &Path, text: &str) -> Result<Vec<Review>, TrainerError> {
    let mut reviews: Vec<Review> = Vec::new();
    let mut places: HashMap<ReviewKey, usize> = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let review = review(line).map_err(|problem| TrainerError::Unreadable {
            file: path.to_owned(),
            problem: format!("line {}: {problem}", number + 1),
        })?;
        match places.entry(review.key()) {
            Entry::Occupied(place) => reviews[*place.get()] = review,
            Entry::Vacant(place) => {
                place.insert(reviews.len());
                reviews.push(review);
            }
        }
    }
    Ok(reviews)
}
