//! Where file systems are mounted (/proc/self/mountinfo, proc_pid_mountinfo(5)), as this process sees them.

use std::fs;

/// The mounts.
#[derive(Clone, Debug, Default)]
pub struct Mounts(Vec<Mount>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    device: (u32, u32),
    /// What of the file system is mounted.
    root: Vec<u8>,
    /// Where.
    point: Vec<u8>,
}

impl Mounts {
    /// Those that this process sees; none where it sees none.
    pub fn of_this_process() -> Self {
        Self::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    /// Those that a text like that file names.
    pub fn parse(text: &[u8]) -> Self {
        Self(text.split(|&byte| byte == b'\n').filter_map(mount).collect())
    }

    /// The path by which this process finds what is at `path` in the file system of a device. None if that part of it is not
    /// mounted here. Where it is mounted more than once, where most of it is; what is mounted over it is not looked at.
    pub fn path(&self, device: (u32, u32), path: &[u8]) -> Option<Vec<u8>> {
        let of_device = self.0.iter().filter(|mount| mount.device == device);
        let places = of_device.filter_map(|mount| Some((mount, below(&mount.root, path)?)));
        // The first of those with the shortest root.
        let (mount, rest) = places.min_by_key(|(mount, _)| mount.root.len())?;
        let point = if mount.point == b"/" { &[][..] } else { &mount.point };
        let whole = [point, rest].concat();
        Some(if whole.is_empty() { b"/".to_vec() } else { whole })
    }
}

/// What follows a directory in a path; none if the path is not in it.
fn below<'a>(directory: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if directory == b"/" {
        return Some(if path == b"/" { b"" } else { path });
    }
    let rest = path.strip_prefix(directory)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// `36 35 98:0 /root /point rw,noatime - ext4 /dev/root rw`
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    Some(Mount {
        device: (major.parse().ok()?, minor.parse().ok()?),
        root: unescape(fields.next()?),
        point: unescape(fields.next()?),
    })
}

/// Blanks and the like are written as `\040`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..3).filter(|_| *first == b'\\');
        let code =
            digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_where_they_are_mounted() {
        let mounts = Mounts::parse(
            b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
              28 27 254:0 /var/lib /mnt/a\\040b rw shared:1 - ext4 /dev/vda rw\n\
              29 27 8:1 /sub /data rw - btrfs /dev/sda1 rw\n\
              nonsense\n",
        );
        let path = |device, path: &str| {
            mounts.path(device, path.as_bytes()).map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(path((254, 0), "/var/lib/x").as_deref(), Some("/var/lib/x"));
        assert_eq!(path((254, 0), "/").as_deref(), Some("/"));
        assert_eq!(path((8, 1), "/sub/x").as_deref(), Some("/data/x"));
        assert_eq!(path((8, 1), "/sub").as_deref(), Some("/data"));
        assert_eq!(path((8, 1), "/subway"), None);
        assert_eq!(path((9, 9), "/x"), None);
        assert_eq!(unescape(b"a\\040b\\134\\09"), b"a b\\\\09");
    }
}
