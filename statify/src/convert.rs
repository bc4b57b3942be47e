//! A conversion, as its phases.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use statify_elf::machine::Cpu;
use statify_format::{Randomness, Shape};
use statify_program::{Program, Refusal};
use statify_room::root::Root;
use statify_room::sandbox::{self, Sandbox};

use crate::capture::variation::{self, Mode, Variation};
use crate::capture::{self, Cause, Failure, Files, Reader, Subject, hwcap, secure};
use crate::classify::{self, Captures, Image, early, page_size, tunables};
use crate::error::{Error, Result};
use crate::layout::{self, PoolRequest};
use crate::pending::PendingFile;
use crate::pool::Pool;
use crate::report::{Phase, Report};
use crate::sharing::Sharing;
use crate::{captured_cpus, check, describe, hashes, plugins, provenance, unloaded, verify, write};

/// The CPUs that an output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpus {
    /// Every one that the original runs on.
    Any,
    /// Those that have all that this machine's has.
    Native,
}

/// What is asked of a conversion.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the output is to be like.
    pub shape: Shape,
    /// Replace an existing output.
    pub force: bool,
    /// The output gets owner, set-ID bits and capabilities of a program that has such.
    pub preserve_privileges: bool,
    /// What it has to run on.
    pub cpus: Cpus,
    /// How long one capture may take.
    pub timeout: Duration,
    /// How much address space the traced code may have, in bytes; none: as much as this process.
    pub memory: Option<u64>,
    /// Run original and converted with these arguments before the output gets its name, and fail if
    /// they differ.
    pub verify: Option<Vec<OsString>>,
    /// Where program, loader and libraries are, and where they run.
    pub root: Root,
    /// What is embedded for dlopen.
    pub plugins: plugins::Request,
    /// From where the output may map libraries; not if it has privileges.
    pub pool: Option<Pool>,
    /// What makes blocks of the file system shared with the embedded files.
    pub sharing: Option<Arc<dyn Sharing>>,
    /// The output is on the disk before it gets its name. Who makes many sees to that at once.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            force: false,
            preserve_privileges: false,
            cpus: Cpus::Any,
            timeout: Duration::from_secs(60),
            memory: None,
            verify: None,
            root: Root::machine(),
            plugins: plugins::Request::default(),
            pool: None,
            sharing: None,
            sync: true,
        }
    }
}

impl Options {
    /// Whether each library is to have a distance of its own. Those that embedded plugins are served by
    /// jump to the agent, and reach no further than 2 GiB.
    fn are_libraries_apart(&self) -> bool {
        let random = self.shape.randomness == Randomness::Full && !self.shape.fixed;
        random && !self.plugins.is_any()
    }
}

/// Converts `program`, a path in the root, into the self-contained file `output` of this machine.
/// `progress` hears of every phase.
pub fn convert(
    program: &Path,
    output: &Path,
    options: &Options,
    progress: impl FnMut(Phase),
) -> Result<Report> {
    in_phases(program, output, options, progress).map_err(|error| error.in_root(&options.root))
}

fn in_phases(
    program: &Path,
    output: &Path,
    options: &Options,
    mut progress: impl FnMut(Phase),
) -> Result<Report> {
    let mut report = Report::new(program, output);
    let mut enter = |report: &mut Report, phase| {
        report.enter(phase);
        progress(phase);
    };
    enter(&mut report, Phase::Examine);
    let program = statify_program::open(&options.root, program)?;
    check_request(&program, output, options)?;
    let privileges = program.privileges.as_ref();
    enter(&mut report, Phase::Capture);
    let cpus = usable_cpus();
    let files = Files::of(&options.root);
    let apart = options.are_libraries_apart();
    let captures = capture_all(&program, options, &files, &cpus, apart)?;
    report.notice_captures(&captures);
    enter(&mut report, Phase::Classify);
    let mut image = match classify::classify(&program.path, captures, options.shape.fixed) {
        Err(error @ Error::Unexplained(..)) => {
            capture_otherwise(&program, options, &files, &cpus, error)?
        }
        image => image?,
    };
    if options.plugins.is_any() {
        enter(&mut report, Phase::Plugins);
        let subject = subject(&program, options, &files)?;
        let found = plugins::find(&subject, &image.objects, &options.plugins)?;
        report.notice_plugins(&found);
        let (host_libs, align) = (options.plugins.host_libs, options.shape.align);
        plugins::embed(&program.path, &mut image, found, host_libs, align)?;
    }
    enter(&mut report, Phase::LayOut);
    if let Some(privileges) = privileges {
        provenance::check(&options.root, &program, privileges, &image, &files.asked())?;
    }
    let kept = unloaded::pages(program.unclaimed.ranges());
    let small = unloaded::small(&image, &program.unclaimed, &options.shape);
    let pool = options.pool.as_ref().filter(|_| privileges.is_none());
    if options.pool.is_some() && pool.is_none() {
        report.notice_no_pool();
    }
    let hashes = hashes::of(&image, pool.is_some());
    let request = pool.map(|pool| PoolRequest { path: pool.path(), hashes: &hashes });
    let plan = layout::lay_out(&mut image, &options.shape, request, kept, small);
    plugins::locate(&mut image, &plan);
    let unloaded = unloaded::unloaded(&image, &plan, &program.unclaimed, &options.shape)?;
    let host_libs = options.plugins.host_libs;
    let parts = &unloaded.parts;
    let path = pool.map(Pool::path);
    let manifest =
        describe::describe(&image, &plan, parts, &hashes, &options.shape, path, host_libs);
    enter(&mut report, Phase::Write);
    let cannot_write = |source| Error::Output(output.to_owned(), source);
    // Nobody else may as much as open what will be privileged before it is complete.
    let mode = if privileges.is_some() { 0o700 } else { program.mode };
    let pending = PendingFile::create(output, mode).map_err(cannot_write)?;
    let (file, sharing) = (pending.file(), options.sharing.as_deref());
    let written = write::write(file, &image, &plan, &unloaded, &manifest, sharing);
    let written = written.map_err(cannot_write)?;
    report.notice_written(&written);
    write::write_build_id(file, &manifest).map_err(cannot_write)?;
    enter(&mut report, Phase::Check);
    check::check(file, &image, &plan, &unloaded, &manifest, &written.shared)
        .map_err(|what| Error::Check(output.to_owned(), what))?;
    report.describe(&image, &plan, manifest);
    let complete = pending.complete(options.sync).map_err(cannot_write)?;
    if let Some(arguments) = &options.verify {
        enter(&mut report, Phase::Verify);
        let privileged = privileges.is_some();
        verify::verify(&options.root, &program.path, complete.path(), arguments, privileged)
            .map_err(|what| Error::Verify(program.path.clone(), what))?;
    }
    enter(&mut report, Phase::Finish);
    if let Some(pool) = pool {
        for &index in &plan.pooled {
            let object = &image.objects[index];
            pool.put(&object.path, &hashes[index].sha256, &object.bytes, options.sync)?;
        }
    }
    if let Some(privileges) = privileges {
        privileges
            .give_to(complete.file())
            .map_err(|source| Error::CannotPreserve(output.to_owned(), source))?;
        report.notice_privileges(complete.file(), options.shape.fixed);
    }
    complete.publish(output, options.force).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => Error::OutputExists(output.to_owned()),
        _ => cannot_write(source),
    })?;
    report.finish();
    Ok(report)
}

/// Before anything runs: whether what is asked for can be had of this program, and has a place.
fn check_request(program: &Program, output: &Path, options: &Options) -> Result<()> {
    let machine = program.machine.e_machine();
    let has_room = program.c_library.can_be_served()
        && !starter::AGENT.is_empty()
        && options.root.directory().is_none();
    if options.plugins.is_any() && !has_room {
        return Err(Error::NoPlugins(program.path.clone()));
    }
    let has_agent = !options.plugins.is_any() || starter::agent(machine).is_some();
    if starter::image(machine).is_none() || !has_agent {
        return Err(Error::NoStarter(program.path.clone()));
    }
    check_output(program, output, options)?;
    Ok(program.check_privileges(options.preserve_privileges)?)
}

/// Whether there is a place for the output.
fn check_output(program: &Program, output: &Path, options: &Options) -> Result<()> {
    let path = || output.to_owned();
    if let Ok(metadata) = output.metadata() {
        if (metadata.dev(), metadata.ino()) == program.id {
            return Err(Error::OutputIsProgram(path()));
        }
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(Error::OutputIsNoFile(path()));
        }
        if metadata.is_dir() {
            return Err(Error::Output(path(), std::io::Error::from_raw_os_error(libc::EISDIR)));
        }
    }
    if output.symlink_metadata().is_ok() && !options.force {
        return Err(Error::OutputExists(path()));
    }
    Ok(())
}

fn subject(program: &Program, options: &Options, files: &Files) -> Result<Subject> {
    let sandbox = Sandbox::of(&options.root).map_err(sandbox::refused)?;
    let (root, interpreter) = (&options.root, &program.interpreter);
    let reader = Reader::of(root, program.owner, interpreter).and_then(|reader| {
        reader.map_or(Ok(()), |reader| reader.may_read(root, interpreter)).map(|()| reader)
    });
    let reader = reader.map_err(|source| {
        Refusal::Interpreter(program.path.clone(), interpreter.clone(), source)
    })?;
    Ok(Subject {
        program: program.path.clone(),
        interpreter: program.interpreter.clone(),
        c_library: program.c_library,
        machine: program.machine,
        is_privileged: program.privileges.is_some(),
        timeout: options.timeout,
        memory: options.memory,
        files: files.clone(),
        sandbox: sandbox.map(Arc::new),
        reader,
    })
}

/// After captures that could not be explained: in what other ways they can be had.
fn capture_otherwise(
    program: &Program,
    options: &Options,
    files: &Files,
    cpus: &[usize],
    mut error: Error,
) -> Result<Image> {
    // Two CPUs of a machine may differ by more than their number; libraries may count distances from
    // one to the other (text relocations).
    let on_one = (cpus.len() > 1).then_some(options.are_libraries_apart());
    let together = options.are_libraries_apart().then_some(false);
    for apart in on_one.into_iter().chain(together) {
        let captures = capture_all(program, options, files, &cpus[..1], apart)?;
        match classify::classify(&program.path, captures, options.shape.fixed) {
            Err(unexplained @ Error::Unexplained(..)) => error = unexplained,
            image => return image,
        }
    }
    Err(error)
}

/// Every capture that classification needs, two at a time.
fn capture_all(
    program: &Program,
    options: &Options,
    files: &Files,
    cpus: &[usize],
    apart: bool,
) -> Result<Captures> {
    let subject = subject(program, options, files)?;
    let agent = options.plugins.is_any();
    let floors = match options.cpus {
        Cpus::Any => Cpu::floors(),
        Cpus::Native => vec![Cpu::This],
    };
    let mut refusal = None;
    for cpu in floors {
        let machine = subject.machine;
        let fixed = options.shape.fixed;
        let mode = |bind_now| Mode { machine, fixed, apart, bind_now, cpu, agent };
        let captured = match capture_bound(&subject, mode(true), cpus) {
            // A function that nothing defines and that is never called, or an IFUNC that cannot be
            // asked yet: the program runs without early binding only.
            Err(failure)
                if failure.cause == Cause::EarlyBinding && subject.c_library.binds_on_request() =>
            {
                capture_bound(&subject, mode(false), cpus).map_err(|_| failure)
            }
            other => other,
        };
        match captured {
            // A program or library that says it needs a newer CPU: the least that it takes.
            Err(failure) if failure.cause == Cause::Level => refusal = Some(failure.error),
            other => return other.map_err(|failure| failure.error),
        }
    }
    Err(refusal.expect("there is a level"))
}

fn capture_bound(subject: &Subject, mode: Mode, numbers: &[usize]) -> Result<Captures, Failure> {
    let lazy = mode.bind_now && subject.c_library.binds_on_request();
    // Each thread runs its captures one after the other, on a CPU of its own.
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let number = numbers[numbers.len() - 1];
            let run = |variation: Variation| capture::capture(subject, &variation, number);
            let second = run(variation::second(mode))?;
            let secure = secure::capture(subject, mode, number)?;
            let read_tunables = secure.as_ref().and_then(|secure| secure.read_tunables);
            let vdso = variation::with_vdso(mode);
            let vdso = capture::capture_then(subject, &vdso, number, |vdso, rehearsal| {
                // Machines with one size of pages have nothing that follows it.
                let page_size = (mode.machine.front_gap() > 0)
                    .then(|| page_size::study(vdso, rehearsal, mode.fixed));
                let tunables = read_tunables
                    .and_then(|read| tunables::study(vdso, rehearsal, read, mode.fixed));
                (tunables, page_size.flatten())
            })?;
            let lazy = lazy.then(|| run(variation::lazy(mode))).transpose()?;
            Ok::<_, Failure>((second, secure, vdso, lazy))
        });
        let one = scope.spawn(|| {
            let (first, cpu) = captured_cpus::capture(subject, mode, numbers[0])?;
            Ok::<_, Failure>((first, cpu, hwcap::capture(subject, mode, numbers[0])?))
        });
        (joined(one.join()), joined(other.join()))
    });
    let ((first, cpu, hwcap), (second, secure, (vdso, studied), lazy)) = (one?, other?);
    let (tunables, page_size) = studied;
    if lazy.is_some()
        && let Some(module) = early::astray(&first)
    {
        let what = format!("{}: what it calls was bound to no code", module.display());
        let error = Refusal::Loading(subject.program.clone(), what).into();
        return Err(Failure { error, cause: Cause::EarlyBinding });
    }
    let c_library = subject.c_library;
    Ok(Captures { c_library, first, second, vdso, lazy, cpu, secure, hwcap, tunables, page_size })
}

fn usable_cpus() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let usable: Vec<usize> =
        (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect();
    if usable.is_empty() { vec![0] } else { usable }
}

fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
