//! What can be wrong with guests that are to be booted, each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;

use statify_printable::{path, printable};

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Neither a tree nor an image.
    #[error(
        "{name}: it is neither a directory nor an image of ext4 or EROFS on a whole disk; give the guest's root file system",
        name = path(.0)
    )]
    NoGuest(PathBuf),
    /// A tree and an image, or images of two kinds.
    #[error("{a} and {b} are not of one kind; give two trees, or two images of one file system", a = path(.0), b = path(.1))]
    TwoKinds(PathBuf, PathBuf),
    /// An image cannot be had in the way that is asked for.
    #[error("{name}: it is an {1} image, which --via {2} cannot use; give trees, of which both are made, or leave that out", name = path(.0))]
    OtherSystem(PathBuf, &'static str, &'static str),
    /// No kernel.
    #[error("{name}: {1}; give the guest's kernel with --kernel", name = path(.0))]
    NoKernel(PathBuf, String),
    /// The kernel's modules for EROFS and an overlay are not there.
    #[error(
        "{name}: there is no {1} for its kernel {2}, without which its root cannot be on EROFS with something to write to; install the kernel's modules into it, or give an initial file system with --initrd",
        name = path(.0)
    )]
    NoModule(PathBuf, &'static str, String),
    /// No busybox for the initial file system.
    #[error(
        "a guest on EROFS needs a busybox in its initial file system, and {0}; install busybox-static, or name one with --busybox (`statify busybox -o FILE` makes one)"
    )]
    NoBusybox(String),
    /// A tool that makes images.
    #[error("{name}: no {system} image of it can be made: {why}", name = path(.tree), why = printable(.why))]
    Image {
        /// Of this tree.
        tree: PathBuf,
        /// Of this kind.
        system: &'static str,
        /// What the tool says.
        why: String,
    },
    /// The store in the scratch directory.
    #[error(transparent)]
    Store(#[from] chunkstore::Error),
    /// A server of it.
    #[error("{name}: nothing can be served there: {1}", name = path(.0))]
    Serve(PathBuf, #[source] io::Error),
    /// No emulator.
    #[error("{0}; Debian has it in a package for each kind of machine, qemu-system-...")]
    NoEmulator(String),
    /// The emulator, or what is asked of it.
    #[error(transparent)]
    Machine(#[from] statify_vm::Error),
    /// /dev/kvm, which was asked for.
    #[error(
        "the processor cannot run guests here: {0}; leave --accelerator out, and QEMU emulates one"
    )]
    NoKvm(String),
    /// A guest did not come up.
    #[error("{guest}: it did not say `{until}` within {seconds} seconds; what it said is in {transcript}", until = printable(.until), transcript = path(.transcript))]
    NoLogin {
        /// Which, in words.
        guest: String,
        /// What was waited for.
        until: String,
        /// How long.
        seconds: u64,
        /// Where it stands what it said.
        transcript: PathBuf,
    },
    /// A guest ended.
    #[error("{guest}: it stopped before it said `{until}`; what it said is in {transcript}", until = printable(.until), transcript = path(.transcript))]
    Ended {
        /// Which, in words.
        guest: String,
        /// What was waited for.
        until: String,
        /// Where it stands what it said.
        transcript: PathBuf,
    },
    /// What the kernel says of QEMU's memory.
    #[error("what QEMU takes of the memory is not known: {0}")]
    Memory(#[source] io::Error),
    /// KSM is not to be had.
    #[error("{0}, or leave out --ksm on")]
    Ksm(#[from] statify_process::ksm::Fault),
}
