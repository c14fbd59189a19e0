//! Tables for people: the first column names, the others count.

use comfy_table::{CellAlignment, Row, Table, presets};

/// A table without lines.
pub(crate) fn table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

/// Puts the columns from this one on to the right, as numbers stand; to be done when all rows are there.
pub(crate) fn align_right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
