//! Compiles `image/` and `agent/` into a flat, position-independent image each.
//!
//! The images are made with the compiler that cargo uses and the linker that Rust ships, for the host
//! target, whatever the profile: a converted program's bytes must not depend on how statify was built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection};

/// What the issue of size asks for: "well under 16 KiB".
const LARGEST_IMAGE: usize = 14 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=image");
    println!("cargo::rerun-if-changed=agent");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let sources = out.join("source");
    lay_out(&sources);
    for (source, name) in [("image", "starter"), ("agent", "agent")] {
        let elf = out.join(name).with_extension("elf");
        compile(&sources, source, name, &elf);
        let image = flatten(&elf);
        fs::write(elf.with_extension("bin"), image).expect("OUT_DIR is writable");
    }
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
    let script = sources.join("starter/image/flat.ld");
    let status = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"))
        .current_dir(sources.join("starter").join(source))
        .arg("main.rs")
        .arg(format!("--crate-name={name}_image"))
        .args(["--crate-type=bin", "--edition=2024"])
        .arg(format!("--target={}", env::var("TARGET").expect("cargo sets TARGET")))
        .args(["-Cpanic=abort", "-Copt-level=s", "-Clinker-plugin-lto", "-Ccodegen-units=1"])
        .args(["-Cforce-unwind-tables=no", "-Coverflow-checks=off", "-Cdebug-assertions=off"])
        .args(["-Cno-redzone=yes", "-Ctarget-cpu=x86-64", "-Crelocation-model=pic"])
        .args(["-Clinker=rust-lld", "-Clinker-flavor=ld.lld"])
        .arg(format!("--remap-path-prefix={}=starter", sources.display()))
        .args(["-static", "-pie", "--no-dynamic-linker", "--build-id=none", "-znorelro"].map(link))
        .args(["--no-eh-frame-hdr", "--fatal-warnings", "--orphan-handling=warn"].map(link))
        .arg(link(&format!("-T{}", script.display())))
        .arg("-o")
        .arg(elf)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the image of the {name} does not compile");
}

fn link(argument: &str) -> String {
    format!("-Clink-arg={argument}")
}

/// The bytes of the one section, once it is sure that they run wherever they are put.
fn flatten(elf: &Path) -> Vec<u8> {
    let bytes = fs::read(elf).expect("the linker wrote it");
    let file = ElfFile64::<LittleEndian>::parse(&*bytes).expect("the linker writes ELF");
    assert_eq!(file.entry(), 0, "the image is entered at its first byte");
    assert!(
        file.dynamic_relocations().is_none_or(|mut relocations| relocations.next().is_none()),
        "the image must not need relocation"
    );
    let text = file.section_by_name(".text").expect("the linker script makes .text");
    let image = text.data().expect(".text has bytes").to_vec();
    assert!(image.len() <= LARGEST_IMAGE, "the image has {} bytes", image.len());
    image
}
