//! At the program's first instruction: program and loader into the block, and the initial stack
//! made to say so, before either holds an absolute address.

use std::ops::Range;

use goblin::elf::header::ET_DYN;
use nix::errno::Errno;
use statify_elf::machine::{self, Cpu, Machine};
use statify_elf::{ElfFile, little_endian};
use statify_process::Tracee;
use statify_process::procfs;

use super::Subject;
use super::auxv::{
    AT_BASE, AT_ENTRY, AT_EXECFN, AT_IGNORE, AT_PHDR, AT_RANDOM, AT_SECURE, AT_SYSINFO,
    AT_SYSINFO_EHDR, InitialStack,
};
use super::block::{Block, Object, Role, room_for_agent};
use super::cpu_sites::ReplacedSites;
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
    /// Those instructions that tell of the CPU and cannot be made to trap as they are.
    pub cpu_sites: ReplacedSites,
    /// Every one of them answers what the variation says.
    pub cpu_dictated: bool,
}

/// Rearranges a process that stands at its loader's first instruction.
pub fn rearrange(
    tracee: &mut Tracee,
    variation: &Variation,
    subject: &Subject,
) -> Result<Arranged, RearrangeError> {
    let Subject { interpreter, files, machine, .. } = subject;
    let pid = tracee.pid();
    let mut regs = tracee.registers()?;
    let maps = read_maps(pid)?;
    let stack_end =
        maps.iter().find(|m| m.range.contains(&regs.stack_pointer())).map(|m| m.range.end);
    let stack_end = stack_end.ok_or(RearrangeError::Form("its initial stack is not mapped"))?;
    let stack = read_stack(tracee, regs.stack_pointer()..stack_end, *machine)?;
    let vdso = maps.iter().find(|m| m.name == b"[vdso]").map(|m| m.range.clone());

    let mut program = files.of_process(pid, "exe")?;
    let mut loader = files.at(interpreter)?;
    let damaged = |_| RearrangeError::Form("the program or its loader changed meanwhile");
    let (program_bytes, loader_bytes) = (program.bytes.clone(), loader.bytes.clone());
    let program_elf = ElfFile::parse(&program_bytes).map_err(damaged)?;
    let loader_elf = ElfFile::parse(&loader_bytes).map_err(damaged)?;

    let fixed_program = program_elf.header().e_type != ET_DYN;
    let now = Loaded::by_the_kernel(&stack, &program_elf, &loader_elf)?;
    let fixed = fixed_program.then_some(&now.program);
    let mut block =
        Block::new(*machine, fixed, variation.placement, variation.distances).ok_or(FULL)?;
    let program_move = if fixed_program {
        Move { from: now.program, by: 0 }
    } else {
        let key = || files.content_key(&program, &program_elf);
        let place = block.place_object(&program_elf, &now.program_span, Role::Program, key);
        Move::to(now.program, &now.program_span, place.ok_or(FULL)?)
    };
    let mut span = now.loader_span.clone();
    if variation.agent {
        span.end = room_for_agent(*machine, span.end).end;
    }
    let key = || files.content_key(&loader, &loader_elf);
    let place = block.place_object(&loader_elf, &span, Role::Loader, key).ok_or(FULL)?;
    let loader_move = Move::to(now.loader, &now.loader_span, place);
    block.open_arena();

    let syscall_at =
        find_syscall(&loader_elf).ok_or(RearrangeError::Form("its loader makes no system call"))?;
    let syscall_at = syscall_at.wrapping_add(now.base);
    let cpuid_traps = move_both(tracee, &maps, &program_move, &loader_move, syscall_at)?;

    let loader_entry = regs.instruction_pointer().wrapping_add(loader_move.by);
    regs.go_to(loader_entry);
    tracee.set_registers(&regs)?;
    let moved = [
        (AT_PHDR, now.phdr.wrapping_add(program_move.by)),
        (AT_ENTRY, now.entry.wrapping_add(program_move.by)),
        (AT_BASE, now.base.wrapping_add(loader_move.by)),
    ];
    rewrite_stack(tracee, variation, &stack, &moved)?;
    let stack = read_stack(tracee, stack.sp..stack_end, *machine)?;
    program.lie_at(program_move.target());
    loader.lie_at(loader_move.target());
    let objects = vec![program, loader];
    let cpu_sites = match (cpuid_traps, variation.cpu) {
        (true, _) => Some(ReplacedSites::default()),
        (false, Cpu::This) => None,
        (false, _) => ReplacedSites::replace(tracee, files, &objects),
    };
    Ok(Arranged {
        block,
        stack,
        objects,
        vdso,
        fixed_program,
        loader_entry,
        syscall_at: syscall_at.wrapping_add(loader_move.by),
        cpu_dictated: cpu_sites.is_some(),
        cpu_sites: cpu_sites.unwrap_or_default(),
    })
}

/// Where the kernel has put program and loader.
struct Loaded {
    /// AT_PHDR.
    phdr: u64,
    /// AT_ENTRY.
    entry: u64,
    /// AT_BASE.
    base: u64,
    /// The program's addresses, unbiased and as they are.
    program_span: Range<u64>,
    program: Range<u64>,
    /// The loader's.
    loader_span: Range<u64>,
    loader: Range<u64>,
}

impl Loaded {
    fn by_the_kernel(
        stack: &InitialStack,
        program: &ElfFile<'_>,
        loader: &ElfFile<'_>,
    ) -> Result<Self, RearrangeError> {
        let missing = RearrangeError::Form("the kernel's auxiliary vector is incomplete");
        let (Some(phdr), Some(base), Some(entry)) =
            (stack.value(AT_PHDR), stack.value(AT_BASE), stack.value(AT_ENTRY))
        else {
            return Err(missing);
        };
        let table = program
            .header_table_address()
            .ok_or(RearrangeError::Form("its program headers are in no loaded segment"))?;
        let (program_span, loader_span) = program.span().zip(loader.span()).ok_or(missing)?;
        Ok(Self {
            phdr,
            entry,
            base,
            program: shifted(&program_span, phdr.wrapping_sub(table)),
            program_span,
            loader: shifted(&loader_span, base),
            loader_span,
        })
    }
}

/// Memory that goes elsewhere.
struct Move {
    from: Range<u64>,
    /// How much larger its addresses become.
    by: u64,
}

impl Move {
    /// Memory with these unbiased addresses to where its address 0 is `bias`.
    fn to(from: Range<u64>, span: &Range<u64>, bias: u64) -> Self {
        let by = bias.wrapping_sub(from.start.wrapping_sub(span.start));
        Self { from, by }
    }

    fn target(&self) -> Range<u64> {
        shifted(&self.from, self.by)
    }

    /// The mappings. The kernel puts its vDSO into a hole of the loader's now and then.
    fn mappings<'a>(
        &self,
        maps: &'a [procfs::Mapping],
    ) -> impl Iterator<Item = &'a procfs::Mapping> + use<'a, '_> {
        maps.iter().filter(|m| overlaps(&m.range, &self.from) && !m.name.starts_with(b"[v"))
    }
}

/// Moves program and loader, whose instruction at `syscall_at` makes the calls, and has reading the clock and
/// the CPU's features trap. Returns whether the latter does.
fn move_both(
    tracee: &mut Tracee,
    maps: &[procfs::Mapping],
    program: &Move,
    loader: &Move,
    syscall_at: u64,
) -> Result<bool, RearrangeError> {
    // Not compared by inode: overlay file systems show another one there than stat(2) does.
    if !maps.iter().any(|m| m.range.contains(&loader.from.start) && m.inode != 0) {
        return Err(RearrangeError::Form("its loader is not where the kernel says it is"));
    }
    if program.by != 0 {
        for mapping in program.mappings(maps) {
            remap(tracee, syscall_at, &mapping.range, program.by)?;
        }
    }
    let [clock, cpu] = machine::calls_that_trap();
    if let Some((number, args)) = clock {
        tracee.call(syscall_at, number, args).and_then(check)?;
    }
    let cpu_traps = match cpu {
        Some((number, args)) => tracee.call(syscall_at, number, args)? == 0,
        None => false,
    };
    // The loader's code makes the calls, so it goes last.
    let (code, rest): (Vec<_>, Vec<_>) =
        loader.mappings(maps).partition(|m| m.range.contains(&syscall_at));
    for mapping in rest.into_iter().chain(code) {
        remap(tracee, syscall_at, &mapping.range, loader.by)?;
    }
    Ok(cpu_traps)
}

/// Has the initial stack say what the variation does, and where program and loader lie now.
fn rewrite_stack(
    tracee: &mut Tracee,
    variation: &Variation,
    stack: &InitialStack,
    moved: &[(u64, u64)],
) -> Result<(), RearrangeError> {
    let word = stack.word as usize;
    let mut values = moved.to_vec();
    // The filter keeps privileges away (no_new_privs), whatever the kernel says here.
    values.push((AT_SECURE, u64::from(variation.secure)));
    values.extend(variation.auxv);
    values.extend(variation.cpu.auxv());
    if variation.name_is_argument {
        values.push((AT_EXECFN, tracee.read_word(stack.sp + stack.word, stack.word)?));
    }
    for (kind, value) in values {
        if let Some(address) = stack.address_of(kind) {
            tracee.write(address + stack.word, &value.to_le_bytes()[..word])?;
        }
    }
    let vdso: &[u64] = if variation.vdso { &[] } else { &[AT_SYSINFO, AT_SYSINFO_EHDR] };
    for &kind in variation.hidden.iter().chain(vdso) {
        if let Some(address) = stack.address_of(kind) {
            tracee.write(address, &AT_IGNORE.to_le_bytes()[..word])?;
        }
    }
    if let Some(address) = stack.value(AT_RANDOM) {
        tracee.write(address, &variation.random)?;
    }
    Ok(())
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

fn read_stack(
    tracee: &Tracee,
    range: Range<u64>,
    machine: Machine,
) -> Result<InitialStack, RearrangeError> {
    let sp = range.start;
    let mut bytes = vec![0; STACK_BYTES.min((range.end - sp) as usize)];
    tracee.read(sp, &mut bytes)?;
    let word = machine.word();
    let words: Vec<u64> = bytes.chunks_exact(word as usize).map(little_endian).collect();
    InitialStack::parse(sp, &words, word)
        .ok_or(RearrangeError::Form("its initial stack is not one"))
}

/// The unbiased address of a system call instruction in executable, file-backed memory.
pub fn find_syscall(elf: &ElfFile<'_>) -> Option<u64> {
    let code = elf.loads().find(|load| load.is_executable())?;
    elf.machine()?.find_system_call(elf.contents(code)?, code.p_vaddr)
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
