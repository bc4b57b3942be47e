//! At the program's first instruction: program and loader into the block, and the initial stack
//! made to say so, before either holds an absolute address.

use std::ops::Range;
use std::path::Path;

use goblin::elf::header::ET_DYN;
use nix::errno::Errno;
use statify_elf::ElfFile;
use statify_elf::machine::{self, Cpu};
use statify_params::agent::AGENT_ROOM;
use statify_process::Tracee;
use statify_process::procfs;

use super::auxv::{
    AT_BASE, AT_ENTRY, AT_EXECFN, AT_IGNORE, AT_PHDR, AT_RANDOM, AT_SECURE, AT_SYSINFO_EHDR,
    InitialStack,
};
use super::block::{Block, Files, Object, Role};
use super::cpuid::Cpuids;
use super::launch::open_proc;
use super::variation::Variation;

/// The most of the initial stack that is read: the captures' arguments and environment are small.
const STACK_BYTES: usize = 128 << 10;
/// No place for an object.
const FULL: RearrangeError = RearrangeError::Form("there is no room for it at fixed addresses");

/// Why the process could not be rearranged.
#[derive(Debug, thiserror::Error)]
pub enum RearrangeError {
    /// ptrace or a call made in the process failed.
    #[error("{0}")]
    System(#[from] Errno),
    /// A file could not be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Not what a fresh process looks like.
    #[error("{0}")]
    Form(&'static str),
}

/// A process whose program and loader lie where they should.
pub struct Arranged {
    /// Where more goes.
    pub block: Block,
    /// The initial stack, as it says now.
    pub stack: InitialStack,
    /// Program and loader.
    pub objects: Vec<Object>,
    /// The vDSO's addresses, if there is one.
    pub vdso: Option<Range<u64>>,
    /// Whether the program lies at the addresses it was linked for.
    pub fixed_program: bool,
    /// The loader's first instruction.
    pub loader_entry: u64,
    /// An instruction of the loader's that makes system calls.
    pub syscall_at: u64,
    /// Those CPUIDs that cannot be made to trap as they are.
    pub cpuids: Cpuids,
    /// Every CPUID answers what the variation says.
    pub cpu_dictated: bool,
}

/// Does it. `interpreter` is the path of the loader.
pub fn rearrange(
    tracee: &mut Tracee,
    variation: &Variation,
    interpreter: &Path,
    files: &Files,
) -> Result<Arranged, RearrangeError> {
    let pid = tracee.pid();
    let mut regs = tracee.registers()?;
    let maps = read_maps(pid)?;
    let stack_end =
        maps.iter().find(|m| m.range.contains(&regs.stack_pointer())).map(|m| m.range.end);
    let stack_end = stack_end.ok_or(RearrangeError::Form("its initial stack is not mapped"))?;
    let mut stack = read_stack(tracee, regs.stack_pointer()..stack_end)?;
    let vdso = maps.iter().find(|m| m.name == b"[vdso]").map(|m| m.range.clone());

    let mut program = files.of_process(pid, "exe")?;
    let mut loader = files.at(interpreter)?;
    let (program_bytes, loader_bytes) = (program.bytes.clone(), loader.bytes.clone());
    let damaged = |_| RearrangeError::Form("the program or its loader changed meanwhile");
    let program_elf = ElfFile::parse(&program_bytes).map_err(damaged)?;
    let loader_elf = ElfFile::parse(&loader_bytes).map_err(damaged)?;

    let missing = RearrangeError::Form("the kernel's auxiliary vector is incomplete");
    let (Some(phdr), Some(base), Some(entry)) =
        (stack.value(AT_PHDR), stack.value(AT_BASE), stack.value(AT_ENTRY))
    else {
        return Err(missing);
    };
    let table = program_elf
        .header_table_address()
        .ok_or(RearrangeError::Form("its program headers are in no loaded segment"))?;
    let old_program = phdr.wrapping_sub(table);
    let spans = program_elf.span().zip(loader_elf.span());
    let (program_span, loader_span) = spans.ok_or(missing)?;

    let mut block = Block::new(variation.base, variation.fixed, variation.distances);
    let fixed_program = program_elf.header().e_type != ET_DYN;
    let new_program = if fixed_program {
        old_program
    } else {
        let key = || files.content_key(&program, &program_elf);
        block.place_object(&program_elf, &program_span, Role::Program, key).ok_or(FULL)?
    };
    let room = if variation.agent { AGENT_ROOM } else { 0 };
    let span = loader_span.start..loader_span.end + room;
    let key = || files.content_key(&loader, &loader_elf);
    let new_loader = block.place_object(&loader_elf, &span, Role::Loader, key).ok_or(FULL)?;
    block.open_arena();

    let offset =
        find_syscall(&loader_elf).ok_or(RearrangeError::Form("its loader makes no system call"))?;
    let old_loader = base;
    // Not compared by inode: overlay file systems show another one there than stat(2) does.
    if !maps.iter().any(|m| m.range.contains(&(old_loader + loader_span.start)) && m.inode != 0) {
        return Err(RearrangeError::Form("its loader is not where the kernel says it is"));
    }
    // The kernel puts its vDSO into a hole of the loader's now and then.
    let own = |m: &&procfs::Mapping, range| overlaps(&m.range, range) && !m.name.starts_with(b"[v");
    let mut moves = Vec::new();
    if new_program != old_program {
        moves.push((shifted(&program_span, old_program), new_program.wrapping_sub(old_program)));
    }
    let loader_move = (shifted(&loader_span, old_loader), new_loader.wrapping_sub(old_loader));
    // The loader's code makes the calls, so it goes last, its code last of all.
    let syscall_at = old_loader + offset;
    for (range, by) in &moves {
        for mapping in maps.iter().filter(|m| own(m, range)) {
            remap(tracee, syscall_at, &mapping.range, *by)?;
        }
    }
    let [(clock, clock_args), (cpuid, cpuid_args)] = machine::calls_that_trap();
    tracee.call(syscall_at, clock, clock_args).and_then(check)?;
    let cpuid_traps = tracee.call(syscall_at, cpuid, cpuid_args)? == 0;
    let (code, rest): (Vec<_>, Vec<_>) =
        maps.iter().filter(|m| own(m, &loader_move.0)).partition(|m| m.range.contains(&syscall_at));
    for mapping in rest.into_iter().chain(code) {
        remap(tracee, syscall_at, &mapping.range, loader_move.1)?;
    }

    let loader_entry = regs.instruction_pointer().wrapping_add(loader_move.1);
    regs.go_to(loader_entry);
    tracee.set_registers(&regs)?;
    let by = new_program.wrapping_sub(old_program);
    let mut values = vec![
        (AT_PHDR, phdr.wrapping_add(by)),
        (AT_ENTRY, entry.wrapping_add(by)),
        (AT_BASE, new_loader),
        // The filter keeps privileges away (no_new_privs), whatever the kernel says here.
        (AT_SECURE, u64::from(variation.secure)),
    ];
    values.extend(variation.auxv);
    if variation.name_is_argument {
        values.push((AT_EXECFN, tracee.read_word(stack.sp + 8)?));
    }
    for (kind, value) in values {
        if let Some(address) = stack.address_of(kind) {
            tracee.write(address + 8, &value.to_le_bytes())?;
        }
    }
    let hidden_vdso = (!variation.vdso).then_some(&AT_SYSINFO_EHDR);
    for &kind in variation.hidden.iter().chain(hidden_vdso) {
        if let Some(address) = stack.address_of(kind) {
            tracee.write(address, &AT_IGNORE.to_le_bytes())?;
        }
    }
    if let Some(address) = stack.value(AT_RANDOM) {
        tracee.write(address, &variation.random)?;
    }
    stack = read_stack(tracee, stack.sp..stack_end)?;
    program.range = shifted(&program_span, new_program);
    loader.range = shifted(&loader_span, new_loader);
    let objects = vec![program, loader];
    let replaced = match (cpuid_traps, variation.cpu) {
        (true, _) => Some(Cpuids::default()),
        (false, Cpu::This) => None,
        (false, _) => Cpuids::replace(tracee, files, &objects),
    };
    Ok(Arranged {
        block,
        stack,
        objects,
        vdso,
        fixed_program,
        loader_entry,
        syscall_at: new_loader + offset,
        cpu_dictated: replaced.is_some(),
        cpuids: replaced.unwrap_or_default(),
    })
}

/// The mappings of a process.
pub fn read_maps(pid: nix::unistd::Pid) -> Result<Vec<procfs::Mapping>, RearrangeError> {
    let form = RearrangeError::Form("/proc/PID/maps has another form than expected");
    procfs::parse_maps(&read_proc(pid, "maps")?).ok_or(form)
}

fn read_proc(pid: nix::unistd::Pid, name: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1 << 14);
    std::io::Read::read_to_end(&mut open_proc(pid, name)?, &mut bytes)?;
    Ok(bytes)
}

fn read_stack(tracee: &Tracee, range: Range<u64>) -> Result<InitialStack, RearrangeError> {
    let sp = range.start;
    let mut bytes = vec![0; STACK_BYTES.min((range.end - sp) as usize)];
    tracee.read(sp, &mut bytes)?;
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
        .collect();
    InitialStack::parse(sp, &words).ok_or(RearrangeError::Form("its initial stack is not one"))
}

/// The unbiased address of a system call instruction in executable, file-backed memory.
pub fn find_syscall(elf: &ElfFile<'_>) -> Option<u64> {
    let code = elf.loads().find(|load| load.is_executable())?;
    let bytes = elf.contents(code)?;
    let instruction = elf.machine()?.system_call();
    let at = bytes.windows(instruction.len()).position(|window| window == instruction)?;
    Some(code.p_vaddr + at as u64)
}

fn remap(tracee: &mut Tracee, at: u64, from: &Range<u64>, by: u64) -> Result<(), RearrangeError> {
    let len = from.end - from.start;
    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
    let args = [from.start, len, len, flags, from.start.wrapping_add(by), 0];
    Ok(tracee.call(at, libc::SYS_mremap, args).and_then(check)?)
}

fn check(result: i64) -> Result<(), Errno> {
    if (-4095..0).contains(&result) { Err(Errno::from_raw(-result as i32)) } else { Ok(()) }
}

fn shifted(range: &Range<u64>, by: u64) -> Range<u64> {
    range.start.wrapping_add(by)..range.end.wrapping_add(by)
}

fn overlaps(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
