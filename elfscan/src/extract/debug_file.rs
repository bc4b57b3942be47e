//! A separate debug file for a converted program: the symbols and unwinding tables of all its modules, at
//! their addresses in it, with its build-id and its program headers. gdb, perf and elfutils take it as
//! what `objcopy --only-keep-debug` makes.

use goblin::elf::program_header::{PT_LOAD, PT_NOTE, ProgramHeader};
use goblin::elf::section_header::{
    SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_ABS, SHT_NOBITS, SHT_NOTE, SHT_PROGBITS, SHT_STRTAB,
    SHT_SYMTAB,
};
use goblin::elf::sym::Sym;
use memmap2::Mmap;
use statify_elf::ElfFile;
use statify_elf::encode::{self, Sizes};
use statify_format::build_id;
use statify_format::manifest::{EmbeddedFile, FileKind, Manifest};

use super::frames;
use super::symbols::{self, Named};
use super::table::{self, Section, SectionTable, plain};
use crate::converted::module;

/// The symbol at a converted program's first byte, from which addresses in it count.
pub const BASE: &str = "statify_base";

/// Indices above have other meanings (gABI, SHN_LORESERVE), and a few sections follow.
const MOST_SECTIONS: usize = 0xfe00;

/// The debug file of `output`, with the modules that are `wanted`; `tables` are the files that have
/// further symbols of a module. `None` if `output` is not as a conversion writes it.
pub fn make(
    output: &[u8],
    manifest: &Manifest,
    wanted: impl Fn(&EmbeddedFile) -> bool,
    tables: impl Fn(&EmbeddedFile) -> Vec<Mmap>,
) -> Option<Vec<u8>> {
    let elf = ElfFile::parse_known(output).ok()?;
    let mut debug = front(output, &elf)?;
    let mut sections = vec![note(&debug, output, &elf)?];
    let mut named = vec![];
    let mut unwinding = Vec::new();
    let modules = manifest.files.iter().filter(|file| file.kind != FileKind::Plugin);
    for file in modules.filter(|file| wanted(file)) {
        let Some(module) = module::rebuild(output, file) else { continue };
        let Some(addresses) = module.addresses else { continue };
        let name = file_name(file);
        sections.extend(of_memory(file, &name));
        let symbols = symbols::of_module(&module.image, &addresses, &tables(file), &name);
        named.extend(symbols.into_iter().map(|symbol| (symbol, file.fixed)));
        if let Some(frames) = ElfFile::parse_any(&module.image).ok().as_ref().and_then(frames::find)
        {
            let place = |address| addresses.in_output(address);
            frames::append(&frames::read(&frames), &mut unwinding, elf.address_size(), place);
        }
    }
    sections.extend(starter(&elf));
    let first = elf.loads().map(|load| load.p_vaddr).min()?;
    let mark = |address, name: &str| Named {
        address,
        size: 0,
        name: name.into(),
        info: symbols::FUNCTION,
    };
    named.push((mark(first, BASE), false));
    named.push((mark(elf.header().e_entry, "statify_start"), false));
    let mut table = SectionTable::default();
    sections.sort_by_key(|section| section.address);
    sections.truncate(MOST_SECTIONS);
    for section in sections {
        table.insert(table.end(), section);
    }
    put_symbols(&mut debug, &mut table, named, elf.is_64());
    let offset = align(&mut debug);
    debug.extend(&unwinding);
    table.insert(table.end(), plain(".debug_frame", SHT_PROGBITS, offset, unwinding.len() as u64));
    align(&mut debug);
    let position = table.append(&mut debug, elf.is_64());
    table::put_position(&mut debug, position);
    Some(debug)
}

/// The headers and the build-id of the output; its segments have no bytes here.
fn front(output: &[u8], elf: &ElfFile<'_>) -> Option<Vec<u8>> {
    let end = build_id::position(output, elf)? + build_id::BUILD_ID;
    let mut front = output.get(..end)?.to_vec();
    let headers = usize::try_from(elf.header().e_phoff).ok()?;
    let size = Sizes::of(elf.is_64()).program_header;
    for (index, segment) in elf.segments().iter().enumerate() {
        let to = front.get_mut(headers + index * size..)?.get_mut(..size)?;
        match segment.p_type {
            PT_NOTE if segment.p_vaddr != 0 => {}
            // The manifest is not here.
            PT_NOTE => to.fill(0),
            PT_LOAD => {
                let empty = ProgramHeader { p_filesz: 0, ..segment.clone() };
                to.copy_from_slice(&encode::program_header(&empty, elf.is_64()));
            }
            _ => {}
        }
    }
    Some(front)
}

fn note(front: &[u8], output: &[u8], elf: &ElfFile<'_>) -> Option<Section> {
    let start = front.len().checked_sub(build_id::NOTE)? as u64;
    build_id::position(output, elf)?;
    let load = elf.loads().find(|load| load.p_offset == 0)?;
    let mut note = plain(".note.gnu.build-id", SHT_NOTE, start, build_id::NOTE as u64);
    (note.address, note.flags, note.align) = (load.p_vaddr + start, SHF_ALLOC.into(), 4);
    Some(note)
}

/// The memory of a module. perf takes functions only from sections that are called text.
fn of_memory(file: &EmbeddedFile, name: &str) -> Vec<Section> {
    let section = |memory: &statify_format::manifest::Memory| {
        let (kind, flags) = match memory.prot.as_bytes() {
            [.., b'x'] => (".text", SHF_ALLOC | SHF_EXECINSTR),
            [_, b'w', ..] => (".data", SHF_ALLOC | SHF_WRITE),
            _ => (".rodata", SHF_ALLOC),
        };
        Section {
            flags: flags.into(),
            address: memory.address,
            align: 16,
            ..plain(
                &format!("{kind}.{name}"),
                SHT_NOBITS,
                memory.stored_at.unwrap_or(0),
                memory.size,
            )
        }
    };
    file.memory.iter().map(section).collect()
}

/// The starter's code.
fn starter(elf: &ElfFile<'_>) -> Option<Section> {
    let entry = elf.header().e_entry;
    let load = elf
        .loads()
        .find(|load| entry.checked_sub(load.p_vaddr).is_some_and(|offset| offset < load.p_memsz))?;
    Some(Section {
        flags: (SHF_ALLOC | SHF_EXECINSTR).into(),
        address: load.p_vaddr,
        align: 16,
        ..plain(".text", SHT_NOBITS, load.p_offset, load.p_memsz)
    })
}

/// Appends .symtab and .strtab.
fn put_symbols(
    debug: &mut Vec<u8>,
    table: &mut SectionTable,
    mut named: Vec<(Named, bool)>,
    is_64: bool,
) {
    let size = Sizes::of(is_64).symbol;
    // Local symbols come first (gABI, "Symbol Table").
    named.sort_by_key(|(symbol, _)| symbol.info >> 4 != 0);
    let locals = named.iter().filter(|(symbol, _)| symbol.info >> 4 == 0).count();
    let mut strings = vec![0];
    let mut entries = vec![0; size];
    let places = table.by_address();
    for (symbol, fixed) in &named {
        let before = places.partition_point(|(range, _)| range.start <= symbol.address);
        let place = before.checked_sub(1).map(|last| &places[last]);
        let place = place.filter(|(range, _)| range.contains(&symbol.address));
        // What is at an absolute address does not move with the output.
        let section = place.map(|(_, index)| *index).filter(|_| !fixed).unwrap_or(SHN_ABS as u16);
        let entry = Sym {
            st_name: strings.len(),
            st_info: symbol.info,
            st_other: 0,
            st_shndx: section.into(),
            st_value: symbol.address,
            st_size: symbol.size,
        };
        entries.extend(encode::symbol(&entry, is_64));
        strings.extend(&symbol.name);
        strings.push(0);
    }
    let offset = align(debug);
    debug.extend(&entries);
    let symbols = Section {
        link: Some(".strtab"),
        info: locals as u32 + 1,
        align: 8,
        entry: size as u64,
        ..plain(".symtab", SHT_SYMTAB, offset, entries.len() as u64)
    };
    table.insert(table.end(), symbols);
    let offset = align(debug);
    debug.extend(&strings);
    table.insert(table.end(), plain(".strtab", SHT_STRTAB, offset, strings.len() as u64));
}

/// Fills up to a multiple of 8; the length.
fn align(file: &mut Vec<u8>) -> u64 {
    file.resize(file.len().next_multiple_of(8), 0);
    file.len() as u64
}

/// The last component of a file's path.
fn file_name(file: &EmbeddedFile) -> String {
    let name = file.path.file_name().unwrap_or(file.path.as_os_str());
    name.to_string_lossy().into_owned()
}
