//! All that can be seen of a tree, to be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What is seen of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Type and permissions, owner, group, device number.
    pub traits: (u32, u32, u32, u64),
    /// Time of the last modification.
    pub modified: (i64, i64),
    /// Number of names.
    pub names: u64,
    /// The first of its names.
    pub first: PathBuf,
    /// A file's contents or a link's target.
    pub contents: Vec<u8>,
    /// Extended attributes.
    pub attributes: BTreeMap<String, Vec<u8>>,
}

/// A tree, by paths in it.
pub type Snapshot = BTreeMap<PathBuf, Seen>;

/// Looks at everything in `dir`, but for rootfs-tools' journal.
pub fn of(dir: &Path) -> Result<Snapshot> {
    let mut all = Snapshot::new();
    let mut firsts = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(inside) = left.pop() {
        let path = dir.join(&inside);
        let stat = path.symlink_metadata().with_context(|| path.display().to_string())?;
        let contents = if stat.is_file() {
            fs::read(&path)?
        } else if stat.is_symlink() {
            fs::read_link(&path)?.into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        if stat.is_dir() {
            let mut entries: Vec<_> = fs::read_dir(&path)?.collect::<Result<_, _>>()?;
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
            let own =
                |name: &std::ffi::OsStr| inside.as_os_str().is_empty() && name == ".rootfs-tools";
            left.extend(
                entries.iter().filter(|e| !own(&e.file_name())).map(|e| inside.join(e.file_name())),
            );
        }
        let is_dir = stat.is_dir();
        let first =
            if is_dir { &inside } else { firsts.entry(stat.ino()).or_insert(inside.clone()) };
        let seen = Seen {
            traits: (stat.mode(), stat.uid(), stat.gid(), stat.rdev()),
            modified: (stat.mtime(), stat.mtime_nsec()),
            // The journal's directory is one more in the first.
            names: if is_dir { 0 } else { stat.nlink() },
            first: first.clone(),
            contents,
            attributes: attributes(&path)?,
        };
        all.insert(inside, seen);
    }
    Ok(all)
}

fn attributes(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut names = vec![0; 65536];
    let len = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let read = |name: &[u8]| {
        let mut value = vec![0; 65536];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        value.truncate(len);
        Ok((String::from_utf8_lossy(name).into_owned(), value))
    };
    names.map(read).collect()
}

/// Fails unless the trees are the same; a directory's time counts if `times`.
pub fn same(now: &Snapshot, before: &Snapshot, times: bool) -> Result<()> {
    let mut differing = Vec::new();
    let is_dir = |seen: &Seen| seen.traits.0 & 0o170000 == 0o040000;
    for path in now.keys().chain(before.keys()) {
        let (Some(new), Some(old)) = (now.get(path), before.get(path)) else {
            differing.push(format!(
                "{} is {}",
                path.display(),
                if now.contains_key(path) { "new" } else { "gone" }
            ));
            continue;
        };
        let mut old = old.clone();
        if !times && is_dir(&old) {
            old.modified = new.modified;
        }
        if *new != old {
            let traits = |seen: &Seen| {
                let Seen { traits, modified, names, first, contents, attributes } = seen;
                format!(
                    "{traits:?} {modified:?} {names} {first:?} {} {attributes:?}",
                    contents.len()
                )
            };
            differing.push(format!("{}: {} was {}", path.display(), traits(new), traits(&old)));
        }
    }
    differing.dedup();
    ensure!(differing.is_empty(), "differing:\n{}", differing.join("\n"));
    Ok(())
}

/// Each name must be as in the one or as in the other tree, names of one file alike.
pub fn either(now: &Snapshot, before: &Snapshot, after: &Snapshot) -> Result<usize> {
    let mut converted = 0;
    for (path, old) in before {
        let new = now.get(path).with_context(|| format!("{} is lost", path.display()))?;
        let after = after.get(path).with_context(|| path.display().to_string())?;
        let traits = |seen: &Seen| (seen.traits, seen.contents.clone(), seen.attributes.clone());
        let original = traits(new) == traits(old);
        ensure!(
            original || traits(new) == traits(after),
            "{} is neither original nor converted",
            path.display()
        );
        converted += usize::from(!original);
    }
    Ok(converted)
}
