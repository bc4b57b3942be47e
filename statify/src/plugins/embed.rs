//! The agent, its index and the embedded files put into an image, and the loader's calls redirected.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use statify_elf::machine::{Code, Machine, Redirection};
use statify_elf::{ElfFile, PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, page_down, page_up};
use statify_format::HostLibs;
use statify_params::agent::{
    AGENT_MAGIC, AGENT_ROOM, AgentParams, FILE_DATA, FILE_MODULE, FILE_PLUGIN, File, POLICY_DENY,
    POLICY_OWN_FILE, Part, SITE_LIBRARY, SITE_LOADER,
};
use zerocopy::IntoBytes;

use super::index::Index;
use super::{Plugins, names};
use crate::capture::CallSite;
use crate::classify::{Image, Module, PageBytes, Place, Region, is_absolute};
use crate::error::{Error, Result};
use crate::layout::Plan;

/// The loader, as an object.
const LOADER: usize = 1;
/// What of a module's code is compared with another file, at most.
const MOST_COMPARED: u64 = 1 << 20;

/// Puts them in. `align` is that of the output's files.
pub fn embed(
    program: &Path,
    image: &mut Image,
    plugins: Plugins,
    host_libs: HostLibs,
    align: u64,
) -> Result<()> {
    let unable = || Error::Redirect(program.to_owned());
    let loader = image.modules.iter().find(|module| module.object == Some(LOADER));
    let loader = loader.ok_or_else(unable)?;
    let (agent, group) = (loader.range.end, loader.group);
    let mut index = Index::new(&plugins.directories);
    let first = image.objects.len();
    for (number, plugin) in plugins.files.iter().enumerate() {
        let kind = if plugin.is_data { FILE_DATA } else { FILE_PLUGIN };
        let number = (first + number + 1) as u32;
        let size = plugin.object.bytes.len() as u64;
        let short = match plugin.is_data {
            true => BTreeSet::new(),
            false => names::short_names(&plugin.object, &plugin.names),
        };
        index.add(File { kind, number, size, ..File::default() }, &plugin.names, &short);
    }
    for (object, paths) in plugins.modules.iter().enumerate() {
        if image.identified.contains(&object) {
            let size = image.objects[object].bytes.len() as u64;
            let number = (object + 1) as u32;
            let short = names::short_names(&image.objects[object], paths);
            let file = File { kind: FILE_MODULE, number, size, ..File::default() };
            index.add(file, paths, &short);
        }
    }
    let index_len = index.bytes().len() as u64;
    let index_at = end_of_block(image);
    let mut next = page_up(index_at + index_len);
    let index_module = image.modules.len();
    image.modules.push(Module { object: None, group, range: index_at..next });
    add_region(image, index_at..next, PROT_READ, None, index_module);
    let mut module = None;
    for (number, plugin) in plugins.files.iter().enumerate() {
        let object = first + number;
        let len = plugin.object.bytes.len() as u64;
        let range = next..next + page_up(len);
        next = range.end;
        // One mapping for all, unless each has to begin at a multiple of its own in the file.
        let module = match module {
            Some(module) if align == PAGE => module,
            _ => {
                let object = Some(object);
                image.modules.push(Module { object, group, range: range.clone() });
                *module.insert(image.modules.len() - 1)
            }
        };
        image.modules[module].range.end = range.end;
        index.files()[number].parts[0] = Part { at: range.start - index_at, offset: 0, len };
        add_region(image, range, PROT_READ, Some((object, 0)), module);
    }
    image.plugins = first..first + plugins.files.len();
    image.objects.extend(plugins.files.into_iter().map(|plugin| plugin.object));
    if plugins.loader_sites.is_empty() {
        return Err(unable());
    }
    let sites = plugins.loader_sites.iter().map(|site| (site.clone(), SITE_LOADER));
    let sites = sites.chain(plugins.library_sites.iter().map(|site| (site.clone(), SITE_LIBRARY)));
    let mut redirected = redirections(image, sites).ok_or_else(unable)?;
    let mut policy = if host_libs == HostLibs::Deny { POLICY_DENY } else { 0 };
    let reading = readers(image).and_then(|sites| redirections(image, sites.into_iter()));
    if let Some(reading) = reading {
        redirected.extend(reading);
        policy |= POLICY_OWN_FILE;
    }
    redirected.sort_by_key(|(redirection, moved, _)| redirection.start.wrapping_add(*moved));
    let apart = |pair: &[(Redirection, u64, u32)]| {
        pair[0].0.end.wrapping_add(pair[0].1) <= pair[1].0.start.wrapping_add(pair[1].1)
    };
    if !redirected.windows(2).all(apart) {
        return Err(unable());
    }
    let [files, names, directories] = index.counts();
    let params = AgentParams {
        magic: AGENT_MAGIC,
        index: index_at.wrapping_sub(agent),
        policy,
        files,
        names,
        directories,
        ..AgentParams::default()
    };
    let mut code = params.as_bytes().to_vec();
    let entry = agent + code.len() as u64;
    code.extend(starter::AGENT);
    let machine = image.machine();
    for (redirection, moved, kind) in redirected {
        fill(&mut code, machine);
        let at = agent + code.len() as u64;
        let trampoline = redirection.trampoline(moved, at, entry, kind).ok_or_else(unable)?;
        code.extend(trampoline);
        let jump = redirection.jump(moved, at).ok_or_else(unable)?;
        write(image, redirection.start.wrapping_add(moved), &jump);
    }
    let range = agent..agent + page_up(code.len() as u64);
    if range.end > agent + AGENT_ROOM {
        return Err(unable());
    }
    image.agent = Some(agent);
    image.modules.push(Module { object: None, group, range: range.clone() });
    let module = image.modules.len() - 1;
    add_region(image, range, PROT_READ | PROT_EXEC, None, module);
    write(image, agent, &code);
    // Redirected code is no longer as in its file.
    for file in index.files().iter_mut().filter(|file| file.kind == FILE_MODULE) {
        file.parts = telling_parts(image, file.number as usize - 1, index_at);
    }
    write(image, index_at, &index.bytes());
    image.index = index_at..page_up(index_at + index_len);
    Ok(())
}

/// Fills code up to a multiple of 16 bytes, with what is never executed.
fn fill(code: &mut Vec<u8>, machine: Machine) {
    let missing = code.len().next_multiple_of(16) - code.len();
    code.extend(machine.breakpoint().iter().cycle().take(missing));
}

/// Completes the index: where in the output each embedded file lies.
pub fn locate(image: &mut Image, plan: &Plan) {
    const OUTPUT: u64 = std::mem::offset_of!(File, output) as u64;
    for number in 0..image.plugins.len() {
        let object = image.plugins.start + number;
        let region = image.regions.iter().find(|region| region.file == Some((object, 0)));
        let Some(place) = region.map(|region| region.range.start) else { continue };
        let segment = plan.segments.iter().find(|segment| segment.file_range().contains(&place));
        let Some(segment) = segment else { continue };
        let offset = segment.offset + (place - segment.range.start);
        let record = image.index.start + (number * size_of::<File>()) as u64;
        write(image, record + OUTPUT, &offset.to_le_bytes());
    }
}

/// The loader's instructions that read and map files; `None` unless there are some of either kind.
fn readers(image: &Image) -> Option<Vec<(CallSite, u32)>> {
    let object = &image.objects[LOADER];
    let elf = ElfFile::parse(&object.bytes).ok()?;
    let mut sites = Vec::new();
    let (mut map, mut read) = (0, 0);
    for load in elf.loads().filter(|load| load.is_executable()) {
        let code = Code::new(elf.contents(load)?, load.p_vaddr);
        let maps = code.calls(&[libc::SYS_mmap]);
        let reads = code.calls(&[libc::SYS_pread64, libc::SYS_lseek]);
        (map, read) = (map + maps.len(), read + reads.len());
        for behind in maps.into_iter().chain(reads) {
            let offset = load.p_offset + (behind - load.p_vaddr);
            sites.push((CallSite { path: object.path.clone(), offset }, SITE_LOADER));
        }
    }
    (map > 0 && read > 0).then_some(sites)
}

/// How each instruction can be redirected, how far its module lies from where its addresses say,
/// and the kind of the site.
fn redirections(
    image: &Image,
    sites: impl Iterator<Item = (CallSite, u32)>,
) -> Option<Vec<(Redirection, u64, u32)>> {
    let mut by_object: BTreeMap<usize, Vec<(u64, u32)>> = BTreeMap::new();
    for (site, kind) in sites {
        let object = image.objects.iter().position(|object| object.path == site.path)?;
        by_object.entry(object).or_default().push((site.offset, kind));
    }
    let mut found = Vec::new();
    for (object, sites) in by_object {
        let elf = ElfFile::parse(&image.objects[object].bytes).ok()?;
        let module = image.modules.iter().find(|module| module.object == Some(object))?;
        if is_absolute(module.range.start) {
            return None;
        }
        let moved = module.range.start.wrapping_sub(elf.span()?.start);
        for load in elf.loads().filter(|load| load.is_executable()) {
            let bytes = elf.contents(load)?;
            let mut code = None;
            for &(offset, kind) in &sites {
                let Some(at) = offset.checked_sub(load.p_offset).filter(|&at| at < load.p_filesz)
                else {
                    continue;
                };
                let code = code.get_or_insert_with(|| Code::new(bytes, load.p_vaddr));
                found.push((code.redirection(load.p_vaddr + at)?, moved, kind));
            }
        }
    }
    Some(found)
}

/// Where the block ends, which is where there is room.
fn end_of_block(image: &Image) -> Place {
    let in_block = image.modules.iter().map(|module| module.range.end);
    page_up(in_block.filter(|end| !is_absolute(*end)).max().unwrap_or(0))
}

fn add_region(
    image: &mut Image,
    range: Range<Place>,
    prot: u32,
    file: Option<(usize, u64)>,
    module: usize,
) {
    let at = image.regions.partition_point(|region| region.range.start < range.start);
    image.regions.insert(at, Region { range, prot, file, module });
}

/// Overwrites bytes of the image.
fn write(image: &mut Image, at: Place, bytes: &[u8]) {
    let mut at = at;
    let mut rest = bytes;
    while !rest.is_empty() {
        let offset = (at - page_down(at)) as usize;
        let (some, more) = rest.split_at(rest.len().min(PAGE as usize - offset));
        let page = page_of(image, page_down(at));
        page[offset..offset + some.len()].copy_from_slice(some);
        at += some.len() as u64;
        rest = more;
    }
}

/// A page of the image, to be changed.
fn page_of(image: &mut Image, place: Place) -> &mut PageBytes {
    let region = image.regions.iter().find(|region| region.range.contains(&place));
    let file = region.and_then(|region| {
        let (object, offset) = region.file?;
        let start = (offset + (place - region.range.start)) as usize;
        let bytes = &image.objects[object].bytes;
        bytes.get(start..bytes.len().min(start + PAGE as usize))
    });
    image.pages.entry(place).or_insert_with(|| {
        let mut page: PageBytes = Box::new([0; PAGE as usize]);
        if let Some(file) = file {
            page[..file.len()].copy_from_slice(file);
        }
        page
    })
}

/// Bytes of a module that tell its file from every other: its first page, and its longest run of
/// code as it is in the file.
fn telling_parts(image: &Image, object: usize, index: Place) -> [Part; 2] {
    let size = image.objects[object].bytes.len() as u64;
    let plain = image.regions.iter().filter_map(|region| {
        let (_, offset) = region.file.filter(|(of, _)| *of == object)?;
        let writable = region.prot & PROT_WRITE != 0;
        let changed = image.pages.range(region.range.clone()).next().map(|(&place, _)| place);
        let end = changed.unwrap_or(region.range.end);
        let len = (end - region.range.start).min(size.saturating_sub(offset));
        let part = Part { at: region.range.start.wrapping_sub(index), offset, len };
        (!writable && len > 0).then_some((region.prot & PROT_EXEC, part))
    });
    let plain: Vec<(u32, Part)> = plain.collect();
    let head = plain.iter().map(|(_, part)| *part).find(|part| part.offset == 0);
    let code = plain.iter().max_by_key(|(execute, part)| (*execute, part.len));
    match (head, code) {
        (Some(head), Some(&(_, code))) => [
            Part { len: head.len.min(PAGE), ..head },
            Part { len: code.len.min(MOST_COMPARED), ..code },
        ],
        // Nothing to compare: known by its names only.
        _ => [Part::default(); 2],
    }
}
