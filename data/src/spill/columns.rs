//! A table of numbers that is written by rows and read by columns.

use super::{ScratchFile, SpillError};

/// Numbers on disk: `columns` to a row, blocks of rows, and in a block one column after the other.
#[derive(Debug)]
pub(crate) struct Columns {
    columns: usize,
    file: ScratchFile,
    /// The first byte and the rows of each block.
    blocks: Vec<(u64, usize)>,
}

impl Columns {
    pub(crate) fn new(file: ScratchFile, columns: usize) -> Self {
        Self { columns, file, blocks: Vec::new() }
    }

    /// Appends rows, each `columns` numbers, as one block; a block of a few thousand rows is read in large pieces.
    pub(crate) fn push(&mut self, rows: &[u32]) -> Result<(), SpillError> {
        let count = rows.len() / self.columns;
        self.blocks.push((self.file.length_bytes(), count));
        let mut bytes = Vec::with_capacity(count * 4);
        for column in 0..self.columns {
            bytes.clear();
            bytes.extend(
                rows.iter().skip(column).step_by(self.columns).flat_map(|number| number.to_le_bytes()),
            );
            self.file.append(&bytes)?;
        }
        Ok(())
    }

    /// Calls `take` with every number of a column, from the first row to the last.
    pub(crate) fn column(
        &self,
        column: usize,
        mut take: impl FnMut(u32) -> Result<(), SpillError>,
    ) -> Result<(), SpillError> {
        let mut bytes = Vec::new();
        for &(start, rows) in &self.blocks {
            bytes.resize(rows * 4, 0);
            self.file.read_at(start + (column * rows * 4) as u64, &mut bytes)?;
            for number in bytes.chunks_exact(4) {
                take(u32::from_le_bytes([number[0], number[1], number[2], number[3]]))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut table = Columns::new(ScratchFile::new(folder.path()), 3);
        let rows: Vec<u32> = (0..3 * 50_000).collect();
        for block in rows.chunks(3 * 7_001) {
            table.push(block).expect("room");
        }
        for column in 0..3 {
            let mut read = Vec::new();
            let taken = table.column(column, |number| {
                read.push(number);
                Ok(())
            });
            taken.expect("a column");
            assert!(read.iter().copied().eq((0..50_000).map(|row| row * 3 + column as u32)));
        }
    }
}
