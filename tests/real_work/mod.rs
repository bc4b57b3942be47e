//! Real work: the scripts in `jobs/`, each done once with the machine's tools and once with the same tools converted.
//!
//! A script names its tools in a comment at its top: `#: Tools: tar gzip`. It finds them first on its PATH, in the
//! directory `$BIN`. `cc1@gcc` stands for the program that `gcc -print-prog-name=cc1` names. With `#: Each: xz zstd`
//! there is one test for each of these tools, which is `$TOOL`.

mod job;

use std::path::Path;

use anyhow::Result;
use statify_tests::case::Cases;

/// Adds them.
pub fn add(cases: &mut Cases) -> Result<()> {
    for job in job::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("real_work/jobs"))? {
        let name = job.name.clone();
        cases.add(&name, move |case| job.check(&case.statify, &case.dir));
    }
    Ok(())
}
