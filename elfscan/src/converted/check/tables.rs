//! The starter: its tables held against the memory that they are for, and its code.

use statify_elf::PAGE;
use statify_elf::machine::Machine;
use statify_format::parameters::Parameters;
use statify_params::{
    ABSOLUTE, FIXUP_ORIGIN, FIXUP_VDSO, FROZEN_TUNABLES, Group, MOST_GROUPS, PROGRAM_FIRST,
    RANDOM_FULL, SAME_PAGE_SIZE, SEAL_ALWAYS, SEAL_UNFILTERED, SECURE_REFUSED, is_fixup,
};

use super::problem::{Part, Problem, Problems};
use crate::converted::memory::{self, Memory};
use crate::converted::open::Converted;
use crate::converted::places::Places;

/// The most words at wrong places that are told.
const MOST: usize = 5;
/// What a path's directory and its NUL may take, in bytes (linux/limits.h).
const PATH_MAX: u64 = 4096 + 1;
/// More than the paths of all libraries of any program, in bytes.
const MOST_ROOM: u64 = 1 << 30;

/// Checks the tables.
pub fn check(
    converted: &Converted<'_>,
    parameters: &Parameters<'_>,
    places: &Places,
    memory: &Memory,
    problems: &mut Problems,
) {
    for fault in &memory.faults {
        problems.push(at(places, fault.place, fault.what));
    }
    check_form(converted, parameters, problems);
    check_libraries(converted, parameters, memory, problems);
    check_code_places(parameters, places, memory, problems);
    match memory::writes(parameters) {
        Ok(writes) => {
            let wrong = writes
                .into_iter()
                .filter(|&(place, len)| !memory.is_writable(places.normal(place), len));
            for (place, _) in wrong.take(MOST) {
                problems.push(at(places, place, "a word to be written lies in no writable page"));
            }
        }
        Err(error) => problems.add(Part::Tables, error.to_string()),
    }
    check_fixups(parameters, places, problems);
    check_choices(parameters, places, memory, problems);
}

/// A problem at a place of the output.
fn at(places: &Places, place: u64, what: &str) -> Problem {
    Problem { address: Some(places.normal(place)), ..Problem::new(Part::Tables, what) }
}

/// What each value must be, whatever the memory.
fn check_form(converted: &Converted<'_>, parameters: &Parameters<'_>, problems: &mut Problems) {
    let params = &parameters.params;
    let largest = converted.elf.machine().map_or(PAGE, Machine::largest_page);
    let mut expect = |holds, what: &str| problems.expect(holds, Part::Tables, what);
    let is_size = |size: u64| size.is_power_of_two() && (PAGE..=largest).contains(&size);
    let sizes = is_size(params.page_size) && is_size(params.largest_page);
    expect(sizes, "it is laid out for other pages");
    // mmap(2) takes whole pages of the kernel's only.
    let is_alike =
        |at: u64, offset: u64| sizes && at.wrapping_sub(offset).is_multiple_of(params.largest_page);
    let loads = converted.elf.loads().all(|load| is_alike(load.p_vaddr, load.p_offset));
    let maps = parameters.maps().all(|map| {
        let pooled = map.pool_file == 0 || is_alike(map.to, u64::from(map.pool_page) * PAGE);
        is_alike(map.to, map.offset) && pooled
    });
    expect(loads && maps, "memory and file differ in where pages of the largest size begin");
    expect(params.secure <= SECURE_REFUSED, "what to do under AT_SECURE is unknown");
    let alignments = parameters.groups().map(|group| group.alignment);
    let aligned = alignments
        .chain([params.alignment])
        .all(|alignment| alignment.is_power_of_two() && alignment >= PAGE);
    expect(aligned, "an alignment is no power of two, or less than a page");
    let end = params.vaddr.wrapping_add(size_of::<statify_params::Params>() as u64);
    let unmapped = params.unmap == 0 || params.unmap == end.wrapping_sub(params.front);
    expect(unmapped, "what is unmapped before the hand-off is not the tables");
    let known = parameters.calls().all(|call| Parameters::is_known(&call) && call.places < 16);
    expect(known, "a kernel call of no known kind");
}

/// What the starter jumps to or calls must be code.
fn check_code_places(
    parameters: &Parameters<'_>,
    places: &Places,
    memory: &Memory,
    problems: &mut Problems,
) {
    let params = &parameters.params;
    let mut code = vec![
        (params.handoff, "the hand-off leads to no code"),
        (params.entry, "the program's entry point leads to no code"),
    ];
    if params.read_tunables > FROZEN_TUNABLES {
        let functions = [params.read_tunables, params.take_over_tunables];
        let functions = functions.into_iter().filter(|&function| function != 0);
        code.extend(functions.map(|at| (at, "a function that reads variables is no code")));
    }
    let resolvers = parameters.resolvers();
    code.extend(resolvers.map(|resolver| (resolver.function, "an IFUNC resolver is no code")));
    for (place, what) in code {
        if !memory.is_code(places.normal(place)) {
            problems.push(at(places, place, what));
        }
    }
}

/// Each fix-up must be of a known kind, and what it names must be there.
fn check_fixups(parameters: &Parameters<'_>, places: &Places, problems: &mut Problems) {
    let mut room = 0u64;
    for fixup in parameters.fixups() {
        if !is_fixup(fixup.kind) || !matches!(fixup.width, 4 | 8) {
            problems.push(at(places, fixup.at, "a fix-up of no known kind"));
        } else if fixup.kind == FIXUP_VDSO && parameters.name(fixup.arg.into()).is_none() {
            problems.push(at(places, fixup.at, "a vDSO function without a name"));
        } else if fixup.kind == FIXUP_ORIGIN {
            let rest = parameters.name(fixup.extra);
            room = room.saturating_add(rest.map_or(u64::MAX, |rest| rest.len() as u64 + PATH_MAX));
        }
    }
    let origin_room = parameters.params.origin_room;
    let sound = room <= origin_room && origin_room < MOST_ROOM;
    problems.expect(sound, Part::Tables, "paths in the output's directory do not fit their room");
}

/// What is prepared for kinds of CPUs must be code, too.
fn check_choices(
    parameters: &Parameters<'_>,
    places: &Places,
    memory: &Memory,
    problems: &mut Problems,
) {
    for variant in parameters.variants() {
        let results = parameters.results(&variant);
        // Null is an answer, too: a function that there is not on this CPU.
        let real = results.filter(|result| result & !ABSOLUTE != 0);
        let wrong = real.filter(|&result| !memory.is_code(places.normal(result)));
        for result in wrong.take(MOST) {
            problems.push(at(places, result, "a function chosen for a CPU is no code"));
        }
    }
}

/// What slides by itself must be apart from the rest; and the page that grows where the file cannot
/// be opened must be one of the starter's code, and grow to hold all that is mapped from it.
fn check_libraries(
    converted: &Converted<'_>,
    parameters: &Parameters<'_>,
    memory: &Memory,
    problems: &mut Problems,
) {
    let params = &parameters.params;
    let groups: Vec<Group> = parameters.groups().collect();
    let mut end = None;
    let ascend = groups.len() <= MOST_GROUPS
        && groups.iter().all(|group| {
            let behind = end.is_none_or(|end| end <= group.start);
            end = group.start.checked_add(group.len);
            behind && group.len > 0 && end.is_some() && group.start % PAGE == 0
        });
    let loads = converted.elf.loads().map(|load| load.p_vaddr.saturating_add(load.p_memsz));
    let behind = loads.max().unwrap_or(0);
    let is_fixed = converted.is_fixed();
    let in_order = |mut places: Vec<u64>| {
        let before = places.clone();
        places.sort_unstable();
        before == places
    };
    let ascend = ascend
        && in_order(parameters.maps().map(|map| map.to).collect())
        && in_order(parameters.ranges(params.zeros).map(|range| range.start).collect());
    let apart = match (groups.first(), end) {
        (Some(first), Some(end)) => {
            let ours = |run: &std::ops::Range<u64>| run.end <= end || run.start & ABSOLUTE != 0;
            !is_fixed && first.start >= behind && memory.last.runs().all(|(run, _)| ours(&run))
        }
        _ => true,
    };
    problems.expect(
        apart && ascend,
        Part::Tables,
        "the libraries' addresses are not apart from the program's",
    );
    let spare = params.spare_offset..params.spare_offset.saturating_add(params.spare_len);
    let page = converted.elf.loads().find(|load| load.p_vaddr == params.spare);
    let is_code = page.is_some_and(|load| {
        (load.p_offset, load.p_filesz) == (params.spare_offset, PAGE)
            && load.p_offset.checked_add(PAGE) == Some(parameters.code.end)
    });
    let holds = |map: statify_params::Map| {
        spare.start <= map.offset && map.offset.saturating_add(map.len) <= spare.end
    };
    problems.expect(
        is_code && parameters.maps().all(holds),
        Part::Tables,
        "the page that grows is not the starter's, or does not hold what is mapped",
    );
    let known = params.choices
        & !(RANDOM_FULL | PROGRAM_FIRST | SAME_PAGE_SIZE | SEAL_UNFILTERED | SEAL_ALWAYS)
        == 0;
    problems.expect(known, Part::Tables, "what is random or sealed is unknown");
}

/// The starter's code must be this build's, if this build could have written the file.
pub fn check_code(
    converted: &Converted<'_>,
    parameters: &Parameters<'_>,
    problems: &mut Problems,
    notices: &mut Vec<String>,
) {
    let Some(code) = converted.part(parameters.code.clone()) else {
        return problems.add(Part::Starter, "the code is cut off");
    };
    let version = &converted.manifest.version;
    if version != env!("CARGO_PKG_VERSION") {
        notices.push(format!(
            "it was written by statify {}, not {}: the starter's code is known by the build-id only",
            statify_printable::printable(version),
            env!("CARGO_PKG_VERSION")
        ));
        return;
    }
    let Some(image) = starter::image(converted.elf.header().e_machine) else {
        let what = "it is for another machine than this elfscan: the starter's code is known by the build-id only";
        return notices.push(what.into());
    };
    let rest = code.strip_prefix(image);
    let is_ours = rest.is_some_and(|rest| rest.iter().all(|&byte| byte == 0));
    let what = "the code is not what statify of this version writes";
    problems.expect(is_ours, Part::Starter, what);
}
