//! `elfscan audit`: what a process has overwritten is found, and what loaders do is no alarm.

mod dynamic;
mod machine;
mod stalling;
mod tampering;
pub mod waiting;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_format::manifest::{NOTE_NAME, NOTE_TYPE};
use statify_tests::case::{Case, Cases};
use statify_tests::report::Done;
use statify_tests::sandbox;
use statify_tests::toolchain::Toolchain;

use crate::elfscan::tool::elfscan;
use waiting::{Waiting, alarms, audit};

/// A library with a variable, a thread-local one, and two versions of a function.
const LIBRARY: &str = "\
int shared_variable = 3;
__thread int thread_variable = 4;
int answer_1(void) { return 1; }
int answer_2(void) { return 2; }
__asm__(\".symver answer_1, answer@V1\");
__asm__(\".symver answer_2, answer@@V2\");
int answer(void);
int (*library_view(void))(void) { return shared_variable ? answer_2 : 0; }
";
const VERSIONS: &str = "V1 { global: answer; local: answer_*; };\n\
    V2 { global: answer; shared_variable; thread_variable; library_view; } V1;\n";

pub fn add(cases: &mut Cases) {
    tampering::add(cases);
    dynamic::add(cases);
    stalling::add(cases);
    machine::add(cases);
    cases.check("audit/lazy-binding-half-done", |case| {
        let program = case.build("tampered", "lazy", &["-Wl,-z,lazy"])?;
        nothing(case, &mut case.command(&program))
    });
    cases.check("audit/code-first", |case| {
        // As linkers made all programs up to binutils 2.30: what is not code lies with it.
        for flags in
            [&["-Wl,-z,noseparate-code", "-pie"][..], &["-Wl,-z,noseparate-code", "-no-pie"]]
        {
            let program = case.build("tampered", "together", flags)?;
            nothing(case, &mut case.command(&program))?;
            let converted = case.convert(&program, &["--force"])?;
            nothing(case, &mut case.command(&converted))?;
        }
        Ok(())
    });
    cases.check("audit/interposition", |case| {
        let library = case.library("before.so", "int getppid(void) { return 7; }", &[])?;
        let other = case.library("malloc.so", MALLOC, &[])?;
        for flags in ["-Wl,-z,lazy", "-Wl,-z,now"] {
            let program = case.build("tampered", "preloaded", &[flags])?;
            let preload = format!("{}:{}", library.display(), other.display());
            nothing(case, case.command(&program).env("LD_PRELOAD", preload))?;
        }
        Ok(())
    });
    cases.check("audit/opened-libraries", |case| {
        let call = "int helper(void); int call(void) { return helper(); }";
        case.library(
            "libhelper.so",
            "#include <stdlib.h>\nint helper(void) { return abs(-1); }",
            &[],
        )?;
        let flags = case.link(&["libhelper.so"]);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut arguments = Vec::new();
        for how in ["local", "global", "deepbind", "lazy", "namespace", "namespace"] {
            let file = format!("{how}.so");
            let own =
                format!("{call}\nint getppid(void) {{ return 1; }}\nint (*view)(void) = getppid;");
            let library = case.library(&file, &own, &flags)?;
            arguments.push(format!("{how}:{}", library.display()));
        }
        let program = case.build("opener", "opener", &["-ldl"])?;
        nothing(case, case.command(&program).args(&arguments))?;
        let converted = case.convert(&program, &[])?;
        nothing(case, case.command(&converted).args(&arguments[..4]))?;
        let embedded = arguments[0].split_once(':').map_or("", |(_, path)| path);
        let converted = case.convert(&program, &["--force", "--with", embedded])?;
        nothing(case, case.command(&converted).arg(&arguments[0]))
    });
    for toolchain in [Toolchain::Machine, Toolchain::Musl] {
        cases.add_for(toolchain, "audit/symbols-of-libraries", |case| {
            fs::write(case.dir.join("versions"), VERSIONS)?;
            let script = format!("-Wl,--version-script={}", case.dir.join("versions").display());
            case.library("libimports.so", LIBRARY, &[&script])?;
            let mut flags = case.link(&["libimports.so"]);
            flags.push("-Wl,--unresolved-symbols=ignore-all".into());
            for kind in [&["-fPIE", "-pie"][..], &["-fno-pie", "-no-pie"]] {
                let own: Vec<&str> =
                    flags.iter().map(String::as_str).chain(kind.iter().copied()).collect();
                if case.toolchain == Toolchain::Musl {
                    // It takes no version but the default one.
                    let program = case.build("generator", "generator", &own)?;
                    nothing(case, &mut case.command(&program))?;
                    continue;
                }
                let program = case.build("imports", "imports", &own)?;
                for out in [program.clone(), case.convert(&program, &["--force"])?] {
                    nothing(case, &mut case.command(&out))?;
                }
                let fixed = case.convert(&program, &["--force", "--fixed"])?;
                nothing(case, &mut case.command(&fixed))?;
            }
            Ok(Done::Passed)
        });
    }
    cases.check("audit/generated-code", |case| {
        let program = case.build("generator", "generator", &[])?;
        let waiting = Waiting::start(&mut case.command(&program))?;
        let (report, status) = audit(&[waiting.pid()], &[])?;
        ensure!(status == 0 && alarms(&report)?.is_empty(), "{report:#}");
        let kinds = report["processes"][0]["information"].to_string();
        ensure!(kinds.contains("anonymous_code"), "{kinds}");
        let (report, status) = audit(&[waiting.pid()], &["--strict"])?;
        ensure!(status == 1 && report["processes"][0]["alarms"][0]["kind"] == "anonymous_code");
        Ok(())
    });
    cases.check("audit/a-replaced-library-is-audited-as-it-is-mapped", |case| {
        let library = case.library("libgone.so", "int call(void) { return 1; }", &[])?;
        let program = case.build("opener", "opener", &["-ldl"])?;
        let waiting =
            Waiting::start(case.command(&program).arg(format!("local:{}", library.display())))?;
        fs::remove_file(&library)?;
        case.library("libgone.so", "int call(void) { return 2; } int more[5000] = {1};", &[])?;
        let (report, _) = audit(&[waiting.pid()], &[])?;
        ensure!(alarms(&report)?.is_empty(), "{report:#}");
        let information = report["processes"][0]["information"].to_string();
        ensure!(
            information.contains("_file") && information.contains("libgone.so"),
            "{information}"
        );
        Ok(())
    });
    cases.add("audit/what-cannot-be-audited", refusals);
}

const MALLOC: &str = "\
#include <stddef.h>
extern void *__libc_malloc(size_t);
void *malloc(size_t size) { return __libc_malloc(size); }
";

/// There is no alarm while it waits.
fn nothing(case: &Case, command: &mut Command) -> Result<()> {
    let waiting = Waiting::start(command)?;
    let (report, status) = audit(&[waiting.pid()], &[])?;
    let found = alarms(&report)?;
    ensure!(found.is_empty() && status == 0, "{:?} in {}: {found:#?}", command, case.dir.display());
    let entries = &report["processes"][0]["entries"];
    ensure!(entries.as_u64().is_some_and(|entries| entries > 20), "{entries} entries checked");
    Ok(())
}

fn refusals(case: &Case) -> Result<Done> {
    let says = |arguments: &[&str], what: &str| -> Result<()> {
        let outcome = statify_tests::case::run(&mut elfscan(arguments)?)?;
        let said = outcome.stderr_text();
        ensure!(outcome.end == statify_tests::process::End::Exit(1), "{}", outcome.end);
        ensure!(said.contains(what) && said.lines().count() == 1, "{said}");
        Ok(())
    };
    says(&["audit", "4194305"], "there is no such process")?;
    if Path::new("/proc/2/stat").exists()
        && fs::read_to_string("/proc/2/comm")?.trim() == "kthreadd"
    {
        says(&["audit", "2"], "thread of the kernel")?;
    }
    let mut zombie = Command::new("true").spawn()?;
    let stat = format!("/proc/{}/stat", zombie.id());
    while !fs::read_to_string(&stat)?.contains(") Z ") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let answer = says(&["audit", &zombie.id().to_string()], "it has ended (a zombie)");
    zombie.wait()?;
    answer?;

    let program = case.build("generator", "generator", &[])?;
    let converted = case.convert(&program, &[])?;
    let mut bytes = fs::read(&converted)?;
    let elf = statify_elf::ElfFile::parse(&bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
    let manifest = elf.note(NOTE_NAME, NOTE_TYPE).context("no manifest")?;
    let at = manifest.as_ptr() as usize - bytes.as_ptr() as usize;
    bytes[at] ^= 0xff;
    let damaged = case.dir.join("damaged");
    fs::copy(&converted, &damaged)?;
    fs::write(&damaged, &bytes)?;
    let waiting = Waiting::start(&mut case.command(&damaged))?;
    says(&["audit", &waiting.pid()], "whose manifest is damaged")?;

    if sandbox::is_possible() && nix::unistd::geteuid().is_root() {
        let waiting = Waiting::start(&mut case.command(&program))?;
        let mut command = elfscan(["audit", &waiting.pid()])?;
        let tool = case.dir.join("elfscan");
        fs::copy(command.get_program(), &tool)?;
        sandbox::give_to_unprivileged(&case.dir)?;
        command = case.command(&tool);
        command.args(["audit", &waiting.pid()]);
        let outcome = statify_tests::case::run(sandbox::unprivileged(&mut command))?;
        let said = outcome.stderr_text();
        ensure!(said.contains("its memory may not be read"), "{}: {said}", outcome.end);
    }
    Ok(Done::Passed)
}
