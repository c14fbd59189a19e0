//! Where keywords stand in a text, all of them sought at once.
//!
//! An automaton over all of them takes a step for every byte that waits for memory. A table of bits that is asked with the four
//! bytes at every second place does not: a keyword starts there, or one byte beside. It lets one place in twenty through to be
//! compared.

use std::collections::{BTreeMap, HashMap};

/// What a keyword is told apart by, in bytes.
const HEAD_BYTES: usize = 4;

/// Every so many places are looked at.
const STEP: usize = 2;

/// Where the four bytes are taken from, as offsets into a keyword, one for each way that places can fall; a short keyword is told
/// apart better by what stands before it than by less of itself.
const OFFSETS: [isize; STEP] = [0, 1];
const OFFSETS_OF_SHORT: [isize; STEP] = [0, -1];

/// Bits of a byte that count; the case of a letter is in none of them.
const BITS_EACH: usize = 5;
const BYTES_EACH: u8 = 1 << BITS_EACH;

/// Bits of the table: 16 KiB, which the fastest memory holds.
const PLACES: usize = 1 << 17;

/// Keywords, matched without regard to the case of ASCII letters.
#[derive(Debug)]
pub(crate) struct Heads {
    keywords: Vec<&'static str>,
    bits: Box<[u64]>,
    /// By word of `bits`, how many places before it are set. With it the tables that follow hold what is set and nothing else,
    /// and stay in fast memory.
    ranks: Box<[u32]>,
    /// By place that is set, which of `groups` stands there.
    group_of: Vec<u32>,
    /// Where each group starts and ends in `entries`.
    groups: Vec<(u32, u32)>,
    entries: Vec<Entry>,
}

/// A keyword as it can stand at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    /// Which bits of the four bytes at the place the keyword tells, and what they are.
    told: u32,
    head: u32,
    /// Which keyword, and which of its bytes stands at the place.
    index: u32,
    offset: isize,
}

impl Entry {
    fn new(index: usize, keyword: &str, offset: isize) -> Self {
        let known = |at: usize| {
            let at = at.checked_add_signed(offset)?;
            keyword.as_bytes().get(at).copied()
        };
        let bytes: [Option<u8>; HEAD_BYTES] = std::array::from_fn(known);
        // The case of a letter is the one bit that is not told.
        let told = bytes.map(|byte| match byte {
            Some(byte) if byte.is_ascii_alphabetic() => !0x20,
            Some(_) => u8::MAX,
            None => 0,
        });
        let told = u32::from_le_bytes(told);
        let head = u32::from_le_bytes(bytes.map(Option::unwrap_or_default)) & told;
        Self { told, head, index: index as u32, offset }
    }
}

impl Heads {
    /// In the order given, which numbers them.
    pub(crate) fn new(keywords: impl IntoIterator<Item = &'static str>) -> Self {
        let keywords: Vec<&'static str> = keywords.into_iter().collect();
        let mut at_place: BTreeMap<usize, Vec<Entry>> = BTreeMap::new();
        for (index, keyword) in keywords.iter().enumerate() {
            let is_short = keyword.len() < HEAD_BYTES;
            for offset in if is_short { OFFSETS_OF_SHORT } else { OFFSETS } {
                let entry = Entry::new(index, keyword, offset);
                for place in places_of(keyword.as_bytes(), offset) {
                    let entries = at_place.entry(place).or_default();
                    if entries.last() != Some(&entry) {
                        entries.push(entry);
                    }
                }
            }
        }
        Self::of_places(keywords, at_place)
    }

    fn of_places(keywords: Vec<&'static str>, at_place: BTreeMap<usize, Vec<Entry>>) -> Self {
        let mut bits = vec![0_u64; PLACES / 64];
        let mut group_of = Vec::with_capacity(at_place.len());
        let (mut groups, mut entries) = (Vec::new(), Vec::new());
        let mut known = HashMap::new();
        for (place, group) in at_place {
            bits[place / 64] |= 1 << (place % 64);
            let number = *known.entry(group).or_insert_with_key(|group| {
                let start = entries.len() as u32;
                entries.extend_from_slice(group);
                groups.push((start, entries.len() as u32));
                groups.len() as u32 - 1
            });
            group_of.push(number);
        }
        let ranks = bits.iter().scan(0, |before, word| {
            let rank = *before;
            *before += word.count_ones();
            Some(rank)
        });
        Self { ranks: ranks.collect(), keywords, bits: bits.into(), group_of, groups, entries }
    }

    /// Calls `each` with the number of a keyword, its start and its end, in order of starts but for neighbours.
    pub(crate) fn find(&self, text: &str, mut each: impl FnMut(usize, usize, usize)) {
        let Ok(bits) = <&[u64; PLACES / 64]>::try_from(&*self.bits) else { return };
        let bytes = text.as_bytes();
        for (index, head) in bytes.windows(HEAD_BYTES).step_by(STEP).enumerate() {
            let head = [head[0], head[1], head[2], head[3]];
            let place = place_of(head);
            if bits[place / 64] >> (place % 64) & 1 == 1 {
                self.compare(bytes, index * STEP, head, place, &mut each);
            }
        }
        // Bytes behind the text let a short keyword, or a longer one's last byte, end it.
        let last = bytes.len().saturating_sub(HEAD_BYTES - 1).next_multiple_of(STEP);
        for start in (last..bytes.len()).step_by(STEP) {
            let head = std::array::from_fn(|at| bytes.get(start + at).copied().unwrap_or_default());
            let place = place_of(head);
            if bits[place / 64] >> (place % 64) & 1 == 1 {
                self.compare(bytes, start, head, place, &mut each);
            }
        }
    }

    /// Compares the keywords that can stand at `place`, which is set.
    fn compare(
        &self,
        bytes: &[u8],
        at: usize,
        head: [u8; HEAD_BYTES],
        place: usize,
        each: &mut impl FnMut(usize, usize, usize),
    ) {
        let before = self.bits[place / 64] & ((1 << (place % 64)) - 1);
        let rank = self.ranks[place / 64] + before.count_ones();
        let (start, end) = self.groups[self.group_of[rank as usize] as usize];
        let head = u32::from_le_bytes(head);
        for entry in &self.entries[start as usize..end as usize] {
            if head & entry.told == entry.head {
                self.compare_whole(bytes, at, entry, each);
            }
        }
    }

    #[inline(never)]
    fn compare_whole(
        &self,
        bytes: &[u8],
        at: usize,
        entry: &Entry,
        each: &mut impl FnMut(usize, usize, usize),
    ) {
        let keyword = self.keywords[entry.index as usize].as_bytes();
        let Some(start) = at.checked_add_signed(-entry.offset) else { return };
        let found = bytes.get(start..start + keyword.len());
        if found.is_some_and(|found| found.eq_ignore_ascii_case(keyword)) {
            each(entry.index as usize, start, start + keyword.len());
        }
    }
}

/// The places of a keyword's bytes from `offset` on; whatever stands beside it fits. One may come twice.
fn places_of(keyword: &[u8], offset: isize) -> impl Iterator<Item = usize> {
    let known = |at: usize| at.checked_add_signed(offset).and_then(|at| keyword.get(at));
    let fits = |at: usize, byte: u8| known(at).is_none_or(|known| known % BYTES_EACH == byte);
    let fitting: [Vec<u8>; HEAD_BYTES] =
        std::array::from_fn(|at| (0..BYTES_EACH).filter(|byte| fits(at, *byte)).collect());
    (0..fitting.iter().map(Vec::len).product()).map(move |number: usize| {
        let mut rest = number;
        place_of(fitting.each_ref().map(|bytes| {
            let byte = bytes[rest % bytes.len()];
            rest /= bytes.len();
            byte
        }))
    })
}

/// One of [`PLACES`], by Fibonacci hashing: the highest bits of a product with a number far from any pattern.
#[inline]
fn place_of(head: [u8; HEAD_BYTES]) -> usize {
    let low = u32::from_le_bytes(head) & u32::from_le_bytes([BYTES_EACH - 1; HEAD_BYTES]);
    (low.wrapping_mul(0x9e37_79b1) >> (u32::BITS - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_wherever_it_stands() {
        let words = ["api_key", "Q~", "eyJ", "-----BEGIN ", "key", "密码"];
        let keywords = Heads::new(words);
        let text = "API_KEY q~ eyj -----begin 密码 keyq~";
        for before in ["", "x", "xy"] {
            let text = format!("{before}{text}");
            let mut found = Vec::new();
            keywords.find(&text, |index, start, end| found.push((start, words[index], &text[start..end])));
            found.sort_unstable();
            let found: Vec<(&str, &str)> = found.into_iter().map(|(_, word, span)| (word, span)).collect();
            let expected = [
                ("api_key", "API_KEY"),
                ("key", "KEY"),
                ("Q~", "q~"),
                ("eyJ", "eyj"),
                ("-----BEGIN ", "-----begin "),
                ("密码", "密码"),
                ("key", "key"),
                ("Q~", "q~"),
            ];
            assert_eq!(found, expected, "{text}");
        }
        keywords.find("", |_, _, _| panic!("nothing stands in nothing"));
        keywords.find("~", |_, _, _| panic!("nothing stands in a sign"));
    }
}
