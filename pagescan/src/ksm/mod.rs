//! Merging of equal pages by the kernel (KSM, Documentation/admin-guide/mm/ksm.rst): whether it may touch a process, and what
//! it has done there.

mod run;
mod state;
mod switch;

pub use run::mergeable_from_here;
pub use state::{State, is_running};
pub use switch::{Switched, switch};
