//! The guests: images of both, the kernel, and what a root on EROFS needs before it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};
use statify_room::Root;

use super::initramfs;
use super::options::{Options, System, Variant, Via};
use crate::error::boot::Fault;
use crate::error::{Error, Result};
use crate::measure::ext4_image;
use crate::tree::Tree;

/// Where the superblocks of both begin, and what they have there.
const EXT4: (u64, [u8; 2]) = (1024 + 0x38, [0x53, 0xef]);
const EROFS: (u64, [u8; 4]) = (1024, [0xe2, 0xe1, 0xf5, 0xe0]);

/// What is booted.
#[derive(Debug)]
pub struct Guests {
    /// For each kind of file system that is wanted.
    pub pairs: Vec<Pair>,
    /// The kernel.
    pub kernel: PathBuf,
}

/// Both guests on one kind of file system.
#[derive(Debug)]
pub struct Pair {
    /// Which.
    pub system: System,
    /// Their images, as in [`Variant::BOTH`].
    pub images: [PathBuf; 2],
    /// The initial file system.
    pub initial_files: Option<PathBuf>,
    /// The kernel's parameters.
    pub parameters: String,
}

impl Guests {
    /// The images that a way uses: those of `file` are ext4, those of `store` ext4 if there are such.
    pub fn pair(&self, system: Option<System>) -> Option<&Pair> {
        match system {
            Some(system) => self.pairs.iter().find(|pair| pair.system == system),
            None => self.pairs.first(),
        }
    }
}

/// What one of the two that are given is.
enum Given {
    Tree,
    Image(System),
}

/// Makes what is not there yet, in the scratch directory. `tell` hears what takes its time.
pub fn prepare(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<Guests> {
    let of_trees = match (given(&options.normal)?, given(&options.converted)?) {
        (Given::Tree, Given::Tree) => true,
        (Given::Image(one), Given::Image(other)) if one == other => false,
        _ => {
            let (one, other) = (options.normal.clone(), options.converted.clone());
            return Err(Fault::TwoKinds(one, other).into());
        }
    };
    match of_trees {
        true => from_trees(options, tell),
        false => from_images(options),
    }
}

fn given(path: &Path) -> Result<Given> {
    let stat = path.metadata().map_err(Error::file("read", path))?;
    if stat.is_dir() {
        return Ok(Given::Tree);
    }
    if !stat.is_file() {
        return Err(Fault::NoGuest(path.to_owned()).into());
    }
    let file = File::open(path).map_err(Error::file("read", path))?;
    let has = |at: u64, magic: &[u8]| {
        let mut bytes = [0; 4];
        let bytes = &mut bytes[..magic.len()];
        file.read_exact_at(bytes, at).is_ok() && bytes == magic
    };
    match () {
        () if has(EXT4.0, &EXT4.1) => Ok(Given::Image(System::Ext4)),
        () if has(EROFS.0, &EROFS.1) => Ok(Given::Image(System::Erofs)),
        () => Err(Fault::NoGuest(path.to_owned()).into()),
    }
}

fn from_images(options: &Options) -> Result<Guests> {
    let Given::Image(system) = given(&options.normal)? else {
        return Err(Fault::NoGuest(options.normal.clone()).into());
    };
    for (via, wanted, name) in
        [(Via::File, System::Ext4, "file"), (Via::Erofs, System::Erofs, "erofs")]
    {
        if options.via.contains(&via) && system != wanted {
            let normal = options.normal.clone();
            return Err(Fault::OtherSystem(normal, system.name(), name).into());
        }
    }
    let kernel = options.kernel.clone().ok_or_else(|| {
        Fault::NoKernel(
            options.normal.clone(),
            "it is an image, whose kernel is not looked for".into(),
        )
    })?;
    let images = [options.normal.clone(), options.converted.clone()];
    let pair = Pair {
        system,
        images,
        initial_files: options.initial_files.clone(),
        parameters: parameters(system, options, false),
    };
    Ok(Guests { pairs: vec![pair], kernel })
}

fn from_trees(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<Guests> {
    let tree = &options.normal;
    let root = Root::open(tree)?;
    let (kernel, release) = kernel(options, tree, &root)?;
    let mut systems = Vec::new();
    if options.via.contains(&Via::File) || options.via.contains(&Via::Store) {
        systems.push(System::Ext4);
    }
    if options.via.contains(&Via::Erofs) {
        systems.push(System::Erofs);
    }
    let mut pairs = Vec::new();
    for system in systems {
        let mut initial_files = options.initial_files.clone();
        let own = system == System::Erofs && initial_files.is_none();
        if own {
            let release = release.as_deref().ok_or_else(|| {
                let why = "the kernel that is given is of no release that is known";
                Fault::NoKernel(tree.clone(), why.into())
            })?;
            let path = options.scratch.join("initramfs");
            let busybox = busybox(options)?;
            initramfs::write(&path, tree, &root, release, &busybox)?;
            initial_files = Some(path);
        }
        let images = Variant::BOTH
            .map(|variant| options.scratch.join(format!("{}.{}", variant.name(), system.name())));
        for (image, tree) in images.iter().zip([&options.normal, &options.converted]) {
            tell(&format!("an {} image of {}", system.name(), statify_printable::path(tree)));
            match system {
                System::Ext4 => ext4(tree, image)?,
                System::Erofs => erofs(tree, image)?,
            }
        }
        let parameters = parameters(system, options, own);
        pairs.push(Pair { system, images, initial_files, parameters });
    }
    Ok(Guests { pairs, kernel })
}

/// The kernel's parameters. Its own initial file system knows where the root is.
fn parameters(system: System, options: &Options, own_files: bool) -> String {
    let root = match system {
        _ if own_files => "",
        System::Ext4 => "root=/dev/nvme0n1 rw",
        System::Erofs => "root=/dev/nvme0n1 rootfstype=erofs ro",
    };
    format!("{root} {}", options.append).trim().to_owned()
}

/// The kernel, and what `uname -r` will say: the tree's newest in /boot, copied, so that it is what it was looked at as.
fn kernel(options: &Options, tree: &Path, root: &Root) -> Result<(PathBuf, Option<String>)> {
    let no_kernel = |why: String| Fault::NoKernel(tree.to_owned(), why);
    if let Some(kernel) = &options.kernel {
        let name = kernel.file_name().and_then(|name| name.to_str());
        let release = name.and_then(|name| name.strip_prefix("vmlinuz-"));
        return Ok((kernel.clone(), release.map(str::to_owned)));
    }
    let boot = root.find(Path::new("/boot"));
    let entries = boot.and_then(|boot| fs::read_dir(boot.link())?.collect::<io::Result<Vec<_>>>());
    let entries =
        entries.map_err(|error| no_kernel(format!("its /boot cannot be read: {error}")))?;
    let names = entries.iter().filter_map(|entry| entry.file_name().into_string().ok());
    let releases = names.filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned));
    let release = releases.max_by_key(|release| (order(release), release.clone()));
    let release = release.ok_or_else(|| no_kernel("it has no /boot/vmlinuz-*".into()))?;
    let inside = Path::new("/boot").join(format!("vmlinuz-{release}"));
    let bytes = initramfs::read(root, &inside).map_err(Error::file("read", &tree.join("boot")))?;
    let copy = options.scratch.join("vmlinuz");
    fs::write(&copy, bytes).map_err(Error::file("written", &copy))?;
    Ok((copy, Some(release)))
}

/// Releases in the order of their numbers.
fn order(release: &str) -> Vec<u64> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn busybox(options: &Options) -> Result<PathBuf, Fault> {
    if let Some(path) = &options.busybox {
        return Ok(path.clone());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|dir| dir.join("busybox"));
    let found = candidates.find(|path| path.is_file());
    found.ok_or_else(|| Fault::NoBusybox("none is installed here".into()))
}

fn ext4(tree: &Path, image: &Path) -> Result<()> {
    let file = File::options().read(true).write(true).create_new(true).open(image);
    let file = file.map_err(Error::file("written", image))?;
    ext4_image::fill(tree, &file, image, ext4_image::BLOCK).map_err(|error| match error {
        Error::Ext4Image(tree, why) => Fault::Image { tree, system: "ext4", why }.into(),
        error => error,
    })
}

/// As small as EROFS makes it without compression: equal blocks are stored once.
fn erofs(tree: &Path, image: &Path) -> Result<()> {
    let refused = |why: String| Fault::Image { tree: tree.to_owned(), system: "EROFS", why };
    // Its options come first; a name is not taken for one of them.
    let tree_of = std::path::absolute(tree).map_err(Error::file("read", tree))?;
    // As for an ext4 image: nothing of the running system may be mounted in it.
    if let Some(mount) = Tree::open(tree)?.mounts()?.iter().find(|mount| mount.hidden) {
        let at = String::from_utf8_lossy(&mount.point).into_owned();
        let why = format!("something of the running system is mounted at {at} in it");
        return Err(refused(why).into());
    }
    let mut command = Command::new("mkfs.erofs");
    command.args(["-d1", "--chunksize=4096"]).arg(image).arg(tree_of);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: between fork and exec this makes one system call, and nothing else.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().rfind(|line| !line.trim().is_empty());
            let line = line.unwrap_or("it was killed").trim();
            Err(refused(format!("mkfs.erofs: {line}")).into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(refused("mkfs.erofs is not there; install erofs-utils".into()).into())
        }
        Err(error) => Err(refused(format!("mkfs.erofs cannot be run: {error}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_by_their_magic_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let image = |at: u64, bytes: &[u8]| {
            let file = File::create(&path).unwrap();
            file.set_len(4096).unwrap();
            file.write_all_at(bytes, at).unwrap();
            given(&path)
        };
        assert!(matches!(image(1080, &[0x53, 0xef]), Ok(Given::Image(System::Ext4))));
        assert!(matches!(
            image(1024, &0xe0f5_e1e2u32.to_le_bytes()),
            Ok(Given::Image(System::Erofs))
        ));
        assert!(image(0, b"x").is_err());
        assert!(matches!(given(dir.path()), Ok(Given::Tree)));
        assert!(given(&dir.path().join("none")).is_err());
    }

    #[test]
    fn the_newest_kernel_is_taken() {
        assert!(order("6.1.0-9-cloud-amd64") < order("6.1.0-57-cloud-amd64"));
    }
}
