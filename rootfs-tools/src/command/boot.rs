//! `rootfs-tools boot`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chunkstore::ChunkSize;
use regex::bytes::Regex;
use rootfs_tools::boot::options::{Accelerate, Options, Via};
use rootfs_tools::boot::{self, Event, text};
use statify_command_line::signals;
use statify_process::ksm::{self, PutBack};

use crate::progress::Progress;
use crate::{Failure, Verdict};

/// Boot a guest as it was and converted, and say how long both take and what they read
///
/// Both are booted in QEMU to the login, in turns, in each way that is asked for: from images in files, and from a chunk store
/// over NBD. What they need at boot is counted in chunks, over the whole image as well.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The guest as it was: its tree, or an image with ext4 or EROFS on the whole disk
    #[arg(value_name = "NORMAL")]
    normal: PathBuf,
    /// The same with converted programs
    #[arg(value_name = "CONVERTED")]
    converted: PathBuf,
    /// Where the root comes from: an ext4 image in a file, an EROFS image in a file, a chunk store (with an empty cache, a full one,
    /// and prefetching)
    #[arg(long, value_name = "WAY", value_enum, value_delimiter = ',', default_values_t = [Where::File, Where::Store])]
    via: Vec<Where>,
    /// Whether the kernel may merge equal pages of the guest's memory
    #[arg(long, value_name = "WHEN", value_enum, value_delimiter = ',', default_values_t = [Switch::Off])]
    ksm: Vec<Switch>,
    /// How often each is booted
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Write the report there, what the guests said, and the traces
    #[arg(long, value_name = "DIR")]
    report: PathBuf,
    /// The guests' kernel [default: the newest in the tree's /boot]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Their initial file system, which mounts /dev/nvme0n1 [default: none; for EROFS one is made, with an overlay]
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// A static busybox for the one that is made [default: that on the PATH]
    #[arg(long, value_name = "FILE", conflicts_with = "initrd")]
    busybox: Option<PathBuf>,
    /// More parameters for the kernel
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Memory of the machine
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..=1 << 24))]
    memory: u64,
    /// Its CPUs
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,
    /// What runs its instructions: the processor (KVM), QEMU in software, or the processor if it can
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Runs::Auto)]
    accelerator: Runs,
    /// A guest is up when this pattern is on its console
    #[arg(long, value_name = "PATTERN", default_value = "login: ")]
    until: Regex,
    /// The size of the store's chunks, from 4K to 4M
    #[arg(long, value_name = "SIZE", default_value_t)]
    chunk: ChunkSize,
    /// How long a guest may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// How long it is waited in the first round until no more pages are merged
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    settle: u64,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// Say nothing but the answer
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Where {
    File,
    Erofs,
    Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    Off,
    On,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Runs {
    Auto,
    Kvm,
    Software,
}

impl Arguments {
    fn options(&self, scratch: PathBuf) -> Options {
        let mut ksm: Vec<bool> = Vec::new();
        for switch in &self.ksm {
            let on = *switch == Switch::On;
            if !ksm.contains(&on) {
                ksm.push(on);
            }
        }
        Options {
            normal: self.normal.clone(),
            converted: self.converted.clone(),
            via: self
                .via
                .iter()
                .map(|via| match via {
                    Where::File => Via::File,
                    Where::Erofs => Via::Erofs,
                    Where::Store => Via::Store,
                })
                .collect(),
            ksm,
            runs: self.runs,
            report: self.report.clone(),
            scratch,
            kernel: self.kernel.clone(),
            initial_files: self.initrd.clone(),
            busybox: self.busybox.clone(),
            append: self.append.clone(),
            memory: self.memory,
            cpus: self.cpus,
            accelerator: match self.accelerator {
                Runs::Auto => Accelerate::Auto,
                Runs::Kvm => Accelerate::Kvm,
                Runs::Software => Accelerate::Software,
            },
            until: self.until.clone(),
            chunk: self.chunk,
            patience: Duration::from_secs(self.patience),
            settle: Duration::from_secs(self.settle),
            ksm_places: ksm::Places::default(),
        }
    }
}

/// Boots.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let parent = std::env::temp_dir();
    let scratch = tempfile::Builder::new().prefix("rootfs-tools-").tempdir_in(&parent);
    let scratch = scratch.map_err(rootfs_tools::Error::file("written", &parent))?;
    let to_put_back: Arc<Mutex<Option<PutBack>>> = Arc::default();
    clean_up(scratch.path().to_owned(), to_put_back.clone())?;
    let progress = Progress::new(arguments.quiet);
    let outcome =
        boot::boot(&arguments.options(scratch.path().to_owned()), &mut |event| match event {
            Event::Begun(what) | Event::Found(what) if !arguments.quiet => progress.say(what),
            Event::Begun(_) | Event::Found(_) => {}
            Event::Ksm(put_back) => {
                *to_put_back.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(put_back.clone());
            }
        })?;
    let path = scratch.path().to_owned();
    scratch.close().map_err(rootfs_tools::Error::file("removed", &path))?;
    match arguments.json {
        true => statify_command_line::print_json(&outcome)?,
        false => statify_command_line::print(&text::text(&outcome))?,
    }
    Ok(Verdict::Good)
}

/// On signals: KSM is put back, the guests end with this process, and nothing is left behind.
fn clean_up(scratch: PathBuf, ksm: Arc<Mutex<Option<PutBack>>>) -> Result<(), Failure> {
    signals::at_end(move || {
        statify::interrupt::give_up();
        if let Some(put_back) = &*ksm.lock().unwrap_or_else(PoisonError::into_inner) {
            put_back.now();
        }
        // What is written meanwhile may come in behind; without its directory nothing does.
        for _ in 0..100 {
            match std::fs::remove_dir_all(&scratch) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
        statify_command_line::say("rootfs-tools", "interrupted; the guests are ended");
    })?;
    Ok(())
}
