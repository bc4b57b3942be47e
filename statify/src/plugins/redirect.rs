//! The loader's and the C library's system calls redirected to the agent.

use std::collections::{BTreeMap, BTreeSet};

use statify_elf::ElfFile;
use statify_elf::machine::{Code, Redirection, numbers};
use statify_params::agent::{SITE_LIBRARY, SITE_LOADER};

use crate::capture::CallSite;
use crate::classify::Image;
use crate::place::Place;

/// An instruction that goes to the agent instead.
pub struct Redirected {
    redirection: Redirection,
    /// Where address 0 of its module lies.
    bias: Place,
    /// SITE_*.
    kind: u32,
}

impl Redirected {
    /// Where what is replaced begins.
    pub fn start(&self) -> Place {
        self.bias.wrapping_add(self.redirection.start)
    }

    /// Where it ends.
    fn end(&self) -> Place {
        self.bias.wrapping_add(self.redirection.end)
    }

    /// What lies at `at` and calls the agent's `entry`. `None` if that is too far away.
    pub fn trampoline(&self, at: Place, entry: Place) -> Option<Vec<u8>> {
        let bias = self.bias.value();
        self.redirection.trampoline(bias, at.value(), entry.value(), self.kind)
    }

    /// What stands in its place and jumps to the trampoline at `at`.
    pub fn jump(&self, at: Place) -> Option<Vec<u8>> {
        self.redirection.jump(self.bias.value(), at.value())
    }
}

/// Sorts them by their places. `None` if two overlap.
pub fn sort(redirected: &mut [Redirected]) -> Option<()> {
    redirected.sort_by_key(Redirected::start);
    let apart = |pair: &[Redirected]| pair[0].end() <= pair[1].start();
    redirected.windows(2).all(apart).then_some(())
}

/// The instructions that open files or ask for their state; `None` if one cannot be redirected, or the
/// loader has none.
pub fn opening(
    image: &Image,
    loader: &BTreeSet<CallSite>,
    library: &BTreeSet<CallSite>,
) -> Option<Vec<Redirected>> {
    if loader.is_empty() {
        return None;
    }
    let loader = loader.iter().map(|site| (site.clone(), SITE_LOADER));
    let library = library.iter().map(|site| (site.clone(), SITE_LIBRARY));
    redirections(image, loader.chain(library))
}

/// The loader's instructions that read and map files, but for those of `opening`; `None` if they cannot be redirected.
pub fn reading(image: &Image, opening: &[Redirected]) -> Option<Vec<Redirected>> {
    let mut found = redirections(image, readers(image)?.into_iter())?;
    found.retain(|one| opening.iter().all(|other| other.start() != one.start()));
    Some(found)
}

/// The loader's instructions that read and map files, and those whose calls are not known: the agent goes by the number.
/// `None` unless there are some of either kind.
fn readers(image: &Image) -> Option<BTreeSet<(CallSite, u32)>> {
    let mut sites = BTreeSet::new();
    let (mut map, mut read) = (0, 0);
    let mut add = |found: &[u64], site: &dyn Fn(u64) -> CallSite| {
        sites.extend(found.iter().map(|&behind| (site(behind), SITE_LOADER)));
        found.len()
    };
    in_loader(image, |code, site| {
        let unknown = add(&code.calls_of_any_number(), site);
        map += add(&code.calls(&[numbers::SYS_mmap]), site) + unknown;
        read += add(&code.calls(&[numbers::SYS_pread64, numbers::SYS_lseek]), site) + unknown;
    })?;
    (map > 0 && read > 0).then_some(sites)
}

/// The loader's other instructions that ask for the state of a file, as far as they can be redirected: those that it has
/// for kernels without statx(2), if it makes that.
pub fn fallbacks(image: &Image, opening: &[Redirected]) -> Vec<Redirected> {
    let mut sites = BTreeSet::new();
    let found = in_loader(image, |code, site| {
        if !code.calls(&[numbers::SYS_statx]).is_empty() {
            let others = [numbers::SYS_stat, numbers::SYS_fstat, numbers::SYS_newfstatat];
            sites.extend(code.calls(&others).into_iter().map(site));
        }
    });
    let redirected = |site| redirections(image, std::iter::once((site, SITE_LOADER)));
    let mut all: Vec<Redirected> = match found {
        Some(()) => sites.into_iter().filter_map(redirected).flatten().collect(),
        None => Vec::new(),
    };
    all.retain(|one| opening.iter().all(|other| other.start() != one.start()));
    all
}

/// Looks at the loader's code, part by part, with what makes a site of an address behind an instruction.
fn in_loader(
    image: &Image,
    mut look: impl FnMut(&dyn Code, &dyn Fn(u64) -> CallSite),
) -> Option<()> {
    let object = image.loader()?;
    let elf = ElfFile::parse(&object.bytes).ok()?;
    for load in elf.loads().filter(|load| load.is_executable()) {
        let code = image.machine().code(&elf, elf.contents(load)?, load.p_vaddr);
        look(&*code, &|behind| {
            let offset = load.p_offset + (behind - load.p_vaddr);
            CallSite { path: object.path.clone(), offset }
        });
    }
    Some(())
}

/// How each instruction, whose kind is a SITE_*, can be redirected.
fn redirections(
    image: &Image,
    sites: impl Iterator<Item = (CallSite, u32)>,
) -> Option<Vec<Redirected>> {
    let mut by_object: BTreeMap<usize, Vec<(u64, u32)>> = BTreeMap::new();
    for (site, kind) in sites {
        let object = image.objects.iter().position(|object| object.path == site.path)?;
        by_object.entry(object).or_default().push((site.offset, kind));
    }
    let mut found = Vec::new();
    for (object, sites) in by_object {
        let elf = ElfFile::parse(&image.objects[object].bytes).ok()?;
        let module = image.module_of(object)?;
        if module.range.start.is_absolute() {
            return None;
        }
        let bias = Place::new(module.range.start.value().wrapping_sub(elf.span()?.start));
        for load in elf.loads().filter(|load| load.is_executable()) {
            let bytes = elf.contents(load)?;
            let mut code = None;
            for &(offset, kind) in &sites {
                let Some(at) = offset.checked_sub(load.p_offset).filter(|&at| at < load.p_filesz)
                else {
                    continue;
                };
                let code =
                    code.get_or_insert_with(|| image.machine().code(&elf, bytes, load.p_vaddr));
                let redirection = code.redirection(load.p_vaddr + at)?;
                found.push(Redirected { redirection, bias, kind });
            }
        }
    }
    Some(found)
}
