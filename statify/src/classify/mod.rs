//! From captures to an image: every word that differs between them is explained by *how* it
//! differs, and becomes a fix-up; a word that is not explained is an error.
//!
//! [`frame`] turns addresses into places, [`known`] lists the values whose origin is known,
//! [`words`] compares, [`cpu`] and [`ifunc`] tell what depends on the CPU, [`probes`] asks the
//! captures that vary one thing, [`secure`] those that vary AT_SECURE, [`scrub`] removes what belongs
//! to the machine of the conversion, [`tunables`] sees to variables that the loader has
//! read, [`origin`] to what it has made of `$ORIGIN`, [`whereabouts`] finds names for what is not explained.

pub mod cpu;
mod frame;
mod ifunc;
mod known;
mod origin;
mod probes;
mod rseq;
mod scrub;
mod search_path;
mod secure;
mod symbols;
pub mod tunables;
mod whereabouts;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use statify_elf::c_library::CLibrary;
use statify_elf::machine::Machine;
use statify_elf::{ElfFile, PAGE, PROT_EXEC, PROT_WRITE};
use statify_params::ABSOLUTE;
use statify_program::Refusal;

use crate::capture::secure::Secure;
use crate::capture::{Capture, KernelCall, Object};
use crate::error::{Error, Result};
use crate::unexplained::{self, Word, Words};
use cpu::CpuChoices;
use frame::Frame;
use search_path::SearchPath;
use tunables::{Tunables, Variables};
use whereabouts::Whereabouts;
use words::Slid;

pub use ifunc::Resolver;
pub use known::Value;
pub use secure::{SecureStart, expands_origin};

/// The captures that classification needs.
pub struct Captures {
    /// The program's C library.
    pub c_library: CLibrary,
    /// What the output is made of.
    pub first: Capture,
    /// Everything varied.
    pub second: Capture,
    /// The vDSO visible.
    pub vdso: Capture,
    /// Nothing bound early; `None` if the first is so itself, or if that is not to be had.
    pub lazy: Option<Capture>,
    /// What depends on the CPU.
    pub cpu: CpuChoices,
    /// The loader's own data without and with AT_SECURE; `None` if it could not be had.
    pub secure: Option<Secure>,
    /// How the C library's variables can be read again; `None` if they cannot.
    pub tunables: Option<Tunables>,
}

impl Captures {
    /// Whether everything was bound before the hand-off.
    pub fn are_bound(&self) -> bool {
        self.lazy.is_some() || !self.c_library.binds_on_request()
    }
}

/// An address as the output has it: with [`ABSOLUTE`] set an absolute one, else counted from the
/// block's base.
pub type Place = u64;

/// One mapped ELF object, or the loader's anonymous memory.
#[derive(Clone, Debug)]
pub struct Module {
    /// The object, by index; `None` for anonymous memory.
    pub object: Option<usize>,
    /// The group that slides alike: the program, one of libraries. None of those at fixed addresses.
    pub group: Option<usize>,
    /// Where it lies.
    pub range: Range<Place>,
}

/// A run of pages with the same permissions and origin.
#[derive(Clone, Debug)]
pub struct Region {
    /// Where it lies.
    pub range: Range<Place>,
    /// PROT_* at the hand-off.
    pub prot: u32,
    /// The object (by index) and the offset in it of the first page.
    pub file: Option<(usize, u64)>,
    /// The module, by index.
    pub module: usize,
}

/// A word that holds an address in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slide {
    /// The module it points into, by index.
    pub target: usize,
    /// Where the word is.
    pub at: Place,
}

/// A word that gets a value known only at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixup {
    /// Where.
    pub at: Place,
    /// Bytes: 4 or 8.
    pub width: u8,
    /// Which value.
    pub value: Value,
}

/// A page of the output, by what is in it.
pub type PageBytes = Box<[u8; PAGE as usize]>;

/// Everything that the output holds, before it is laid out in a file.
pub struct Image {
    /// The program's C library.
    pub c_library: CLibrary,
    /// Mapped files.
    pub objects: Vec<Object>,
    /// Where they and the loader's memory lie; ascending.
    pub modules: Vec<Module>,
    /// The memory; ascending.
    pub regions: Vec<Region>,
    /// Pages that are not plain pages of their file (or zero, where there is no file).
    pub pages: BTreeMap<Place, PageBytes>,
    /// Pointers: ascending.
    pub slides: Vec<Slide>,
    /// Pointers at addresses that are no multiple of 8.
    pub unaligned_slides: Vec<Slide>,
    /// Everything else that is known only at start; ascending.
    pub fixups: Vec<Fixup>,
    /// System calls to repeat, and which of their arguments are places.
    pub calls: Vec<(KernelCall, [bool; 4])>,
    /// The size of thread stacks where RLIMIT_STACK is unlimited, and their least size.
    pub thread_stack: (u64, u64),
    /// What a start under AT_SECURE does.
    pub secure: SecureStart,
    /// What becomes of the C library's variables.
    pub variables: Variables,
    /// Where to continue.
    pub handoff: Place,
    /// AT_ENTRY.
    pub entry: Place,
    /// AT_PHDR.
    pub phdr: Place,
    /// AT_PHNUM.
    pub phnum: u64,
    /// AT_BASE.
    pub loader: Place,
    /// Whether the stack is executable.
    pub executable_stack: bool,
    /// Whether everything was bound before the hand-off.
    pub bound: bool,
    /// The modules lie at addresses of their own; nothing slides.
    pub fixed: bool,
    /// What depends on the CPU.
    pub cpu: CpuChoices,
    /// Objects that the loader knows by [`statify_params::agent::FILE_DEVICE`] and their index plus 1.
    pub identified: BTreeSet<usize>,
    /// Objects that are embedded but not loaded.
    pub plugins: Range<usize>,
    /// Where the agent lies that serves them.
    pub agent: Option<Place>,
    /// Where its index lies.
    pub index: Range<Place>,
}

impl Image {
    /// The machine that it is for: its program's.
    pub fn machine(&self) -> Machine {
        let program = self.objects.first().and_then(|program| ElfFile::parse(&program.bytes).ok());
        program.and_then(|program| program.machine()).unwrap_or(Machine::HOST)
    }
}

/// Explains every difference. `program` is for messages.
pub fn classify(program: &std::path::Path, captures: Captures, fixed: bool) -> Result<Image> {
    let unexpected = |what: &str| Error::Unexpected(program.to_owned(), what.to_owned());
    let bound = captures.are_bound();
    let Captures { c_library, first, second, vdso, lazy, mut cpu, secure, tunables } = captures;
    let frame = Frame::new(&first, fixed);
    let frame_of_second = frame.of_further(&second);
    let distances = frame.slides(&frame_of_second);
    let mut distinct = distances.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if first.groups.len() != second.groups.len()
        || distinct.len() != distances.len()
        || !frame::same_shape(&first, &frame, &second, &frame_of_second)
    {
        return Err(unexpected("two runs mapped different memory"));
    }
    let modules = frame.modules(&first);
    let regions = frame.regions(&first, &modules);
    let both = PROT_WRITE | PROT_EXEC;
    if let Some(region) = regions.iter().find(|region| region.prot & both == both) {
        let object = modules[region.module].object.unwrap_or(0);
        let module = first.objects[object].path.clone();
        return Err(Refusal::WritableCode(program.to_owned(), module).into());
    }
    let mut pages =
        words::Memory { capture: &first, frame: &frame }.copy_pages(&second, &frame_of_second);
    let known = known::Known::new(&first, &second, distances.clone());
    let mut compared = words::compare(
        &words::Memory { capture: &first, frame: &frame },
        &words::Memory { capture: &second, frame: &frame_of_second },
        &known,
    );
    if !compared.unexplained.is_empty() {
        let kept = compared.unexplained.iter().take(unexplained::MOST_KEPT);
        let kept = kept.map(|&word| unexplained_word(word, &modules, &first.objects));
        let words = Words { count: compared.unexplained.len(), kept: kept.collect() };
        return Err(Error::Unexplained(program.to_owned(), Box::new(words)));
    }

    if c_library == CLibrary::Musl
        && let Some(SearchPath { pointer, text }) = search_path::find(&first, &frame)
    {
        compared.slid.retain(|slid| slid.at != pointer);
        words::write(&mut pages, pointer, &[0; 8]);
        if let Some((at, len)) = text {
            words::write(&mut pages, at, &vec![0; len]);
        }
    }
    let origin = origin::find(c_library, &first, &frame).map_err(|origin::NotFound| {
        unexpected("it is not found where the loader keeps its search path, which says $ORIGIN")
    })?;
    let of_origin: BTreeSet<Place> =
        origin.forgotten.iter().copied().chain(origin.relative.iter().map(|word| word.0)).collect();
    compared.slid.retain(|slid| !of_origin.contains(&slid.at));
    for &at in &of_origin {
        words::write(&mut pages, at, &[0; 8]);
    }
    for &at in &origin.missing {
        words::write(&mut pages, at, &[0; 4]);
    }
    let mut slides = Vec::new();
    let mut unaligned_slides = Vec::new();
    for &Slid { at, value, group } in &compared.slid {
        let target = frame::attribute(&modules, group, at, frame.place(value))
            .ok_or_else(|| unexpected("a pointer leads into memory that is not there"))?;
        let stored = value.wrapping_sub(frame.address(modules[target].range.start));
        words::write(&mut pages, at, &stored.to_le_bytes());
        let list = if at % 8 == 0 { &mut slides } else { &mut unaligned_slides };
        list.push(Slide { target, at });
    }
    let mut fixups = compared.fixups;
    let relative = origin.relative.into_iter();
    fixups.extend(relative.map(|(at, rest)| Fixup { at, width: 8, value: Value::Origin(rest) }));
    for fixup in &fixups {
        words::write(&mut pages, fixup.at, &[0; 8][..usize::from(fixup.width)]);
    }
    let is_module =
        |at| frame::module_at(&modules, at).is_some_and(|m| modules[m].object.is_some());
    fixups.extend(
        probes::vdso_functions(&vdso, &Frame::new(&vdso, fixed)).filter(|f| is_module(f.at)),
    );
    for (at, default) in probes::auxv_defaults(&fixups, &frame, &vdso).filter(|d| is_module(d.0)) {
        words::write(&mut pages, at, &default);
    }
    fixups.extend(rseq::sizes(&first, &frame));
    let thread_stack = probes::thread_stack(&fixups, &frame, &vdso, lazy.as_ref());
    if let Some(lazy) = &lazy {
        let loader = modules.iter().find(|module| module.object == Some(1));
        let loader = loader.ok_or_else(|| unexpected("its loader is in no module"))?;
        let flag = probes::lazy_flag(&first, lazy, &frame, loader).map_err(|count| {
            unexpected(&format!("the loader keeps lazy binding in {count} places"))
        })?;
        words::write(&mut pages, flag, &1u32.to_le_bytes());
    }
    let (secure, differences) =
        secure::decide(c_library, &first, secure.as_ref(), |difference, a, b| {
            let at = frame.place(difference.address);
            let end = at + u64::from(difference.width);
            let apart = |fixup: &Fixup| fixup.at + u64::from(fixup.width) <= at || end <= fixup.at;
            let slid = compared.slid.iter().any(|slid| slid.at < end && at < slid.at + 8);
            let loader = &first.objects[1].range;
            let pointers = difference.width == 8 && loader.contains(&a) && loader.contains(&b);
            fixups.iter().all(apart) && (fixed || slid == pointers)
        });
    fixups.extend(differences.into_iter().map(|difference| Fixup {
        at: frame.place(difference.address),
        width: difference.width,
        value: Value::Secure(difference.larger),
    }));
    let identified = scrub::file_ids(&first, &frame, &mut pages);
    scrub::apic_ids(&first, &mut pages);
    let plain = |at: &Place, page: &PageBytes| {
        let region = first.region_at(frame.address(*at));
        region.is_some_and(|region| match first.file_page(region, frame.address(*at)) {
            Some(file) => page[..file.len()] == *file && page[file.len()..].iter().all(|&b| b == 0),
            None => page.iter().all(|&byte| byte == 0),
        })
    };
    pages.retain(|at, page| !plain(at, page));
    slides.sort_unstable();
    unaligned_slides.sort_unstable();
    fixups.sort_by_key(|fixup| fixup.at);

    let loader = first.objects.get(1).map(|loader| &loader.bytes[..]);
    let variables = Variables::of(tunables, loader.unwrap_or_default());
    cpu.spare(&fixups.iter().map(|fixup| fixup.at & !7).collect());
    let calls = frame::calls(&first, &second, &frame, &distances)
        .ok_or_else(|| unexpected("two runs made different system calls"))?;
    let aux = |kind| first.stack.value(kind).unwrap_or(0);
    Ok(Image {
        c_library,
        modules,
        regions,
        pages,
        slides,
        unaligned_slides,
        fixups,
        calls,
        thread_stack,
        secure,
        variables,
        handoff: frame.place(first.handoff),
        entry: frame.place(aux(crate::capture::auxv::AT_ENTRY)),
        phdr: frame.place(aux(crate::capture::auxv::AT_PHDR)),
        phnum: aux(crate::capture::auxv::AT_PHNUM),
        loader: frame.place(aux(crate::capture::auxv::AT_BASE)),
        executable_stack: first.executable_stack,
        bound,
        plugins: first.objects.len()..first.objects.len(),
        objects: first.objects,
        fixed,
        cpu,
        identified,
        agent: None,
        index: 0..0,
    })
}

/// What is known of a word that is not explained: its place and its two values.
fn unexplained_word(
    (at, first, second): (Place, u64, u64),
    modules: &[Module],
    objects: &[Object],
) -> Word {
    let module = frame::module_at(modules, at).map(|module| &modules[module]);
    let object = module.and_then(|module| module.object).map(|object| &objects[object]);
    let offset = at - module.map_or(0, |module| module.range.start);
    let Whereabouts { section, symbol } =
        object.map(|object| whereabouts::of(&object.bytes, offset)).unwrap_or_default();
    let module = object.map_or_else(
        || "the loader's memory".to_owned(),
        |object| object.path.display().to_string(),
    );
    Word { module, offset, section, symbol, first, second }
}

/// Whether a place is an absolute address.
pub fn is_absolute(place: Place) -> bool {
    place & ABSOLUTE != 0
}
