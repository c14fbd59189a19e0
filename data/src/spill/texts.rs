//! Texts on disk, read again by their number.

use super::{ScratchFile, SpillError};

/// Numbered texts: their bytes in one file, the ends of each (8 bytes a text) in another.
#[derive(Debug)]
pub(crate) struct Texts {
    bytes: ScratchFile,
    ends: ScratchFile,
    count: usize,
}

impl Texts {
    pub(crate) fn new(folder: &std::path::Path) -> Self {
        Self { bytes: ScratchFile::new(folder), ends: ScratchFile::new(folder), count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn append(&mut self, text: &str) -> Result<(), SpillError> {
        self.bytes.append(text.as_bytes())?;
        self.ends.append(&self.bytes.length_bytes().to_le_bytes())?;
        self.count += 1;
        Ok(())
    }

    /// Text `number` in place of what `text` held. Panics if there is none of that number.
    pub(crate) fn read(&self, number: u32, text: &mut String) -> Result<(), SpillError> {
        let (start, end) = self.range(number)?;
        let mut bytes = std::mem::take(text).into_bytes();
        bytes.resize((end - start) as usize, 0);
        self.bytes.read_at(start, &mut bytes)?;
        *text = String::from_utf8(bytes).map_err(|error| self.bytes.spoilt(error))?;
        Ok(())
    }

    /// The bytes of texts `first..first + lengths.len()`, from the file of their ends alone.
    pub(crate) fn lengths(&self, first: usize, lengths: &mut [u64]) -> Result<(), SpillError> {
        let mut ends = vec![0; lengths.len() * 8];
        self.ends.read_at(first as u64 * 8, &mut ends)?;
        let mut start = match first {
            0 => 0,
            _ => self.range(first as u32 - 1)?.1,
        };
        for (length, end) in lengths.iter_mut().zip(ends.chunks_exact(8)) {
            let end = word(end);
            *length = end - start;
            start = end;
        }
        Ok(())
    }

    fn range(&self, number: u32) -> Result<(u64, u64), SpillError> {
        assert!((number as usize) < self.count, "text {number} of {}", self.count);
        let mut ends = [0; 16];
        if number == 0 {
            self.ends.read_at(0, &mut ends[8..])?;
        } else {
            self.ends.read_at((u64::from(number) - 1) * 8, &mut ends)?;
        }
        Ok((word(&ends[..8]), word(&ends[8..])))
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut own = [0; 8];
    own.copy_from_slice(bytes);
    u64::from_le_bytes(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_by_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut texts = Texts::new(folder.path());
        let text = |number: u32| "ä".repeat(number as usize % 97) + &number.to_string();
        for number in 0..20_000 {
            texts.append(&text(number)).expect("room");
        }
        let mut read = String::new();
        for number in [0, 1, 19_999, 5_000, 97, 12_345] {
            texts.read(number, &mut read).expect("a text");
            assert_eq!(read, text(number));
        }
        let mut lengths = [0; 500];
        texts.lengths(9_000, &mut lengths).expect("lengths");
        assert!(lengths.iter().zip(9_000..).all(|(&length, number)| length == text(number).len() as u64));
        texts.lengths(0, &mut lengths[..2]).expect("lengths");
        assert_eq!(lengths[..2], [1, 3]);
    }
}
