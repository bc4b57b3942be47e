//! The boots of every kernel: what each changes, and what is run in it.

use statify_init::plan::Facts;

/// One way to boot.
pub struct Boot {
    /// Its name in the table.
    pub name: &'static str,
    /// Further kernel parameters (Documentation/admin-guide/kernel-parameters.txt).
    pub parameters: &'static str,
    /// QEMU's processor.
    pub cpu: &'static str,
    /// The fixtures that are run; all if `None`.
    pub fixtures: Option<&'static [&'static str]>,
    /// Under what circumstances.
    pub circumstances: &'static [Circumstance],
    /// Whether the machine is what this boot wants it to be; a kernel may not know of it.
    pub in_effect: fn(&Facts) -> bool,
}

/// Settings that need no boot of their own.
pub struct Circumstance {
    /// Its name.
    pub name: &'static str,
    /// Names below /proc/sys, and values.
    pub sysctls: &'static [(&'static str, &'static str)],
    /// The stack limit, in bytes.
    pub stack: Option<u64>,
}

impl Boot {
    /// Whether a fixture is run in it.
    pub fn runs(&self, fixture: &str) -> bool {
        self.fixtures.is_none_or(|fixtures| {
            fixtures.iter().any(|name| {
                let rest = fixture.strip_prefix(name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
    }
}

const fn circumstance(
    name: &'static str,
    sysctls: &'static [(&'static str, &'static str)],
    stack: Option<u64>,
) -> Circumstance {
    Circumstance { name, sysctls, stack }
}

const PLAIN: &[Circumstance] = &[circumstance("", &[], None)];

/// What a start consists of: addresses, stack, auxv, threads, thread-local storage, libraries
/// opened later, alignment, memory.
const CHOICE: &[&str] = &[
    "aligned-data",
    "aligned-data-library",
    "auxv-base",
    "auxv-program-headers",
    "auxv-stack",
    "condition-variable",
    "current-cpu",
    "cxx-exception-two-libraries",
    "dl-iterate-phdr",
    "dlopen-plugin",
    "exec-self",
    "fork",
    "hello",
    "limit-address-space",
    "malloc-large",
    "no-libc",
    "program-break",
    "relocation-kinds",
    "relro",
    "rseq",
    "signal-alternate-stack",
    "stack-canary",
    "stack-pointers",
    "thread-stack-default",
    "tls-alignment",
    "tls-alignment-library",
];

/// The stack limit that means none, and changes where everything is mapped (mmap_is_legacy).
const UNLIMITED: Option<u64> = Some(u64::MAX);
const SMALL: Option<u64> = Some(1 << 20);

const LAYOUTS: &[Circumstance] = &[
    circumstance("randomize_va_space=0", &[("kernel/randomize_va_space", "0")], None),
    circumstance("randomize_va_space=1", &[("kernel/randomize_va_space", "1")], None),
    circumstance("legacy_va_layout=1", &[("vm/legacy_va_layout", "1")], None),
    circumstance("stack unlimited", &[], UNLIMITED),
    circumstance("stack 1 MiB", &[], SMALL),
    circumstance("overcommit_memory=2", &[("vm/overcommit_memory", "2")], None),
];

/// With AVX2 and addresses of 48 bits.
const CPU: &str = "Haswell-noTSX";

const fn parameter(name: &'static str, in_effect: fn(&Facts) -> bool) -> Boot {
    let fixtures = Some(CHOICE);
    Boot { name, parameters: name, cpu: CPU, fixtures, circumstances: PLAIN, in_effect }
}

const fn processor(name: &'static str, cpu: &'static str, in_effect: fn(&Facts) -> bool) -> Boot {
    Boot { name, parameters: "", cpu, fixtures: Some(CHOICE), circumstances: PLAIN, in_effect }
}

const fn always(_: &Facts) -> bool {
    true
}

/// The table's columns.
pub const BOOTS: &[Boot] = &[
    Boot {
        name: "all fixtures",
        parameters: "",
        cpu: CPU,
        fixtures: None,
        circumstances: PLAIN,
        in_effect: |facts| facts.vdso && !facts.five_levels,
    },
    Boot {
        name: "layouts",
        parameters: "",
        cpu: CPU,
        fixtures: Some(CHOICE),
        circumstances: LAYOUTS,
        in_effect: always,
    },
    parameter("vdso=0", |facts| !facts.vdso),
    parameter("vsyscall=none", |facts| !facts.vsyscall),
    parameter("norandmaps", always),
    parameter("nokaslr", always),
    parameter("mitigations=off", always),
    parameter("transparent_hugepage=always", always),
    parameter("noxsave", |facts| !facts.avx2),
    processor("5-level paging", "Haswell-noTSX,la57=on", |facts| facts.five_levels),
    processor("qemu64", "qemu64", |facts| !facts.avx2),
    processor("Nehalem", "Nehalem", |facts| !facts.avx2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_names_fixtures() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures");
        for name in CHOICE {
            let there = ["c", "cc", "S"].iter().any(|e| dir.join(format!("{name}.{e}")).is_file());
            assert!(there, "{name} is no fixture");
        }
    }

    #[test]
    fn a_name_stands_for_all_variants() {
        let choice = BOOTS.iter().find(|boot| boot.fixtures.is_some()).expect("there are some");
        assert!(choice.runs("aligned-data/4096") && choice.runs("hello"));
        assert!(!choice.runs("hello-2"));
    }
}
