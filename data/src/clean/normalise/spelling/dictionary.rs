//! Dictionaries, and the words of one that are near another word.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::clean::CleanError;

/// A larger file is no dictionary.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Letters tried in place of others: more than any alphabet of an alphabetic script has.
const MAX_ALPHABET: usize = 80;
/// Shorter words are not looked for at a distance of two.
pub(super) const MIN_FAR_CHARACTERS: usize = 8;

/// Words, found by themselves and by what is near them.
#[derive(Debug)]
pub(super) struct Dictionary {
    words: HashSet<Box<str>>,
    /// Names and abbreviations, in lower case.
    names: HashSet<Box<str>>,
    alphabet: Vec<char>,
    /// Longer words by their first letter and number of letters.
    long: HashMap<(char, usize), Vec<Box<str>>>,
}

impl Dictionary {
    /// Reads `words.dic` with `words.aff` beside it as Hunspell has them, or a list with a word a line.
    ///
    /// # Errors
    /// A file cannot be read, is no dictionary, or holds no words.
    pub(super) fn read(path: &Path) -> Result<Self, CleanError> {
        let text = read(path)?;
        let words: HashSet<Box<str>> = match affixes(path) {
            Some(affixes) => hunspell(path, &text, &affixes)?,
            None => text
                .lines()
                .map(str::trim)
                .filter(|word| !word.is_empty() && !word.starts_with('#'))
                .map(Into::into)
                .collect(),
        };
        if words.is_empty() {
            return Err(CleanError::Dictionary { path: path.to_owned(), reason: "no words".into() });
        }
        let plain = |word: &str| word.chars().all(char::is_lowercase);
        let mut letters: HashMap<char, usize> = HashMap::new();
        let mut long: HashMap<(char, usize), Vec<Box<str>>> = HashMap::new();
        for word in words.iter().filter(|word| plain(word)) {
            word.chars().for_each(|c| *letters.entry(c).or_default() += 1);
            let length = word.chars().count();
            if let Some(first) = word.chars().next().filter(|_| length + 2 >= MIN_FAR_CHARACTERS) {
                long.entry((first, length)).or_default().push(word.clone());
            }
        }
        let mut alphabet: Vec<(char, usize)> = letters.into_iter().collect();
        alphabet.sort_by_key(|&(letter, count)| (std::cmp::Reverse(count), letter));
        let alphabet = alphabet.into_iter().take(MAX_ALPHABET).map(|(letter, _)| letter).collect();
        let names = words.iter().filter(|word| !plain(word)).map(|word| word.to_lowercase().into()).collect();
        Ok(Self { words, names, alphabet, long })
    }

    /// Whether the dictionary has the word, which is in lower case, as it stands or as a name.
    pub(super) fn contains(&self, word: &str) -> bool {
        self.words.contains(word) || self.names.contains(word)
    }

    /// The words one edit away: a letter left out, put in, exchanged, or two neighbours swapped.
    pub(super) fn near(&self, word: &str) -> BTreeSet<String> {
        let letters: Vec<char> = word.chars().collect();
        let mut near = BTreeSet::new();
        let mut buffer = String::new();
        let mut look = |edited: &mut dyn Iterator<Item = char>| {
            buffer.clear();
            buffer.extend(edited);
            if buffer != word && self.words.contains(buffer.as_str()) {
                near.insert(buffer.clone());
            }
        };
        for at in 0..=letters.len() {
            let (left, right) = letters.split_at(at);
            let left = || left.iter().copied();
            if let [_, rest @ ..] = right {
                look(&mut left().chain(rest.iter().copied()));
            }
            if let [one, other, rest @ ..] = right {
                look(&mut left().chain([*other, *one]).chain(rest.iter().copied()));
            }
            for &letter in &self.alphabet {
                look(&mut left().chain([letter]).chain(right.iter().copied()));
                if let [_, rest @ ..] = right {
                    look(&mut left().chain([letter]).chain(rest.iter().copied()));
                }
            }
        }
        near
    }

    /// The long words two edits away that begin with the same letter.
    pub(super) fn far(&self, word: &str) -> BTreeSet<String> {
        let letters: Vec<char> = word.chars().collect();
        let Some(&first) = letters.first().filter(|_| letters.len() >= MIN_FAR_CHARACTERS) else {
            return BTreeSet::new();
        };
        let lengths = letters.len() - 2..=letters.len() + 2;
        let candidates = lengths.filter_map(|length| self.long.get(&(first, length))).flatten();
        let near = candidates.filter(|candidate| distance(&letters, candidate, 2) <= 2);
        near.map(|candidate| candidate.to_string()).collect()
    }
}

fn read(path: &Path) -> Result<String, CleanError> {
    let unreadable = |source| CleanError::Unreadable { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(CleanError::TooLarge { path: path.to_owned(), bytes, most: MAX_FILE_BYTES });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| CleanError::Dictionary {
        path: path.to_owned(),
        reason: format!("the byte at {} is not UTF-8", error.utf8_error().valid_up_to()),
    })
}

/// The file beside a dictionary that says how its words are bent, where it is one of Hunspell.
pub(crate) fn affixes(path: &Path) -> Option<PathBuf> {
    path.extension().filter(|extension| *extension == "dic").map(|_| path.with_extension("aff"))
}

fn hunspell(path: &Path, words: &str, affixes: &Path) -> Result<HashSet<Box<str>>, CleanError> {
    let affixes = read(affixes)?;
    let built = zspell::builder().config_str(&affixes).dict_str(words).build();
    let dictionary =
        built.map_err(|error| CleanError::Dictionary { path: path.to_owned(), reason: error.to_string() })?;
    let lists = [dictionary.wordlist(), dictionary.wordlist_nosuggest()];
    Ok(lists.into_iter().flat_map(|list| list.inner().keys().cloned()).collect())
}

/// The edit distance of Damerau and Levenshtein, or more than `most`.
fn distance(one: &[char], other: &str, most: usize) -> usize {
    let other: Vec<char> = other.chars().collect();
    let width = other.len() + 1;
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (vec![0; width], (0..width).collect());
    let mut row = vec![0; width];
    for (i, &a) in one.iter().enumerate() {
        row[0] = i + 1;
        for (j, &b) in other.iter().enumerate() {
            let exchanged = last[j] + usize::from(a != b);
            row[j + 1] = exchanged.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == other[j - 1] && one[i - 1] == b {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        if row.iter().all(|&least| least > most) {
            return most + 1;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let distance = |one: &str, other: &str| distance(&one.chars().collect::<Vec<_>>(), other, 9);
        for (one, other, expected) in
            [("abc", "abc", 0), ("abc", "acb", 1), ("abc", "ab", 1), ("", "abc", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(one, other), expected);
            assert_eq!(distance(other, one), expected);
        }
    }
}
