//! Small root file systems for `--root`, made of this machine's files: programs with their loader and libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A root file system.
#[derive(Debug, Clone)]
pub struct SmallRoot {
    /// Its directory.
    pub dir: PathBuf,
}

impl SmallRoot {
    /// An empty one.
    pub fn new(dir: PathBuf) -> Result<Self> {
        fs::create_dir(&dir)?;
        Ok(SmallRoot { dir })
    }

    /// Where `inside`, a path of the root, lies.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.join(inside.trim_start_matches('/'))
    }

    /// Copies this machine's `file` to the path `inside`, with its permissions.
    pub fn add(&self, file: &Path, inside: &str) -> Result<()> {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().context("a file without a directory")?)?;
        fs::copy(file, &path).with_context(|| format!("copying {}", file.display()))?;
        Ok(())
    }

    /// Copies the program `file` to `inside`, and its loader and the libraries that it finds to where they are here.
    pub fn add_program(&self, file: &Path, inside: &str) -> Result<()> {
        self.add(file, inside)?;
        for library in libraries(file)? {
            self.add(&library, &library.to_string_lossy())?;
        }
        Ok(())
    }

    /// Writes /etc/ld.so.conf and the loader's cache, with the directories `inside`.
    pub fn configure(&self, inside: &str) -> Result<()> {
        fs::create_dir_all(self.path("/etc"))?;
        fs::write(self.path("/etc/ld.so.conf"), format!("{inside}\n"))?;
        let ldconfig = ["/sbin/ldconfig", "/usr/sbin/ldconfig"];
        let ldconfig = ldconfig.iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(ldconfig.context("no ldconfig")?);
        let output = command.arg("-r").arg(&self.dir).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// The loader and the libraries of a program, as the loader itself lists them (ld.so(8), LD_TRACE_LOADED_OBJECTS).
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output()?;
    let text = String::from_utf8(output.stdout)?;
    let paths: Vec<_> =
        text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect();
    ensure!(!paths.is_empty(), "{} lists no library", program.display());
    Ok(paths)
}
