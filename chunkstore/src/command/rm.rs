//! `chunkstore rm`

use crate::place::StoreArguments;
use crate::{Failure, Verdict};

/// Remove images from a store
///
/// Their chunks go when `chunkstore gc` finds that no other image has them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The images' names in the store
    #[arg(required = true)]
    indexes: Vec<String>,
    #[command(flatten)]
    store: StoreArguments,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let store = arguments.store.open()?;
    for index in &arguments.indexes {
        store.remove_index(index)?;
    }
    Ok(Verdict::Good)
}
