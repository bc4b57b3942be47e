//! Power loss: a tree on a file system whose device is a file of another one. While a run goes on, that file is
//! cloned again and again (ioctl_ficlone(2)). Each clone is what a device had at one moment of what it had been
//! given; what was in memory only is not there. It is mounted as after a power loss, where the tree was.
//!
//! While the file is cloned no write to it is under way. So each write is in a cut wholly or not at all, and with
//! it all that were reported as done before it was given: what a run has not flushed, or not in the right order,
//! is missing. What a disk's own cache does is not seen, which may forget or reorder what it has reported as
//! done: to flush that one is the file system's work in each fsync(2).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::report::Done;

use crate::rootfs::disk::{self, LoopDevice, Mounted};
use crate::rootfs::trial::{Kind, Trial};
use crate::rootfs::{guest, tool};

/// How often a case is run; cuts are at other moments each time.
const ROUNDS: usize = 2;

/// So many of a run's cuts, evenly chosen, are gone on from; programs are looked at in each one.
const SAMPLE: usize = 15;

/// A kind of file system that a tree is on.
struct Inner {
    /// In names of tests.
    name: &'static str,
    /// The command that makes one.
    make: &'static [&'static str],
    /// For mount(8).
    options: &'static str,
}

const INNER: [Inner; 3] = [
    Inner {
        name: "ext4",
        // Nothing is left to be written later on its own account; times have nanoseconds.
        make: &[
            "mkfs.ext4",
            "-q",
            "-b",
            "4096",
            "-I",
            "256",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
        ],
        // By itself it writes a file out before that is renamed over another, which others do not.
        options: "noauto_da_alloc,noinit_itable",
    },
    // Its fsync(2) makes one file last, and not whatever was done before, as the others' does.
    Inner { name: "btrfs", make: &["mkfs.btrfs", "-q"], options: "defaults" },
    Inner { name: "xfs", make: &["mkfs.xfs", "-q", "-m", "reflink=1"], options: "defaults" },
];

pub fn add(cases: &mut Cases) {
    for inner in &INNER {
        let name = |what: &str| format!("power/{}-{what}", inner.name);
        let make = format!("program:{}", inner.make[0]);
        let needs = [disk::Kind::Xfs.needs(), &[make.as_str()]].concat();
        for (what, kind) in
            [("in-place", Kind::InPlace), ("without-backup", Kind::NoBackup), ("out", Kind::Out)]
        {
            cases
                .needing(&needs)
                .add(&name(what), move |case| on_a_disk(case, inner, kind, converting));
        }
        cases
            .needing(&needs)
            .add(&name("restore"), |case| on_a_disk(case, inner, Kind::InPlace, restoring));
    }
}

/// A device that loses its power.
struct Device {
    /// What holds its contents.
    file: PathBuf,
    /// Where it is mounted.
    dir: PathBuf,
    /// The directory of what its contents were at moments.
    cuts: PathBuf,
    /// What is on it.
    inner: &'static Inner,
}

fn on_a_disk(
    case: &Case,
    inner: &'static Inner,
    kind: Kind,
    test: fn(&Trial, &Device) -> Result<()>,
) -> Result<Done> {
    disk::with(case, disk::Kind::Xfs, 2048, |disk| {
        let dir = case.dir.join("mounted");
        fs::create_dir(&dir)?;
        let pristine = guest::tiny(case.dir.join("pristine"))?.dir;
        // What programs become is not found out on the device, where blocks would keep it.
        let trial = Trial::new(&dir, kind, pristine)?;
        for round in 0..ROUNDS {
            let at = disk.dir.join(round.to_string());
            let device = Device::new(&at, &dir, inner)?;
            match device.mount() {
                Err(reason) => return Done::not_here(format!("{}: {reason:#}", inner.name)),
                Ok((mounted, _)) => mounted.unmount()?,
            }
            test(&trial, &device).with_context(|| format!("round {round}"))?;
            fs::remove_dir_all(at)?;
        }
        Ok(Done::Passed)
    })
}

impl Device {
    /// A new one, with its cuts in the directory `at`; to be mounted at `dir`.
    fn new(at: &Path, dir: &Path, inner: &'static Inner) -> Result<Self> {
        let (file, cuts) = (at.join("disk"), at.join("cuts"));
        fs::create_dir_all(&cuts)?;
        File::create_new(&file)?.set_len(512 << 20)?;
        let [program, arguments @ ..] = inner.make else { unreachable!("it has a name") };
        let mut make = Command::new(program);
        let status = make.args(arguments).arg(&file).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "{program}: {status}");
        Ok(Self { inner, file, dir: dir.to_owned(), cuts })
    }

    /// Mounts it. Returns where the kernel says what the device has done, too.
    fn mount(&self) -> Result<(Mounted, PathBuf)> {
        let device = LoopDevice::of(&self.file)?;
        let mounted = Mounted::image(&device.path, &self.dir, self.inner.options)?;
        let name = device.path.file_name().context("a device without a name")?;
        Ok((mounted, Path::new("/sys/block").join(name).join("stat")))
    }

    /// Mounts it and makes it ready by `prepare`, runs rootfs-tools with `arguments`, and returns how many cuts
    /// there are of that; the last one is made after the command has ended.
    fn cut(
        &self,
        prepare: impl FnOnce() -> Result<()>,
        arguments: &[impl AsRef<OsStr>],
    ) -> Result<usize> {
        let (mounted, statistics) = self.mount()?;
        prepare()?;
        rustix::fs::syncfs(File::open(&self.dir)?)?;
        let ended = AtomicBool::new(false);
        let count = thread::scope(|scope| {
            let cutter = scope.spawn(|| self.cut_until(&ended, &statistics));
            let said = tool::good(arguments);
            ended.store(true, Ordering::SeqCst);
            let count = cutter.join().map_err(|_| anyhow::anyhow!("it panicked"))?;
            said.and(count)
        })?;
        mounted.unmount()?;
        Ok(count)
    }

    /// Cuts whenever something was written since the last time, and once more when all has ended.
    fn cut_until(&self, ended: &AtomicBool, statistics: &Path) -> Result<usize> {
        let file = File::open(&self.file)?;
        let mut last = None;
        for number in 0.. {
            let is_last = loop {
                // Before what was written is looked at.
                let is_last = ended.load(Ordering::SeqCst);
                let now = writes(statistics)?;
                if is_last || last.replace(now) != Some(now) {
                    break is_last;
                }
                thread::sleep(Duration::from_micros(100));
            };
            rustix::fs::ioctl_ficlone(&File::create_new(self.cut_file(number))?, &file)?;
            if is_last {
                return Ok(number + 1);
            }
        }
        unreachable!("the loop ends by itself only")
    }

    fn cut_file(&self, number: usize) -> PathBuf {
        self.cuts.join(number.to_string())
    }

    /// Mounts each of `count` cuts in turn, and calls `look` with its number, in the sample as well if it belongs to
    /// that.
    fn after_each(
        &self,
        count: usize,
        mut look: impl FnMut(usize, Option<usize>) -> Result<()>,
    ) -> Result<()> {
        let sample: Vec<usize> =
            (0..SAMPLE).map(|index| index * (count - 1) / (SAMPLE - 1)).collect();
        for number in 0..count {
            let mut looked = || -> Result<()> {
                let options = format!("loop,{}", self.inner.options);
                let mounted = Mounted::image(&self.cut_file(number), &self.dir, &options)?;
                look(number, sample.iter().position(|&chosen| chosen == number))?;
                mounted.unmount()
            };
            looked().with_context(|| format!("cut {number} of {count}"))?;
        }
        Ok(())
    }
}

/// How many writes a block device has done (Documentation/block/stat.rst).
fn writes(statistics: &Path) -> Result<u64> {
    let text = fs::read_to_string(statistics)?;
    Ok(text.split_whitespace().nth(4).context("no number of writes")?.parse()?)
}

fn converting(trial: &Trial, device: &Device) -> Result<()> {
    let count = device.cut(|| trial.reset(), &trial.convert())?;
    let mut converted = Vec::new();
    device.after_each(count, |_, sampled| {
        converted.push(trial.nothing_is_lost()?);
        match sampled {
            // Even ones: straight back; odd ones: to the end first.
            Some(index) => trial.goes_on_and_back(index % 2 == 1),
            None => Ok(()),
        }
    })?;
    // However busy the machine is, some lie between the first and the last.
    ensure!(count > 3 && converted[0] == 0, "{converted:?}");
    ensure!(converted.is_sorted(), "what was done is undone: {converted:?}");
    // A command that has ended has done it.
    ensure!(converted[count - 1] == trial.programs()?, "{converted:?}");
    Ok(())
}

fn restoring(trial: &Trial, device: &Device) -> Result<()> {
    let prepare = || {
        trial.reset()?;
        tool::good(trial.convert()).map(drop)
    };
    let count = device.cut(prepare, &trial.restore())?;
    let mut converted = Vec::new();
    device.after_each(count, |number, sampled| {
        converted.push(trial.nothing_is_lost()?);
        if number + 1 == count {
            ensure!(!trial.has_journal(), "the journal is there again");
        }
        if sampled.is_some() { trial.goes_back() } else { Ok(()) }
    })?;
    ensure!(count > 1 && converted[0] == trial.programs()?, "{converted:?}");
    ensure!(converted.is_sorted_by(|one, next| one >= next), "{converted:?}");
    ensure!(converted[count - 1] == 0, "{converted:?}");
    Ok(())
}
