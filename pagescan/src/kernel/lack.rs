//! Why memory cannot be read by frame, in sentences that say what to do.

use std::io;
use std::path::PathBuf;

/// What is lacking.
#[derive(Debug, thiserror::Error)]
pub enum Lack {
    /// It was said so.
    #[error("memory is not to be read by frame (--by process)")]
    NotWanted,
    /// bpf(2) is forbidden.
    #[error(
        "memory cannot be read by frame: the kernel does not let this process use BPF ({0}); run pagescan as root, or with CAP_BPF, \
         CAP_PERFMON and CAP_SYS_ADMIN"
    )]
    Rights(#[source] io::Error),
    /// The kernel was told to keep its memory to itself.
    #[error(
        "memory cannot be read by frame: the kernel is locked down (kernel_lockdown(7), confidentiality), which only a start without \
         lockdown=confidentiality changes"
    )]
    Lockdown,
    /// bpf(2) is not what it is in newer kernels.
    #[error(
        "memory cannot be read by frame: the kernel refuses a BPF program that reads its memory ({0}); Linux 5.14 or newer with \
         CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS is needed"
    )]
    Bpf(#[source] io::Error),
    /// /proc/self/pagemap says 0.
    #[error(
        "memory cannot be read by frame: the kernel hides frame numbers from this process; run pagescan as root, or with CAP_SYS_ADMIN"
    )]
    FrameNumbers,
    /// /proc/iomem says 0.
    #[error(
        "memory cannot be read by frame: /proc/iomem does not say where memory is; run pagescan as root, or with CAP_SYS_ADMIN"
    )]
    Ranges,
    /// A page of known contents is nowhere to be seen.
    #[error(
        "memory cannot be read by frame: the kernel's map of all memory was not found where kernels for this kind of machine have it"
    )]
    DirectMap,
    /// The array of struct page is nowhere to be seen.
    #[error(
        "which files frames belong to and how often they are used is not known: the kernel's array of struct page was not found where \
         kernels for this kind of machine have it (CONFIG_SPARSEMEM_VMEMMAP)"
    )]
    Vmemmap,
    /// The kernel does not describe itself.
    #[error(
        "the kernel's own data cannot be read, since it does not describe its types in /sys/kernel/btf/vmlinux ({0}); a kernel with \
         CONFIG_DEBUG_INFO_BTF is needed"
    )]
    Types(String),
    /// It is built otherwise.
    #[error(
        "the kernel's own data cannot be read, since its struct {0} has no {1}; a newer pagescan may know this kernel"
    )]
    Member(&'static str, &'static str),
    /// A file of the kernel, or memory for the scan itself.
    #[error("memory cannot be read by frame: {path}: {1}", path = statify_printable::path(.0))]
    File(PathBuf, #[source] io::Error),
}

impl Lack {
    /// Whether it is only rights that this process has not.
    pub fn is_of_rights(&self) -> bool {
        match self {
            Self::Rights(_) | Self::FrameNumbers | Self::Ranges => true,
            Self::File(_, error) => error.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }
}
