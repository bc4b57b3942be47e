//! The facts of a converted file: its manifest, its memory, what the starter does, its pages, and what
//! takes how much of it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use statify_elf::PAGE;
use statify_elf::machine::Machine;
use statify_format::build_id;
use statify_format::manifest::{EmbeddedFile, Manifest, Memory, hex};
use statify_format::parameters::{Parameters, ParametersError};
use statify_format::variables;
use statify_params::Fixup;
use statify_room::Root;

use super::open::Converted;
use super::originals::Original;
use super::pages::{self, Pages};
use super::places::{self, Places};

/// Everything that is shown of a file.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Its build-id, in hexadecimal.
    pub build_id: Option<String>,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The PT_LOADs.
    pub loads: Vec<Load>,
    /// What the starter does.
    pub starter: Starter,
    /// All pages.
    pub pages: Pages,
    /// The pages of each embedded file, in the manifest's order, then those of none.
    pub pages_by_file: Vec<FilePages>,
    /// What the file consists of.
    pub sizes: Sizes,
}

/// A PT_LOAD.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// p_vaddr.
    pub address: u64,
    /// p_memsz.
    pub size: u64,
    /// p_flags, as in /proc/PID/maps.
    pub prot: String,
    /// p_offset.
    pub offset: u64,
    /// p_filesz.
    pub stored: u64,
}

/// The pages of an embedded file.
#[derive(Clone, Debug, Serialize)]
pub struct FilePages {
    /// Its path; none for memory of no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<std::path::PathBuf>,
    /// What is at that path now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<&'static str>,
    /// Of it.
    pub pages: Pages,
}

/// What the starter does, by its tables.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Starter {
    /// The code is that of this build of elfscan.
    pub is_ours: bool,
    /// Words that get an address, by the embedded file that they point into.
    pub pointers: Vec<Pointers>,
    /// Other words that are known at start only, by what they get.
    pub fixups: BTreeMap<String, u64>,
    /// Words written because the file does not have them in their pages, or not their pages.
    pub constants: u64,
    /// IFUNC resolvers.
    pub resolvers: u64,
    /// Words that hold what they answer.
    pub resolver_slots: u64,
    /// What the CPU must have is written down.
    pub has_floor: bool,
    /// What is prepared for CPUs.
    pub cpus: Vec<Cpu>,
    /// On other CPUs the resolvers are called.
    pub chosen_at_start: bool,
    /// The loader's calls that are made again.
    pub calls: Vec<String>,
    /// Groups of libraries that slide alike, each at a distance of its own.
    pub groups: u64,
    /// Runs of pages of the file mapped.
    pub maps: u64,
    /// Runs of zero pages mapped.
    pub zeros: u64,
    /// Libraries that are looked for in the pool, the directory of which is among the manifest's options.
    pub pool_files: u64,
    /// Changes of permissions after it writes.
    pub protects: u64,
    /// Runs of pages sealed (mseal(2)).
    pub seals: u64,
    /// Runs of pages made present at once.
    pub populates: u64,
    /// Under AT_SECURE.
    pub secure: &'static str,
    /// Which of the C library's variables count.
    pub variables: &'static str,
    /// The oldest kernel that the embedded files take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_kernel: Option<String>,
}

/// Words that point into one embedded file.
#[derive(Clone, Debug, Serialize)]
pub struct Pointers {
    /// Its path; none for memory of no file.
    pub into: Option<std::path::PathBuf>,
    /// Their number.
    pub count: u64,
}

/// What is prepared for a CPU.
#[derive(Clone, Debug, Serialize)]
pub struct Cpu {
    /// As the manifest calls it.
    pub name: String,
    /// For this one CPU only.
    pub exact: bool,
    /// Words that it gets: literal ones, and pointers.
    pub words: u64,
}

/// What the file consists of, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sizes {
    /// All of it.
    pub file: u64,
    /// What it takes on its file system.
    pub allocated: u64,
    /// ELF header, program headers, and padding up to the tables.
    pub headers: u64,
    /// The starter's tables and parameters.
    pub tables: u64,
    /// The starter's code, to whole pages.
    pub starter: u64,
    /// Memory of embedded files.
    pub modules: u64,
    /// Memory of none.
    pub other_memory: u64,
    /// Sections of the program that are not loaded, its payload, and section headers.
    pub unloaded: u64,
    /// The manifest and the sums of the pages' checksums.
    pub manifest: u64,
    /// Zeros between them.
    pub padding: u64,
}

/// Looks at all of it. `allocated` is what the file takes on its file system; originals are looked for
/// in `root`, if any.
pub fn describe(
    converted: &Converted<'_>,
    allocated: u64,
    root: Option<&Root>,
) -> Result<Shown, ParametersError> {
    let parameters = Parameters::read(&converted.elf)?;
    let places = Places::of(converted);
    let written = pages::written(&parameters, &places)?;
    let pooled = pages::from_pool(&parameters, &places);
    let manifest = &converted.manifest;
    let mut pages_by_file: Vec<FilePages> = Vec::new();
    for file in &manifest.files {
        let original = root.map(|root| Original::find(root, file));
        let mut sum = Pages::default();
        for memory in &file.memory {
            let mut own = pages::of(&places, Some(file), memory, &written, &pooled);
            own.as_in_original = compare(converted, original.as_ref(), memory);
            sum += own;
        }
        let original = original.map(|original| match original {
            Original::Same(_) => "same",
            Original::Other => "changed",
            Original::Missing => "missing",
        });
        pages_by_file.push(FilePages { path: Some(file.path.clone()), original, pages: sum });
    }
    let mut of_none = Pages::default();
    for memory in &manifest.memory {
        of_none += pages::of(&places, None, memory, &written, &pooled);
    }
    pages_by_file.push(FilePages { path: None, original: None, pages: of_none });
    let mut all = Pages::default();
    pages_by_file.iter().for_each(|of| all += of.pages);
    let loads = converted.elf.loads().map(|load| Load {
        address: load.p_vaddr,
        size: load.p_memsz,
        prot: statify_process::procfs::prot_name(super::memory::prot_of(load.p_flags)),
        offset: load.p_offset,
        stored: load.p_filesz,
    });
    Ok(Shown {
        build_id: converted.elf.build_id().map(|id| hex(&id)),
        manifest: manifest.clone(),
        loads: loads.collect(),
        starter: starter(converted, &parameters, &places)?,
        pages: all,
        pages_by_file,
        sizes: sizes(converted, &parameters, allocated),
    })
}

fn compare(converted: &Converted<'_>, original: Option<&Original>, memory: &Memory) -> Option<u64> {
    let original = original?.bytes()?;
    let (Some(start), Some(offset)) = (memory.stored_at, memory.file_offset) else {
        return Some(0);
    };
    let stored = converted.part(start..start.checked_add(memory.size)?)?;
    Some(pages::as_in_original(stored, original, offset))
}

fn starter(
    converted: &Converted<'_>,
    parameters: &Parameters<'_>,
    places: &Places,
) -> Result<Starter, ParametersError> {
    let (params, files) = (&parameters.params, &converted.manifest.files);
    let mut pointers: BTreeMap<Option<usize>, u64> = BTreeMap::new();
    for slide in parameters.slides() {
        *pointers.entry(places.file_at(slide.target)).or_default() += u64::from(slide.count);
    }
    let mut fixups: BTreeMap<String, u64> = BTreeMap::new();
    for fixup in parameters.fixups() {
        if fixup.kind == statify_params::FIXUP_UNALIGNED_SLIDE {
            let target = u64::from(fixup.extra) * PAGE;
            *pointers.entry(places.file_at(target)).or_default() += 1;
        }
        *fixups.entry(name_of(parameters, &fixup)).or_default() += 1;
    }
    let path = |file: &EmbeddedFile| file.path.clone();
    let pointers = pointers.into_iter().map(|(index, count)| Pointers {
        into: index.and_then(|index| files.get(index)).map(path),
        count,
    });
    let mut pointers: Vec<Pointers> = pointers.collect();
    pointers.sort_by_key(|pointers| std::cmp::Reverse(pointers.count));
    let names = &converted.manifest.options.cpu.prepared;
    let cpus = parameters.variants().enumerate().map(|(index, variant)| Cpu {
        name: names.get(index).cloned().unwrap_or_default(),
        exact: variant.exact != 0,
        words: parameters.constants(variant.literals).count() as u64
            + u64::from(variant.pointers.count),
    });
    let machine = converted.elf.machine();
    let calls = parameters.calls().map(|call| call_name(machine, call.number));
    let code = converted.part(parameters.code.clone()).unwrap_or_default();
    Ok(Starter {
        is_ours: starter::image(converted.elf.header().e_machine)
            .is_some_and(|image| code.starts_with(image)),
        pointers,
        fixups,
        constants: parameters.constants(params.constants).count() as u64,
        resolvers: params.resolvers.count.into(),
        resolver_slots: parameters.resolvers().map(|resolver| u64::from(resolver.count)).sum(),
        has_floor: params.floor != statify_params::CpuFeatures::default(),
        cpus: cpus.collect(),
        chosen_at_start: params.can_resolve != 0,
        calls: calls.collect(),
        groups: params.groups.count.into(),
        maps: params.maps.count.into(),
        zeros: params.zeros.count.into(),
        pool_files: params.pool_files.count.into(),
        protects: params.protects.count.into(),
        seals: params.seals.count.into(),
        populates: params.populates.count.into(),
        secure: match params.secure {
            statify_params::SECURE_BY_LIBRARY => "left to the C library",
            statify_params::SECURE_AS_GLIBC => "as glibc's loader",
            _ => "refused",
        },
        variables: variables::describe(params),
        least_kernel: (params.least_kernel != 0).then(|| {
            let [patch, minor, major, ..] = params.least_kernel.to_le_bytes();
            format!("{major}.{minor}.{patch}")
        }),
    })
}

/// What a fix-up writes; for the vDSO with the function, for auxv with the entry.
fn name_of(parameters: &Parameters<'_>, fixup: &Fixup) -> String {
    let name = match fixup.kind {
        statify_params::FIXUP_STACK => "stack",
        statify_params::FIXUP_ENVP => "envp",
        statify_params::FIXUP_AUXV => "auxv",
        statify_params::FIXUP_ARGC => "argc",
        statify_params::FIXUP_AUX_VALUE => return format!("auxv {}", auxv_name(fixup.arg)),
        statify_params::FIXUP_CANARY => "canary",
        statify_params::FIXUP_POINTER_GUARD | statify_params::FIXUP_RANDOM_WORD => "pointer guard",
        statify_params::FIXUP_THREAD_ID => "thread id",
        statify_params::FIXUP_BREAK => "break",
        statify_params::FIXUP_STACK_LIMIT => "stack limit",
        statify_params::FIXUP_VDSO => {
            let name = parameters.name(fixup.arg.into()).unwrap_or_default();
            return format!("vdso {}", String::from_utf8_lossy(name));
        }
        statify_params::FIXUP_RANDOM => "random",
        statify_params::FIXUP_UNALIGNED_SLIDE => "unaligned pointer",
        statify_params::FIXUP_TIMESTAMP | statify_params::FIXUP_TIMESTAMP_HIGH => "timestamp",
        statify_params::FIXUP_SECURE => "secure",
        statify_params::FIXUP_ORIGIN => "path by $ORIGIN",
        statify_params::FIXUP_RSEQ_SIZE => "rseq size",
        statify_params::FIXUP_CPU_WORD | statify_params::FIXUP_HWCAP => "CPU",
        kind => return format!("unknown {kind}"),
    };
    name.into()
}

/// Names of auxiliary vector entries (getauxval(3)).
fn auxv_name(kind: u16) -> String {
    let names = [
        (libc::AT_PHDR, "AT_PHDR"),
        (libc::AT_PHNUM, "AT_PHNUM"),
        (libc::AT_PAGESZ, "AT_PAGESZ"),
        (libc::AT_BASE, "AT_BASE"),
        (libc::AT_ENTRY, "AT_ENTRY"),
        (libc::AT_UID, "AT_UID"),
        (libc::AT_EUID, "AT_EUID"),
        (libc::AT_GID, "AT_GID"),
        (libc::AT_EGID, "AT_EGID"),
        (libc::AT_PLATFORM, "AT_PLATFORM"),
        (libc::AT_HWCAP, "AT_HWCAP"),
        (libc::AT_CLKTCK, "AT_CLKTCK"),
        (libc::AT_SECURE, "AT_SECURE"),
        (libc::AT_RANDOM, "AT_RANDOM"),
        (libc::AT_HWCAP2, "AT_HWCAP2"),
        (libc::AT_EXECFN, "AT_EXECFN"),
        (libc::AT_SYSINFO_EHDR, "AT_SYSINFO_EHDR"),
        (libc::AT_MINSIGSTKSZ, "AT_MINSIGSTKSZ"),
    ];
    let found = names.iter().find(|(number, _)| *number == u64::from(kind));
    found.map_or_else(|| kind.to_string(), |(_, name)| (*name).into())
}

/// Names of the calls that a conversion records.
fn call_name(machine: Option<Machine>, number: u64) -> String {
    let names = [
        (statify_params::CALL_SET_THREAD_POINTER as i64, "thread pointer"),
        (libc::SYS_set_tid_address, "set_tid_address"),
        (libc::SYS_set_robust_list, "set_robust_list"),
        (libc::SYS_rseq, "rseq"),
    ];
    let found = names.iter().find(|(known, _)| *known as u64 == number).map(|(_, name)| *name);
    let found = found.or_else(|| machine?.own_call_name(number as i64));
    found.map_or_else(|| format!("call {number}"), str::to_owned)
}

fn sizes(converted: &Converted<'_>, parameters: &Parameters<'_>, allocated: u64) -> Sizes {
    let manifest = &converted.manifest;
    let stored = |memory: &Memory| memory.stored_at.map_or(0, |_| memory.size);
    let sum = |of_file: bool| -> u64 {
        let own = places::all(manifest).filter(|(file, _)| file.is_some() == of_file);
        own.map(|(_, memory)| stored(memory)).fold(0, u64::saturating_add)
    };
    let offsets = parameters.tables().map(|(_, table, _)| u64::from(table.offset));
    let streams = parameters.slides().map(|slide| u64::from(slide.stream));
    let code = &parameters.code;
    let first = offsets.into_iter().chain(streams).max().unwrap_or(0);
    let tables = first + size_of::<statify_params::Params>() as u64;
    let notes =
        |end: u64| manifest_notes(converted).map_or(0, |notes| notes.end.min(end) - notes.start);
    let unloaded = manifest.unloaded.iter().fold(0u64, |sum, part| sum.saturating_add(part.size));
    let mut sizes = Sizes {
        file: converted.bytes().len() as u64,
        allocated,
        headers: code.start.saturating_sub(tables),
        tables,
        starter: code.end - code.start,
        modules: sum(true),
        other_memory: sum(false),
        unloaded: unloaded.saturating_add(converted.elf.section_table().1),
        manifest: notes(converted.bytes().len() as u64),
        padding: 0,
    };
    let all = [sizes.starter, sizes.modules, sizes.other_memory, sizes.unloaded, sizes.manifest];
    let used = all.into_iter().fold(code.start, u64::saturating_add);
    sizes.padding = sizes.file.saturating_sub(used);
    sizes
}

/// The file offsets of the PT_NOTE that holds the manifest.
fn manifest_notes(converted: &Converted<'_>) -> Option<Range<u64>> {
    let at = build_id::sums_position(converted.bytes(), &converted.elf)? as u64;
    let notes = converted
        .elf
        .segments()
        .iter()
        .map(|segment| segment.p_offset..segment.p_offset.saturating_add(segment.p_filesz));
    notes.into_iter().find(|range| range.contains(&at) && range.start != 0)
}
