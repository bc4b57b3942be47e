//! Whose pages are: processes, guests, files, control groups or users, as is asked.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use statify_printable::{path as printable_path, printable};

use super::options::By;
use crate::snapshot::{File, Header, Mapping, Process, Scope};

/// What a domain is told from others by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Machine(u32),
    Cache(u32),
    Process(u32, u32, u64),
    User(u32, u32),
    Cgroup(u32, String),
    CgroupInode(u32, u64),
    File(u32, u64, u64),
    Library(Vec<u8>),
    Named(u32, String),
}

/// The domains that there are, by number.
pub struct Domains {
    by: By,
    numbers: HashMap<Key, u32>,
    labels: Vec<String>,
    /// Of each machine, what its domains' names begin with.
    prefixes: Vec<String>,
}

/// Programs that emulate or run machines, each of which is a process.
const MONITORS: [&str; 6] =
    ["qemu-", "kvm", "cloud-hyperviso", "firecracker", "crosvm", "VBoxHeadless"];

impl Domains {
    /// None yet. `machines` have names that tell them apart.
    pub fn new(by: By, machines: &[String]) -> Self {
        let prefix = |name: &String| {
            if machines.len() > 1 { format!("{}: ", printable(name)) } else { String::new() }
        };
        let prefixes = machines.iter().map(prefix).collect();
        Self { by, numbers: HashMap::new(), labels: Vec::new(), prefixes }
    }

    /// How they are called, by number.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    fn number(&mut self, key: Key, label: impl FnOnce() -> String) -> u32 {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let prefix = match &key {
            Key::Library(_) => "",
            Key::Machine(machine)
            | Key::Cache(machine)
            | Key::Process(machine, ..)
            | Key::User(machine, _)
            | Key::Cgroup(machine, _)
            | Key::CgroupInode(machine, _)
            | Key::File(machine, ..)
            | Key::Named(machine, _) => {
                self.prefixes.get(*machine as usize).map_or("", |text| text)
            }
        };
        let number = self.labels.len() as u32;
        self.labels.push(format!("{prefix}{}", label()));
        self.numbers.insert(key, number);
        number
    }

    /// The domain of a machine's memory of which nobody says who uses it.
    pub fn of_memory(&mut self, machine: u32, cgroup: u64) -> u32 {
        match self.by {
            By::Cgroup if cgroup != 0 => self
                .number(Key::CgroupInode(machine, cgroup), || format!("cgroup of inode {cgroup}")),
            By::Cgroup => self.number(Key::CgroupInode(machine, 0), || "no cgroup".into()),
            _ => self.number(Key::Machine(machine), || "all memory".into()),
        }
    }

    /// The domain of a process's pages, if it does not depend on what they are mapped from.
    pub fn of_process(&mut self, machine: u32, process: &Process, header: &Header) -> Option<u32> {
        let label = || format!("{} ({})", printable(&process.name), process.pid);
        let key = Key::Process(machine, process.pid, process.start);
        Some(match self.by {
            By::File | By::Library => return None,
            By::Process => self.number(key, label),
            By::Guest if header.scope == Scope::Guests || is_monitor(process) => {
                self.number(key, label)
            }
            By::Guest => self.number(Key::Machine(machine), || "host".into()),
            By::Cgroup => self.number(Key::Cgroup(machine, process.cgroup.clone()), || {
                if process.cgroup.is_empty() { "/".into() } else { printable(&process.cgroup) }
            }),
            By::User => {
                self.number(Key::User(machine, process.uid), || format!("user {}", process.uid))
            }
        })
    }

    /// The domain of a mapping's pages, where it is what counts.
    pub fn of_mapping(&mut self, machine: u32, mapping: &Mapping, file: Option<&File>) -> u32 {
        match file {
            Some(file) => self.of_pages(machine, file),
            None if mapping.name.is_empty() => {
                self.number(Key::Named(machine, String::new()), || "anonymous".into())
            }
            None => {
                self.number(Key::Named(machine, mapping.name.clone()), || printable(&mapping.name))
            }
        }
    }

    /// The domain of pages of a file that is cached.
    pub fn of_cache(&mut self, machine: u32, file: &File) -> u32 {
        match self.by {
            By::File | By::Library => self.of_pages(machine, file),
            _ => self.number(Key::Cache(machine), || "page cache".into()),
        }
    }

    fn of_pages(&mut self, machine: u32, file: &File) -> u32 {
        if self.by == By::Library && !file.path.is_empty() {
            let name = Path::new(OsStr::from_bytes(&file.path)).file_name().unwrap_or_default();
            return self.number(Key::Library(name.as_bytes().to_vec()), || {
                printable_path(Path::new(name))
            });
        }
        self.number(Key::File(machine, file.device, file.inode), || label_of(file))
    }
}

/// How a file is called.
pub fn label_of(file: &File) -> String {
    if file.path.is_empty() {
        format!("inode {} of device {}", file.inode, file.device)
    } else {
        printable_path(Path::new(OsStr::from_bytes(&file.path)))
    }
}

fn is_monitor(process: &Process) -> bool {
    MONITORS.iter().any(|name| process.name.starts_with(name))
}
