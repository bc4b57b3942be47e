//! What a program may consume that is run to its end.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::BpfProgram;

use super::system_calls;

const MIB: u64 = 1 << 20;

/// It. Made before the process that it is for: that one may make system calls only.
#[derive(Debug)]
pub struct Limits {
    /// From the start on, after which nothing of it is left.
    pub time: Option<Duration>,
    /// Of all its processes together, in bytes; see [`super::memory`].
    pub memory: Option<u64>,
    resources: Vec<(Resource, u64)>,
    filters: Vec<BpfProgram>,
}

impl Limits {
    /// This time; and of each process so much address space, which some only reserve (node, java). What can be
    /// written is little in any case, and system calls are those of [`super::system_calls`].
    pub fn new(time: Option<Duration>, address_space: Option<u64>) -> io::Result<Self> {
        let mut resources = vec![
            (Resource::RLIMIT_FSIZE, 32 * MIB),
            (Resource::RLIMIT_DATA, 8192 * MIB),
            (Resource::RLIMIT_STACK, 8 * MIB),
            (Resource::RLIMIT_NOFILE, 1024),
            (Resource::RLIMIT_NPROC, 1024),
            (Resource::RLIMIT_MEMLOCK, 8 * MIB),
            // 1, not 0: a core_pattern that is a pipe ignores 0, and reads 1 as "do not start it".
            (Resource::RLIMIT_CORE, 1),
        ];
        resources.extend(time.map(|time| (Resource::RLIMIT_CPU, time.as_secs() + 2)));
        resources.extend(address_space.map(|most| (Resource::RLIMIT_AS, most)));
        let filters = system_calls::filters().map_err(io::Error::other)?;
        Ok(Self { time, memory: None, resources, filters })
    }

    /// With so many bytes of memory for all its processes together.
    pub fn of_memory(self, bytes: u64) -> Self {
        Self { memory: Some(bytes), ..self }
    }

    /// Sets them for this process and those that come out of it.
    pub fn apply(&self) -> Result<(), Errno> {
        for &(resource, limit) in &self.resources {
            let (_, most) = getrlimit(resource)?;
            // Root in a container may not raise a limit.
            setrlimit(resource, limit, limit)
                .or_else(|_| setrlimit(resource, limit.min(most), limit.min(most)))?;
        }
        for filter in &self.filters {
            seccompiler::apply_filter(filter).map_err(|_| Errno::last())?;
        }
        Ok(())
    }
}
