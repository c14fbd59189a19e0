//! Where the choices of a stand-in come from: BLAKE3, keyed by a record's content or by a salt. No clock, no state.

use blake3::{Hasher, OutputReader};

/// Keep these keys apart from every other use of BLAKE3.
const RECORD: &str = "rtune privacy stand-ins within a record, format 1";
const SET: &str = "rtune privacy stand-ins through a set, format 1";
const HASHES: &str = "rtune privacy hashes of values, format 1";

/// Decides every stand-in of a record, or of a set.
#[derive(Clone, Debug)]
pub(super) struct Key([u8; blake3::KEY_LEN]);

impl Key {
    /// Equal texts give an equal key; the salt, if any, keeps others from finding it out by trying.
    pub(super) fn of_record(texts: &[String], salt: Option<&str>) -> Self {
        let mut hasher = Hasher::new_derive_key(RECORD);
        for text in salt.into_iter().chain(texts.iter().map(String::as_str)) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    pub(super) fn of_set(salt: &str) -> Self {
        Self(blake3::derive_key(SET, salt.as_bytes()))
    }

    pub(super) fn of_hashes(salt: &str) -> Self {
        Self(blake3::derive_key(HASHES, salt.as_bytes()))
    }

    /// The choices for `value` as a `kind` of thing; another attempt makes other choices.
    pub(super) fn draw(&self, kind: &str, value: &str, attempt: u32) -> Draw {
        let mut hasher = Hasher::new_keyed(&self.0);
        hasher.update(&attempt.to_le_bytes());
        for text in [kind, value] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Draw(hasher.finalize_xof())
    }
}

/// A row of choices.
pub(super) struct Draw(OutputReader);

impl Draw {
    /// The next 32 bits.
    pub(super) fn next(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// A number below `bound`, which is small: the bias is below one in ten million. 0 if `bound` is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() as usize).checked_rem(bound).unwrap_or(0)
    }

    /// One of `choices`; the empty text if there are none.
    pub(super) fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let at = self.below(choices.len());
        choices.get(at).copied().unwrap_or_default()
    }

    pub(super) fn digit(&mut self) -> char {
        char::from(b'0' + self.below(10) as u8)
    }

    /// A letter in the case of `like`.
    pub(super) fn letter(&mut self, like: char) -> char {
        let first = if like.is_ascii_uppercase() { b'A' } else { b'a' };
        char::from(first + self.below(26) as u8)
    }
}
