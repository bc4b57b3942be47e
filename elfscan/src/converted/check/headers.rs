//! The ELF header and the program headers, as a kernel maps them.

use goblin::elf::header::{ET_DYN, ET_EXEC};
use goblin::elf::program_header::{PF_W, PF_X, PT_GNU_STACK, PT_LOAD, PT_NOTE};
use goblin::elf::section_header::{SHT_NOBITS, SHT_NULL, SectionHeader};
use statify_elf::PAGE;
use statify_elf::encode::Sizes;
use statify_format::build_id;

use super::problem::{Part, Problem, Problems};
use crate::converted::open::Converted;

/// Checks them.
pub fn check(converted: &Converted<'_>, problems: &mut Problems) {
    let (header, segments) = (converted.elf.header(), converted.elf.segments());
    let mut expect = |holds: bool, what: &str| problems.expect(holds, Part::Headers, what);
    let is_exec = header.e_type == ET_EXEC;
    expect(is_exec || header.e_type == ET_DYN, "it is no executable");
    let fixed = converted.manifest.options.fixed;
    expect(is_exec == fixed, "its type is not what the manifest says of its addresses");
    let sizes = Sizes::of(converted.elf.is_64());
    expect(
        header.e_phoff == sizes.header as u64
            && usize::from(header.e_phentsize) == sizes.program_header,
        "the program headers are not behind the ELF header",
    );
    let (table, size) = converted.elf.section_table();
    expect(
        (header.e_shnum == 0 && header.e_shoff == 0) || table % 8 == 0,
        "the section headers are at no multiple of 8 bytes",
    );
    expect(
        usize::from(header.e_shentsize) == if size == 0 { 0 } else { sizes.section_header },
        "the section headers have a size that is none of theirs",
    );
    let sections = converted.elf.sections();
    let len = converted.bytes().len() as u64;
    let is_held = |section: &SectionHeader| {
        let end = section.sh_offset.checked_add(section.sh_size);
        matches!(section.sh_type, SHT_NULL | SHT_NOBITS) || end.is_some_and(|end| end <= len)
    };
    expect(
        sections.len() == usize::from(header.e_shnum) && sections.iter().all(is_held),
        "the section headers, or what they lead to, are not in the file",
    );
    let headers = sizes.header + sizes.program_header * segments.len();
    let table = (headers + build_id::NOTE) as u64;
    expect(table <= PAGE, "the program headers take more than a page");
    let count = |kind| segments.iter().filter(|segment| segment.p_type == kind).count();
    let known = [PT_LOAD, PT_GNU_STACK, PT_NOTE];
    for segment in segments.iter().filter(|segment| !known.contains(&segment.p_type)) {
        let kind = goblin::elf::program_header::pt_to_str(segment.p_type);
        expect(false, &format!("it has a program header of type {kind} ({:#x})", segment.p_type));
    }
    expect(count(PT_GNU_STACK) == 1, "it has not exactly one PT_GNU_STACK");
    expect(count(PT_NOTE) == 2, "it has not exactly two PT_NOTEs");
    let mut end = None;
    for load in converted.elf.loads() {
        let at = |what: &str| Problem {
            address: Some(load.p_vaddr),
            ..Problem::new(Part::Headers, format!("the PT_LOAD {what}"))
        };
        if load.p_flags & (PF_W | PF_X) == PF_W | PF_X {
            problems.push(at("is writable and executable"));
        }
        let whole = (load.p_vaddr | load.p_filesz | load.p_memsz) % PAGE == 0
            && (load.p_filesz == 0 || load.p_offset % PAGE == 0);
        if !whole {
            problems.push(at("is no run of whole pages of the file"));
        }
        if end.is_some_and(|end| load.p_vaddr < end) {
            problems.push(at("overlaps the one before, or is out of order"));
        }
        end = Some(load.p_vaddr.saturating_add(load.p_memsz));
    }
}
