//! What cuts images into stores of chunks, and how each is told to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A way to cut an image.
pub struct Tool {
    /// What it is called in the table.
    pub name: &'static str,
    /// The program, if it is there.
    pub program: Option<PathBuf>,
    /// How its words are made of an image, a store and a file for an index.
    words: fn(&Path, &Path, &Path) -> Vec<OsString>,
}

impl Tool {
    /// Its arguments.
    pub fn words(&self, image: &Path, store: &Path, index: &Path) -> Vec<OsString> {
        (self.words)(image, store, index)
    }
}

/// All of them; each compresses by zstd at the level that it takes if nothing is said.
pub fn tools(chunkstore: &Path) -> Vec<Tool> {
    let own = || Some(chunkstore.to_owned());
    vec![
        Tool {
            name: "chunkstore, 64K",
            program: own(),
            words: |image, store, _| cut(image, store, &["--chunk", "64K"]),
        },
        Tool {
            name: "chunkstore, 16K:64K:256K",
            program: own(),
            words: |image, store, _| cut(image, store, &["--content-defined", "16K:64K:256K"]),
        },
        Tool {
            name: "casync, 16K:64K:256K, SHA-512/256",
            program: find("casync"),
            words: |image, store, index| casync(image, store, index, "sha512-256"),
        },
        Tool {
            name: "casync, 16K:64K:256K, SHA-256",
            program: find("casync"),
            words: |image, store, index| casync(image, store, index, "sha256"),
        },
        Tool {
            name: "desync, 16K:64K:256K, SHA-512/256",
            program: find("desync"),
            words: |image, store, index| {
                let words = ["make".into(), "-s".into(), store.into(), index.into(), image.into()];
                words.to_vec()
            },
        },
    ]
}

fn cut(image: &Path, store: &Path, more: &[&str]) -> Vec<OsString> {
    let words: [OsString; 6] = [
        "cut".into(),
        image.into(),
        "--store".into(),
        store.into(),
        "--quiet".into(),
        "--index".into(),
    ];
    words.into_iter().chain(["image".into()]).chain(more.iter().map(OsString::from)).collect()
}

fn casync(image: &Path, store: &Path, index: &Path, digest: &str) -> Vec<OsString> {
    let mut to = OsString::from("--store=");
    to.push(store);
    vec!["make".into(), format!("--digest={digest}").into(), to, index.into(), image.into()]
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
}
