//! The agent, its index and the embedded files put into an image.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use statify_elf::machine::Machine;
use statify_elf::{PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, page_up};
use statify_format::HostLibs;
use statify_params::agent::{
    AGENT_MAGIC, AgentParams, FILE_DATA, FILE_MODULE, FILE_PLUGIN, File, POLICY_DENY,
    POLICY_OWN_FILE, Part,
};
use zerocopy::IntoBytes;

use super::index::Index;
use super::plugin::{Plugin, Plugins};
use super::redirect::{self, Redirected};
use super::{names, patch};
use crate::capture::{self, LOADER, Object};
use crate::classify::{Image, Module, Region};
use crate::error::{Error, Result};
use crate::layout::Plan;
use crate::place::Place;

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
    let loader = image.module_of(LOADER).ok_or_else(unable)?;
    let (room, group) =
        (capture::room_for_agent(image.machine(), loader.range.end.value()), loader.group);
    let mut index = list(image, &plugins);
    let len = index.bytes().len() as u64;
    // What is mapped by itself shares no page with anything else, however large pages are.
    let page = image.machine().largest_page();
    let start = end_of_block(image).align_up(page);
    let pages = start..(start + len).next_page();
    add_memory(image, group, pages.clone(), PROT_READ);
    let parts = add_files(image, group, pages.end, plugins.files, align.max(page));
    for (file, (range, len)) in index.files().iter_mut().zip(parts) {
        file.parts[0] = Part { at: range.start - start, offset: 0, len };
    }
    let opening = redirect::opening(image, &plugins.loader_sites, &plugins.library_sites);
    let mut redirected = opening.ok_or_else(unable)?;
    redirected.extend(redirect::fallbacks(image, &redirected));
    let reading = redirect::reading(image, &redirected);
    let mut policy = if host_libs == HostLibs::Deny { POLICY_DENY } else { 0 };
    if reading.is_some() {
        policy |= POLICY_OWN_FILE;
    }
    redirected.extend(reading.unwrap_or_default());
    redirect::sort(&mut redirected).ok_or_else(unable)?;
    let [files, names, directories] = index.counts();
    let params = AgentParams {
        magic: AGENT_MAGIC,
        index: start.wrapping_sub(Place::new(room.start)),
        policy,
        files,
        names,
        directories,
        ..AgentParams::default()
    };
    add_agent(image, group, room, &params, &redirected).ok_or_else(unable)?;
    // Redirected code is no longer as in its file.
    for file in index.files().iter_mut().filter(|file| file.kind == FILE_MODULE) {
        file.parts = telling_parts(image, file.number as usize - 1, start);
    }
    patch::write(image, start, &index.bytes());
    image.index = pages;
    Ok(())
}

/// The index of what is to be embedded, and of modules that may be opened again.
fn list(image: &Image, plugins: &Plugins) -> Index {
    let mut index = Index::new(&plugins.directories);
    for (number, plugin) in plugins.files.iter().enumerate() {
        let kind = if plugin.is_data { FILE_DATA } else { FILE_PLUGIN };
        let number = (image.objects.len() + number + 1) as u32;
        let size = plugin.object.bytes.len() as u64;
        let short = match plugin.is_data {
            true => BTreeSet::new(),
            false => names::short_names(&plugin.object, &plugin.names),
        };
        index.add(File { kind, number, size, ..File::default() }, &plugin.names, &short);
    }
    let modules = plugins.modules.iter().enumerate();
    for (object, paths) in modules.filter(|(object, _)| image.identified.contains(object)) {
        let Object { bytes, .. } = &image.objects[object];
        let (number, size) = ((object + 1) as u32, bytes.len() as u64);
        let short = names::short_names(&image.objects[object], paths);
        let file = File { kind: FILE_MODULE, number, size, ..File::default() };
        index.add(file, paths, &short);
    }
    index
}

/// Puts the files behind one another from `next` on, each at a multiple of `align`. Returns where each lies, and its size.
fn add_files(
    image: &mut Image,
    group: Option<usize>,
    mut next: Place,
    files: Vec<Plugin>,
    align: u64,
) -> Vec<(Range<Place>, u64)> {
    let first = image.objects.len();
    let mut module = None;
    let mut parts = Vec::new();
    for plugin in files {
        let object = image.objects.len();
        let len = plugin.object.bytes.len() as u64;
        let start = next.align_up(align);
        let range = start..start + page_up(len);
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
        add_region(image, range.clone(), PROT_READ, Some((object, 0)), module);
        parts.push((range, len));
        image.objects.push(plugin.object);
    }
    image.plugins = first..image.objects.len();
    parts
}

/// Puts the agent in, and behind it what the redirected instructions jump to. `None` if they take more than the room.
fn add_agent(
    image: &mut Image,
    group: Option<usize>,
    room: Range<u64>,
    params: &AgentParams,
    redirected: &[Redirected],
) -> Option<()> {
    let agent = Place::new(room.start);
    let mut code = params.as_bytes().to_vec();
    let entry = agent + code.len() as u64;
    let machine = image.machine();
    code.extend(starter::agent(machine.e_machine())?);
    for redirected in redirected {
        fill(&mut code, machine);
        let at = agent + code.len() as u64;
        code.extend(redirected.trampoline(at, entry)?);
        patch::write(image, redirected.start(), &redirected.jump(at)?);
    }
    let range = agent..agent + page_up(code.len() as u64);
    if range.end.value() > room.end {
        return None;
    }
    add_memory(image, group, range, PROT_READ | PROT_EXEC);
    patch::write(image, agent, &code);
    image.agent = Some(agent);
    Some(())
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
        patch::write(image, record + OUTPUT, &offset.to_le_bytes());
    }
}

/// Where the block ends, which is where there is room.
fn end_of_block(image: &Image) -> Place {
    let in_block = image.modules.iter().map(|module| module.range.end);
    in_block.filter(|end| !end.is_absolute()).max().unwrap_or_default().next_page()
}

/// A module of no file.
fn add_memory(image: &mut Image, group: Option<usize>, range: Range<Place>, prot: u32) {
    image.modules.push(Module { object: None, group, range: range.clone() });
    add_region(image, range, prot, None, image.modules.len() - 1);
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
