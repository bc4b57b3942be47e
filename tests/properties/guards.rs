//! Stack canary and pointer guard are fresh at every start.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};

const STARTS: usize = 20;

pub fn add(cases: &mut Cases) {
    for (name, flags) in [("guards/randomised", &[][..]), ("guards/fixed", &["--fixed"])] {
        cases.check(name, |case| fresh(case, flags));
    }
}

pub fn fresh(case: &Case, flags: &[&str]) -> Result<()> {
    let program = case.build("guards", "guards", &["-O2", "-fstack-protector-all"])?;
    let converted = case.convert(&program, flags)?;
    let mut seen = [BTreeSet::new(), BTreeSet::new()];
    for _ in 0..STARTS {
        // The program itself checks that both come from AT_RANDOM.
        for (line, values) in case.output(&converted)?.lines().zip(&mut seen) {
            values.insert(line.to_owned());
        }
    }
    for (values, what) in seen.iter().zip(["canary", "pointer guard"]) {
        ensure!(values.len() == STARTS, "{what}: only {} values in {STARTS} starts", values.len());
    }
    Ok(())
}
