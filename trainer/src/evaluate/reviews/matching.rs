//! Which reviews are of the answers at hand.

use std::collections::HashMap;
use std::fmt;

use super::{Review, hash_of};
use crate::evaluate::compare::Answered;

/// A review that is of other answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// Its case.
    pub case: String,
    /// Who wrote it.
    pub reviewer: String,
    /// Whether the case is there, and the answers are others.
    pub is_known: bool,
}

impl fmt::Display for Unmatched {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.is_known { "is of other answers" } else { "is of no case of these golden rows" };
        write!(out, "`{}` by {} {why}", self.case, self.reviewer)
    }
}

/// Reviews beside the cases that they are of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matched {
    /// Reviews with the place of their case, turned so that their models are in the order of the cases' answers.
    pub reviews: Vec<(usize, Review)>,
    /// The others.
    pub unmatched: Vec<Unmatched>,
}

/// Puts each review beside its case: the one of its id whose two answers are those that were reviewed, in either order.
#[must_use]
pub fn matched(reviews: Vec<Review>, cases: &[Answered]) -> Matched {
    let mut by_id: HashMap<&str, Vec<(usize, [String; 2])>> = HashMap::new();
    for (place, case) in cases.iter().enumerate() {
        let hashes = [hash_of(&case.answers[0]), hash_of(&case.answers[1])];
        by_id.entry(case.id.as_str()).or_default().push((place, hashes));
    }
    let mut found = Matched::default();
    for review in reviews {
        let same_id = by_id.get(review.case.as_str());
        let is = |[one, other]: &[String; 2]| *one == review.first.answer && *other == review.second.answer;
        let turned =
            |[one, other]: &[String; 2]| *one == review.second.answer && *other == review.first.answer;
        let of = |wanted: &dyn Fn(&[String; 2]) -> bool| {
            same_id.and_then(|all| all.iter().find(|(_, hashes)| wanted(hashes))).map(|(place, _)| *place)
        };
        if let Some(place) = of(&is) {
            found.reviews.push((place, review));
        } else if let Some(place) = of(&turned) {
            found.reviews.push((place, review.turned()));
        } else {
            let Review { case, reviewer, .. } = review;
            found.unmatched.push(Unmatched { is_known: same_id.is_some(), case, reviewer });
        }
    }
    found
}
