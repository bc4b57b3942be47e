//! Compiles `image/` and `agent/` into a flat, position-independent image each.
//!
//! The images are made with the compiler that cargo uses and the linker that Rust ships, for the host
//! target, whatever the profile: a converted program's bytes must not depend on how statify was built.
//!
//! The images for i386 are made by the compiler that STARTER_I386_RUSTC names, which must have a `core` for it
//! (`cargo xtask starter` does that, and puts them into `blob/`); otherwise they are those of `blob/`, if
//! they were made of the same source.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{ElfFile, FileHeader};
use object::{LittleEndian, Object, ObjectSection};

/// What the issue of size asks for: "well under 16 KiB".
const LARGEST_IMAGE: usize = 14 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=image");
    println!("cargo::rerun-if-changed=agent");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let sources = out.join("source");
    lay_out(&sources);
    let machine = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let mut e_machine = 0;
    for (source, name) in [("image", "starter"), ("agent", "agent")] {
        let elf = out.join(name).with_extension("elf");
        if !Path::new(source).join("arch").join(&machine).with_extension("rs").exists() {
            fs::write(elf.with_extension("bin"), []).expect("OUT_DIR is writable");
            continue;
        }
        compile(&sources, source, name, &elf);
        let image = flatten::<FileHeader64<LittleEndian>>(&elf);
        e_machine = e_machine_of(&elf);
        assert!(image.len() <= LARGEST_IMAGE, "the image has {} bytes", image.len());
        fs::write(elf.with_extension("bin"), image).expect("OUT_DIR is writable");
    }
    println!("cargo::rustc-env=STARTER_MACHINE={e_machine}");
    if machine == "x86_64" {
        narrow(&sources, &out);
    } else {
        // Programs for i386 do not run here.
        for name in [STARTER_I386.name, AGENT_I386.name] {
            let image = out.join(format!("{name}-i386.bin"));
            fs::write(image, []).expect("OUT_DIR is writable");
        }
    }
}

/// The images for i386.
fn narrow(sources: &Path, out: &Path) {
    println!("cargo::rerun-if-changed=blob");
    println!("cargo::rerun-if-env-changed=STARTER_I386_RUSTC");
    for image in [&STARTER_I386, &AGENT_I386] {
        i386(sources, image, &out.join(format!("{}-i386.elf", image.name)));
    }
}

/// An image for i386.
struct Narrow {
    /// The directory that `main.rs` is in, below the package.
    directory: &'static str,
    name: &'static str,
    /// The names of its files in `blob/`, without their endings.
    blob: &'static str,
    /// All of its source, below the repository.
    source: &'static [&'static str],
}

const STARTER_I386: Narrow = Narrow {
    directory: "image",
    name: "starter",
    blob: "i386",
    source: &["starter/image", "crates/params/src/starter.rs"],
};

const AGENT_I386: Narrow = Narrow {
    directory: "agent",
    name: "agent",
    blob: "agent-i386",
    source: &[
        "starter/agent",
        "starter/image/flat.ld",
        "starter/image/arch/i386/call.rs",
        "starter/image/arch/i386/memory.rs",
        "crates/params/src/agent.rs",
    ],
};

/// The image, and what its source is known by.
fn i386(sources: &Path, image: &Narrow, elf: &Path) {
    let source = fingerprint(sources, image.source);
    let image = match env::var_os("STARTER_I386_RUSTC") {
        Some(rustc) => {
            compile_i386(sources, image, &rustc, elf);
            flatten::<FileHeader32<LittleEndian>>(elf)
        }
        None => {
            let blob = Path::new("blob").join(image.blob);
            let of = fs::read_to_string(blob.with_extension("source")).unwrap_or_default();
            let made = fs::read(blob.with_extension("bin")).unwrap_or_default();
            if of.trim() == source { made } else { Vec::new() }
        }
    };
    fs::write(elf.with_extension("source"), source + "\n").expect("OUT_DIR is writable");
    fs::write(elf.with_extension("bin"), image).expect("OUT_DIR is writable");
}

/// Of the files at and below these paths, as far as they are of i386: FNV-1a, which tells a change from none, and no
/// more.
fn fingerprint(sources: &Path, paths: &[&str]) -> String {
    let mut files = Vec::new();
    let mut left: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    while let Some(path) = left.pop() {
        if !sources.join(&path).is_dir() {
            files.push(path);
            continue;
        }
        for entry in fs::read_dir(sources.join(&path)).expect("it was copied") {
            left.push(path.join(entry.expect("it was copied").file_name()));
        }
    }
    // What is of the host alone.
    let is_others = |path: &PathBuf| {
        let text = path.to_string_lossy();
        ["x86_64", "aarch64", "class64.rs", "lp64.rs"].iter().any(|part| text.contains(part))
    };
    files.retain(|path| !is_others(path));
    files.sort();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for file in files {
        for byte in fs::read(sources.join(file)).expect("it was copied") {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

/// The images' sources and those of the parameters, which are another package's, where they lie in the repository:
/// by these paths the images name them.
fn lay_out(sources: &Path) {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let _ = fs::remove_dir_all(sources);
    for directory in ["image", "agent"] {
        copy(&manifest.join(directory), &sources.join("starter").join(directory));
    }
    let parameters = sources.join("crates/params/src");
    fs::create_dir_all(&parameters).expect("OUT_DIR is writable");
    for (name, source) in
        [("starter.rs", statify_params::STARTER), ("agent.rs", statify_params::AGENT)]
    {
        fs::write(parameters.join(name), source).expect("OUT_DIR is writable");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("OUT_DIR is writable");
    for entry in fs::read_dir(from).expect("the package has it") {
        let entry = entry.expect("the package has it");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("the package has it").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("OUT_DIR is writable")),
        }
    }
}

/// Compiles the crate `name` whose root is `main.rs` in the directory `source`.
fn compile(sources: &Path, source: &str, name: &str, elf: &Path) {
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let mut command = compiler(sources, source, &rustc, name);
    command.arg(format!("--target={target}"));
    // What every CPU has.
    command.args(match target.starts_with("x86_64") {
        true => &["-Cno-redzone=yes", "-Ctarget-cpu=x86-64"][..],
        // Addresses are made by `adr`, not by `adrp` and the place in a page, which would be another where an image does not
        // begin at a page.
        false => &["-Cno-redzone=yes", "-Ctarget-cpu=generic", "-Ccode-model=tiny"],
    });
    command.arg("-Clinker=rust-lld");
    run(command, name, elf);
}

/// Compiles an image for i386: every CPU that has CMOV, as Debian's programs for it need; without SSE.
fn compile_i386(sources: &Path, image: &Narrow, rustc: &OsStr, elf: &Path) {
    let own = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let sysroot =
        Command::new(own).args(["--print", "sysroot"]).output().expect("rustc runs").stdout;
    let sysroot = String::from_utf8(sysroot).expect("its path is UTF-8");
    let host = env::var("HOST").expect("cargo sets HOST");
    // A distribution's compiler may have no linker of its own.
    let linker = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/rust-lld");
    let mut command = compiler(sources, image.directory, rustc, image.name);
    command.args(["--target=i686-unknown-linux-gnu", "-Ctarget-cpu=i686"]);
    // What is reached by a frame pointer takes a byte less than by the stack pointer, and words of 64 bits are kept on the
    // stack here: 6% of the code.
    command.arg("-Cforce-frame-pointers=yes");
    command.arg(format!("-Clinker={}", linker.display()));
    run(command, image.name, elf);
}

fn compiler(sources: &Path, source: &str, rustc: &OsStr, name: &str) -> Command {
    let script = sources.join("starter/image/flat.ld");
    let mut command = Command::new(rustc);
    command
        .current_dir(sources.join("starter").join(source))
        .arg("main.rs")
        .arg(format!("--crate-name={name}_image"))
        .args(["--crate-type=bin", "--edition=2024"])
        .args(["-Cpanic=abort", "-Copt-level=s", "-Clinker-plugin-lto", "-Ccodegen-units=1"])
        .args(["-Cforce-unwind-tables=no", "-Coverflow-checks=off", "-Cdebug-assertions=off"])
        .args(["-Crelocation-model=pic", "-Clinker-flavor=ld.lld"])
        .arg(format!("--remap-path-prefix={}=starter", sources.display()))
        .args(["-static", "-pie", "--no-dynamic-linker", "--build-id=none", "-znorelro"].map(link))
        .args(["--no-eh-frame-hdr", "--fatal-warnings", "--orphan-handling=warn"].map(link))
        .arg(link(&format!("-T{}", script.display())))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

fn run(mut command: Command, name: &str, elf: &Path) {
    let status = command.arg("-o").arg(elf).status().expect("rustc runs");
    assert!(status.success(), "the image of the {name} does not compile");
}

fn link(argument: &str) -> String {
    format!("-Clink-arg={argument}")
}

fn e_machine_of(elf: &Path) -> u16 {
    let bytes = fs::read(elf).expect("the linker wrote it");
    let header = FileHeader64::<LittleEndian>::parse(&*bytes).expect("the linker writes ELF");
    header.e_machine(LittleEndian)
}

/// The bytes of the one section, once it is sure that they run wherever they are put.
fn flatten<Header: FileHeader<Endian = LittleEndian>>(elf: &Path) -> Vec<u8> {
    let bytes = fs::read(elf).expect("the linker wrote it");
    let file = ElfFile::<Header>::parse(&*bytes).expect("the linker writes ELF");
    assert_eq!(file.entry(), 0, "the image is entered at its first byte");
    assert!(
        file.dynamic_relocations().is_none_or(|mut relocations| relocations.next().is_none()),
        "the image must not need relocation"
    );
    let text = file.section_by_name(".text").expect("the linker script makes .text");
    text.data().expect(".text has bytes").to_vec()
}
