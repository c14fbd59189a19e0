//! Where keywords stand in a text.
//!
//! An automaton over all of them takes a step for every byte that waits for memory. A table of bits that is asked with the three
//! bytes at every second place does not: a keyword starts there, or one byte before. It lets one place in fifty through to be compared.

/// What a keyword is told apart by, in bytes.
const HEAD_BYTES: usize = 3;

/// Every so many places are looked at; a keyword's bytes from each offset below that are in the table.
const STEP: usize = 2;

/// Bits of a byte that a place in the table is made of; the case of a letter is in none of them.
const BITS_EACH: usize = 5;
const BYTES_EACH: u8 = 1 << BITS_EACH;
const PLACES: usize = 1 << (HEAD_BYTES * BITS_EACH);

/// Keywords, matched without regard to the case of ASCII letters.
#[derive(Debug)]
pub(super) struct Keywords {
    keywords: Vec<&'static str>,
    bits: Box<[u64]>,
    /// By place, which of `groups` stand there; the first is empty.
    group_of: Box<[u16]>,
    /// Keywords, and which of their bytes stands at the place.
    groups: Vec<Vec<(usize, usize)>>,
}

impl Keywords {
    /// In the order given, which numbers them.
    pub(super) fn new(keywords: impl IntoIterator<Item = &'static str>) -> Self {
        let mut made = Self {
            keywords: keywords.into_iter().collect(),
            bits: vec![0; PLACES / 64].into(),
            group_of: vec![0; PLACES].into(),
            groups: vec![Vec::new()],
        };
        for index in 0..made.keywords.len() {
            for offset in 0..STEP {
                made.put(index, offset);
            }
        }
        made
    }

    /// Notes a keyword at the places of its bytes from `offset` on; whatever stands behind a short one fits.
    fn put(&mut self, index: usize, offset: usize) {
        let bytes = &self.keywords[index].as_bytes()[offset..];
        let fits = |at: usize, byte: u8| bytes.get(at).is_none_or(|known| known % BYTES_EACH == byte);
        let fitting = |at: usize| (0..BYTES_EACH).filter(|byte| fits(at, *byte)).collect::<Vec<u8>>();
        let heads = [fitting(0), fitting(1), fitting(2)];
        let count: usize = heads.iter().map(Vec::len).product();
        for number in 0..count {
            let (first, rest) = (number % heads[0].len(), number / heads[0].len());
            let (second, third) = (rest % heads[1].len(), rest / heads[1].len());
            let place = place_of([heads[0][first], heads[1][second], heads[2][third]]);
            self.bits[place / 64] |= 1 << (place % 64);
            if self.group_of[place] == 0 {
                // There are no more groups than places, and these fit the type.
                self.group_of[place] = self.groups.len() as u16;
                self.groups.push(Vec::new());
            }
            self.groups[usize::from(self.group_of[place])].push((index, offset));
        }
    }

    /// Calls `each` with the number of a keyword, its start and its end, in order of starts but for neighbours.
    pub(super) fn find(&self, text: &str, mut each: impl FnMut(usize, usize, usize)) {
        let Ok(bits) = <&[u64; PLACES / 64]>::try_from(&*self.bits) else { return };
        let bytes = text.as_bytes();
        for (index, head) in bytes.windows(HEAD_BYTES).step_by(STEP).enumerate() {
            let place = place_of([head[0], head[1], head[2]]);
            if bits[place / 64] >> (place % 64) & 1 == 1 {
                self.compare(bytes, index * STEP, place, &mut each);
            }
        }
        // Bytes behind the text let a short keyword, or a longer one's last byte, end it.
        let last = bytes.len().saturating_sub(HEAD_BYTES - 1).next_multiple_of(STEP);
        for start in (last..bytes.len()).step_by(STEP) {
            let byte = |at: usize| bytes.get(start + at).copied().unwrap_or_default();
            self.compare(bytes, start, place_of([byte(0), byte(1), byte(2)]), &mut each);
        }
    }

    #[inline(never)]
    fn compare(&self, bytes: &[u8], at: usize, place: usize, each: &mut impl FnMut(usize, usize, usize)) {
        for &(index, offset) in &self.groups[usize::from(self.group_of[place])] {
            let keyword = self.keywords[index].as_bytes();
            let Some(start) = at.checked_sub(offset) else { continue };
            let found = bytes.get(start..start + keyword.len());
            if found.is_some_and(|found| found.eq_ignore_ascii_case(keyword)) {
                each(index, start, start + keyword.len());
            }
        }
    }
}

#[inline]
fn place_of(head: [u8; HEAD_BYTES]) -> usize {
    head.into_iter().fold(0, |place, byte| place << BITS_EACH | usize::from(byte % BYTES_EACH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_wherever_it_stands() {
        let words = ["api_key", "Q~", "eyJ", "-----BEGIN ", "key", "密码"];
        let keywords = Keywords::new(words);
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
