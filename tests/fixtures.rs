//! Every variant of every fixture, run as built and converted.

use std::path::Path;

use anyhow::Result;
use statify_tests::case::Cases;
use statify_tests::suite;

/// Adds them.
pub fn add(cases: &mut Cases) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
    for variant in suite::variants(&sources)? {
        match variant {
            Ok(variant) => {
                let name = variant.name.clone();
                cases.add(&name, move |case| variant.check(&case.statify, &case.dir));
            }
            Err(unreadable) => cases.add(&unreadable.name, |_| Err(unreadable.error)),
        }
    }
    Ok(())
}
