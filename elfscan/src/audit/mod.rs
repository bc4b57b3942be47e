//! A live process against its files: code, constants, what the loader made read-only, and every
//! relocated word. The process is neither stopped nor attached to, and nothing of it is executed.
//!
//! A process changes while it is read. So whatever looks wrong is looked at again, and again later:
//! only what stays the same is an alarm.

#[cfg(any(test, fuzzing))]
mod any_bytes;
mod apart;
mod bases;
mod bindings;
mod converted;
mod dynamic;
mod image;
mod links;
mod loader;
mod lookup;
mod module;
mod modules;
mod names;
mod pages;
mod pool;
mod process;
mod report;
mod scope;
mod sections;
mod start;
mod text;
mod vdso;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memmap2::Mmap;
use process::{FileId, Process};
use statify_elf::c_library::CLibrary;
use statify_elf::{PROT_EXEC, PROT_WRITE};
use statify_process::procfs::Mapping;

#[cfg(fuzzing)]
pub use any_bytes::read_file;
pub use apart::{APART, Kind, Refused, answer, audit_apart};
pub use process::Refusal;
pub use report::{Alarm, AlarmKind, Counts, Information, InformationKind, ProcessReport, Target};
pub use statify_process::all_processes as all;

use bindings::{Context, Tls};
use image::Image;
use loader::Variables;
use module::Module;
use modules::Found;
use names::Names;
use report::MOST_TOLD;
use scope::Scopes;
use start::Start;

/// How long to wait before each further look at what seems wrong.
const WAITS: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(150),
    Duration::from_millis(400),
];

/// How to audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Executable memory of no file, and memory that is writable and executable, is an alarm.
    pub strict: bool,
    /// Looks that would end later than this are not taken; one is always, and another if anything
    /// seems wrong.
    pub within: Option<Duration>,
}

/// Audits a process.
pub fn audit(pid: u32, options: Options) -> Result<ProcessReport, Refusal> {
    let started = Instant::now();
    let (mut report, mut is_settled) = look_again_if_replaced(pid, options)?;
    for (number, wait) in WAITS.into_iter().enumerate() {
        let each = started.elapsed() / (number as u32 + 1);
        let is_late = options.within.is_some_and(|most| started.elapsed() + each + wait > most);
        if report.alarms.is_empty() && is_settled || number > 0 && is_late {
            break;
        }
        std::thread::sleep(wait);
        let before: HashSet<String> = report.alarms.iter().map(identity).collect();
        (report, is_settled) = look_again_if_replaced(pid, options)?;
        report.alarms.retain(|alarm| before.contains(&identity(alarm)));
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// What makes an alarm the same one.
fn identity(alarm: &Alarm) -> String {
    let found = alarm.found.as_ref().map(|target| target.address);
    format!(
        "{:?} {} {:#x} {found:?} {:?}",
        alarm.kind, alarm.module, alarm.address, alarm.found_bytes
    )
}

fn look_again_if_replaced(pid: u32, options: Options) -> Result<(ProcessReport, bool), Refusal> {
    let look = || {
        let process = Process::open(pid)?;
        let outcome = look(&process, options);
        if process.is_alive() { outcome } else { Err(process.vanished()) }
    };
    match look() {
        // It executed another program: this one may be looked at.
        Err(Refusal::Vanished(..)) => look(),
        other => other,
    }
}

/// Looks at a process once. The second value is false while it loads something.
fn look(process: &Process, options: Options) -> Result<(ProcessReport, bool), Refusal> {
    let maps = process.maps()?;
    let Found { images, of_program, links, converted: converted_file, files, information } =
        modules::find(process, &maps)?;
    let mut report = begin(process, converted_file.is_some(), information)?;
    let start = Start::of(process);
    let modules = read_modules(&images, of_program, &start)
        .ok_or_else(|| Refusal::Manifest(process.pid, process.name.clone()))?;
    let loader = modules.iter().find(|module| module.is_loader);
    let library = loader.and_then(|loader| CLibrary::of_loader(&loader.elf).ok().flatten());
    let scopes = Scopes::new(&modules, &links, library == Some(CLibrary::Musl));
    let names = Names { modules: &modules, maps: &maps };
    let (functions, alarms) = vdso::check(process, &maps);
    report.alarms.extend(alarms);
    let context = Context {
        process,
        modules: &modules,
        scopes: &scopes,
        names,
        links: &links,
        vdso: &functions,
    };
    let variables = loader.filter(|_| library == Some(CLibrary::Glibc));
    let variables = variables.map(|loader| Variables::of(loader, names, &functions, &start));
    check_modules(&context, variables.as_ref(), &mut report);
    for &index in scopes.unlisted().iter().filter(|&&index| !modules[index].is_loader) {
        let module = &modules[index];
        let name = module.image.name.clone();
        report.information.push(Information::new(InformationKind::Unlisted, module.span(), name));
    }
    let code = modules.iter().flat_map(Module::code).collect();
    let program = converted_file;
    let other = OtherCode { process, maps: &maps, code, files: &files, program };
    other_code(&other, options, &mut report);
    report.alarms.truncate(MOST_TOLD);
    report.information.truncate(MOST_TOLD);
    Ok((report, links.is_consistent))
}

/// A report without findings.
fn begin(
    process: &Process,
    converted: bool,
    information: Vec<Information>,
) -> Result<ProcessReport, Refusal> {
    let program = process.program().ok_or_else(|| process.vanished())?;
    Ok(ProcessReport {
        pid: process.pid,
        name: process.name.clone(),
        program: program.display().to_string(),
        converted,
        counts: Counts::default(),
        alarms: Vec::new(),
        information,
        seconds: 0.0,
    })
}

/// The modules, of which the first `of_program` must be readable.
fn read_modules<'i>(
    images: &'i [Image],
    of_program: usize,
    start: &Start,
) -> Option<Vec<Module<'i>>> {
    let mut modules: Vec<Module<'_>> =
        images.iter().filter_map(|image| Module::read(image).ok()).collect();
    if modules.len() < of_program {
        return None;
    }
    // Others may have variables of these names, too.
    let is_interpreter = |module: &Module<'_>| module.span().start == start.interpreter;
    if modules.iter().any(|module| module.is_loader && is_interpreter(module)) {
        modules.iter_mut().for_each(|module| module.is_loader &= is_interpreter(module));
    }
    Some(modules)
}

/// Holds each module's memory against its file. `variables` are the loader's.
fn check_modules(
    context: &Context<'_, '_>,
    variables: Option<&Variables<'_, '_>>,
    report: &mut ProcessReport,
) {
    let modules = context.modules;
    let mut tls = Tls::default();
    let mut is_starting = false;
    for (index, module) in modules.iter().enumerate() {
        if report.alarms.len() > MOST_TOLD {
            break;
        }
        let mut own_tls = Tls::default();
        let outcome = bindings::check(context, index, &mut own_tls);
        let is_dynamic = module.definitions.is_some()
            && (modules.len() > 1 || module.has_interpreter || module.is_loader);
        let is_relocated = is_dynamic && !outcome.is_loading;
        let variables = variables.filter(|_| module.is_loader);
        let text = text::check(context.process, context.names, module, is_relocated, variables);
        report.counts.unknown_bytes += text.unknown_bytes;
        report.counts.pages += text.pages;
        report.counts.private_pages += text.private_pages;
        report.counts.pool_pages += text.pool_pages;
        report.alarms.extend(text.alarms);
        if outcome.is_loading {
            let kind = InformationKind::Loading;
            let name = module.image.name.clone();
            report.information.push(Information::new(kind, module.span(), name));
            // The loader relocates the program last, then makes its own constants read-only.
            is_starting |= index == 0;
            continue;
        }
        tls.add(own_tls);
        report.counts.entries += outcome.entries;
        report.alarms.extend(outcome.alarms);
        let dynamic = dynamic::check(context, module);
        report.counts.entries += dynamic.entries;
        report.alarms.extend(dynamic.alarms);
    }
    report.alarms.extend(tls.alarms(context));
    if let Some(loader) = modules.iter().find(|module| module.is_loader && is_starting) {
        let is_loaders = |alarm: &Alarm| alarm.module == loader.image.name;
        report.alarms.retain(|alarm| alarm.kind != AlarmKind::WritableRelro || !is_loaders(alarm));
    }
    report.counts.modules = modules.len() as u64;
}

/// Executable memory that belongs to no module.
fn other_code(look: &OtherCode<'_>, options: Options, report: &mut ProcessReport) {
    for mapping in look.maps.iter().filter(|mapping| mapping.prot & PROT_EXEC != 0) {
        let name = String::from_utf8_lossy(&mapping.name).into_owned();
        let size = mapping.range.end - mapping.range.start;
        let is_writable = mapping.prot & PROT_WRITE != 0;
        if !is_writable && (look.is_module(mapping) || KERNELS.contains(&name.as_str())) {
            continue;
        }
        let file = FileId::of(mapping);
        let kind = match file.and_then(|file| look.files.get(&file)) {
            _ if is_writable => InformationKind::WritableCode,
            None if file.is_none() => InformationKind::AnonymousCode,
            // Said already.
            None => continue,
            Some(bytes) => {
                report.alarms.extend(text::compare_copy(look.process, mapping, bytes));
                let address = mapping.range.start;
                let is_said = report.information.iter().any(|known| known.address == address);
                // The starter stays where it was.
                let is_starter = report.converted && look.program == file;
                if is_said || is_starter {
                    continue;
                }
                InformationKind::CodeCopy
            }
        };
        let alarm = match kind {
            InformationKind::WritableCode => Some(AlarmKind::WritableCode),
            InformationKind::AnonymousCode => Some(AlarmKind::AnonymousCode),
            _ => None,
        };
        if let Some(kind) = alarm.filter(|_| options.strict) {
            let name = if name.is_empty() { "[anonymous memory]".to_owned() } else { name };
            report.alarms.push(Alarm::new(kind, name, mapping.range.start, 0, size));
            continue;
        }
        let alike = |known: &&mut Information| known.kind == kind && known.module == name;
        match report.information.iter_mut().find(alike) {
            Some(known) => known.size += size,
            None => report.information.push(Information::new(kind, mapping.range.clone(), name)),
        }
    }
}

/// Code of the kernel's.
const KERNELS: [&str; 3] = ["[vdso]", "[vsyscall]", "[uprobes]"];

/// What executable memory is told by.
struct OtherCode<'m> {
    process: &'m Process,
    maps: &'m [Mapping],
    /// Where the modules' code lies.
    code: Vec<Range<u64>>,
    files: &'m BTreeMap<FileId, Arc<Mmap>>,
    /// The converted file.
    program: Option<FileId>,
}

impl OtherCode<'_> {
    fn is_module(&self, mapping: &Mapping) -> bool {
        let range = &mapping.range;
        self.code.iter().any(|code| code.start <= range.start && range.end <= code.end)
    }
}
