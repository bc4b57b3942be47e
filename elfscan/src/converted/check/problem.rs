//! What is wrong with a converted file: one thing, in one line.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use statify_format::manifest::EmbeddedFile;
use statify_printable::printable;

/// What it is that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// ELF header and program headers.
    Headers,
    /// The starter's code or its parameters.
    Starter,
    /// The starter's tables.
    Tables,
    /// The manifest, or the pages' checksums behind it.
    Manifest,
    /// What the file has of an embedded file.
    Module,
    /// Memory of no embedded file.
    Memory,
    /// What serves the embedded files to the loader.
    Agent,
    /// What the file has of the program that is not loaded: sections, a payload.
    Unloaded,
    /// The pool's directory, or a file in it, as this machine has them.
    Pool,
    /// Bytes that belong to nothing.
    Padding,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Starter => "starter",
            Self::Tables => "starter's tables",
            Self::Manifest => "manifest",
            Self::Module => "module",
            Self::Memory => "memory of no module",
            Self::Agent => "agent",
            Self::Unloaded => "not loaded",
            Self::Pool => "pool",
            Self::Padding => "padding",
        }
    }
}

/// A thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// With what.
    pub part: Part,
    /// The embedded file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<PathBuf>,
    /// The permissions of the segment of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prot: Option<String>,
    /// The virtual address in the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<u64>,
    /// The offset in the output of the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What.
    pub what: String,
}

impl Problem {
    /// With a part of the file as such.
    pub fn new(part: Part, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { part, module: None, prot: None, address: None, offset: None, what }
    }

    /// With an embedded file.
    pub fn of(file: &EmbeddedFile, what: impl Into<String>) -> Self {
        Self { module: Some(file.path.clone()), ..Self::new(Part::Module, what) }
    }

    /// At a file offset.
    pub fn at(self, offset: u64) -> Self {
        Self { offset: Some(offset), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            Some(path) => write!(f, "{}", statify_printable::path(path))?,
            None => f.write_str(self.part.name())?,
        }
        if let Some(prot) = &self.prot {
            write!(f, ", segment {}", printable(prot))?;
        }
        if let Some(address) = self.address {
            write!(f, ", address {address:#x}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", file offset {offset:#x}")?;
        }
        write!(f, ": {}", printable(&self.what))
    }
}

/// The most that are told of one file.
const MOST: usize = 100;

/// Those of a file.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        if self.list.len() < MOST { self.list.push(problem) } else { self.more += 1 }
    }

    /// Adds one with a part as such.
    pub fn add(&mut self, part: Part, what: impl Into<String>) {
        self.push(Problem::new(part, what));
    }

    /// Adds it unless it `holds`.
    pub fn expect(&mut self, holds: bool, part: Part, what: &str) {
        if !holds {
            self.add(part, what);
        }
    }

    /// All, and how many there are more.
    pub fn into_vec(mut self) -> Vec<Problem> {
        if self.more > 0 {
            self.list.push(Problem::new(Part::Headers, format!("{} problems more", self.more)));
        }
        self.list
    }
}
