//! A tree that a run is ended on, and what must be true of it after any end.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::rootfs::snapshot::{self, Snapshot};
use crate::rootfs::{guest, pool, tool};

/// Where converted programs go, and the originals.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// The originals are kept.
    InPlace,
    /// They are not.
    NoBackup,
    /// They are, and programs have a pool.
    Pool,
    /// The backup is on another file system.
    Copies,
    /// The tree is copied.
    Out,
}

/// A tree that is worked on, what it was, and what it must become.
pub struct Trial {
    pristine: PathBuf,
    root: PathBuf,
    out: PathBuf,
    backup: PathBuf,
    kind: Kind,
    before: Snapshot,
    after: Snapshot,
    _elsewhere: Option<tempfile::TempDir>,
}

impl Trial {
    /// Works in the directory `dir`, with copies of `pristine`.
    pub fn new(dir: &Path, kind: Kind, pristine: PathBuf) -> Result<Self> {
        let elsewhere = match kind {
            Kind::Copies => {
                Some(tempfile::Builder::new().prefix("statify-tests-").tempdir_in("/dev/shm")?)
            }
            _ => None,
        };
        let at = elsewhere.as_ref().map_or(dir, |dir| dir.path());
        let mut trial = Trial {
            pristine,
            root: dir.join("root"),
            out: dir.join("out"),
            backup: at.join("backup"),
            kind,
            before: Snapshot::new(),
            after: Snapshot::new(),
            _elsewhere: elsewhere,
        };
        trial.reset()?;
        trial.before = snapshot::of(&trial.root)?;
        tool::good(trial.convert())?;
        trial.after = snapshot::of(trial.tree())?;
        ensure!(trial.programs()? > 2, "nothing to see");
        trial.reset()?;
        Ok(trial)
    }

    /// The tree as it was, and nothing else.
    pub fn reset(&self) -> Result<()> {
        let partial = self.out.with_file_name(".out.rootfs-tools-partial");
        let _ = fs::remove_file(self.out.with_file_name(".out.rootfs-tools-journal"));
        for dir in [&self.root, &self.out, &self.backup, &partial] {
            if dir.exists() {
                fs::remove_dir_all(dir)?;
            }
        }
        guest::copy(&self.pristine, &self.root)
    }

    /// How many names of programs there are.
    pub fn programs(&self) -> Result<usize> {
        snapshot::either(&self.after, &self.before, &self.after)
    }

    /// Where converted programs are.
    fn tree(&self) -> &Path {
        if self.kind == Kind::Out { &self.out } else { &self.root }
    }

    /// The command that converts.
    pub fn convert(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["convert".into(), self.root.clone().into()];
        arguments.extend(match self.kind {
            Kind::Out => ["--out".into(), self.out.clone().into()].to_vec(),
            Kind::NoBackup => ["--in-place".into(), "--no-backup".into()].to_vec(),
            _ => ["--in-place".into(), "--backup".into(), self.backup.clone().into()].to_vec(),
        });
        if self.kind == Kind::Pool {
            arguments.extend(["--pool", pool::WANTED].map(OsString::from));
        }
        arguments.extend(["--quiet".into(), "--jobs".into(), "1".into()]);
        arguments
    }

    /// The command that restores.
    pub fn restore(&self) -> [OsString; 2] {
        ["restore".into(), self.tree().to_owned().into()]
    }

    /// After any end: each program is one or the other. Returns how many names of converted ones there are.
    pub fn nothing_is_lost(&self) -> Result<usize> {
        if self.kind == Kind::Out {
            snapshot::same(&snapshot::of(&self.root)?, &self.before, true).context("ROOT")?;
            if !self.out.exists() {
                return Ok(0);
            }
        }
        snapshot::either(&snapshot::of(self.tree())?, &self.before, &self.after)
    }

    /// As a run that was not ended leaves it.
    pub fn is_complete(&self) -> Result<()> {
        let mut now = snapshot::of(self.tree())?;
        // The first thing that a run does changes the time of ROOT itself.
        if let Some(root) = now.get_mut(Path::new("")) {
            root.modified = self.after[Path::new("")].modified;
        }
        snapshot::same(&now, &self.after, true)
    }

    /// As it was, and nothing else is there.
    pub fn is_restored(&self) -> Result<()> {
        // The times of directories are written down before anything changes, but for the first moment.
        snapshot::same(&snapshot::of(self.tree())?, &self.before, false)?;
        ensure!(!self.tree().join(".rootfs-tools").exists(), "the journal stayed");
        // Its directory, and its own journal, are made before the tree's journal speaks of them.
        let left = fs::read_dir(&self.backup).map_or(0, |entries| {
            let names = entries.flatten().map(|entry| entry.file_name());
            names.filter(|name| name != ".rootfs-tools-backup").count()
        });
        ensure!(left == 0, "the backup stayed");
        Ok(())
    }

    /// Whether there is something to be restored.
    pub fn has_journal(&self) -> bool {
        self.tree().join(".rootfs-tools/journal").exists()
    }

    /// As it was, the times of directories, too.
    pub fn is_as_before(&self) -> Result<()> {
        let mut now = snapshot::of(self.tree())?;
        // The last thing that is done changes the time of ROOT itself.
        if let Some(root) = now.get_mut(Path::new("")) {
            root.modified = self.before[Path::new("")].modified;
        }
        snapshot::same(&now, &self.before, true)
    }

    /// After any end of a run: the same command comes to its end, if `first_on`; the originals can be put back.
    pub fn goes_on_and_back(&self, first_on: bool) -> Result<()> {
        if first_on {
            tool::good(self.convert())?;
            self.is_complete().context("after a second run")?;
        }
        if self.kind == Kind::NoBackup {
            return Ok(());
        }
        if !self.has_journal() {
            ensure!(self.nothing_is_lost()? == 0, "no journal, but converted programs");
            return Ok(());
        }
        tool::good(self.restore())?;
        self.is_restored().context("restored")
    }

    /// After any end of a restoration: what is left of it is done.
    pub fn goes_back(&self) -> Result<()> {
        if self.has_journal() {
            tool::good(self.restore())?;
        }
        self.is_as_before()
    }
}
