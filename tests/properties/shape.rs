//! What other tools see in an output.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use goblin::elf::program_header::{PF_X, PT_DYNAMIC, PT_GNU_STACK, PT_INTERP};
use statify_tests::case::{Case, Cases, output, run};
use statify_tests::compare::{against_each_other, normalise};
use statify_tests::machine::find_program;
use statify_tests::process::{End, Outcome};

/// As many program headers as fit in 4 KiB, which is all that some kernels accept.
const HEADERS: usize = 73;

pub fn add(cases: &mut Cases) {
    for (name, build, convert) in [
        ("pie", &["-fPIE", "-pie"][..], &[][..]),
        ("non-pie", &["-fno-pie", "-no-pie"], &[]),
        ("fixed", &["-fPIE", "-pie"], &["--fixed"]),
    ] {
        cases.check(&format!("shape/not-dynamic/{name}"), |case| not_dynamic(case, build, convert));
    }
    for (program, arguments) in [("python3", &["-c", "print(6 * 7)"][..]), ("gdb", &["--version"])]
    {
        let need = format!("program:{program}");
        cases.needing(&[need]).check(&format!("shape/program-headers/{program}"), move |case| {
            few_headers(case, &find_program(program).context("not installed")?, arguments)
        });
    }
    cases.check("shape/program-headers/100-libraries", |case| {
        few_headers(case, &many_libraries(case)?, &[])
    });
    cases.check("shape/permission-bits", permission_bits);
    cases.check("shape/set-group-id", set_group_id);
    for (name, flag, executable) in
        [("plain", "-Wl,-z,noexecstack", 0), ("executable", "-Wl,-z,execstack", PF_X)]
    {
        cases.check(&format!("shape/stack-flags/{name}"), move |case| {
            stack_flags(case, flag, executable)
        });
    }
    cases.check("shape/no-captured-address", no_captured_address);
}

pub fn not_dynamic(case: &Case, build: &[&str], convert: &[&str]) -> Result<()> {
    let program = case.build("shared", "program", &[&["-O2", "-DALONE"], build].concat())?;
    let converted = case.convert(&program, convert)?;
    let ldd = run(case.command("ldd").arg(&converted).env("LC_ALL", "C"))?;
    let said = ldd.stdout_text() + &ldd.stderr_text();
    ensure!(
        ldd.end != End::Exit(0) && said.contains("not a dynamic executable"),
        "ldd says {said:?}"
    );
    let readelf =
        |option| output(case.command("readelf").arg(option).arg(&converted).env("LC_ALL", "C"));
    let said = readelf("-d")?;
    ensure!(said.contains("There is no dynamic section"), "readelf -d says {said:?}");
    let said = readelf("-lW")?;
    ensure!(!said.contains("INTERP") && !said.contains("DYNAMIC"), "readelf -l says {said}");
    Ok(())
}

pub fn few_headers(case: &Case, program: &Path, arguments: &[&str]) -> Result<()> {
    let converted = case.convert(program, &[])?;
    let bytes = fs::read(&converted)?;
    let elf = Elf::parse(&bytes)?;
    let count = elf.program_headers.len();
    ensure!(count <= HEADERS, "{count} program headers");
    for kind in [PT_INTERP, PT_DYNAMIC] {
        ensure!(
            elf.program_headers.iter().all(|header| header.p_type != kind),
            "type {kind} among them"
        );
    }
    let said = |program: &Path| -> Result<Outcome> {
        let mut outcome = run(case.command(program).args(arguments))?;
        outcome.stderr = normalise(&outcome.stderr, program, "$EXE");
        Ok(outcome)
    };
    let wrong = against_each_other(&said(program)?, &said(&converted)?);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

pub fn many_libraries(case: &Case) -> Result<PathBuf> {
    let files: Vec<_> = (0..100).map(|number| format!("libpart{number}.so")).collect();
    for (number, file) in files.iter().enumerate() {
        let soname = format!("-Wl,-soname,{file}");
        case.library(file, &format!("int part{number} = {number};"), &[&soname])?;
    }
    let link = case.link(&files);
    let flags: Vec<_> =
        ["-O2", "-DALONE"].into_iter().chain(link.iter().map(String::as_str)).collect();
    case.build("shared", "many", &flags)
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

fn permission_bits(case: &Case) -> Result<()> {
    let program = case.build("shared", "program", &["-DALONE"])?;
    for bits in [0o755, 0o700, 0o750, 0o555, 0o711] {
        fs::set_permissions(&program, fs::Permissions::from_mode(bits))?;
        let out = case.dir.join(format!("{bits:o}"));
        case.statify.convert::<&str>(&program, &out, &[])?;
        ensure!(mode(&out)? == bits, "{:o} became {:o}", bits, mode(&out)?);
    }
    Ok(())
}

/// Whether it is refused or converted without the bit is statify's choice; that the bit is not copied is not.
fn set_group_id(case: &Case) -> Result<()> {
    let program = case.build("shared", "program", &["-DALONE"])?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o2755))?;
    ensure!(mode(&program)? == 0o2755, "the file system does not keep the bit");
    let out = case.dir.join("out");
    let outcome = case.statify.run::<&str>(&program, &out, &[])?;
    match outcome.end {
        End::Exit(0) => ensure!(mode(&out)? == 0o755, "{:o}", mode(&out)?),
        End::Exit(1) => ensure!(!out.exists(), "refused, and written all the same"),
        end => anyhow::bail!("{end}: {}", outcome.stderr_text()),
    }
    Ok(())
}

fn stack_flags(case: &Case, flag: &str, executable: u32) -> Result<()> {
    let program = case.build("shared", "program", &["-DALONE", flag])?;
    let bytes = fs::read(case.convert(&program, &[])?)?;
    let elf = Elf::parse(&bytes)?;
    let stack = elf.program_headers.iter().find(|header| header.p_type == PT_GNU_STACK);
    let flags = stack.context("no PT_GNU_STACK")?.p_flags;
    ensure!(flags & PF_X == executable, "PT_GNU_STACK has flags {flags:#x}");
    Ok(())
}

/// Wherever the kernel maps programs, libraries and stacks, the output is the same: nothing in it is an address of a
/// capture.
fn no_captured_address(case: &Case) -> Result<()> {
    let program = case.build("threads", "program", &["-O2", "-pthread", "-Wl,-z,now"])?;
    let expected = fs::read(case.convert(&program, &[])?)?;
    // Not at random; bottom-up, below the stack's limit; all below 3 GiB.
    for layout in ["-R", "-L", "-3"] {
        let out = case.dir.join(format!("out{layout}"));
        let wrapped = case.statify.command([&program]);
        let mut command = case.command("setarch");
        command.arg(layout).arg(wrapped.get_program()).args(wrapped.get_args());
        output(command.arg("-o").arg(&out))?;
        ensure!(fs::read(&out)? == expected, "another output under setarch {layout}");
    }
    Ok(())
}
