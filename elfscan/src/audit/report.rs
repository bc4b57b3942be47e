//! What an audit says, as it stands in the JSON output.

use std::fmt;
use std::ops::Range;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use statify_format::manifest::hex as hexadecimal;
use statify_printable::printable;

/// The most alarms and pieces of information that are told of one process.
pub(super) const MOST_TOLD: usize = 1000;

/// An address of the process, and what lies there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The address.
    #[serde(serialize_with = "hex", deserialize_with = "from_hex")]
    pub address: u64,
    /// The module, or a name in brackets for memory of another kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Distance from the address that the module's file calls 0.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "hex_option",
        deserialize_with = "from_hex_option"
    )]
    pub offset: Option<u64>,
    /// The symbol that it is in, with the distance from its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
}

/// Of what kind something is that should not be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A relocated word points elsewhere.
    Entry,
    /// A word of the dynamic section is not what the file has and the loader makes of it.
    Dynamic,
    /// Code is not what the file has.
    Code,
    /// Constants are not what the file has.
    Constants,
    /// Memory that the loader made read-only is writable.
    WritableRelro,
    /// A part of the module is not in memory.
    Missing,
    /// A part of a converted program's module is mapped from a file that is neither the converted one nor, in the pool, the
    /// module's.
    OtherFile,
    /// Executable memory of no file (`--strict`).
    AnonymousCode,
    /// Memory that is writable and executable (`--strict`).
    WritableCode,
}

/// Something that is not as the files say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its kind.
    pub kind: AlarmKind,
    /// The module it is in.
    pub module: String,
    /// The address in the process: of the slot, or of the first byte.
    #[serde(serialize_with = "hex", deserialize_with = "from_hex")]
    pub address: u64,
    /// The same in the module's file.
    #[serde(serialize_with = "hex", deserialize_with = "from_hex")]
    pub offset: u64,
    /// In bytes.
    pub size: u64,
    /// The kind of relocation, as readelf calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relocation: Option<String>,
    /// The symbol that the relocation refers to, with its version; of code the function it is in; of a
    /// dynamic section the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Where the slot should point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Target>,
    /// Any function of the expected target's module would do (an IFUNC).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_function: bool,
    /// Where it points; of what is mapped from another file, that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Target>,
    /// The bytes that should be there, in hexadecimal; the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_bytes: Option<String>,
    /// The bytes that are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_bytes: Option<String>,
}

/// Of what kind something is that is worth knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InformationKind {
    /// Executable memory that is no file's, as of a just-in-time compiler.
    AnonymousCode,
    /// Memory that is writable and executable at once.
    WritableCode,
    /// Executable memory of a file that is no ELF file.
    NoElfCode,
    /// Code of a module's file, mapped a second time by itself.
    CodeCopy,
    /// The mapped file was deleted or replaced; it was audited against what is still mapped.
    DeletedFile,
    /// The file of this name is another one than is mapped: not audited.
    ReplacedFile,
    /// The file cannot be opened: not audited.
    UnreadableFile,
    /// A file for 32 bits or another machine: not audited.
    ForeignFile,
    /// A module that the loader does not list: of another namespace (dlmopen), or mapped by other means.
    Unlisted,
    /// A module that is not relocated yet.
    Loading,
}

/// Something that is worth knowing and no alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Information {
    /// Its kind.
    pub kind: InformationKind,
    /// The first address that it is about.
    #[serde(serialize_with = "hex", deserialize_with = "from_hex")]
    pub address: u64,
    /// In bytes; for several alike all together.
    pub size: u64,
    /// The file or module.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
}

impl Information {
    /// About this memory.
    pub fn new(kind: InformationKind, range: Range<u64>, module: String) -> Self {
        Self { kind, address: range.start, size: range.end.wrapping_sub(range.start), module }
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Modules.
    pub modules: u64,
    /// Pages of code and constants that were compared.
    pub pages: u64,
    /// Of these, pages that the process has copies of its own of (the kernel says of all others that
    /// they are the file's), compared byte by byte.
    pub private_pages: u64,
    /// Of these, pages that are mapped from the pool: compared byte by byte with what the converted file stores.
    #[serde(default)]
    pub pool_pages: u64,
    /// Relocated words that were checked, and entries of dynamic sections.
    pub entries: u64,
    /// Of the loader's own variables so many bytes cannot be checked: numbers that it computes.
    pub unknown_bytes: u64,
}

/// The audit of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessReport {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Its program's file.
    pub program: String,
    /// It is a converted program.
    pub converted: bool,
    /// What was looked at.
    #[serde(flatten)]
    pub counts: Counts,
    /// What is not as the files say.
    pub alarms: Vec<Alarm>,
    /// What is worth knowing.
    pub information: Vec<Information>,
    /// How long it took.
    pub seconds: f64,
}

fn hex<S: serde::Serializer>(address: &u64, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&format_args!("{address:#x}"))
}

fn hex_option<S: serde::Serializer>(address: &Option<u64>, out: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => hex(address, out),
        None => out.serialize_none(),
    }
}

fn from_hex<'d, D: Deserializer<'d>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    u64::from_str_radix(digits, 16).map_err(D::Error::custom)
}

fn from_hex_option<'d, D: Deserializer<'d>>(from: D) -> Result<Option<u64>, D::Error> {
    from_hex(from).map(Some)
}

impl Target {
    /// A number, which is no address.
    pub fn number(number: u64) -> Self {
        Self { address: number, module: None, offset: None, symbol: None }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.module, self.offset) {
            (Some(module), Some(offset)) => {
                let module = module.rsplit('/').next().unwrap_or(module);
                write!(out, "{}+{offset:#x}", printable(module))?;
            }
            (Some(module), None) => write!(out, "{:#x} {}", self.address, printable(module))?,
            _ => write!(out, "{:#x}", self.address)?,
        }
        match &self.symbol {
            Some(symbol) => write!(out, " ({})", printable(symbol)),
            None => Ok(()),
        }
    }
}

impl Alarm {
    /// Of this kind, at this address of the process and of the module's file, so many bytes.
    pub fn new(kind: AlarmKind, module: String, address: u64, offset: u64, size: u64) -> Self {
        Self {
            kind,
            module,
            address,
            offset,
            size,
            relocation: None,
            symbol: None,
            expected: None,
            any_function: false,
            found: None,
            expected_bytes: None,
            found_bytes: None,
        }
    }

    /// With the first of the bytes that differ.
    pub fn with_bytes(self, (expected, found): (&[u8], &[u8])) -> Self {
        const SHOWN: usize = 16;
        let shown = |bytes: &[u8]| Some(hexadecimal(&bytes[..bytes.len().min(SHOWN)]));
        Self { expected_bytes: shown(expected), found_bytes: shown(found), ..self }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}+{:#x} ({:#x}): ", printable(&self.module), self.offset, self.address)?;
        let symbol = self.symbol.as_deref().map(printable);
        match self.kind {
            AlarmKind::Entry => {
                write!(out, "{}", self.relocation.as_deref().unwrap_or("word"))?;
                if let Some(symbol) = symbol {
                    write!(out, " {symbol}")?;
                }
                out.write_str(" should point to ")?;
                match &self.expected {
                    Some(expected) if self.any_function => {
                        write!(
                            out,
                            "a function of {}",
                            printable(expected.module.as_deref().unwrap_or("[unknown]"))
                        )?;
                    }
                    Some(expected) if expected.address == 0 => out.write_str("nothing")?,
                    Some(expected) => write!(out, "{expected}")?,
                    None => out.write_str("something else")?,
                }
                match &self.found {
                    Some(found) => write!(out, ", points to {found}"),
                    None => out.write_str(", is not in memory"),
                }
            }
            AlarmKind::Dynamic => {
                write!(out, "{} of the dynamic section", symbol.unwrap_or_default())?;
                if let Some(expected) = &self.expected {
                    write!(out, " should be {expected}")?;
                }
                match &self.found {
                    Some(found) => write!(out, ", is {found}"),
                    None => out.write_str(", is not in memory"),
                }
            }
            AlarmKind::Code | AlarmKind::Constants => {
                let what = if self.kind == AlarmKind::Code { "code" } else { "constants" };
                write!(out, "{} bytes of {what}", self.size)?;
                if let Some(symbol) = symbol {
                    write!(out, " in {symbol}")?;
                }
                let bytes = |bytes: &Option<String>| bytes.clone().unwrap_or_default();
                let (expected, found) = (bytes(&self.expected_bytes), bytes(&self.found_bytes));
                write!(out, " are not the file's: should be {expected}, are {found}")
            }
            AlarmKind::WritableRelro => {
                write!(out, "RELRO is writable, {} bytes", self.size)
            }
            AlarmKind::Missing => write!(out, "{} bytes of it are not in memory", self.size),
            AlarmKind::OtherFile => {
                write!(out, "{} bytes of it are mapped from ", self.size)?;
                let file = self.found.as_ref().and_then(|found| found.module.as_deref());
                write!(out, "{}, ", printable(file.unwrap_or("another file")))?;
                out.write_str("which is neither the converted file nor the module in a pool that only root can write to")
            }
            AlarmKind::AnonymousCode => {
                write!(out, "executable memory of no file, {} bytes", self.size)
            }
            AlarmKind::WritableCode => {
                write!(out, "memory that is writable and executable, {} bytes", self.size)
            }
        }
    }
}

impl fmt::Display for Information {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            InformationKind::AnonymousCode => "executable memory of no file",
            InformationKind::WritableCode => "memory that is writable and executable",
            InformationKind::NoElfCode => "executable memory of a file that is no ELF file",
            InformationKind::CodeCopy => "code of a file that is mapped once more",
            InformationKind::DeletedFile => {
                "the file was deleted or replaced; audited against what is still mapped"
            }
            InformationKind::ReplacedFile => "another file has this name now; not audited",
            InformationKind::UnreadableFile => "the file cannot be opened; not audited",
            InformationKind::ForeignFile => "for 32 bits or another machine; not audited",
            InformationKind::Unlisted => {
                "not in the loader's list (dlmopen, or mapped by other means)"
            }
            InformationKind::Loading => "not relocated yet; its entries were not checked",
        };
        if !self.module.is_empty() {
            write!(out, "{}: ", printable(&self.module))?;
        }
        write!(out, "{what}: {:#x}, {} bytes", self.address, self.size)
    }
}
