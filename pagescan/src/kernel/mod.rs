//! The rim to the kernel: what it tells of memory, and how contents are read without changing anything. All that is unsafe is
//! here.

mod bases;
mod bpf;
mod inodes;
mod kernel_memory;
pub mod kpage;
mod lack;
pub mod memory_ranges;
pub mod merge;
pub mod mounts;
mod names;
mod page_words;
mod planted_page;
mod struct_pages;
mod types;

pub use bases::{DirectMap, Vmemmap};
pub use inodes::{Inode, Inodes};
pub use kernel_memory::{Gather, KernelMemory};
pub use lack::Lack;
pub use names::Names;
pub use page_words::is_no_file;
pub use struct_pages::{StructPage, StructPages};
pub use types::Types;
