//! Where keywords stand in a text, all of them sought at once.
//!
//! An automaton over all of them takes a step for every byte that waits for memory. A table of bits that is asked with the four
//! bytes at every second place does not: a keyword starts there, or one byte beside. It lets one place in twenty through to be
//! compared.

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
    /// By place, which of `groups` stand there; the first is empty.
    group_of: Box<[u32]>,
    /// Keywords, and which of their bytes stands at the place.
    groups: Vec<Vec<(usize, isize)>>,
}

impl Heads {
    /// In the order given, which numbers them.
    pub(crate) fn new(keywords: impl IntoIterator<Item = &'static str>) -> Self {
        let mut made = Self {
            keywords: keywords.into_iter().collect(),
            bits: vec![0; PLACES / 64].into(),
            group_of: vec![0; PLACES].into(),
            groups: vec![Vec::new()],
        };
        for index in 0..made.keywords.len() {
            let is_short = made.keywords[index].len() < HEAD_BYTES;
            for offset in if is_short { OFFSETS_OF_SHORT } else { OFFSETS } {
                made.put(index, offset);
            }
        }
        made
    }

    /// Notes a keyword at the places of its bytes from `offset` on; whatever stands beside it fits.
    fn put(&mut self, index: usize, offset: isize) {
        let bytes = self.keywords[index].as_bytes();
        let known = |at: usize| at.checked_add_signed(offset).and_then(|at| bytes.get(at));
        let fits = |at: usize, byte: u8| known(at).is_none_or(|known| known % BYTES_EACH == byte);
        let fitting: [Vec<u8>; HEAD_BYTES] =
            std::array::from_fn(|at| (0..BYTES_EACH).filter(|byte| fits(at, *byte)).collect());
        for number in 0..fitting.iter().map(Vec::len).product() {
            let mut rest: usize = number;
            let head = fitting.each_ref().map(|bytes| {
                let byte = bytes[rest % bytes.len()];
                rest /= bytes.len();
                byte
            });
            let place = place_of(head);
            self.bits[place / 64] |= 1 << (place % 64);
            if self.group_of[place] == 0 {
                self.group_of[place] = self.groups.len() as u32;
                self.groups.push(Vec::new());
            }
            let group = &mut self.groups[self.group_of[place] as usize];
            if group.last() != Some(&(index, offset)) {
                group.push((index, offset));
            }
        }
    }

    /// Calls `each` with the number of a keyword, its start and its end, in order of starts but for neighbours.
    pub(crate) fn find(&self, text: &str, mut each: impl FnMut(usize, usize, usize)) {
        let Ok(bits) = <&[u64; PLACES / 64]>::try_from(&*self.bits) else { return };
        let bytes = text.as_bytes();
        for (index, head) in bytes.windows(HEAD_BYTES).step_by(STEP).enumerate() {
            let place = place_of([head[0], head[1], head[2], head[3]]);
            if bits[place / 64] >> (place % 64) & 1 == 1 {
                self.compare(bytes, index * STEP, place, &mut each);
            }
        }
        // Bytes behind the text let a short keyword, or a longer one's last byte, end it.
        let last = bytes.len().saturating_sub(HEAD_BYTES - 1).next_multiple_of(STEP);
        for start in (last..bytes.len()).step_by(STEP) {
            let byte = |at: usize| bytes.get(start + at).copied().unwrap_or_default();
            self.compare(bytes, start, place_of([byte(0), byte(1), byte(2), byte(3)]), &mut each);
        }
    }

    #[inline(never)]
    fn compare(&self, bytes: &[u8], at: usize, place: usize, each: &mut impl FnMut(usize, usize, usize)) {
        for &(index, offset) in &self.groups[self.group_of[place] as usize] {
            let keyword = self.keywords[index].as_bytes();
            let Some(start) = at.checked_add_signed(-offset) else { continue };
            let found = bytes.get(start..start + keyword.len());
            if found.is_some_and(|found| found.eq_ignore_ascii_case(keyword)) {
                each(index, start, start + keyword.len());
            }
        }
    }
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
