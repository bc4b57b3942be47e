//! From captures to an image: every word that differs between them is explained by *how* it
//! differs, and becomes a fix-up; a word that is not explained is an error.
//!
//! [`frame`] turns addresses into places, [`known`] lists the values whose origin is known,
//! [`words`] compares, [`draft`] is the image in the making, [`image`] the complete one, whose memory
//! [`memory`] describes; [`calls`] are repeated, [`cpu`] and [`ifunc`] tell what depends on the CPU, [`probes`] asks the
//! captures that vary one thing, [`secure`] those that vary AT_SECURE, [`hwcap`] those that vary AT_HWCAP, [`scrub`] removes what belongs
//! to the machine of the conversion, [`tunables`] sees to variables that the loader has
//! read, [`origin`] to what it has made of `$ORIGIN`, [`whereabouts`] finds names for what is not explained.

mod calls;
pub mod cpu;
mod draft;
pub mod early;
mod frame;
mod hwcap;
mod ifunc;
mod image;
mod known;
mod memory;
mod origin;
pub mod page_size;
mod probes;
mod rseq;
mod scrub;
mod search_path;
mod secure;
mod symbols;
pub mod tunables;
mod whereabouts;
mod words;

use std::collections::BTreeSet;
use std::path::Path;

use statify_elf::c_library::CLibrary;
use statify_elf::{PROT_EXEC, PROT_WRITE};
use statify_program::Refusal;

use crate::capture::secure::Secure;
use crate::capture::short_run::LoaderMemory;
use crate::capture::{Capture, Object, PROGRAM, auxv};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::unexplained::{self, Word, Words};
use cpu::CpuChoices;
use draft::Draft;
use frame::Frame;
use tunables::{Tunables, Variables};
use whereabouts::Whereabouts;
use words::{Compared, Memory};

pub use calls::{Argument, Call};
pub use ifunc::Resolver;
pub use image::Image;
pub use known::Value;
pub use memory::{Fixup, Module, PageBytes, Region, Slide};
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
    /// The loader's own data on CPUs of which the kernel says one thing or another; see [`crate::capture::hwcap`].
    pub hwcap: Vec<LoaderMemory>,
    /// How the C library's variables can be read again; `None` if they cannot.
    pub tunables: Option<Tunables>,
    /// The word that holds the size of pages, if that was looked for and found.
    pub page_size: Option<Place>,
}

impl Captures {
    /// Whether everything was bound before the hand-off.
    pub fn are_bound(&self) -> bool {
        self.lazy.is_some() || !self.c_library.binds_on_request()
    }
}

/// Explains every difference. `program` is for messages.
pub fn classify(program: &Path, captures: Captures, fixed: bool) -> Result<Image> {
    let unexpected = |what: &str| Error::Unexpected(program.to_owned(), what.to_owned());
    let bound = captures.are_bound();
    let Captures {
        c_library,
        first,
        second,
        vdso,
        lazy,
        mut cpu,
        secure,
        hwcap,
        tunables,
        page_size,
    } = captures;
    let frames = Frames::new(&first, &second, fixed);
    let frames = frames.ok_or_else(|| unexpected("two runs mapped different memory"))?;
    let frame = &frames.first;
    let modules = frame.modules(&first);
    let regions = frame.regions(&first, &modules);
    check_code(program, &first, &modules, &regions)?;
    let compared = compare(program, [&first, &second], &frames, &modules)?;

    let pages = Memory { capture: &first, frame }.copy_pages(&second, &frames.second);
    let mut draft = Draft::new(&first, frame, &modules, pages, compared);
    if c_library == CLibrary::Musl {
        draft.forget_search_path();
    }
    draft.free_origin(c_library).map_err(|origin::NotFound| {
        unexpected("it is not found where the loader keeps its search path, which says $ORIGIN")
    })?;
    let (slides, unaligned_slides) = draft
        .store_pointers()
        .ok_or_else(|| unexpected("a pointer leads into memory that is not there"))?;
    draft.clear_fixups();
    draft.ask_vdso(&vdso, &Frame::new(&vdso, fixed));
    let thread_stack = probes::thread_stack(&draft.fixups, frame, &vdso, lazy.as_ref());
    if let Some(lazy) = &lazy {
        draft.bind_lazily(lazy).map_err(|what| unexpected(&what))?;
    }
    let followers = secure
        .as_ref()
        .map(|secure| hwcap::followers(&first, &secure.without, &hwcap))
        .unwrap_or_default();
    let (secure, differences) =
        secure::decide(c_library, &first, secure.as_ref(), |difference, a, b| {
            draft.may_differ(difference, a, b, fixed)
        });
    draft.add_differences(differences);
    draft.add_hwcaps(followers, fixed);
    let identified = scrub::file_ids(&first, frame, &mut draft.pages);
    scrub::apic_ids(&first, &mut draft.pages);
    draft.drop_plain_pages();
    let Draft { pages, mut fixups, .. } = draft;
    // What the C library has made of the size of pages follows it by a function that is known.
    let is_followed = tunables.is_some() || tunables::take_over(&first).is_none();
    let page_size = page_size.filter(|_| is_followed);
    if let Some(found) = page_size {
        let more = page_size::fixups(&first, frame, found, &fixups);
        fixups.extend(more);
    }
    fixups.sort_by_key(|fixup| fixup.at);

    let loader = first.loader().map(|loader| &loader.bytes[..]);
    let variables = Variables::of(tunables, loader.unwrap_or_default());
    cpu.spare(&fixups.iter().map(|fixup| fixup.at.align_down(first.machine.word())).collect());
    let calls = calls::calls(&first, &second, frame, &frames.slides)
        .ok_or_else(|| unexpected("two runs made different system calls"))?;
    let aux = |kind| first.stack.value(kind).unwrap_or(0);
    Ok(Image {
        c_library,
        regions,
        pages,
        slides,
        unaligned_slides,
        fixups,
        calls,
        thread_stack,
        secure,
        variables,
        page_size: page_size::told(&first),
        page_size_followed: page_size.is_some(),
        handoff: frame.place(first.handoff),
        entry: frame.place(aux(auxv::AT_ENTRY)),
        phdr: frame.place(aux(auxv::AT_PHDR)),
        phnum: aux(auxv::AT_PHNUM),
        loader_base: frame.place(aux(auxv::AT_BASE)),
        executable_stack: first.executable_stack,
        bound,
        plugins: first.objects.len()..first.objects.len(),
        fixed,
        cpu,
        identified,
        agent: None,
        index: Place::default()..Place::default(),
        modules,
        objects: first.objects,
    })
}

/// The frames of the two captures that are compared.
struct Frames {
    first: Frame,
    second: Frame,
    /// By how much the second's pointers into each group are larger.
    slides: Vec<u64>,
}

impl Frames {
    /// `None` if the captures have other mappings, or pointers into two groups differ alike.
    fn new(first: &Capture, second: &Capture, fixed: bool) -> Option<Self> {
        let frame = Frame::new(first, fixed);
        let other = frame.of_further(second);
        let slides = frame.slides(&other);
        let distinct: BTreeSet<u64> = slides.iter().copied().collect();
        let alike = first.groups.len() == second.groups.len()
            && distinct.len() == slides.len()
            && frame::same_shape(first, &frame, second, &other);
        alike.then_some(Self { first: frame, second: other, slides })
    }
}

/// Refuses code that its program may write to.
fn check_code(
    program: &Path,
    first: &Capture,
    modules: &[Module],
    regions: &[Region],
) -> Result<()> {
    let both = PROT_WRITE | PROT_EXEC;
    let writable = regions.iter().find(|region| region.prot & both == both);
    writable.map_or(Ok(()), |region| {
        let object = modules[region.module].object.unwrap_or(PROGRAM);
        let module = first.objects[object].path.clone();
        Err(Refusal::WritableCode(program.to_owned(), module).into())
    })
}

/// Compares the captures; a difference that is not explained is an error.
fn compare(
    program: &Path,
    [first, second]: [&Capture; 2],
    frames: &Frames,
    modules: &[Module],
) -> Result<Compared> {
    let known = known::Known::new(first, second, frames.slides.clone());
    let compared = words::compare(
        &Memory { capture: first, frame: &frames.first },
        &Memory { capture: second, frame: &frames.second },
        &known,
    );
    if compared.unexplained.is_empty() {
        return Ok(compared);
    }
    let kept = compared.unexplained.iter().take(unexplained::MOST_KEPT);
    let kept = kept.map(|&word| unexplained_word(word, modules, &first.objects));
    let words = Words { count: compared.unexplained.len(), kept: kept.collect() };
    Err(Error::Unexplained(program.to_owned(), Box::new(words)))
}

/// What is known of a word that is not explained: its place and its two values.
fn unexplained_word(
    (at, first, second): (Place, u64, u64),
    modules: &[Module],
    objects: &[Object],
) -> Word {
    let module = frame::module_at(modules, at).map(|module| &modules[module]);
    let object = module.and_then(|module| module.object).map(|object| &objects[object]);
    let offset = module.map_or(at.value(), |module| at - module.range.start);
    let Whereabouts { section, symbol } =
        object.map(|object| whereabouts::of(&object.bytes, offset)).unwrap_or_default();
    let module = object.map_or_else(
        || "the loader's memory".to_owned(),
        |object| object.path.display().to_string(),
    );
    Word { module, offset, section, symbol, first, second }
}
