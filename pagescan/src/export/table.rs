//! A table in a Parquet file: whole numbers are signed and of 64 bits, texts are UTF-8, and nothing is null. Rows are written in
//! groups, so that no more than one group is in memory.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

/// So many rows are a group.
const GROUP: usize = 256 << 10;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers.
    Number,
    /// Numbers of which hardly two are alike.
    Random,
    /// Texts.
    Text,
}

/// What a table is called, and its columns.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [(&'static str, Kind)],
}

/// A value of a row.
pub enum Value {
    /// Of a column of numbers.
    Number(i64),
    /// Of a column of texts.
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    /// As many of its bits as there are: what is above 2^63 is negative.
    fn from(number: u64) -> Self {
        Self::Number(number as i64)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Number(is.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<&[u8]> for Value {
    fn from(text: &[u8]) -> Self {
        Self::Text(String::from_utf8_lossy(text).into_owned())
    }
}

enum Column {
    Numbers(Vec<i64>),
    Texts(Vec<ByteArray>),
}

/// Writes a table.
pub struct TableWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins one.
    pub fn new(out: W, table: &Table) -> Result<Self> {
        let fields: String = table.columns.iter().map(|(name, kind)| field(name, *kind)).collect();
        let schema = parse_message_type(&format!("message {} {{ {fields} }}", table.name))?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            // Version 1 is what every reader has.
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(format!("pagescan {}", env!("CARGO_PKG_VERSION")));
        for (name, _) in table.columns.iter().filter(|(_, kind)| *kind == Kind::Random) {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(*name), false);
        }
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))?;
        let column = |(_, kind): &(&str, Kind)| match kind {
            Kind::Number | Kind::Random => Column::Numbers(Vec::new()),
            Kind::Text => Column::Texts(Vec::new()),
        };
        Ok(Self { file, columns: table.columns.iter().map(column).collect(), rows: 0 })
    }

    /// Adds a row, a value for each column in their order.
    pub fn row<const N: usize>(&mut self, values: [Value; N]) -> Result<()> {
        if N != self.columns.len() {
            return Err(ParquetError::General("a row has not as many values as columns".into()));
        }
        for (column, value) in self.columns.iter_mut().zip(values) {
            match (column, value) {
                (Column::Numbers(numbers), Value::Number(number)) => numbers.push(number),
                (Column::Texts(texts), Value::Text(text)) => {
                    texts.push(ByteArray::from(text.into_bytes()))
                }
                _ => {
                    return Err(ParquetError::General(
                        "a value is not of its column's kind".into(),
                    ));
                }
            }
        }
        self.rows += 1;
        if self.rows == GROUP { self.flush() } else { Ok(()) }
    }

    /// Ends it. Returns where it was written to.
    pub fn finish(mut self) -> Result<W> {
        self.flush()?;
        self.file.into_inner()
    }

    fn flush(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            match column {
                Column::Numbers(numbers) => {
                    writer.typed::<Int64Type>().write_batch(numbers, None, None)?;
                    numbers.clear();
                }
                Column::Texts(texts) => {
                    writer.typed::<ByteArrayType>().write_batch(texts, None, None)?;
                    texts.clear();
                }
            }
            writer.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

fn field(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Number | Kind::Random => format!("required int64 {name}; "),
        Kind::Text => format!("required binary {name} (UTF8); "),
    }
}
