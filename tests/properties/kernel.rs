//! Kernels, and sandboxes between kernel and program, that lack something: what is optional is left
//! out without a word, and what is not ends in one sentence and status 127.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::libc;
use nix::sys::personality::{self, Persona};
use nix::sys::signal::Signal;
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::compare::said;
use statify_tests::old_kernel::{die_of_calls, refuse_calls};
use statify_tests::process::End;

const PIE: &[&str] = &["-O2", "-pthread"];
/// Its pages are mapped at their addresses by the starter.
const NO_PIE: &[&str] = &["-O2", "-pthread", "-fno-pie", "-no-pie"];

/// The calls that a start can do without.
const OPTIONAL: &[(&str, i64)] = &[
    ("brk", libc::SYS_brk),
    ("getrandom", libc::SYS_getrandom),
    ("madvise", libc::SYS_madvise),
    ("mremap", libc::SYS_mremap),
    ("mseal", 462),
    ("munmap", libc::SYS_munmap),
    ("openat", libc::SYS_openat),
    ("prctl", libc::SYS_prctl),
    ("pread64", libc::SYS_pread64),
    ("prlimit64", libc::SYS_prlimit64),
    ("rseq", libc::SYS_rseq),
    ("set_robust_list", libc::SYS_set_robust_list),
    ("set_tid_address", libc::SYS_set_tid_address),
    ("uname", libc::SYS_uname),
];
/// Those that it cannot do without.
const REQUIRED: &[(&str, i64)] = &[
    ("arch_prctl", libc::SYS_arch_prctl),
    ("mprotect", libc::SYS_mprotect),
    ("mmap", libc::SYS_mmap),
];
const ERRORS: [i32; 4] = [libc::ENOSYS, libc::EPERM, libc::EINVAL, libc::ENOMEM];

pub fn add(cases: &mut Cases) {
    cases.check("kernel/older-than-the-libraries-demand", too_old);
    cases.check("kernel/disguised-as-an-older-one", disguised);
    cases.check("kernel/another-page-size", |case| {
        let converted = case.convert(&case.build("works", "program", PIE)?, &[])?;
        refused(&mut altered(case, "page-size", &converted)?, "page size")
    });
    cases.check("kernel/without-auxv-entries", without_auxv);
    cases.check("kernel/that-does-not-keep-alignments", alignment_not_kept);
    cases.check("kernel/without-fixed-noreplace", elsewhere);
    cases.check("kernel/refuses-what-is-optional", optional);
    cases.check("kernel/filter-that-ends-who-makes-new-calls", deadly);
    cases.check("kernel/refuses-what-is-required", required);
    for (name, flags) in [("pie", PIE), ("non-pie", NO_PIE)] {
        cases.check(&format!("kernel/personalities/{name}"), |case| personalities(case, flags));
    }
}

/// `program` run by a launcher that makes the kernel seem another one.
fn altered(case: &Case, what: &str, program: &Path) -> Result<Command> {
    let launcher = case.build("altered", "altered", &["-O2"])?;
    let mut command = case.command(launcher);
    command.arg(what).arg(program);
    Ok(command)
}

/// A start maps where nothing is; what an older kernel does with addresses that are taken: it gives others.
fn elsewhere(case: &Case) -> Result<()> {
    let converted = case.convert(&case.build("works", "program", PIE)?, &[])?;
    // The first of the loader's mappings, a later one, one of the C library's.
    for number in ["1", "3", "5"] {
        let mut command = altered(case, &format!("taken={number}"), &converted)?;
        works(&mut command).with_context(|| format!("mapping {number}"))?;
    }
    Ok(())
}

fn works(command: &mut Command) -> Result<()> {
    let said = output(command)?;
    ensure!(said == "works\n", "it said {said:?}");
    Ok(())
}

/// It gives up: one sentence that holds `word`, and status 127.
fn refused(command: &mut Command, word: &str) -> Result<()> {
    let outcome = run(command)?;
    ensure!(outcome.end == End::Exit(127), "{}\n{}", outcome.end, said(&outcome));
    let sentence = outcome.stderr_text();
    ensure!(outcome.stdout.is_empty() && sentence.lines().count() == 1, "{}", said(&outcome));
    ensure!(sentence.contains(word), "{word} is not in {sentence:?}");
    Ok(())
}

/// A library that says that it needs 4.4.0 (.note.ABI-tag). What glibc's files need, 3.2.0, every
/// kernel has on which an output runs.
fn too_old(case: &Case) -> Result<()> {
    let note = "__asm__(\".section .note.ABI-tag,\\\"a\\\",@note\\n.long 4,16,1,0x554e47,0,4,4,0\\n.text\");";
    case.library("libnew.so", note, &["-Wl,-soname,libnew.so"])?;
    let link = case.link(&["libnew.so"]);
    let flags = PIE.iter().copied().chain(["-Wl,--no-as-needed"]);
    let flags: Vec<&str> = flags.chain(link.iter().map(String::as_str)).collect();
    let converted = case.convert(&case.build("works", "program", &flags)?, &[])?;
    for release in ["2.6.32-71.el6.x86_64", "3.1.99", "2.4", "4.3.99"] {
        let mut command = altered(case, &format!("release={release}"), &converted)?;
        refused(&mut command, "kernel").with_context(|| release)?;
    }
    for release in ["4.4.0", "4.4.0-21-generic", "10.0", "7.2-rc1+", "unknown", ""] {
        let outcome = works(&mut altered(case, &format!("release={release}"), &converted)?);
        // What is no number says nothing.
        outcome.with_context(|| format!("{release:?}"))?;
    }
    Ok(())
}

/// No vDSO, and what newer kernels tell (getauxval(3)).
fn without_auxv(case: &Case) -> Result<()> {
    let converted = case.convert(&case.build("works", "program", PIE)?, &[])?;
    for (name, kind) in [
        ("AT_SYSINFO_EHDR", libc::AT_SYSINFO_EHDR),
        ("AT_HWCAP2", libc::AT_HWCAP2),
        ("AT_EXECFN", libc::AT_EXECFN),
        ("AT_MINSIGSTKSZ", libc::AT_MINSIGSTKSZ),
        // AT_RSEQ_FEATURE_SIZE, AT_RSEQ_ALIGN
        ("rseq's size", 27),
        ("rseq's alignment", 28),
    ] {
        works(&mut altered(case, &format!("without={kind}"), &converted)?).context(name)?;
    }
    Ok(())
}

/// UNAME26 (setarch --uname-2.6) makes every kernel say that it is a 2.6.
fn disguised(case: &Case) -> Result<()> {
    let converted = case.convert(&case.build("works", "program", PIE)?, &[])?;
    works(with(&mut case.command(converted), Persona::UNAME26))
}

fn with(command: &mut Command, persona: Persona) -> &mut Command {
    // SAFETY: personality(2) only, between fork and exec.
    unsafe {
        command.pre_exec(move || {
            personality::set(personality::get()? | persona)?;
            Ok(())
        })
    }
}

/// Up to Linux 6.9 the alignment of a file without interpreter is ignored: as if the file asked for
/// none.
fn alignment_not_kept(case: &Case) -> Result<()> {
    const STARTS: usize = 30;
    const PROGRAM_HEADERS: usize = 64;
    const PROGRAM_HEADER: usize = 56;
    const ALIGN: usize = 48;
    const LOAD: &[u8] = &1u32.to_le_bytes();
    for (name, flags) in [("pie", &["-O2"][..]), ("non-pie", &["-O2", "-fno-pie", "-no-pie"])] {
        let converted = case.convert(&case.build("aligned", name, flags)?, &[])?;
        let mut bytes = fs::read(&converted)?;
        let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
        let mut asked = false;
        for header in 0..count {
            let at = PROGRAM_HEADERS + header * PROGRAM_HEADER;
            if bytes[at..].starts_with(LOAD) {
                let align = &mut bytes[at + ALIGN..at + ALIGN + 8];
                asked |= *align == (16u64 << 20).to_le_bytes();
                align.copy_from_slice(&4096u64.to_le_bytes());
            }
        }
        let wanted = name == "pie";
        ensure!(asked == wanted, "the output does not ask for what its program needs, or for more");
        fs::write(&converted, bytes)?;
        for start in 0..STARTS {
            let said = case.output(&converted).with_context(|| format!("start {start}"))?;
            ensure!(said == "aligned\n", "it said {said:?}");
        }
    }
    Ok(())
}

fn optional(case: &Case) -> Result<()> {
    for (name, flags) in [("pie", PIE), ("non-pie", NO_PIE)] {
        let converted = case.convert(&case.build("works", name, flags)?, &[])?;
        for (name, call) in OPTIONAL {
            for errno in ERRORS {
                let mut command = case.command(&converted);
                refuse_calls(&mut command, &[*call], errno)?;
                works(&mut command).with_context(|| format!("{name}, errno {errno}"))?;
            }
        }
        // Where the output cannot be opened, one of its pages grows by mremap(2).
        let all = OPTIONAL.iter().map(|(_, call)| *call).filter(|call| *call != libc::SYS_mremap);
        let all: Vec<i64> = all.collect();
        let mut command = case.command(&converted);
        refuse_calls(&mut command, &all, libc::EPERM)?;
        works(&mut command).context("all of them")?;
    }
    Ok(())
}

/// A filter that ends a process for what the original's start does not need: nothing is sealed under
/// one, and the kernel's version is not asked for.
fn deadly(case: &Case) -> Result<()> {
    const MSEAL: i64 = 462;
    for (name, flags) in [("pie", PIE), ("non-pie", NO_PIE)] {
        let program = case.build("works", name, flags)?;
        let converted = case.convert(&program, &[])?;
        for call in [MSEAL, libc::SYS_uname, libc::SYS_mremap] {
            for program in [&program, &converted] {
                let mut command = case.command(program);
                die_of_calls(&mut command, &[call])?;
                works(&mut command).with_context(|| format!("{} {call}", program.display()))?;
            }
        }
        // Who wants it sealed there, too, gets that.
        let sealed = case.convert(&program, &["--force", "--seal", "always"])?;
        let mut command = case.command(&sealed);
        die_of_calls(&mut command, &[MSEAL])?;
        let outcome = run(&mut command)?;
        ensure!(outcome.end == End::Signal(Signal::SIGSYS), "{}", outcome.end);
        // What asks for no more than the kernel gives makes no call that the original does not make.
        let plain = case.convert(&program, &["--force", "--no-seal", "--aslr", "kernel"])?;
        let mut command = case.command(&plain);
        die_of_calls(&mut command, &[MSEAL, libc::SYS_prctl, libc::SYS_mremap])?;
        works(&mut command).context("--no-seal --aslr kernel")?;
    }
    Ok(())
}

fn required(case: &Case) -> Result<()> {
    let converted = case.convert(&case.build("works", "program", NO_PIE)?, &[])?;
    for (name, call) in REQUIRED {
        for errno in ERRORS {
            let mut command = case.command(&converted);
            refuse_calls(&mut command, &[*call], errno)?;
            refused(&mut command, "the kernel refused")
                .with_context(|| format!("{name}, errno {errno}"))?;
        }
    }
    Ok(())
}

/// Where mappings go: as setarch(8) sets it.
fn personalities(case: &Case, flags: &[&str]) -> Result<()> {
    let program = case.build("works", "program", flags)?;
    for options in [&[][..], &["--fixed"]] {
        let name = case.dir.join(format!("converted{}", options.len()));
        case.statify.convert(&program, &name, options)?;
        for persona in [
            Persona::ADDR_NO_RANDOMIZE,
            Persona::ADDR_COMPAT_LAYOUT,
            Persona::ADDR_NO_RANDOMIZE | Persona::ADDR_COMPAT_LAYOUT,
            Persona::ADDR_LIMIT_3GB,
            Persona::READ_IMPLIES_EXEC,
            Persona::STICKY_TIMEOUTS,
        ] {
            works(with(&mut case.command(&name), persona))
                .with_context(|| format!("{persona:?} {options:?}"))?;
        }
    }
    Ok(())
}
