//! What fails and no golden row asks about: prompts that were rated low, grouped by the words they share.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::entry::Entry;

/// A golden prompt of this cosine or more asks about the same.
const COVERED: f64 = 0.5;
/// Prompts of this cosine or more are of one topic.
const TOGETHER: f64 = 0.25;
/// Shorter words say little.
const SHORTEST_WORD: usize = 3;
/// How much a word counts that stands in one text alone: it makes a text another one, and can make none alike.
const ALONE: f64 = 0.5;
/// Words that name a topic.
const KEYWORDS: usize = 4;

/// Prompts that were rated low, and no golden row asks the like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topic {
    /// Words that its prompts share, the heaviest first.
    pub words: Vec<String>,
    /// Ids of its entries.
    pub entries: Vec<String>,
    /// One of its prompts.
    pub example: String,
}

/// The topics of `low` that `golden` prompts do not cover, the largest first. A word counts the more the rarer it is; two prompts are as near
/// as the cosine of their words.
#[must_use]
pub fn uncovered(low: &[&Entry], golden: &[String]) -> Vec<Topic> {
    let prompts: Vec<String> = low.iter().map(|entry| entry.asked()).collect();
    let texts: Vec<Vec<String>> = prompts.iter().chain(golden).map(|text| words(text)).collect();
    let weights = weights(&texts);
    let vectors: Vec<BTreeMap<&str, f64>> = texts.iter().map(|words| vector(words, &weights)).collect();
    let (own, of_golden) = vectors.split_at(prompts.len());
    let mut leaders: Vec<(usize, Vec<usize>)> = Vec::new();
    let golden = Nearest::new(of_golden.iter());
    let mut topics = Nearest::new(std::iter::empty());
    for (at, vector) in own.iter().enumerate() {
        if golden.of(vector).is_some_and(|(_, cosine)| cosine >= COVERED) {
            continue;
        }
        match topics.of(vector).filter(|(_, cosine)| *cosine >= TOGETHER) {
            Some((place, _)) => leaders[place].1.push(at),
            None => {
                topics.push(vector);
                leaders.push((at, vec![at]));
            }
        }
    }
    let mut found: Vec<Topic> = leaders
        .into_iter()
        .map(|(leader, members)| {
            let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
            for (word, weight) in members.iter().flat_map(|at| &own[*at]) {
                *sums.entry(word).or_default() += weight;
            }
            let mut heaviest: Vec<(&str, f64)> = sums.into_iter().collect();
            heaviest.sort_by(|one, other| other.1.total_cmp(&one.1));
            Topic {
                words: heaviest.into_iter().take(KEYWORDS).map(|(word, _)| word.to_owned()).collect(),
                entries: members.iter().map(|at| low[*at].id.clone()).collect(),
                example: prompts[leader].clone(),
            }
        })
        .collect();
    found.sort_by_key(|topic| std::cmp::Reverse(topic.entries.len()));
    found
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let all =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= SHORTEST_WORD);
    // Numbers are of one order or one invoice.
    all.filter(|word| !word.chars().all(char::is_numeric)).map(str::to_owned).collect()
}

/// How much each word says: the logarithm of how rare it is.
fn weights(texts: &[Vec<String>]) -> HashMap<String, f64> {
    let mut of_word: HashMap<String, usize> = HashMap::new();
    for text in texts {
        let distinct: std::collections::BTreeSet<&String> = text.iter().collect();
        for word in distinct {
            *of_word.entry(word.clone()).or_default() += 1;
        }
    }
    let count = texts.len() as f64;
    let weight = |found: usize| (1.0 + count / found as f64).ln() * if found == 1 { ALONE } else { 1.0 };
    of_word.into_iter().map(|(word, found)| (word, weight(found))).collect()
}

/// The words of a text by their weights, of length 1; empty where no word says anything.
fn vector<'a>(words: &'a [String], weights: &HashMap<String, f64>) -> BTreeMap<&'a str, f64> {
    let mut vector: BTreeMap<&str, f64> = BTreeMap::new();
    for word in words {
        if let Some(weight) = weights.get(word) {
            vector.insert(word, *weight);
        }
    }
    let length = vector.values().map(|weight| weight * weight).sum::<f64>().sqrt();
    vector.values_mut().for_each(|weight| *weight /= length);
    vector
}

/// Texts by their words: of a text the nearest is found without a look at those that share none.
struct Nearest<'a> {
    of_word: HashMap<&'a str, Vec<(usize, f64)>>,
    count: usize,
}

impl<'a> Nearest<'a> {
    fn new<'b>(vectors: impl Iterator<Item = &'b BTreeMap<&'a str, f64>>) -> Self
    where
        'a: 'b,
    {
        let mut all = Self { of_word: HashMap::new(), count: 0 };
        vectors.for_each(|vector| all.push(vector));
        all
    }

    fn push(&mut self, vector: &BTreeMap<&'a str, f64>) {
        for (word, weight) in vector {
            self.of_word.entry(word).or_default().push((self.count, *weight));
        }
        self.count += 1;
    }

    /// The nearest, and its cosine; the first of equals.
    fn of(&self, vector: &BTreeMap<&str, f64>) -> Option<(usize, f64)> {
        let mut cosines: BTreeMap<usize, f64> = BTreeMap::new();
        for (word, weight) in vector {
            for (place, other) in self.of_word.get(word).into_iter().flatten() {
                *cosines.entry(*place).or_default() += weight * other;
            }
        }
        cosines.into_iter().fold(None, |best: Option<(usize, f64)>, (place, cosine)| match best {
            Some((_, before)) if before >= cosine => best,
            _ => Some((place, cosine)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{CameFrom, FORMAT, Turn};

    fn entry(id: usize, asked: &str) -> Entry {
        Entry {
            format: FORMAT,
            id: format!("fb-{id}"),
            from: CameFrom { form: "rtune".to_owned(), file: "f".to_owned(), line: id, id: None },
            messages: vec![
                Turn::new("system", "You answer questions about refunds."),
                Turn::new("user", asked),
            ],
            answer: None,
            rating: Some(-1),
            stars: None,
            comment: None,
            correction: None,
            user: None,
            model: None,
            created: None,
            leak: None,
            resembles: None,
            replaced: BTreeMap::new(),
            tagged: None,
        }
    }

    #[test]
    fn what_golden_rows_ask_is_covered_and_the_rest_is_grouped() {
        let asked = [
            "How long does a refund take?",
            "My gift card was declined at checkout",
            "Gift card declined again, why?",
            "Is there a warranty on the kettle 1234?",
            "The gift card says declined",
            "When do I get the refund for order 77?",
        ];
        let entries: Vec<Entry> = asked.iter().enumerate().map(|(id, text)| entry(id, text)).collect();
        let low: Vec<&Entry> = entries.iter().collect();
        let golden =
            ["How long does it take until a refund arrives?", "When do I get the refund for my order?"]
                .map(str::to_owned);
        let topics = uncovered(&low, &golden);
        let found: Vec<Vec<&str>> =
            topics.iter().map(|topic| topic.entries.iter().map(String::as_str).collect()).collect();
        assert_eq!(found, [vec!["fb-1", "fb-2", "fb-4"], vec!["fb-3"]], "{topics:#?}");
        assert!(
            topics[0].words.contains(&"declined".to_owned()) && topics[0].words.contains(&"gift".to_owned())
        );
        assert!(!topics[1].words.contains(&"1234".to_owned()));
        let all = uncovered(&low, &[]);
        assert_eq!(all.iter().map(|topic| topic.entries.len()).sum::<usize>(), 6);
    }

    #[test]
    fn prompts_without_a_word_are_topics_of_their_own() {
        let entries = [entry(0, "??"), entry(1, "12 34")];
        let topics = uncovered(&entries.iter().collect::<Vec<_>>(), &["a refund".to_owned()]);
        assert_eq!(topics.len(), 2);
        assert!(uncovered(&[], &[]).is_empty());
    }
}
