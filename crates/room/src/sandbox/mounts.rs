//! What is mounted below a directory (proc_pid_mountinfo(5)), and what of it a sandbox may show.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// File systems that are no store of files but a face of the kernel's, or of other machines'
/// processes; /proc above all, whose links lead to every process's root.
const FACES: &[&[u8]] = &[
    b"autofs",
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"efivarfs",
    b"fusectl",
    b"hugetlbfs",
    b"mqueue",
    b"nsfs",
    b"proc",
    b"pstore",
    b"rpc_pipefs",
    b"securityfs",
    b"selinuxfs",
    b"sysfs",
    b"tracefs",
];
/// Where a tmpfs holds sockets and devices of a running system.
const RUNNING: &[&[u8]] = &[b"/dev", b"/run", b"/var/run"];

/// A mount below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its path inside the directory, from `/` on.
    pub point: Vec<u8>,
    /// It is not to be seen.
    pub hidden: bool,
    /// It has `noexec`, which a remount must repeat.
    pub no_exec: bool,
}

/// The mounts below `dir`, in the order they were made. Lines of another form are left out.
pub fn below(mountinfo: &[u8], dir: &Path) -> Vec<Mount> {
    let dir = dir.as_os_str().as_bytes();
    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
    mountinfo.split(|&byte| byte == b'\n').filter_map(|line| parse(line, dir)).collect()
}

fn parse(line: &[u8], dir: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let point = unescape(fields.nth(4)?);
    let options = fields.next()?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let point = point.strip_prefix(dir)?;
    if !point.starts_with(b"/") || point == b"/" {
        return None;
    }
    let running = |place: &&[u8]| {
        point.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    Some(Mount {
        point: point.to_owned(),
        hidden: FACES.contains(&kind) || kind == b"tmpfs" && RUNNING.iter().any(running),
        no_exec: options.split(|&byte| byte == b',').any(|option| option == b"noexec"),
    })
}

/// Undoes the octal escapes of blanks, newlines and backslashes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, behind)) = rest.split_first() {
        let octal = behind
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &behind[3..] } else { behind };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        23 22 0:4 / /g/proc rw,nosuid,noexec - proc proc rw\n\
        24 22 8:2 / /g/usr ro shared:7 master:1 - ext4 /dev/sdb1 ro\n\
        25 22 0:9 / /g/a\\040b\\134 rw,noexec - tmpfs none rw\n\
        26 22 0:9 / /g/run/user/1 rw - tmpfs none rw\n\
        27 22 0:9 / /gg/x rw - tmpfs none rw\n\
        28 22 0:9 / /g rw - tmpfs none rw\n\
        29 22\n";

    #[test]
    fn of_a_directory() {
        let mounts = below(TABLE, Path::new("/g"));
        let seen: Vec<_> =
            mounts.iter().map(|m| (m.point.as_slice(), m.hidden, m.no_exec)).collect();
        let expected: [(&[u8], bool, bool); 4] = [
            (b"/proc", true, true),
            (b"/usr", false, false),
            (b"/a b\\", false, true),
            (b"/run/user/1", true, false),
        ];
        assert_eq!(seen, expected);
        assert_eq!(below(TABLE, Path::new("/")).len(), 6);
    }
}
