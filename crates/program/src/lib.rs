//! Which files can be converted, as far as that shows without running anything, and in whose name they run: the
//! program itself, its loader, what none of its headers accounts for, its privileges.

pub mod access_list;
mod examine;
mod privileges;
mod refusal;
mod unclaimed;

pub use examine::{Examiner, Opened, Program, check_kind, find, open};
pub use privileges::Privileges;
pub use refusal::{Refusal, Result};
pub use unclaimed::{Payload, Unclaimed};
