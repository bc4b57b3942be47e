//! A file system whose server answers nobody any more holds up whoever waits for it, and not who looks at a process that maps its
//! file: only pages that are in memory are read, and no file is asked for anything.

#[macro_use]
mod trials;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, Request,
};
use pagescan::hash::Hasher;
use pagescan::snapshot::{Snapshot, read_all};

trials! {
    snapshots_are_taken_all_the_same: [File("/dev/fuse"), Program("fusermount3")];
}

const PAGE: usize = 4096;
const FILE: INodeNo = INodeNo(2);
/// More than the kernel reads ahead.
const LEN: u64 = 64 << 20;
/// What every page of the file holds.
const BYTE: u8 = 0x5a;
/// A verb that takes so long is held up.
const LIMIT: Duration = Duration::from_secs(60);

/// Touches the first page of the file, copies the second, says so, waits for a line and touches a page that nobody has read.
const MAPPER: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
int main(int argc, char **argv) {
    int file = open(argv[1], O_RDONLY);
    char *at = mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (file < 0 || at == MAP_FAILED) return 9;
    volatile char first = at[0];
    at[4096] = 1;
    puts("ready");
    fflush(stdout);
    getchar();
    return first + ((volatile char *)at)[32 << 20];
}
"#;

/// A directory with one file. What is asked for while it is stalled gets no answer until it goes on.
#[derive(Clone, Default)]
struct Server {
    is_stalled: Arc<AtomicBool>,
    waiting: Arc<Mutex<Vec<Reply>>>,
}

/// One that nobody has got. It says that there was an error when it is dropped.
#[allow(dead_code)]
enum Reply {
    Entry(ReplyEntry),
    Attr(ReplyAttr),
    Data(ReplyData),
}

impl Server {
    fn stall(&self) {
        self.is_stalled.store(true, Ordering::SeqCst);
    }

    fn go_on(&self) {
        self.is_stalled.store(false, Ordering::SeqCst);
        self.waiting().clear();
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Reply>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps it if nobody is to be answered.
    fn stalls<R>(&self, reply: R, keep: fn(R) -> Reply) -> Option<R> {
        if self.is_stalled.load(Ordering::SeqCst) {
            self.waiting().push(keep(reply));
            return None;
        }
        Some(reply)
    }
}

fn attributes(number: INodeNo) -> FileAttr {
    let is_file = number == FILE;
    FileAttr {
        ino: number,
        size: if is_file { LEN } else { 0 },
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if is_file { FileType::RegularFile } else { FileType::Directory },
        perm: 0o700,
        nlink: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let Some(reply) = self.stalls(reply, Reply::Entry) else { return };
        match name == "file" {
            // Nobody may remember it: who asks for it again is held up.
            true => reply.entry(&Duration::ZERO, &attributes(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        if let Some(reply) = self.stalls(reply, Reply::Attr) {
            reply.attr(&Duration::ZERO, &attributes(number));
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if let Some(reply) = self.stalls(reply, Reply::Data) {
            reply.data(&vec![BYTE; size as usize]);
        }
    }
}

/// Answers again in the end, whatever becomes of the test: what waits for it could not even be killed. Then the mount goes.
struct Stalled {
    server: Server,
    child: Child,
    mount: PathBuf,
    session: Option<BackgroundSession>,
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.server.go_on();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Whoever still looks at it.
        let mut unmount = Command::new("fusermount3");
        if !unmount
            .args(["-u", "-z", "--"])
            .arg(&self.mount)
            .status()
            .is_ok_and(|ran| ran.success())
        {
            eprintln!("{} stays mounted", self.mount.display());
        }
        drop(self.session.take());
    }
}

/// Runs pagescan, which must not be held up.
fn pagescan(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagescan"));
    let command = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            let mut said = String::new();
            let mut stderr = child.stderr.take().expect("it is piped");
            std::io::Read::read_to_string(&mut stderr, &mut said).expect("it is UTF-8");
            assert!(status.success(), "{arguments:?}: {status}: {said}");
            return said;
        }
        if begun.elapsed() > LIMIT {
            let _ = child.kill();
            panic!("{arguments:?} is held up");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the pages of the file hold that are in memory: of each, its number, and whether it is as the file has it.
fn pages_of(snapshot: &Snapshot, path: &Path) -> Vec<(u64, bool)> {
    let path = path.as_os_str().as_encoded_bytes();
    let is_its = |vma: &&pagescan::snapshot::Vma| {
        let file = vma.mapping.file.and_then(|file| snapshot.files.get(file as usize));
        file.is_some_and(|file| file.file.path == path)
    };
    let hash = Hasher::Xxh3_128.hash(&[BYTE; PAGE]);
    let runs = snapshot.tasks.iter().flat_map(|task| &task.vmas).filter(is_its);
    let runs = runs.flat_map(|vma| &vma.runs);
    let holds = |frame: u64| snapshot.frames.hashes[frame as usize] == hash;
    runs.flat_map(|run| (0..run.len).map(move |i| (run.page + i, holds(run.frame + i)))).collect()
}

fn snapshots_are_taken_all_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| -> PathBuf { dir.path().join(name) };
    std::fs::write(at("mapper.c"), MAPPER).expect("it is written");
    let mut compiler = Command::new("cc");
    compiler.arg("-o").arg(at("mapper")).arg(at("mapper.c"));
    assert!(compiler.status().expect("a C compiler").success());
    std::fs::create_dir(at("mount")).expect("a directory");

    let server = Server::default();
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("stalled".into()), MountOption::RO];
    let session = fuser::spawn_mount(server.clone(), at("mount"), &config).expect("it is mounted");
    let path = at("mount").join("file");
    let mut command = Command::new(at("mapper"));
    let child = command.arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut stalled = Stalled {
        server: server.clone(),
        child: child.expect("it starts"),
        mount: at("mount"),
        session: Some(session),
    };
    let mut line = String::new();
    let mut out = BufReader::new(stalled.child.stdout.take().expect("it is piped"));
    out.read_line(&mut line).expect("it says something");
    assert_eq!(line, "ready\n");
    server.stall();

    let look = |pid: &str| {
        for by in ["best", "process"] {
            let file = at(by).display().to_string();
            pagescan(&["snapshot", pid, "--by", by, "-o", &file]);
            let snapshot = read_all(File::open(&file).expect("it is there")).expect("it is whole");
            let pages = pages_of(&snapshot[0], &path);
            // What was read ahead may be mapped as well.
            assert!(pages.contains(&(0, true)) && pages.contains(&(1, false)), "{by}: {pages:?}");
            assert!(pages.iter().all(|(page, _)| *page < LEN / 2 / PAGE as u64), "{by}: {pages:?}");
        }
        pagescan(&["watch", "--count", "2", "--every", "0.1", "--json", pid]);
        pagescan(&["advise", "--interval", "0", pid]);
        pagescan(&["hashes", "--rounds", "1", pid]);
    };
    let pid = stalled.child.id().to_string();
    look(&pid);
    // Now it waits itself, for a page that is not there.
    let mut input: ChildStdin = stalled.child.stdin.take().expect("it is piped");
    input.write_all(b"\n").expect("it is read");
    let begun = Instant::now();
    while server.waiting().is_empty() {
        assert!(begun.elapsed() < LIMIT, "it does not ask for the page");
        std::thread::sleep(Duration::from_millis(5));
    }
    look(&pid);
    // It is as stalled as one thinks: who asks for the file waits.
    let (tell, hear) = mpsc::channel();
    let asked = path.clone();
    let asking = std::thread::spawn(move || {
        let _ = asked.metadata();
        let _ = tell.send(());
    });
    assert!(hear.recv_timeout(Duration::from_millis(500)).is_err(), "somebody was answered");
    drop(stalled);
    asking.join().expect("it was let go");
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    assert!(!mounts.contains(&at("mount").display().to_string()), "it stays mounted");
}
