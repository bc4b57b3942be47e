//! The machine of a conversion, by what conversions depend on.

use std::fs;

use statify_elf::machine::{CpuModel, level_here};

/// The longest name of a system that is believed, in bytes.
const LONGEST_NAME: usize = 200;

/// What is known of the machine that this runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The kernel: name, release and architecture.
    pub kernel: String,
    /// The system, as /etc/os-release calls it.
    pub system: Option<String>,
    /// The C library that this program runs with.
    pub c_library: String,
    /// The CPU's maker and model.
    pub cpu: String,
    /// What it can do.
    pub level: &'static str,
    /// Whether this runs as root.
    pub is_root: bool,
    /// The kind of seccomp filter that this process is under: 0 for none, 2 for a filter.
    pub seccomp: Option<u32>,
    /// What Yama lets processes trace: 0 for all that are theirs, 3 for none.
    pub ptrace_scope: Option<u32>,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        // Not uname(2), which tells the host's name as well: that is nobody's business.
        let told = |name: &str| {
            let text = fs::read_to_string(format!("/proc/sys/kernel/{name}"));
            text.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
        Self {
            kernel: format!("{} {} {}", told("ostype"), told("osrelease"), std::env::consts::ARCH),
            system: fs::read_to_string("/etc/os-release").ok().as_deref().and_then(system),
            c_library: c_library(),
            cpu: CpuModel::of_this_cpu().to_string(),
            level: level_here(),
            is_root: nix::unistd::geteuid().is_root(),
            seccomp: seccomp(&status),
            ptrace_scope: scope.ok().and_then(|scope| scope.trim().parse().ok()),
        }
    }
}

/// PRETTY_NAME (os-release(5)).
fn system(os_release: &str) -> Option<String> {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = name.trim().trim_matches(['"', '\'']);
    (!name.is_empty() && name.len() <= LONGEST_NAME).then(|| name.to_owned())
}

/// The number behind "Seccomp:" (proc(5)).
fn seccomp(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?.trim().parse().ok()
}

#[cfg(target_env = "gnu")]
fn c_library() -> String {
    // SAFETY: it returns a constant text that ends with a NUL.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
fn c_library() -> String {
    // musl has no function that tells its version.
    "not glibc".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_without_its_name() {
        let machine = Machine::here();
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let name = name.trim();
        let words = format!("{machine:?}");
        assert!(name.len() < 4 || !words.contains(name), "{name} is in {words}");
    }

    #[test]
    fn what_files_of_the_system_say() {
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(system(text).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(system("NAME=x\n"), None);
        assert_eq!(system(&format!("PRETTY_NAME={}", "x".repeat(1000))), None);
        assert_eq!(seccomp("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"), Some(2));
        assert_eq!(seccomp("Name:\tx\n"), None);
    }
}
