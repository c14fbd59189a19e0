//! How many fields of an answer are right.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

use serde::Serialize;
use serde_json::Value;

/// Fields counted: of one answer, or summed over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FieldCounts {
    /// Fields with the value that was expected.
    pub right: u64,
    /// Fields of the answers.
    pub found: u64,
    /// Fields that were expected.
    pub expected: u64,
}

impl FieldCounts {
    /// Of the fields found, the part that is right; 1 where none was found and none expected.
    #[must_use]
    pub fn precision(&self) -> f64 {
        self.share(self.found)
    }

    /// Of the fields expected, the part that is right; 1 where none was found and none expected.
    #[must_use]
    pub fn recall(&self) -> f64 {
        self.share(self.expected)
    }

    /// The harmonic mean of the two.
    #[must_use]
    pub fn f1(&self) -> f64 {
        let both = self.found + self.expected;
        if both > 0 { 2.0 * self.right as f64 / both as f64 } else { 1.0 }
    }

    fn share(&self, of: u64) -> f64 {
        match of {
            0 if self.found + self.expected == 0 => 1.0,
            0 => 0.0,
            _ => self.right as f64 / of as f64,
        }
    }
}

impl AddAssign for FieldCounts {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.found += other.found;
        self.expected += other.expected;
    }
}

/// All fields together, and each by its path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FieldScores {
    /// All fields.
    pub all: FieldCounts,
    /// By path: keys with dots between, `[]` for any place of a list.
    pub by_field: BTreeMap<String, FieldCounts>,
}

impl AddAssign<&FieldScores> for FieldScores {
    fn add_assign(&mut self, other: &FieldScores) {
        self.all += other.all;
        for (path, counts) in &other.by_field {
            *self.by_field.entry(path.clone()).or_default() += *counts;
        }
    }
}

/// Compares the leaves of two values: a field is right if its path and its value are those of a field expected, each of
/// which counts once. Numbers are equal by value, texts without spaces around them; the order of a list does not matter.
/// Without an answer (`None`, invalid JSON) nothing is found.
#[must_use]
pub fn compare_fields(found: Option<&Value>, expected: &Value) -> FieldScores {
    let mut left: HashMap<(String, String), u64> = HashMap::new();
    let mut scores = FieldScores::default();
    let mut of_expected = Vec::new();
    leaves(expected, String::new(), &mut of_expected);
    for leaf in of_expected {
        scores.by_field.entry(leaf.0.clone()).or_default().expected += 1;
        *left.entry(leaf).or_default() += 1;
    }
    let mut of_found = Vec::new();
    if let Some(found) = found {
        leaves(found, String::new(), &mut of_found);
    }
    for leaf in of_found {
        let counts = scores.by_field.entry(leaf.0.clone()).or_default();
        counts.found += 1;
        if let Some(count @ 1..) = left.get_mut(&leaf) {
            *count -= 1;
            counts.right += 1;
        }
    }
    for counts in scores.by_field.values() {
        scores.all += *counts;
    }
    scores
}

/// Paths and values of what is no list and no object, and of empty ones.
fn leaves(value: &Value, path: String, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, path, into);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                leaves(item, format!("{path}[]"), into);
            }
        }
        Value::String(text) => into.push((path, format!("\"{}\"", text.trim()))),
        // 3 and 3.0 are one number; whole ones beyond 2^53 keep their digits.
        Value::Number(number) => into.push((
            path,
            match number.as_f64() {
                Some(float) if float.abs() < 9e15 => float.to_string(),
                _ => number.to_string(),
            },
        )),
        other => into.push((path, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_counted_once() {
        let expected =
            json!({"name": "Ann ", "age": 3, "tags": ["a", "a", "b"], "home": {"city": "Ulm"}, "none": []});
        let found = json!({"name": "Ann", "age": 3.0, "tags": ["b", "a", "c"], "home": {"city": "Bonn"}, "extra": true});
        let scores = compare_fields(Some(&found), &expected);
        assert_eq!(scores.all, FieldCounts { right: 4, found: 7, expected: 7 });
        assert_eq!(scores.by_field["tags[]"], FieldCounts { right: 2, found: 3, expected: 3 });
        assert_eq!(scores.by_field["home.city"], FieldCounts { right: 0, found: 1, expected: 1 });
        assert!((scores.all.f1() - 4.0 / 7.0).abs() < 1e-12);
        let whole = compare_fields(Some(&expected), &expected);
        assert_eq!((whole.all.f1(), whole.all.precision()), (1.0, 1.0));
        let mut sum = compare_fields(None, &expected);
        assert_eq!((sum.all.precision(), sum.all.recall(), sum.all.f1()), (0.0, 0.0, 0.0));
        sum += &whole;
        assert_eq!(sum.all, FieldCounts { right: 7, found: 7, expected: 14 });
        assert_eq!(FieldCounts::default().f1(), 1.0);
        assert_ne!(
            compare_fields(Some(&json!(9_007_199_254_740_993_u64)), &json!(9_007_199_254_740_992_u64))
                .all
                .right,
            1
        );
        assert_eq!(compare_fields(Some(&json!("3")), &json!(3)).all.right, 0);
    }
}
