//! Files of all machines that are understood, built by their compilers, and what is read in them: held against readelf,
//! against what the sources say, and against loaders (of AArch64's in an emulator).

mod audits;
mod built;
mod calls;
mod damaged;
mod loads;
mod marks;
mod tables;

use statify_tests::case::Cases;

use built::{AARCH64, ALL, I386};

pub fn add(cases: &mut Cases) {
    for target in ALL {
        let name = |test: &str| format!("machines/{}/{test}", target.name);
        let mut cases = cases.needing(target.needs);
        cases.check(&name("relocations"), move |case| tables::relocations(case, target));
        cases.check(&name("code-parts"), move |case| tables::code_parts(case, target));
        cases.check(&name("calls"), move |case| calls::calls(case, target));
        cases.check(&name("references"), move |case| calls::references(case, target));
        cases.check(&name("damaged"), move |case| damaged::headers(case, target));
    }
    let mut cross = cases.needing(AARCH64.needs);
    cross.check("machines/aarch64/marks", marks::branches);
    cross.check("machines/aarch64/elsewhere", marks::elsewhere);
    let mut old = cases.needing(I386.needs);
    old.check("machines/i386/text-relocations", marks::text_relocations);
    old.check("machines/i386/audit", audits::untouched);
    old.check("machines/i386/audit-tampered", audits::tampered);
    let emulated = [AARCH64.needs, &["program:qemu-aarch64"]].concat();
    cases.needing(&emulated).check("machines/aarch64/deps", loads::as_the_loader_says);
}
