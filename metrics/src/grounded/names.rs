//! Capitalised words within sentences.

use std::ops::Range;

use super::words::{Word, words};

/// Capitalised words that name nothing.
const NO_NAMES: [&str; 34] = [
    "i", "i'm", "i'll", "i've", "i'd", "ok", "okay", "faq", "note", "tip", "yes", "no", "the", "a", "an",
    "this", "that", "your", "you", "our", "we", "my", "it", "if", "in", "on", "for", "to", "please", "when",
    "mr", "mrs", "ms", "dr",
];
/// A line of so large a share of capitalised words is a heading.
const HEADING_SHARE: f64 = 0.7;

/// Runs of capitalised words; without `single_words`, of two at least, for in German a single one is a noun.
///
/// A word that opens a sentence has its capital from there: it counts only before another one.
pub(super) fn find(text: &str, single_words: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !is_heading(line) {
            find_in_line(line, at, single_words, &mut found);
        }
        at += line.len();
    }
    found
}

fn find_in_line(line: &str, offset: usize, single_words: bool, found: &mut Vec<Range<usize>>) {
    let mut run: Vec<Word<'_>> = Vec::new();
    let mut close = |run: &mut Vec<Word<'_>>| {
        let named =
            |word: &Word<'_>| !NO_NAMES.contains(&word.text.to_lowercase().replace('’', "'").as_str());
        let first = run.iter().position(named).unwrap_or(run.len());
        let words = &run[first..];
        let telling = match words {
            [] => false,
            [only] => single_words && !only.opens && only.text.chars().count() > 1,
            _ => true,
        };
        if let (true, Some(first), Some(last)) = (telling, words.first(), words.last()) {
            found.push(offset + first.start..offset + last.end());
        }
        run.clear();
    };
    for word in words(line) {
        if !word.follows || word.opens {
            close(&mut run);
        }
        if word.is_capitalised() {
            run.push(word);
        } else {
            close(&mut run);
        }
    }
    close(&mut run);
}

/// A short line without an end, nearly all of whose words are capitalised.
fn is_heading(line: &str) -> bool {
    let all = words(line).count();
    let capitalised = words(line).filter(Word::is_capitalised).count();
    let ended = line.trim_end().ends_with(['.', '!', '?', ',', ';']);
    !ended && all >= 3 && capitalised as f64 >= HEADING_SHARE * all as f64
}
