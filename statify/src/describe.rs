//! What an output says of itself: the manifest of an image that is laid out.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use statify_elf::ElfFile;
use statify_format::manifest::{
    CpuManifest, EmbeddedFile, FileKind, Manifest, Options, Unloaded, hex,
};
use statify_format::parallel::in_parallel;
use statify_format::{HostLibs, Shape};

use crate::capture::Object;
use crate::classify::Image;
use crate::classify::cpu::CpuChoices;
use crate::contents;
use crate::hashes::Hashes;
use crate::layout::Plan;
use crate::place::OutPlace;
use crate::unloaded::Part;

/// Describes an image that was made in this `shape` and is laid out as planned. `hashes` are those of its objects, `pool` is
/// where files of the pool are.
pub fn describe(
    image: &Image,
    plan: &Plan,
    parts: &[Part],
    hashes: &[Hashes],
    shape: &Shape,
    pool: Option<&Path>,
    host_libs: HostLibs,
) -> Manifest {
    let kind = |index: usize| match index {
        _ if image.plugins.contains(&index) => FileKind::Plugin,
        0 => FileKind::Program,
        1 => FileKind::Loader,
        _ => FileKind::Library,
    };
    let describe = |index: usize| describe_file(kind(index), image, plan, index, &hashes[index]);
    Manifest {
        version: env!("CARGO_PKG_VERSION").into(),
        options: Options {
            fixed: shape.fixed,
            align: shape.align,
            aslr: shape.randomness,
            seal: shape.seal,
            bound: image.bound,
            cpu: describe_cpu(&image.cpu),
            host_libs,
            strip: shape.strip,
            pool: pool
                .filter(|_| !plan.pooled.is_empty())
                .map(|path| path.to_string_lossy().into_owned().into()),
        },
        files: in_parallel(image.objects.len(), describe),
        memory: contents::memory(image, plan, None),
        unloaded: parts.iter().map(|part| describe_part(image, part)).collect(),
    }
}

fn describe_part(image: &Image, part: &Part) -> Unloaded {
    let size = part.range.end - part.range.start;
    let hash = blake3::hash(part.bytes(image));
    Unloaded {
        file_offset: part.range.start,
        size,
        stored_at: part.at,
        blake3: hex(hash.as_bytes()),
    }
}

fn describe_cpu(choices: &CpuChoices) -> CpuManifest {
    CpuManifest {
        least: choices.least.into(),
        prepared: choices.variants.iter().map(|variant| variant.name.clone()).collect(),
        chosen_at_start: choices.can_resolve,
    }
}

fn describe_file(
    kind: FileKind,
    image: &Image,
    plan: &Plan,
    index: usize,
    hashes: &Hashes,
) -> EmbeddedFile {
    let object: &Object = &image.objects[index];
    let elf = ElfFile::parse(&object.bytes).ok();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let dynamic = elf.as_ref().and_then(|elf| elf.dynamic().ok().flatten());
    // Paths that are no text cannot stand in JSON as they are.
    let path = PathBuf::from(text(object.path.as_os_str().as_bytes()));
    let module = image.modules.iter().position(|module| module.object == Some(index));
    let memory = contents::memory(image, plan, Some(index));
    let start = match kind {
        // It may share a module with others.
        FileKind::Plugin => {
            memory.first().map_or(OutPlace::default(), |memory| OutPlace::new(memory.address))
        }
        _ => module.map_or(OutPlace::default(), |module| plan.modules[module].start),
    };
    EmbeddedFile {
        kind,
        path,
        soname: dynamic.and_then(|dynamic| dynamic.soname().map(text)),
        build_id: elf.and_then(|elf| elf.build_id()).map(|id| hex(&id)),
        size: object.bytes.len() as u64,
        sha256: hex(&hashes.sha256),
        address: start.address(),
        fixed: start.is_absolute(),
        memory,
        pooled: plan.pooled.contains(&index).then(|| hex(&hashes.verity)),
        stored_blake3: hex(&contents::digest(image, plan, index)),
    }
}
