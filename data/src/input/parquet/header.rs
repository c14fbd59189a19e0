//! The header of a page, as far as it decides how much memory is asked for: Thrift's compact protocol, by parquet.thrift.
//!
//! Whatever is accepted here the library reads alike. It takes fields in any order, a later one for an earlier one, and by their number, whatever
//! kind they say to be; here they stand in order, each once and of its own kind, as every writer writes them.

use std::io::Read;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const STRUCT: u8 = 12;

/// A structure deeper than this is none of Parquet's: statistics stand in a page's header, and hold no structure.
const MOST_DEPTH: usize = 4;
/// A number of 64 bits has no more bytes.
const MOST_NUMBER_BYTES: u32 = 10;

/// What is done with a field: its bytes, its number, its kind.
type Each<'a> = dyn FnMut(&mut dyn Read, u32, u8) -> Result<(), String> + 'a;

/// What a page says of its size.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Claims {
    pub(super) unpacked_bytes: i64,
    pub(super) packed_bytes: i64,
    /// Values, where it is a dictionary.
    pub(super) dictionary_values: i64,
    /// Bytes before what is packed: levels of a page of version 2.
    pub(super) levels_bytes: i64,
}

impl Claims {
    /// Reads a header, and nothing behind it.
    ///
    /// # Errors
    /// In words, for what is no such header.
    pub(super) fn read(bytes: &mut dyn Read) -> Result<Self, String> {
        let mut claims = Self::default();
        fields(bytes, &mut |bytes, id, kind| match (id, kind) {
            (2, I32) => number(bytes).map(|value| claims.unpacked_bytes = value),
            (3, I32) => number(bytes).map(|value| claims.packed_bytes = value),
            (1 | 4, I32) => number(bytes).map(drop),
            // Of a page of data: values and encodings; behind them statistics, which the library leaves out by their kind.
            (5, STRUCT) => fields(bytes, &mut |bytes, id, kind| numbers_until(4, bytes, id, kind)),
            (7, STRUCT) => fields(bytes, &mut |bytes, id, kind| match (id, kind) {
                (1, I32) => number(bytes).map(|value| claims.dictionary_values = value),
                _ => numbers_until(2, bytes, id, kind),
            }),
            (8, STRUCT) => fields(bytes, &mut |bytes, id, kind| match (id, kind) {
                (5 | 6, I32) => {
                    number(bytes).map(|value| claims.levels_bytes = claims.levels_bytes.saturating_add(value))
                }
                _ => numbers_until(6, bytes, id, kind),
            }),
            (6, STRUCT) => skip(bytes, STRUCT, MOST_DEPTH),
            (1..=8, kind) => Err(unexpected(id, kind)),
            _ => skip(bytes, kind, MOST_DEPTH),
        })?;
        Ok(claims)
    }
}

/// Leaves out a field of a structure whose first `last` are numbers.
fn numbers_until(last: u32, bytes: &mut dyn Read, id: u32, kind: u8) -> Result<(), String> {
    match kind {
        I32 => number(bytes).map(drop),
        kind if id <= last => Err(unexpected(id, kind)),
        kind => skip(bytes, kind, MOST_DEPTH),
    }
}

fn unexpected(id: u32, kind: u8) -> String {
    format!("expected the header of a page, found a field {id} of kind {kind}")
}

/// Calls `each` with number and kind of every field of a structure.
fn fields(bytes: &mut dyn Read, each: &mut Each<'_>) -> Result<(), String> {
    let mut id = 0;
    loop {
        let head = byte(bytes)?;
        let (step, kind) = (head >> 4, head & 0xf);
        if kind == 0 {
            return Ok(());
        }
        if step == 0 {
            return Err(format!(
                "expected the header of a page, its fields in order, found one behind {id} that is not"
            ));
        }
        id += u32::from(step);
        each(bytes, id, kind)?;
    }
}

/// Leaves out a value.
fn skip(bytes: &mut dyn Read, kind: u8, depth: usize) -> Result<(), String> {
    match kind {
        // The kind says it.
        TRUE | FALSE => Ok(()),
        BYTE => byte(bytes).map(drop),
        I16 | I32 | I64 => number(bytes).map(drop),
        DOUBLE => leave(bytes, 8),
        BINARY => {
            let length = unsigned(bytes)?;
            leave(bytes, length)
        }
        STRUCT if depth > 0 => fields(bytes, &mut |bytes, _, kind| skip(bytes, kind, depth - 1)),
        kind => Err(format!("expected the header of a page, found a value of kind {kind} in it")),
    }
}

fn leave(bytes: &mut dyn Read, count: u64) -> Result<(), String> {
    match std::io::copy(&mut bytes.take(count), &mut std::io::sink()) {
        Ok(left) if left == count => Ok(()),
        Ok(_) => Err(ends()),
        Err(error) => Err(error.to_string()),
    }
}

fn number(bytes: &mut dyn Read) -> Result<i64, String> {
    let value = unsigned(bytes)?;
    // Zigzag: the sign stands in the lowest bit.
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

fn unsigned(bytes: &mut dyn Read) -> Result<u64, String> {
    let mut value = 0;
    for at in 0..MOST_NUMBER_BYTES {
        let byte = byte(bytes)?;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("expected the header of a page, found a number of more than 64 bits in it".to_owned())
}

fn byte(bytes: &mut dyn Read) -> Result<u8, String> {
    let mut one = [0];
    match bytes.read_exact(&mut one) {
        Ok(()) => Ok(one[0]),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(ends()),
        Err(error) => Err(error.to_string()),
    }
}

fn ends() -> String {
    "expected the header of a page, found the end of its column".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_nothing_behind_the_header() {
        // A dictionary: kind 2, 10 bytes unpacked, 12 packed, a checksum; 2 values, encoding 2, not sorted.
        let dictionary = [0x15, 4, 0x15, 20, 0x15, 24, 0x15, 1, 0x3c, 0x15, 4, 0x15, 4, 0x12, 0, 0, 0xff];
        let mut rest = dictionary.as_slice();
        let expected = Claims { unpacked_bytes: 10, packed_bytes: 12, dictionary_values: 2, levels_bytes: 0 };
        assert_eq!(Claims::read(&mut rest), Ok(expected));
        assert_eq!(rest, [0xff]);
        // A page of data with statistics: texts, a number, and a switch.
        let data = [
            0x15, 0, 0x15, 0xe4, 0x01, 0x15, 24, 0x2c, 0x15, 8, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 1, 97,
            0x26, 2, 0x41, 0, 0, 0,
        ];
        let expected =
            Claims { unpacked_bytes: 114, packed_bytes: 12, dictionary_values: 0, levels_bytes: 0 };
        assert_eq!(Claims::read(&mut data.as_slice()), Ok(expected));
        // One of version 2: 4 values, none missing, 4 rows, encoding 0, levels of 3 and 2 bytes.
        let second =
            [0x15, 6, 0x15, 20, 0x15, 24, 0x5c, 0x15, 8, 0x15, 0, 0x15, 8, 0x15, 0, 0x15, 6, 0x15, 4, 0, 0];
        assert_eq!(Claims::read(&mut second.as_slice()).map(|claims| claims.levels_bytes), Ok(5));
    }

    #[test]
    fn what_the_library_would_read_otherwise_is_refused() {
        let sizes = [0x15, 4, 0x15, 20, 0x15, 24];
        let header = |more: &[u8]| Claims::read(&mut [&sizes, more].concat().as_slice());
        assert!(header(&[0]).is_ok());
        for (more, said) in [
            // The size once more, by its whole number.
            (&[0x05, 4, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0][..], "found one behind 3 that is not"),
            // A checksum, or the header of the dictionary, of another kind.
            (&[0x18, 1, 0, 0], "found a field 4 of kind 8"),
            (&[0x45, 1, 0], "found a field 7 of kind 5"),
            // Numbers of the dictionary as a text, and of a page of data.
            (&[0x4c, 0x18, 1, 0, 0, 0], "found a field 1 of kind 8"),
            (&[0x2c, 0x38, 1, 0, 0, 0], "found a field 3 of kind 8"),
            (&[0x5c, 0x68, 1, 0, 0, 0], "found a field 6 of kind 8"),
            (&[0x1b, 0], "found a field 4 of kind 11"),
            (&[0x35, 4, 0], "found a field 6 of kind 5"),
            (&[0x6b, 0], "a value of kind 11"),
            (&[0x68, 9, 0], "the end of its column"),
            (&[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80, 1, 0], "more than 64 bits"),
        ] {
            let error = header(more).expect_err("refused");
            assert!(error.contains(said), "{more:?}: {error}");
        }
        let deep: Vec<u8> = std::iter::repeat_n(0x6c, 9).chain([0; 9]).collect();
        assert!(header(&deep).expect_err("refused").contains("a value of kind 12"));
    }
}
