//! The C libraries that fixtures are built for: the machine's own, its own for programs of 32 bits, and musl where it is
//! installed beside it.

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
    /// The same compilers for 32 bits (Debian: gcc-multilib, g++-multilib).
    Narrow,
    /// `$MUSL_CC` or `musl-gcc` (Debian: musl-tools). There is no C++ library for it.
    Musl,
}

/// Fixtures that say nothing of programs of 32 bits, and why. By the fixture's name.
const NOT_NARROW: &[(&str, &str)] = &[
    ("custom-entry", "its code is x86-64's"),
    ("cxx-new-handler", "it asks for more than 32 bits can count, which fails in another way"),
    ("entry-state", "its code is x86-64's"),
    ("floating-point-environment", "it looks at registers that programs of 32 bits need not have"),
    ("large-bss", "its code models are for 64 bits"),
    ("lookalike-numbers", "its numbers are those of addresses of 64 bits"),
    ("malloc-large", "its sizes are for 64 bits"),
    ("math-functions", "the 387 computes with more digits than are compared"),
    ("no-libc", "it names the loader of 64 bits"),
    ("openmp", "its sums are for words of 64 bits"),
    ("refuse-resolver-random", "its instruction is for 64 bits"),
    ("refuse-resolver-syscall", "its code is x86-64's"),
    ("relocation-kinds", "its relocations are x86-64's"),
    ("robust-list", "it counts from the thread pointer as x86-64 has it"),
    ("stack-alignment", "what it asks of a frame is x86-64's"),
    ("text-relocation", "its code has an instruction for 64 bits"),
    ("text-relocation-program", "its code has an instruction for 64 bits"),
    ("threads-thousand", "there is no room for a thousand stacks"),
    ("unaligned-relocation", "its structures are laid out for words of 64 bits"),
    ("vdso-functions", "its vDSO has no getcpu"),
];

impl Toolchain {
    /// All that build for this machine, its own first. Only x86-64 runs programs of 32 bits that its compiler builds, too.
    #[cfg(target_arch = "x86_64")]
    pub const ALL: &[Self] = &[Self::Machine, Self::Narrow, Self::Musl];
    /// All that build for this machine, its own first.
    #[cfg(not(target_arch = "x86_64"))]
    pub const ALL: &[Self] = &[Self::Machine, Self::Musl];

    /// Those whose C library is glibc.
    #[cfg(target_arch = "x86_64")]
    pub const GLIBC: &[Self] = &[Self::Machine, Self::Narrow];
    /// Those whose C library is glibc.
    #[cfg(not(target_arch = "x86_64"))]
    pub const GLIBC: &[Self] = &[Self::Machine];

    /// The end of the names of tests of programs that are built with it.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Machine => "",
            Self::Narrow => "@m32",
            Self::Musl => "@musl",
        }
    }

    /// The command that compiles and links.
    pub fn compiler(self, cxx: bool) -> Result<OsString> {
        match self {
            Self::Machine | Self::Narrow => Ok(compiler(cxx)),
            Self::Musl if cxx => bail!("there is no C++ library for musl"),
            Self::Musl => Ok(env::var_os("MUSL_CC").unwrap_or_else(|| "musl-gcc".into())),
        }
    }

    /// Why a fixture cannot be tested with it here; `None` if it can.
    pub fn lacking(self, name: &str, fixture: &Fixture, is_cxx: bool) -> Result<Option<String>> {
        if self == Self::Machine {
            return machine::lacking(&fixture.needs);
        }
        if self == Self::Narrow {
            let fits = |(other, _): &&(&str, &str)| *other == name;
            let reason = NOT_NARROW.iter().find(fits).map(|(_, reason)| *reason);
            let reason = reason.or_else(|| {
                fixture.needs.iter().any(|need| need == "asm").then_some("written for x86-64")
            });
            if let Some(reason) = reason {
                return Ok(Some(format!("not with 32 bits: {reason}")));
            }
            let cxx = is_cxx.then(|| "c++-32".to_owned());
            let own = ["libc-32".to_owned()].into_iter().chain(cxx);
            let needs: Vec<_> = fixture.needs.iter().cloned().chain(own).collect();
            return machine::lacking(&needs);
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
        if self == Self::Narrow {
            return machine::lacking(&["libc-32".to_owned()]);
        }
        let compiler = self.compiler(false)?;
        let found = machine::find_program(&compiler.to_string_lossy()).is_some()
            || Path::new(&compiler).is_file();
        let missing = self == Self::Musl && !found;
        Ok(missing.then(|| "musl-gcc is not installed".into()))
    }

    /// Flags that every compilation with it needs. `dir` is a directory to put files in.
    pub fn flags(self, dir: &Path) -> Result<Vec<String>> {
        match self {
            Self::Machine => return Ok(Vec::new()),
            Self::Narrow => return Ok(vec!["-m32".into()]),
            Self::Musl => {}
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
