//! Where a process has an instruction that makes system calls.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use statify_elf::machine::{Machine, Registers};
use statify_elf::{PAGE, PROT_EXEC};

use super::refused::Refused;
use super::threads::Process;
use crate::procfs::{Mapping, PageState, parse_maps};

/// So many bytes of code are looked at, at most: few programs go without such an instruction for long.
const MOST: u64 = 256 << 20;

/// The address of one, for a thread that is stopped with these registers: that which it has just used, or one of the page that
/// the kernel gives each process, or of its code, as far as that is in memory.
pub fn find(process: &Process, registers: &Registers) -> Result<u64, Refused> {
    let memory = process.file("mem")?;
    let instruction = Machine::HOST.system_call();
    if let Some(site) = registers.call_site() {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..instruction.len()];
        if memory.read_exact_at(bytes, site).is_ok() && bytes == instruction {
            return Ok(site);
        }
    }
    let maps = parse_maps(&process.read("maps")?).ok_or(Refused::NoInstruction)?;
    let pagemap = process.file("pagemap")?;
    let limit = Machine::HOST.address_limit();
    let is_code = |map: &&Mapping| map.prot & PROT_EXEC != 0 && map.range.end <= limit;
    let mut code: Vec<&Mapping> = maps.iter().filter(is_code).collect();
    code.sort_by_key(|map| map.name != b"[vdso]");
    let mut left = MOST;
    for map in code {
        for page in map.range.clone().step_by(PAGE as usize) {
            if left == 0 {
                return Err(Refused::NoInstruction);
            }
            left = left.saturating_sub(PAGE);
            if let Some(site) = in_page(&memory, &pagemap, page..page + PAGE) {
                return Ok(site);
            }
        }
    }
    Err(Refused::NoInstruction)
}

/// In a page, if that is in memory.
fn in_page(memory: &File, pagemap: &File, page: Range<u64>) -> Option<u64> {
    let mut state = [0; 8];
    pagemap.read_exact_at(&mut state, page.start / PAGE * 8).ok()?;
    if !PageState(u64::from_le_bytes(state)).is_present() {
        return None;
    }
    let mut bytes = [0; PAGE as usize];
    memory.read_exact_at(&mut bytes, page.start).ok()?;
    Machine::HOST.find_system_call(&bytes, page.start)
}
