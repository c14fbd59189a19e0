//! The map of characters of a SentencePiece normaliser: the length of a trie in bytes, the trie in units of four bytes (a double array), and
//! texts with a zero byte behind each. Lookups follow its numbers without a look at where they lead.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::growth::LONGEST;

/// A unit of the trie has its label in the lowest byte, and this bit where a value stands behind it.
const HAS_LEAF: u32 = 1 << 8;
/// A unit of a value, which is no label.
const IS_VALUE: u32 = 1 << 31;

/// Gives what was found where a text in base64 is no such map, or leads out of itself.
pub(super) fn check(text: &str) -> Result<(), String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("found another text: {error}"))?;
    let (length, rest) = bytes.split_first_chunk().ok_or("found no length")?;
    let length = u32::from_le_bytes(*length) as usize;
    // What is left of the last unit belongs to the texts, as it does for whoever reads it.
    let (Some(units), Some(texts)) = (rest.get(..length / 4 * 4), rest.get(length / 4 * 4..)) else {
        return Err(format!("found a trie of {length} bytes in {}", bytes.len()));
    };
    let units: Vec<u32> = units.as_chunks().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    let texts = std::str::from_utf8(texts).map_err(|error| format!("found texts that are none: {error}"))?;
    walk(&units, texts)
}

/// Looks at every place that a lookup of any bytes could come to.
fn walk(units: &[u32], texts: &str) -> Result<(), String> {
    let unit = |place: usize| {
        let found = || format!("found a place {place} in a trie of {}", units.len());
        units.get(place).copied().ok_or_else(found)
    };
    // A node may be the place behind the last one: it is no child, and has children all the same.
    let mut seen = vec![false; units.len() + 1];
    let mut open = vec![offset(unit(0)?)];
    while let Some(node) = open.pop() {
        if let Some(seen) = seen.get_mut(node)
            && std::mem::replace(seen, true)
        {
            continue;
        }
        for byte in 1..=u8::MAX {
            let place = node ^ usize::from(byte);
            let found = unit(place)?;
            if found & (IS_VALUE | 0xff) != u32::from(byte) {
                continue;
            }
            let next = place ^ offset(found);
            if found & HAS_LEAF != 0 {
                let start = (unit(next)? & !IS_VALUE) as usize;
                if !texts.is_char_boundary(start) {
                    return Err(format!("found a text at byte {start} of {}", texts.len()));
                }
                let length = texts[start..].bytes().take(LONGEST + 1).take_while(|byte| *byte != 0).count();
                if length > LONGEST {
                    return Err(format!("found a text of more than {LONGEST} bytes"));
                }
            }
            open.push(next);
        }
    }
    Ok(())
}

/// Where the children of a unit are, from its own place.
fn offset(unit: u32) -> usize {
    (unit as usize >> 10) << ((unit & 1 << 9) >> 6)
}
