//! A process as /proc shows it (proc(5)): its mappings, its memory, the files it has mapped. It is
//! neither stopped nor attached to.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use goblin::elf::header::{EI_CLASS, ELFCLASS32, ELFMAG};
use statify_elf::PAGE;
use statify_process::Stat;
use statify_process::procfs::{self, Mapping, PageState, page_size};

/// Twice the kernel's limit in distributions that have raised it (vm.max_map_count).
const MOST_MAPPINGS: usize = 1 << 21;
/// So much of /proc/PID/maps is read at once.
const PART: u64 = 1 << 20;

/// Why a process cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is none of this id.
    #[error("process {0}: there is no such process")]
    Missing(u32),
    /// It has no memory of its own.
    #[error(
        "process {0} ({1}): it is a thread of the kernel, which has no file and no memory of its own"
    )]
    Kernel(u32, String),
    /// It has ended.
    #[error("process {0} ({1}): it has ended (a zombie), so that there is no memory left to audit")]
    Zombie(u32, String),
    /// It ended, or became another program, meanwhile.
    #[error(
        "process {0} ({1}): it ended or executed another program while it was looked at; try again"
    )]
    Vanished(u32, String),
    /// No permission to trace it.
    #[error(
        "process {0} ({1}): its memory may not be read; this takes the permission to trace it: be root (with CAP_SYS_PTRACE) or its owner, and see kernel.yama.ptrace_scope"
    )]
    Denied(u32, String),
    /// A program for 32 bits or another machine.
    #[error("process {0} ({1}): {2}")]
    Unsupported(u32, String, statify_elf::ElfError),
    /// A converted program that does not say what is in it.
    #[error(
        "process {0} ({1}): it is a converted program whose manifest is damaged, so that it cannot be told what its memory should be; `elfscan check` tells what became of the file"
    )]
    Manifest(u32, String),
    /// It took too long.
    #[error(
        "process {0} ({1}): its audit was not done after {2} s, and was ended; a program can bring that about (memory on a file system that does not answer, mappings and tables without number): look at it with care, or allow more time (--timeout)"
    )]
    TooLong(u32, String, u64),
    /// More than any real process has.
    #[error("process {0} ({1}): it has more than {2} {3}, and was not audited")]
    TooMany(u32, String, usize, &'static str),
    /// It took too much memory.
    #[error(
        "process {0} ({1}): its audit took more than {2} MiB of memory, and was ended; a program can bring that about: look at it with care"
    )]
    TooLarge(u32, String, u64),
    /// The auditing process ended.
    #[error(
        "process {0} ({1}): its audit ended before it was done ({2}); a file that the process has mapped may have become shorter meanwhile"
    )]
    Died(u32, String, String),
    /// /proc has another form, or something fails that should not.
    #[error("process {0} ({1}): {2}: {3}")]
    Proc(u32, String, &'static str, #[source] io::Error),
}

/// A file by device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Major and minor number.
    pub device: (u32, u32),
    /// The inode's number.
    pub inode: u64,
}

impl FileId {
    /// Of what is mapped; none for anonymous memory.
    pub fn of(mapping: &Mapping) -> Option<Self> {
        (mapping.inode != 0).then_some(Self { device: mapping.device, inode: mapping.inode })
    }
}

/// How a mapped file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It is the mapped file itself.
    Same,
    /// A file of the same path, on a file system that tells other device numbers here than there: to
    /// be compared by its build-id.
    Unsure,
}

/// A process.
#[derive(Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name (comm).
    pub name: String,
    dir: PathBuf,
    memory: File,
    pages: Option<File>,
    started: u64,
    stack: u64,
    /// The size of a word of its memory: 4 bytes in a program for 32 bits, or 8.
    pub word_size: u64,
}

impl Process {
    /// Opens it for reading.
    pub fn open(pid: u32) -> Result<Self, Refusal> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let stat = std::fs::read(dir.join("stat")).map_err(|_| Refusal::Missing(pid))?;
        let stat = Stat::parse(&stat).ok_or_else(|| {
            Refusal::Proc(pid, String::new(), "/proc/PID/stat", ErrorKind::InvalidData.into())
        })?;
        let name = stat.name.clone();
        if stat.is_kernel_thread() {
            return Err(Refusal::Kernel(pid, name));
        }
        if stat.is_over() {
            return Err(Refusal::Zombie(pid, name));
        }
        let memory = match File::open(dir.join("mem")) {
            Ok(memory) => memory,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(Refusal::Denied(pid, name));
            }
            Err(error) if is_gone(&error) => return Err(Refusal::Vanished(pid, name)),
            Err(error) => return Err(Refusal::Proc(pid, name, "/proc/PID/mem", error)),
        };
        let pages = File::open(dir.join("pagemap")).ok();
        let Stat { start: started, stack, .. } = stat;
        let word_size = if has_32_bits(&dir) { 4 } else { 8 };
        Ok(Self { pid, name, dir, memory, pages, started, stack, word_size })
    }

    /// It ended or changed.
    pub fn vanished(&self) -> Refusal {
        Refusal::Vanished(self.pid, self.name.clone())
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        let stat = std::fs::read(self.dir.join("stat")).ok();
        let stat = stat.as_deref().and_then(Stat::parse);
        stat.is_some_and(|stat| stat.start == self.started && !stat.is_over())
    }

    /// Its mappings; ascending.
    pub fn maps(&self) -> Result<Vec<Mapping>, Refusal> {
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::PermissionDenied => Refusal::Denied(self.pid, self.name.clone()),
            _ if is_gone(&error) => self.vanished(),
            _ => Refusal::Proc(self.pid, self.name.clone(), "/proc/PID/maps", error),
        };
        let mut file = File::open(self.dir.join("maps")).map_err(failed)?;
        let mut maps = Vec::new();
        let mut text = Vec::new();
        loop {
            let len = (&mut file).take(PART).read_to_end(&mut text).map_err(failed)?;
            let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            let lines = procfs::parse_maps(&text[..end]);
            maps.extend(lines.ok_or_else(|| failed(ErrorKind::InvalidData.into()))?);
            text.drain(..end);
            if maps.len() > MOST_MAPPINGS {
                let name = self.name.clone();
                return Err(Refusal::TooMany(self.pid, name, MOST_MAPPINGS, "mappings"));
            }
            if len == 0 {
                break;
            }
        }
        if maps.is_empty() { Err(self.vanished()) } else { Ok(maps) }
    }

    /// The path of its program as the kernel tells it.
    pub fn program(&self) -> Option<PathBuf> {
        std::fs::read_link(self.dir.join("exe")).ok()
    }

    /// Its program's file.
    pub fn open_program(&self) -> io::Result<File> {
        open_regular(&self.dir.join("exe"))
    }

    /// Reads memory, as much as is there; 0 if nothing is.
    pub fn read_some(&self, address: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            match self.memory.read_at(&mut bytes[done..], address.wrapping_add(done as u64)) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        done
    }

    /// A word of its memory.
    pub fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..self.word_size as usize];
        (self.read_some(address, bytes) == bytes.len()).then(|| self.number(bytes))
    }

    /// The number in a word's bytes, those of its memory or of a file; behind their end are zeros.
    pub fn number(&self, bytes: &[u8]) -> u64 {
        let mut word = [0; 8];
        let len = bytes.len().min(self.word_size as usize);
        word[..len].copy_from_slice(&bytes[..len]);
        u64::from_le_bytes(word)
    }

    /// What of a number fits into a word.
    pub fn truncate(&self, number: u64) -> u64 {
        if self.word_size == 4 { number & u64::from(u32::MAX) } else { number }
    }

    /// A NUL-terminated string of at most a page.
    pub fn string(&self, address: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; PAGE as usize];
        let len = self.read_some(address, &mut bytes);
        let end = bytes[..len].iter().position(|&byte| byte == 0)?;
        bytes.truncate(end);
        Some(bytes)
    }

    /// The auxiliary vector as the kernel keeps it: types and values.
    pub fn auxiliary_vector(&self) -> Vec<(u64, u64)> {
        let words = std::fs::read(self.dir.join("auxv")).unwrap_or_default();
        let size = self.word_size as usize;
        let entries = words.chunks_exact(2 * size);
        let entries = entries.map(|entry| (self.number(entry), self.number(&entry[size..])));
        entries.take_while(|entry| entry.0 != 0).collect()
    }

    /// Where the stack began at the program's start: argc lies there.
    pub fn stack_start(&self) -> Option<u64> {
        // Without permission the kernel says 0 or 1.
        Some(self.stack).filter(|stack| *stack > PAGE)
    }

    /// The environment that the program was started with, as far as it has not written over it.
    pub fn environment(&self) -> Vec<u8> {
        /// The kernel's own limit for a stack of the usual size.
        const MOST: u64 = 2 << 20;
        let mut text = Vec::new();
        if let Ok(file) = File::open(self.dir.join("environ")) {
            let _ = file.take(MOST).read_to_end(&mut text);
        }
        text
    }

    /// The user that is root in its user namespace, as this process knows users; user 0 if that is not told.
    pub fn root_user(&self) -> u32 {
        let maps = std::fs::read_to_string(self.dir.join("uid_map")).unwrap_or_default();
        let of_root = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (inside, outside) = (words.next()?, words.next()?);
            (inside == "0").then(|| outside.parse().ok())?
        };
        maps.lines().find_map(of_root).unwrap_or(0)
    }

    /// What the kernel says of these pages, 4 KiB each; `None` if it does not.
    pub fn pages(&self, range: &Range<u64>) -> Option<Vec<PageState>> {
        let words = self.page_map(range)?;
        let first = range.start / page_size();
        let state = |at: u64| words.get((at / page_size() - first) as usize).map(page_state);
        range.clone().step_by(PAGE as usize).map(state).collect()
    }

    /// What the kernel says of each of its own pages that a range has a part of.
    fn page_map(&self, range: &Range<u64>) -> Option<Vec<[u8; 8]>> {
        let (first, end) = (range.start / page_size(), range.end.div_ceil(page_size()));
        let mut words = vec![[0; 8]; usize::try_from(end - first).ok()?];
        self.pages.as_ref()?.read_exact_at(words.as_flattened_mut(), first * 8).ok()?;
        Some(words)
    }

    /// How many pages of 4 KiB, from the first of these on, are not the process's own copies; 0 if the kernel does not
    /// say.
    pub fn untouched(&self, range: &Range<u64>) -> u64 {
        let count = (range.end - range.start) / PAGE;
        let Some(words) = self.page_map(range) else { return 0 };
        // Nothing of a sparse mapping is there: compared as a whole, which is fast.
        if words == vec![[0; 8]; words.len()] {
            return count;
        }
        let untouched = words.iter().map(page_state).take_while(is_untouched).count() as u64;
        let behind = (range.start / page_size() + untouched) * page_size();
        (behind.saturating_sub(range.start) / PAGE).min(count)
    }

    /// Opens the file behind a mapping: by /proc/PID/map_files, which leads to it even if it was
    /// deleted, or where this is not permitted by its path as the process sees it.
    pub fn open_mapped(&self, mapping: &Mapping) -> io::Result<(File, Identity)> {
        let Range { start, end } = mapping.range;
        let link = self.dir.join(format!("map_files/{start:x}-{end:x}"));
        if let Ok(file) = open_regular(&link) {
            return Ok((file, Identity::Same));
        }
        let name = Path::new(std::ffi::OsStr::from_bytes(&mapping.name));
        let inside = name.strip_prefix("/").map_err(|_| io::Error::from(ErrorKind::NotFound))?;
        // The process's own root: its last component is followed by the kernel, not by its text.
        let file = open_regular(&self.dir.join("root").join(inside));
        let file = match file {
            Err(_) if self.program().is_some_and(|program| program == name) => self.open_program(),
            other => other,
        }?;
        let found = file.metadata()?;
        let device = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        if found.ino() != mapping.inode {
            return Err(ErrorKind::NotFound.into());
        }
        let identity = if device == mapping.device { Identity::Same } else { Identity::Unsure };
        Ok((file, identity))
    }
}

fn page_state(word: &[u8; 8]) -> PageState {
    PageState(u64::from_le_bytes(*word))
}

/// Still the file's page, or not even in memory.
pub fn is_untouched(state: &PageState) -> bool {
    !state.is_there() || state.is_file_page()
}

/// Whether its program is for 32 bits (EI_CLASS); not, if that cannot be told.
fn has_32_bits(dir: &Path) -> bool {
    let mut identity = [0; EI_CLASS + 1];
    let program = open_regular(&dir.join("exe"));
    let read = program.and_then(|program| program.read_exact_at(&mut identity, 0));
    read.is_ok() && identity.starts_with(ELFMAG) && identity[EI_CLASS] == ELFCLASS32
}

/// Opens a file without waiting for anything, if it is a regular one.
fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let file =
        File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_memory_and_files() {
        let process = Process::open(std::process::id()).unwrap();
        let here = 0x1234_5678_9abc_def0_u64;
        assert_eq!(process.word(&raw const here as u64), Some(here));
        assert_eq!(process.word(8), None);
        let maps = process.maps().unwrap();
        let own = maps.iter().find(|mapping| mapping.inode != 0).unwrap();
        assert_eq!(process.open_mapped(own).unwrap().1, Identity::Same);
        assert!(matches!(Process::open(u32::MAX), Err(Refusal::Missing(_))));
    }
}
