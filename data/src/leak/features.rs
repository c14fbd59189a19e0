//! What of a row is looked up on the other side.

use xxhash_rust::xxh3::xxh3_64;

use super::lines::SharedLines;
use crate::clean::duplicates::canonical;
use crate::near::{Bands, Care, Sketcher, compared, each_shingle, fold, shingle_set};

/// A content of fewer characters in its compared form ("yes", "ok") is the same in many rows by nature.
pub(super) const LEAST_CHARACTERS: usize = 5;

/// Bytes of the grams that anchors are chosen from, and how many grams stand in a row for the least of them.
///
/// Any text of `ANCHOR_BYTES + ANCHOR_WINDOW - 1` = 28 bytes that two rows share gives them an anchor in common
/// (Schleimer, Wilkerson, Aiken, Winnowing, 2003). A text of 40 characters or more of which nine tenths of the 5-grams
/// stand in another shares such a piece with it: every change of a character costs five 5-grams, so the changes are
/// too few to cut all of it shorter.
const ANCHOR_BYTES: usize = 20;
const ANCHOR_WINDOW: usize = 9;

/// Keeps the keys of equality apart from those of bands.
const EQUALITY: u64 = 0x3f84_d5b5_b547_0917;

/// Multiplier of the rolling hashes; odd.
const ROLL: u64 = 0x9216_d5d9_8979_fb1b;

/// The part of a row that is compared: what its user says without shared lines.
pub(super) struct Content {
    /// As it stands.
    pub(super) raw: String,
    /// In its compared form.
    pub(super) compared: String,
}

impl Content {
    pub(super) fn new(content: &str, shared: &SharedLines) -> Self {
        let raw = shared.without(content);
        let compared = compared(&raw);
        Self { raw, compared }
    }

    /// Whether there is too little to say that two rows have it in common.
    pub(super) fn is_short(&self) -> bool {
        self.compared.chars().nth(LEAST_CHARACTERS - 1).is_none()
    }

    pub(super) fn characters(&self) -> usize {
        self.compared.chars().count()
    }

    pub(super) fn canonical(&self) -> String {
        canonical(&self.raw)
    }

    pub(super) fn shingles(&self) -> Vec<u64> {
        shingle_set(&self.compared)
    }
}

/// Computes the keys of rows.
pub(super) struct Looker {
    sketcher: Sketcher,
    overlap_words: usize,
}

/// The keys of a row; rows of both sides that share one are compared.
#[derive(Default)]
pub(super) struct Features {
    /// One of equality and one a band.
    pub(super) near: Vec<u64>,
    /// The digest of the sketch.
    pub(super) digest: u64,
    /// Pieces of its text, chosen alike wherever they stand; each once.
    pub(super) anchors: Vec<u64>,
    /// Runs of words; each once.
    pub(super) grams: Vec<u64>,
}

impl Looker {
    pub(super) fn new(similarity: f64, overlap_words: usize) -> Self {
        Self { sketcher: Sketcher::new(Bands::for_similarity(similarity, Care::LEAKS)), overlap_words }
    }

    /// The keys of a content that is not short.
    pub(super) fn features(&self, content: &Content) -> Features {
        let mut shingles = Vec::with_capacity(content.compared.len());
        each_shingle(&content.compared, |shingle| shingles.push(shingle));
        let mut keys = Vec::new();
        let digest = self.sketcher.sketch(&shingles, &mut Vec::new(), &mut keys);
        let bands = (1..).zip(keys).map(|(band, key): (u64, u32)| fold(band << 32 | u64::from(key), ROLL));
        let equality = xxh3_64(content.canonical().as_bytes()) ^ EQUALITY;
        Features {
            near: std::iter::once(equality).chain(bands).collect(),
            digest,
            anchors: anchors(content.compared.as_bytes()),
            grams: grams(&content.compared, self.overlap_words),
        }
    }
}

/// The least hash of every window of grams of bytes.
fn anchors(bytes: &[u8]) -> Vec<u64> {
    let leaving = power(ANCHOR_BYTES);
    let mut hash = 0u64;
    let mut grams = Vec::with_capacity(bytes.len());
    for (place, &byte) in bytes.iter().enumerate() {
        hash = hash.wrapping_mul(ROLL).wrapping_add(u64::from(byte) + 1);
        if place >= ANCHOR_BYTES {
            let left = u64::from(bytes[place - ANCHOR_BYTES]) + 1;
            hash = hash.wrapping_sub(left.wrapping_mul(leaving));
        }
        if place + 1 >= ANCHOR_BYTES {
            grams.push(fold(hash ^ EQUALITY, ROLL));
        }
    }
    let mut chosen: Vec<u64> = match grams.len() {
        0..ANCHOR_WINDOW => grams.iter().min().copied().into_iter().collect(),
        _ => grams.windows(ANCHOR_WINDOW).filter_map(|window| window.iter().min().copied()).collect(),
    };
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// The hashes of all runs of `words` words of a compared text, sorted, each once.
pub(super) fn grams(compared: &str, words: usize) -> Vec<u64> {
    let hashes: Vec<u64> =
        compared.split(' ').filter(|word| !word.is_empty()).map(|word| xxh3_64(word.as_bytes())).collect();
    let runs = hashes.windows(words);
    let mut grams: Vec<u64> = runs
        .map(|run| run.iter().fold(0, |hash, &word| fold(hash ^ word, ROLL).wrapping_add(word)))
        .collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// `ROLL` to a power, modulo 2^64.
fn power(exponent: usize) -> u64 {
    (0..exponent).fold(1, |product: u64, _| product.wrapping_mul(ROLL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_piece_of_28_bytes_gives_an_anchor() {
        let piece = "i still wait for my new card";
        assert_eq!(piece.len(), ANCHOR_BYTES + ANCHOR_WINDOW - 1);
        let one = anchors(format!("hello there {piece} and it is late").as_bytes());
        for other in [piece.to_owned(), format!("{piece}s"), format!("what else {piece}")] {
            let found = anchors(other.as_bytes());
            assert!(found.iter().any(|anchor| one.contains(anchor)), "{other}");
        }
        assert!(anchors(&piece.as_bytes()[..ANCHOR_BYTES - 1]).is_empty());
        assert!(one.len() < 20, "{}", one.len());
    }

    #[test]
    fn grams_are_runs_of_words() {
        let text = "a b c d e f g h i j k l m n";
        assert_eq!(grams(text, 13).len(), 2);
        assert_eq!(grams("a  b c", 3), grams("a b c", 3));
        assert!(grams("a b", 3).is_empty());
        let (one, other) = (grams("a b c d", 3), grams("x b c d", 3));
        assert_eq!(one.iter().filter(|gram| other.contains(gram)).count(), 1);
    }

    #[test]
    fn short_contents_are_short() {
        let shared = SharedLines::default();
        for (text, short) in
            [("", true), ("yes!", true), ("Okay", true), ("Hello", false), ("日本語です", false)]
        {
            assert_eq!(Content::new(text, &shared).is_short(), short, "{text}");
        }
    }
}
