//! Tables for a terminal, or as Markdown.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table};

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With lines of characters.
    Terminal,
    /// As the pages below docs/src/measured have them.
    Markdown,
}

impl Style {
    /// A table whose first column is text and whose others are numbers.
    pub fn table(self, header: Vec<String>) -> Table {
        let mut table = Table::new();
        table.load_preset(match self {
            Self::Terminal => UTF8_FULL_CONDENSED,
            Self::Markdown => ASCII_MARKDOWN,
        });
        table.set_header(header);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}
