//! How many fields of an answer are right.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;
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
        self.take(other);
    }
}

impl FieldScores {
    /// Adds the counts of fields.
    fn take(&mut self, other: &Self) {
        for (path, counts) in &other.by_field {
            *self.by_field.entry(path.clone()).or_default() += *counts;
        }
    }
}

/// Lists whose leaves, those of the one times those of the other, are more than this are compared item by item as they stand: an
/// answer may be of any length.
const MOST_PAIRS_OF_LEAVES: usize = 1 << 16;

/// Compares the leaves of two values: a field is right if its path and its value are those of a field expected, each of
/// which counts once. Numbers are equal by value, texts without spaces around them. The order of a list does not matter: items that
/// are objects or lists are paired so that most leaves are right, and leaves of two pairs are not exchanged.
/// Without an answer (`None`, invalid JSON) nothing is found.
#[must_use]
pub fn compare_fields(found: Option<&Value>, expected: &Value) -> FieldScores {
    let mut scores = FieldScores::default();
    match found {
        Some(found) => compare(found, expected, String::new(), &mut scores),
        None => alone(expected, String::new(), &mut scores, |counts| &mut counts.expected),
    }
    for counts in scores.by_field.values() {
        scores.all += *counts;
    }
    scores
}

fn compare(found: &Value, expected: &Value, path: String, scores: &mut FieldScores) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) if !found.is_empty() && !expected.is_empty() => {
            for (key, value) in expected {
                match found.get(key) {
                    Some(found) => compare(found, value, under(&path, key), scores),
                    None => alone(value, under(&path, key), scores, |counts| &mut counts.expected),
                }
            }
            for (key, value) in found.iter().filter(|(key, _)| !expected.contains_key(*key)) {
                alone(value, under(&path, key), scores, |counts| &mut counts.found);
            }
        }
        (Value::Array(found), Value::Array(expected)) if !found.is_empty() && !expected.is_empty() => {
            lists(found, expected, &format!("{path}[]"), scores);
        }
        _ => {
            alone(expected, path.clone(), scores, |counts| &mut counts.expected);
            alone(found, path.clone(), scores, |counts| &mut counts.found);
            if is_leaf(found) && is_leaf(expected) && leaf(found) == leaf(expected) {
                scores.by_field.entry(path).or_default().right += 1;
            }
        }
    }
}

/// Compares items, each with one at the most: equal ones with each other, the rest so that most leaves are right.
fn lists(found: &[Value], expected: &[Value], path: &str, scores: &mut FieldScores) {
    let mut equal: HashMap<String, usize> = HashMap::new();
    for value in found {
        *equal.entry(whole(value)).or_default() += 1;
    }
    // What is equal to an item of the other list goes with it; how many of the found stay alone is left in `equal`.
    let mut rest = Vec::new();
    for value in expected {
        match equal.get_mut(&whole(value)) {
            Some(count @ 1..) => {
                *count -= 1;
                compare(value, value, path.to_owned(), scores);
            }
            _ => rest.push(value),
        }
    }
    let mut unused = Vec::new();
    for value in found.iter().rev() {
        if let Some(count @ 1..) = equal.get_mut(&whole(value)) {
            *count -= 1;
            unused.push(value);
        }
    }
    unused.reverse();
    let leaves = |values: &[&Value]| values.iter().map(|value| leaves(value)).sum::<usize>();
    let paired = leaves(&unused).saturating_mul(leaves(&rest)) <= MOST_PAIRS_OF_LEAVES;
    // Each pair is compared once, so that lists in lists take no longer than their leaves.
    let compared = |found: usize, expected: usize| {
        let mut scores = FieldScores::default();
        compare(unused[found], rest[expected], path.to_owned(), &mut scores);
        scores
    };
    let table: Vec<Vec<FieldScores>> = match paired {
        true => (0..unused.len())
            .map(|row| (0..rest.len()).map(|column| compared(row, column)).collect())
            .collect(),
        false => Vec::new(),
    };
    let places = if paired { assigned(&table, rest.len()) } else { (0..unused.len()).collect() };
    let mut is_taken = vec![false; rest.len()];
    for (row, &place) in places.iter().enumerate() {
        match (is_taken.get_mut(place), table.get(row)) {
            (Some(taken), of_row) => {
                *taken = true;
                scores.take(&of_row.map_or_else(|| compared(row, place), |all| all[place].clone()));
            }
            (None, _) => alone(unused[row], path.to_owned(), scores, |counts| &mut counts.found),
        }
    }
    for (value, _) in rest.iter().zip(is_taken).filter(|(_, taken)| !taken) {
        alone(value, path.to_owned(), scores, |counts| &mut counts.expected);
    }
}

/// For each row of the table the column of its partner, so that most leaves are right; one behind the last is none.
fn assigned(table: &[Vec<FieldScores>], columns: usize) -> Vec<usize> {
    if table.is_empty() {
        return Vec::new();
    }
    let right = |scores: &FieldScores| scores.by_field.values().map(|counts| counts.right as i64).sum();
    let weights = Matrix::from_fn(table.len(), columns.max(table.len()), |(row, column)| {
        table[row].get(column).map_or(0_i64, right)
    });
    kuhn_munkres(&weights).1
}

/// Counts the leaves of a value that has no partner.
fn alone(
    value: &Value,
    path: String,
    scores: &mut FieldScores,
    count: impl Fn(&mut FieldCounts) -> &mut u64 + Copy,
) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                alone(value, under(&path, key), scores, count);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                alone(item, format!("{path}[]"), scores, count);
            }
        }
        _ => *count(scores.by_field.entry(path).or_default()) += 1,
    }
}

fn under(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What is no list and no object, and empty ones.
fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

/// How many leaves a value has.
fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(fields) if !fields.is_empty() => fields.values().map(leaves).sum(),
        Value::Array(items) if !items.is_empty() => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// A leaf as it is compared.
fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.trim()),
        // 3 and 3.0 are one number; whole ones beyond 2^53 keep their digits.
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.abs() < 9e15 => float.to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// A value so that values with the same leaves are equal, but for the order of lists of lists and objects.
fn whole(value: &Value) -> String {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut parts: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), whole(value)))
                .collect();
            parts.sort_unstable();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) if !items.is_empty() => {
            let mut parts: Vec<String> = items.iter().map(whole).collect();
            parts.sort_unstable();
            format!("[{}]", parts.join(","))
        }
        _ => leaf(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_of_a_list_are_compared_one_with_one() {
        let expected = json!({"items": [{"name": "tea", "price": 3}, {"name": "cake", "price": 5}]});
        let all = |found: Value| compare_fields(Some(&found), &expected).all;
        let ordered = all(json!({"items": [{"price": 5.0, "name": "cake"}, {"name": " tea", "price": 3}]}));
        assert_eq!(ordered, FieldCounts { right: 4, found: 4, expected: 4 });
        let exchanged = all(json!({"items": [{"name": "tea", "price": 5}, {"name": "cake", "price": 3}]}));
        assert_eq!(exchanged, FieldCounts { right: 2, found: 4, expected: 4 });
        let fewer = all(json!({"items": [{"name": "cake", "price": 4}]}));
        assert_eq!(fewer, FieldCounts { right: 1, found: 2, expected: 4 });
        let more = all(
            json!({"items": [{"name": "x"}, {"name": "cake", "price": 5}, {"name": "tea", "price": 4}, 7]}),
        );
        assert_eq!(more, FieldCounts { right: 3, found: 6, expected: 4 });
        let nested = json!([[1, 2], [3, 4]]);
        assert_eq!(compare_fields(Some(&json!([[4, 3], [2, 1]])), &nested).all.right, 4);
        assert_eq!(compare_fields(Some(&json!([[1, 3], [2, 4]])), &nested).all.right, 2);
        // The first of the expected could take either: most are right where it leaves the second its only one.
        let (one, other) =
            (json!([{"a": 1, "b": 1}, {"a": 1, "b": 2}]), json!([{"a": 1, "b": 3}, {"a": 9, "b": 1}]));
        assert_eq!(compare_fields(Some(&other), &one).all.right, 2);
        assert_eq!(compare_fields(Some(&one), &other).all.right, 2);
    }

    #[test]
    fn lists_in_lists_take_no_longer_than_their_leaves() {
        let deep = |leaf: i64| (0..100).fold(json!([leaf]), |inner, depth| json!([inner, leaf + depth]));
        let scores = compare_fields(Some(&deep(1)), &deep(1000)).all;
        assert_eq!((scores.right, scores.found, scores.expected), (0, 101, 101));
    }

    #[test]
    fn long_lists_are_paired_too() {
        let row = |number: usize, shift: usize| json!({"id": number, "price": (number + shift) % 700});
        let list = |rows: Vec<Value>| Value::from(rows);
        let expected = list((0..700).map(|number| row(number, 0)).collect());
        let turned = list((0..700).rev().map(|number| row(number, 0)).collect());
        assert_eq!(compare_fields(Some(&turned), &expected).all.f1(), 1.0);
        let other = list((0..700).map(|number| row(number, 1)).collect());
        assert_eq!(
            compare_fields(Some(&other), &expected).all,
            FieldCounts { right: 700, found: 1400, expected: 1400 }
        );
    }

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
