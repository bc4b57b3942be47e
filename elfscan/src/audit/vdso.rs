//! The kernel's own code in a process, which is the same in all: vdso(7).

use std::ops::Range;

use statify_elf::ElfFile;
use statify_process::procfs::Mapping;

use super::process::Process;
use super::report::{Alarm, AlarmKind};
use super::text::differences;

/// No kernel's is larger, in bytes.
const MOST: u64 = 1 << 20;
const NAME: &[u8] = b"[vdso]";

/// Where the functions of the kernel's start in a process, and what is not as in this very process.
pub fn check(process: &Process, maps: &[Mapping]) -> (Vec<u64>, Vec<Alarm>) {
    let Some((start, found)) = read(process, maps) else { return Default::default() };
    let functions = functions(&found, start);
    let own = Process::open(std::process::id()).ok();
    let own = own.and_then(|own| read(&own, &own.maps().ok()?));
    // Of another size or class is the one for another kind of program.
    let Some((_, expected)) =
        own.filter(|(_, own)| own.len() == found.len() && own.get(..5) == found.get(..5))
    else {
        return (functions, Vec::new());
    };
    let alarm = |range: Range<usize>| {
        let (name, at) = (String::from_utf8_lossy(NAME).into_owned(), range.start as u64);
        let alarm = Alarm::new(AlarmKind::Code, name, start + at, at, range.len() as u64);
        alarm.with_bytes((&expected[range.clone()], &found[range]))
    };
    let alarms = differences(&expected, &found).into_iter().map(alarm).collect();
    (functions, alarms)
}

fn read(process: &Process, maps: &[Mapping]) -> Option<(u64, Vec<u8>)> {
    let mapping = maps.iter().find(|mapping| mapping.name == NAME)?;
    let len = (mapping.range.end - mapping.range.start).min(MOST);
    let mut bytes = vec![0; len as usize];
    let read = process.read_some(mapping.range.start, &mut bytes);
    (read == bytes.len()).then_some((mapping.range.start, bytes))
}

fn functions(bytes: &[u8], start: u64) -> Vec<u64> {
    let elf = ElfFile::parse_any(bytes).ok();
    let facts = elf.as_ref().and_then(|elf| elf.dynamic().ok().flatten());
    let Some(facts) = facts else { return Vec::new() };
    let table = facts.symbols();
    let functions = table.iter().filter(|symbol| symbol.is_defined() && symbol.is_function());
    functions.map(|symbol| start.wrapping_add(symbol.value)).collect()
}
