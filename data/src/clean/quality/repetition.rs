//! Texts that say the same again and again, by the measures of Rae et al. (Scaling language models, 2021, table A1),
//! with least lengths below which they mean nothing: rows are much shorter than pages.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

use super::options::RepetitionOptions;
use crate::clean::normalise::without_code;

/// Duplicate lines count from so many on.
const MIN_LINES: usize = 5;
/// A shorter line is a bracket, a rule or a row of a table.
const MIN_LINE_BYTES: usize = 12;
/// A frequent group of words counts in texts of so many words.
const MIN_WORDS: usize = 50;
/// And if it stands there so often.
const MIN_TIMES: usize = 6;
/// Groups that stood before count in texts of so many words.
const MIN_WORDS_OF_DUPLICATES: usize = 60;
/// How many words such a group has.
const DUPLICATE_WORDS: usize = 5;
/// A run of one word or character counts from so many on; `...`, `!!!` and "no no no" are how people write.
const MIN_RUN: usize = 12;
/// Groups of 2, 3 and 4 words, and how much less than of 2 each may make up.
const TOP_WORDS: [(usize, f64); 3] = [(2, 0.0), (3, 0.02), (4, 0.04)];

/// What of a text is too much repeated; its code is left out.
pub(super) fn judge(text: &str, options: &RepetitionOptions) -> Option<String> {
    let prose = without_code(text);
    let text: &str = &prose;
    let words: Vec<&str> = text.split_whitespace().collect();
    run(text, &words, options.max_run)
        .or_else(|| lines(text, options.max_duplicate_lines))
        .or_else(|| top_words(&words, options.max_top_words))
        .or_else(|| duplicate_words(&words, options.max_duplicate_words))
}

fn run(text: &str, words: &[&str], most: f64) -> Option<String> {
    let characters = text.chars().filter(|c| !c.is_whitespace());
    let (longest, total) = longest_run(characters.clone(), |c| c.is_alphanumeric());
    let share = longest as f64 / total.max(1) as f64;
    if longest >= MIN_RUN && share > most {
        return Some(format!("one character {longest} times in a row, {:.0}% of the text", share * 100.0));
    }
    let (longest, total) = longest_run(words.iter(), |word| word.contains(char::is_alphanumeric));
    let share = longest as f64 / total.max(1) as f64;
    (longest >= MIN_RUN && share > most)
        .then(|| format!("one word {longest} times in a row, {:.0}% of the text", share * 100.0))
}

/// The longest run of equal items that count, and how many items there are.
fn longest_run<T: PartialEq + Copy>(
    items: impl Iterator<Item = T>,
    counts: impl Fn(T) -> bool,
) -> (usize, usize) {
    let (mut longest, mut run, mut total, mut last) = (0, 0, 0, None);
    for item in items {
        total += 1;
        run = if last == Some(item) && counts(item) { run + 1 } else { 1 };
        longest = longest.max(run);
        last = Some(item);
    }
    (longest, total)
}

fn lines(text: &str, most: f64) -> Option<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut count, mut bytes, mut duplicate_bytes) = (0_usize, 0_usize, 0_usize);
    let mut seen = HashSet::new();
    for line in lines {
        count += 1;
        bytes += line.len();
        let says =
            line.len() >= MIN_LINE_BYTES && !line.starts_with('|') && line.contains(char::is_alphabetic);
        if says && !seen.insert(line) {
            duplicate_bytes += line.len();
        }
    }
    let share = duplicate_bytes as f64 / bytes.max(1) as f64;
    (count >= MIN_LINES && share > most)
        .then(|| format!("{:.0}% of {count} lines stood before", share * 100.0))
}

fn top_words(words: &[&str], most: f64) -> Option<String> {
    if words.len() < MIN_WORDS {
        return None;
    }
    let bytes: usize = words.iter().map(|word| word.len()).sum();
    for (size, less) in TOP_WORDS {
        let mut times: HashMap<u64, (usize, usize)> = HashMap::new();
        for group in words.windows(size) {
            let entry = times.entry(hash(group)).or_insert((0, group.iter().map(|word| word.len()).sum()));
            entry.0 += 1;
        }
        let frequent = times.values().filter(|(times, _)| *times >= MIN_TIMES);
        let (times, share) = frequent
            .map(|&(times, length)| (times, (times * length) as f64 / bytes as f64))
            .fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best });
        if share > most - less {
            return Some(format!(
                "one group of {size} words {times} times, {:.0}% of the text",
                share * 100.0
            ));
        }
    }
    None
}

fn duplicate_words(words: &[&str], most: f64) -> Option<String> {
    if words.len() < MIN_WORDS_OF_DUPLICATES {
        return None;
    }
    let mut seen = HashSet::new();
    let (mut covered, mut to) = (0, 0);
    for (start, group) in words.windows(DUPLICATE_WORDS).enumerate() {
        if !seen.insert(hash(group)) {
            covered += start + DUPLICATE_WORDS - to.max(start);
            to = start + DUPLICATE_WORDS;
        }
    }
    let share = covered as f64 / words.len() as f64;
    (share > most)
        .then(|| format!("{:.0}% of {} words stand in groups that stood before", share * 100.0, words.len()))
}

/// Words that differ in case only are the same.
fn hash(words: &[&str]) -> u64 {
    words.iter().fold(0, |hash: u64, word| {
        let lower = word.to_lowercase();
        hash.rotate_left(23).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ xxh3_64(lower.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Option<String> {
        super::judge(text, &RepetitionOptions::default())
    }

    #[test]
    fn repetition_is_found() {
        for (text, expected) in [
            ("a".repeat(40), "one character 40 times"),
            ("ha ".repeat(20), "one word 20 times"),
            ("Please wait for the agent.\n".repeat(6), "lines stood before"),
            (format!("{} and {}", "buy this now ".repeat(20), "other words here ".repeat(5)), "one group of"),
            (
                (0..4).map(|turn| format!("turn {turn} we have received your message and will come back to you very soon with more; ")).collect(),
                "stand in groups that stood before",
            ),
        ] {
            let found = judge(&text).unwrap_or_default();
            assert!(found.contains(expected), "{found:?} for {text}");
        }
    }

    #[test]
    fn ordinary_text_is_not() {
        for text in [
            "no no no no, please!",
            "Soooooooo good!!!!!!!!!!!!!!!!!!!!!!!!",
            "--------------------------------",
            "- one\n- two\n- one\n- two\n- three\n- one",
            "The cat sat on the mat. The dog sat on the rug. The bird sat on the roof. The fish was in the bowl. The cow was in \
             the barn. The horse was in the field. The sheep was on the hill. The pig was in the sty.",
            "```\nx = 1\nprint(x, x, x)\nprint(x, x, x)\nprint(x, x, x)\nprint(x, x, x)\nprint(x, x, x)\n```",
        ] {
            assert_eq!(judge(text), None, "{text}");
        }
    }
}
