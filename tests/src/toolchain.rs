//! The C libraries that fixtures are built for: the machine's own, and musl where it is installed beside it.

use std::env;
use std::env::consts::ARCH;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Result, bail};

use crate::compiler::compiler;
use crate::directives::Fixture;
use crate::machine;

/// A C library with the compiler that builds for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// `$CC` and `$CXX`, or `cc` and `c++`.
    Machine,
    /// `$MUSL_CC` or `musl-gcc` (Debian: musl-tools). There is no C++ library for it.
    Musl,
}

impl Toolchain {
    /// All, the machine's own first.
    pub const ALL: [Self; 2] = [Self::Machine, Self::Musl];

    /// The end of the names of tests of programs that are built with it.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Machine => "",
            Self::Musl => "@musl",
        }
    }

    /// The command that compiles and links.
    pub fn compiler(self, cxx: bool) -> Result<OsString> {
        match self {
            Self::Machine => Ok(compiler(cxx)),
            Self::Musl if cxx => bail!("there is no C++ library for musl"),
            Self::Musl => Ok(env::var_os("MUSL_CC").unwrap_or_else(|| "musl-gcc".into())),
        }
    }

    /// Why a fixture cannot be tested with it here; `None` if it can.
    pub fn lacking(self, fixture: &Fixture, is_cxx: bool) -> Result<Option<String>> {
        if self == Self::Machine {
            return machine::lacking(&fixture.needs);
        }
        if let Some(reason) = &fixture.glibc_only {
            return Ok(Some(format!("not with musl: {reason}")));
        }
        let needs_glibc = |need: &String| need.starts_with("glibc-");
        if fixture.needs.iter().any(needs_glibc) {
            return Ok(Some("not with musl: it needs a version of glibc".into()));
        }
        if is_cxx || fixture.needs.iter().any(|need| need.starts_with("c++")) {
            return Ok(Some("not with musl: there is no C++ library for it".into()));
        }
        if let Some(reason) = self.missing()? {
            return Ok(Some(reason));
        }
        let needs: Vec<String> =
            fixture.needs.iter().filter(|&need| need != "musl").cloned().collect();
        machine::lacking(&needs)
    }

    /// Why nothing can be built with it here; `None` if something can.
    pub fn missing(self) -> Result<Option<String>> {
        let compiler = self.compiler(false)?;
        let found = machine::find_program(&compiler.to_string_lossy()).is_some()
            || Path::new(&compiler).is_file();
        let missing = self == Self::Musl && !found;
        Ok(missing.then(|| "musl-gcc is not installed".into()))
    }

    /// Flags that every compilation with it needs. `dir` is a directory to put files in.
    pub fn flags(self, dir: &Path) -> Result<Vec<String>> {
        if self == Self::Machine {
            return Ok(Vec::new());
        }
        // musl-gcc hides the headers of the kernel together with those of the machine's C library.
        let headers = dir.join("kernel");
        if !headers.exists() {
            fs::create_dir(&headers)?;
            for name in ["linux", "asm-generic", "asm"] {
                let places = ["/usr/include".into(), format!("/usr/include/{ARCH}-linux-gnu")];
                let found = places.iter().map(|place| Path::new(place).join(name));
                if let Some(found) = found.into_iter().find(|found| found.is_dir()) {
                    symlink(found, headers.join(name))?;
                }
            }
        }
        Ok(vec![format!("-idirafter{}", headers.display())])
    }
}
