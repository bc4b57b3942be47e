//! Processes for 32 bits, audited: nothing is said of what is as it should be, and what is overwritten is found.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};
use goblin::elf::program_header::PT_LOAD;
use statify_elf::machine::Meaning;
use statify_tests::case::Case;

use super::built::{Built, I386, PLACES, WAYS};
use crate::elfscan::audit::waiting::{Waiting, alarms, audit};

/// It waits, and has called something of every kind.
const WAITS: &str = r#"
#include <stdio.h>
#include <unistd.h>
__thread int own = 1;
extern __thread int shared;
void *asks_last(void);
static int evil(void) { return 1; }
int main(void) {
    printf("%p %p\n", (void *)evil, asks_last());
    printf("%d\n", getppid() > 0 ? own + shared : 0);
    puts("done");
    fflush(stdout);
    return getchar();
}
"#;

fn program(case: &Case, way: (&str, &[&str]), place: (&str, &[&str])) -> Result<Built> {
    let name = format!("{}-{}", way.0, place.0);
    let flags = [&["-shared", "-fPIC"], way.1].concat();
    let library =
        I386.build(case, &format!("libwaits-{name}.so"), super::built::LIBRARY, &flags)?;
    let path = library.path.display().to_string();
    let flags = [way.1, place.1, &[&path]].concat();
    I386.build(case, &format!("waits-{name}"), WAITS, &flags)
}

/// In each way of building.
pub fn untouched(case: &Case) -> Result<()> {
    for way in WAYS {
        for place in PLACES {
            let built = program(case, *way, *place)?;
            let waiting = Waiting::start(&mut case.command(&built.path))?;
            let (report, status) = audit(&[waiting.pid()], &[])?;
            ensure!(status == 0 && alarms(&report)?.is_empty(), "{way:?} {place:?}: {report:#}");
            let entries = report["processes"][0]["entries"].as_u64().unwrap_or(0);
            ensure!(entries > 1000, "no more than {entries} entries were checked: {report:#}");
        }
    }
    Ok(())
}

/// A slot of the GOT and a byte of code.
pub fn tampered(case: &Case) -> Result<()> {
    for place in PLACES {
        let built = program(case, WAYS[0], *place)?;
        let waiting = Waiting::start(&mut case.command(&built.path))?;
        let memory = File::options().write(true).open(format!("/proc/{}/mem", waiting.pid()))?;
        let elf = built.elf()?;
        let first = elf.segments().iter().find(|segment| segment.p_type == PT_LOAD);
        let bias = start(&waiting, &built)?.wrapping_sub(first.context("it is loaded")?.p_vaddr);
        let facts = elf.dynamic()?.context("it is dynamic")?;
        let machine = elf.machine().context("its machine is known")?;
        let slot = facts.plt_relocations().find(|entry| {
            let symbol = facts.symbols().get(entry.symbol);
            let name = symbol.and_then(|symbol| facts.string(symbol.name.into()));
            name == Some(b"getppid") && machine.relocation(entry.kind) == Some(Meaning::JumpSlot)
        });
        let slot = slot.context("getppid has a slot")?.at.wrapping_add(bias);
        let said = waiting.said().first().and_then(|line| line.split(' ').next());
        let evil =
            said.and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        let evil = evil.context("it says where evil is")?;
        memory.write_all_at(&evil.to_le_bytes(), slot)?;
        let (report, status) = audit(&[waiting.pid()], &[])?;
        let [alarm] = &alarms(&report)?[..] else { anyhow::bail!("{place:?}: {report:#}") };
        ensure!(status == 1 && alarm["kind"] == "entry", "{alarm:#}");
        ensure!(alarm["address"] == format!("{slot:#x}"), "{slot:#x}: {alarm:#}");
        ensure!(alarm["found"]["address"] == format!("{evil:#x}"), "{evil:#x}: {alarm:#}");
        memory.write_all_at(&[0xcc], u64::from(evil))?;
        let (report, _) = audit(&[waiting.pid()], &[])?;
        let kinds: Vec<_> =
            alarms(&report)?.iter().filter_map(|alarm| alarm["kind"].as_str()).collect();
        ensure!(kinds.contains(&"code") && kinds.len() == 2, "{report:#}");
    }
    Ok(())
}

/// Where a program's file begins in its memory.
fn start(waiting: &Waiting, built: &Built) -> Result<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", waiting.pid()))?;
    let path = built.path.display().to_string();
    let line = maps.lines().find(|line| line.ends_with(&path)).context("it is mapped")?;
    Ok(u64::from_str_radix(line.split('-').next().unwrap_or_default(), 16)?)
}
