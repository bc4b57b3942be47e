//! GLIBC_TUNABLES and MALLOC_* count in a converted program as in its original.

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases, run};
use statify_tests::compare::against_each_other;

pub fn add(cases: &mut Cases) {
    for (name, flags) in [("pie", &["-fPIE", "-pie"][..]), ("non-pie", &["-fno-pie", "-no-pie"])] {
        cases.check(&format!("tunables/{name}"), |case| as_in_original(case, flags, &[]));
    }
    cases.check("tunables/fixed", |case| as_in_original(case, &["-fPIE"], &["--fixed"]));
    cases.check("tunables/native", |case| as_in_original(case, &["-fPIE"], &["--cpu", "native"]));
}

/// Variables, and whether the original minds on every machine.
const VARIABLES: [(&str, &str, bool); 11] = [
    ("MALLOC_ARENA_MAX", "1", true),
    ("MALLOC_MMAP_THRESHOLD_", "1000000", true),
    ("MALLOC_MMAP_THRESHOLD_", "0x100000", true),
    ("MALLOC_MMAP_MAX_", "0", true),
    ("MALLOC_PERTURB_", "85", true),
    ("MALLOC_PERTURB_", "not a number", false),
    ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1:glibc.malloc.perturb=3", true),
    ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=03641100", true),
    ("GLIBC_TUNABLES", "nonsense:glibc.malloc.perturb=-1", false),
    ("GLIBC_TUNABLES", "", false),
    ("MALLOC_", "1", false),
];
/// What concerns the CPU counts where the record of it is made at the start.
const OF_CPU: (&str, &str) =
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX512VL,-AVX512BW,-ERMS,-SSE4_2");

fn as_in_original(case: &Case, build: &[&str], flags: &[&str]) -> Result<()> {
    let flags_of_build = [&["-O1", "-fno-builtin", "-pthread"], build].concat();
    let original = case.build("tunables", "program", &flags_of_build)?;
    let converted = case.convert(&original, flags)?;
    let plain = case.output(&original)?;
    let with = |program, name: &str, value: &str| run(case.command(program).env(name, value));
    let native = flags.contains(&"native");
    let of_cpu = (!native && loader_lists_cpu_tunables()).then_some((OF_CPU.0, OF_CPU.1, false));
    for (name, value, minds) in VARIABLES.into_iter().chain(of_cpu) {
        let expected = with(&original, name, value)?;
        ensure!(
            !minds || expected.stdout_text() != plain,
            "{name}={value}: the original does not mind, so that this shows nothing"
        );
        let wrong = against_each_other(&expected, &with(&converted, name, value)?);
        ensure!(wrong.is_empty(), "{name}={value}:\n    {}", wrong.join("\n    "));
    }
    Ok(())
}

/// From 2.33 on, which has the loader's option that lists them.
fn loader_lists_cpu_tunables() -> bool {
    std::process::Command::new("/lib64/ld-linux-x86-64.so.2")
        .arg("--list-tunables")
        .output()
        .is_ok_and(|listed| listed.status.success())
}
