//! Tables as comma-separated values (RFC 4180).

use csv::Writer;
use statify_printable::cell;

/// Lines of cells.
pub(crate) type Rows = Vec<Vec<String>>;

/// A table that has nothing but the names of its columns.
pub(crate) fn head(columns: &[&str]) -> Rows {
    vec![columns.iter().map(ToString::to_string).collect()]
}

/// Its text; no cell gives orders to who opens it.
pub(crate) fn text(rows: Rows) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    for row in rows {
        let cells = row.iter().map(|text| cell(text));
        writer.write_record(cells.map(String::into_bytes)).expect("a vector takes everything");
    }
    let bytes = writer.into_inner().expect("a vector takes everything");
    String::from_utf8(bytes).expect("it was made of texts")
}
