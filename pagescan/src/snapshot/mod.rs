//! A snapshot: which frames of memory there are, what they hold and who uses them. It is a sequence of [`Record`]s, written
//! as they are found; [`Snapshot`] is all of it at hand. docs/src/reference/pagescan-format.md has the file's format.

mod assemble;
mod attributes;
mod block;
mod budget;
mod flags;
mod outline;
mod reader;
mod record;
mod walk;
mod writer;

pub use assemble::{Frames, MappedFile, Placed, Snapshot, Task, Vma, read_all, read_next};
pub use attributes::Attributes;
pub use block::FrameBlock;
pub use flags::{FrameFlags, PageFlags};
pub use outline::{Begun, outline};
pub use reader::{Damage, Reader};
pub use record::{File, Header, Mapping, Means, Process, Record, Run, Scope, Totals};
pub use walk::{Block, Visitor, walk};
pub use writer::{MAGIC, Writer, section};
