//! Where mappings go: the block gives each file and each piece of memory its place.

use statify_elf::ElfFile;
use statify_elf::machine::Registers;

use super::block::{Object, Role};
use super::run::Run;
use super::run_error::RunError;

/// mmap(2), Linux 4.17; a hint to older kernels, and the hint is free.
const MAP_FIXED_NOREPLACE: u64 = 0x0010_0000;

impl Run<'_> {
    /// mmap(2) with the arguments `args`, about to be made.
    pub fn mmap(&mut self, mut regs: Registers, mut args: [u64; 6]) -> Result<(), RunError> {
        let [address, len, prot, flags, fd, _] = args;
        let range = address..address.saturating_add(len);
        if flags & libc::MAP_PRIVATE as u64 == 0 {
            return Err(RunError::Behaviour("map shared memory".into()));
        }
        if len > self.subject.machine.space().most_mapped {
            return Err(RunError::Behaviour(format!("map {len} bytes")));
        }
        if flags & libc::MAP_FIXED as u64 != 0 {
            if !self.block.contains(&range) {
                return Err(RunError::Behaviour(format!("map memory at {address:#x}")));
            }
            // A file that needs more than a page's alignment comes into room reserved before.
            let known = self.record.objects.iter().any(|object| object.range.contains(&address));
            if flags & libc::MAP_ANONYMOUS as u64 == 0 && !known {
                self.record_file(fd, address).map_err(RunError::Io)?;
            }
            return Ok(());
        }
        let anonymous = flags & libc::MAP_ANONYMOUS as u64 != 0;
        args[0] = if anonymous && prot != libc::PROT_NONE as u64 {
            self.block.place_anonymous(len)
        } else if anonymous {
            self.block.reserve_library(len)
        } else {
            self.place_file(fd, len).map_err(RunError::Io)?
        };
        args[3] = flags | MAP_FIXED_NOREPLACE;
        regs.set_arguments(args);
        Ok(self.tracee.set_registers(&regs)?)
    }

    /// Room for a file that is mapped for the first time: an ELF file is a new module, any other
    /// (ld.so.cache) is only read.
    fn place_file(&mut self, fd: u64, len: u64) -> std::io::Result<u64> {
        let mut object = self.open(fd)?;
        let bytes = object.bytes.clone();
        let elf = ElfFile::parse(&bytes).ok();
        let Some((elf, span)) = elf.and_then(|elf| Some((elf.clone(), elf.span()?))) else {
            return Ok(self.block.place_scratch(len));
        };
        let key = || self.subject.files.content_key(&object, &elf);
        let bias = self.block.place_object(&elf, &span, Role::Library, key);
        let bias = bias.ok_or(std::io::ErrorKind::OutOfMemory)?;
        object.lie_at(bias.wrapping_add(span.start)..bias.wrapping_add(span.end));
        let start = object.range.start;
        self.note(object);
        Ok(start)
    }

    /// Remembers a file that is mapped at `at`, in room that was reserved before.
    fn record_file(&mut self, fd: u64, at: u64) -> std::io::Result<()> {
        let mut object = self.open(fd)?;
        if let Some(span) = ElfFile::parse(&object.bytes).ok().and_then(|elf| elf.span()) {
            object.lie_at(at..at + (span.end - span.start));
            self.note(object);
        }
        Ok(())
    }

    /// A module is about to be mapped, all of it before the next call that the tracer sees.
    fn note(&mut self, object: Object) {
        self.cpu_sites.expect(&self.subject.files, &object);
        self.record.objects.push(object);
    }

    /// The file behind a descriptor of the process.
    fn open(&self, fd: u64) -> std::io::Result<Object> {
        self.subject.files.of_process(self.tracee.pid(), &format!("fd/{}", fd as i32))
    }
}
