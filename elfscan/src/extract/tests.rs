//! What is extracted from converted files that may be anything.

use std::sync::LazyLock;

use proptest::prelude::*;
use statify_elf::{ElfFile, PAGE, page_up};
use statify_format::manifest::Manifest;

use super::addends::Addends;
use super::{everything, file};

/// A file that looks like a converted one: headers, a build-id and a manifest, and in it a real
/// library, its segments where they would be in memory.
static CONVERTED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let library = std::fs::read("/bin/true").expect("there is a /bin/true");
    let elf = ElfFile::parse(&library).expect("it is an ELF file");
    let mut bytes = vec![0; PAGE as usize];
    let mut memory = Vec::new();
    for load in elf.loads() {
        let skew = load.p_offset % PAGE;
        // Whole pages, as they are mapped.
        let end = page_up(load.p_offset + load.p_filesz).min(library.len() as u64);
        let start = load.p_offset - skew;
        let stored_at = bytes.len() as u64;
        bytes.extend(&library[start as usize..end as usize]);
        bytes.resize(page_up(bytes.len() as u64) as usize, 0);
        let size = bytes.len() as u64 - stored_at;
        let address = PAGE + load.p_vaddr - skew;
        let prot = if load.p_flags & 2 != 0 { "rw-" } else { "r-x" };
        memory.push(format!(
            r#"{{"address":{address},"size":{size},"prot":"{prot}","file_offset":{start},"stored_at":{stored_at}}}"#
        ));
    }
    let manifest = format!(
        r#"{{"version":"0","options":{{"fixed":false,"align":4096,"aslr":"full","seal":"unfiltered","bound":true,"cpu":{{"least":"x","prepared":[],"chosen_at_start":true}},"host_libs":"allow"}},"files":[{{"kind":"program","path":"/bin/true","size":{},"sha256":"","address":{PAGE},"memory":[{}],"stored_blake3":""}}],"memory":[]}}"#,
        library.len(),
        memory.join(","),
    );
    let notes = bytes.len();
    bytes.extend(Manifest::from_json(manifest.as_bytes()).expect("it is a manifest").to_note());
    // The header is the library's; three program headers and the build-id's note follow it.
    let len = bytes.len() as u64;
    bytes[..64].copy_from_slice(&library[..64]);
    bytes[24..32].copy_from_slice(&0u64.to_le_bytes());
    bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
    bytes[56..58].copy_from_slice(&3u16.to_le_bytes());
    let id = 64 + 3 * 56;
    bytes[id..id + statify_format::build_id::NOTE]
        .copy_from_slice(&statify_format::build_id::empty_note());
    let headers = [
        (1u32, 0, 0, notes as u64),
        (4, id as u64, id as u64, statify_format::build_id::NOTE as u64),
        (4, notes as u64, 0, len - notes as u64),
    ];
    for (index, (kind, offset, address, size)) in headers.into_iter().enumerate() {
        let header = &mut bytes[64 + index * 56..][..56];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        let align = if kind == 1 { PAGE } else { 4 };
        for (at, value) in
            [(8, offset), (16, address), (24, address), (32, size), (40, size), (48, align)]
        {
            header[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
    }
    bytes
});

fn manifest() -> Manifest {
    let elf = ElfFile::parse(&CONVERTED).unwrap();
    Manifest::read(&elf).unwrap()
}

#[test]
fn a_module_comes_back() {
    let made = file::rebuild(&CONVERTED, &manifest().files[0], &Addends::default()).unwrap();
    let library = std::fs::read("/bin/true").unwrap();
    let elf = ElfFile::parse(&library).unwrap();
    for load in elf.loads() {
        let range = (load.p_offset.max(64)) as usize..(load.p_offset + load.p_filesz) as usize;
        let differs = range.clone().filter(|&at| made[at] != library[at]).collect::<Vec<_>>();
        assert!(differs.is_empty(), "{load:?}: {differs:x?}");
    }
    let table = object_sections(&made);
    for name in [".dynsym", ".dynstr", ".dynamic", ".text", ".eh_frame", ".rodata", ".data"] {
        assert!(table.iter().any(|own| own == name), "{name}: {table:?}");
    }
}

fn object_sections(bytes: &[u8]) -> Vec<String> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(bytes).unwrap();
    file.sections().map(|section| section.name().unwrap().to_owned()).collect()
}

#[test]
fn a_debug_file_has_the_functions() {
    use object::Object;
    let debug = super::debug_file::make(&CONVERTED, &manifest(), |_| true, |_| Vec::new()).unwrap();
    let file = object::File::parse(&*debug).unwrap();
    let names: Vec<_> = file.symbols().map(|symbol| object::ObjectSymbol::name(&symbol)).collect();
    assert!(names.iter().any(|name| name.is_ok_and(|name| name.starts_with("true+0x"))));
    assert!(names.contains(&Ok(super::debug_file::BASE)));
    assert!(file.section_by_name(".debug_frame").is_some());
}

#[test]
fn sizes_that_lie_allocate_nothing() {
    let mut manifest = manifest();
    manifest.files[0].size = u64::MAX;
    let first = manifest.files[0].memory[0].clone();
    manifest.files[0].memory[0].file_offset = Some(1 << 50);
    assert!(file::rebuild(&CONVERTED, &manifest.files[0], &Addends::default()).is_none());
    manifest.files[0].memory = vec![first; 4096];
    assert!(file::rebuild(&CONVERTED, &manifest.files[0], &Addends::default()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_change_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        near in prop::collection::vec((0usize..3 * PAGE as usize, any::<u8>()), 0..40),
        len in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = CONVERTED.clone();
        for (at, byte) in near {
            // The headers of the embedded library, and its tables.
            bytes[PAGE as usize..][at] = byte;
        }
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(len) = len {
            bytes.truncate(len.index(bytes.len()).max(CONVERTED.len() / 2));
        }
        everything(&bytes);
    }
}
