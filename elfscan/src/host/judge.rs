//! From modules to findings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use statify_elf::{DynamicFacts, ElfFile};
use statify_format::HostLibs;

use super::calls::{self, Asked};
use super::entry_points::{self, Argument, EntryPoint, Library};
use super::imports::{self, Import};
use super::libraries::{self, CFamily};
use super::module::Module;
use super::names;
use super::verdict::{Answer, Category, Certainty, Finding, Kind, Name, Symbol};

/// A module whose dynamic section can be read.
struct Known<'a> {
    path: &'a PathBuf,
    elf: ElfFile<'a>,
    dynamic: DynamicFacts<'a>,
    soname: String,
    c_family: Option<CFamily>,
}

/// What may come from the host for modules that are loaded together. `embedded` are the modules
/// among them that are loaded only if they are asked for: plugins of a converted file.
pub fn judge(modules: &[Module], host_libs: Option<HostLibs>, embedded: &[usize]) -> Vec<Finding> {
    let known: Vec<Known<'_>> = modules.iter().filter_map(know).collect();
    let providers = Providers::of(&known);
    let mut findings: BTreeMap<(Kind, Category, usize), Finding> = BTreeMap::new();
    for (index, module) in known.iter().enumerate() {
        // What these call is called for others; of a file that is looked at by itself, anything
        // may be called.
        let is_file = modules.first().is_some_and(|first| first.path == *module.path);
        let is_conduit = !is_file && libraries::is_conduit(&module.soname);
        if module.c_family.is_some() || is_conduit {
            continue;
        }
        for (finding, symbol) in findings_of(module, &known, &providers) {
            let key = (finding.kind, finding.category, index);
            let whole = findings.entry(key).or_insert_with(|| finding.clone());
            whole.unknown_names |= finding.unknown_names;
            whole.names.extend(finding.names);
            whole.symbols.push(symbol);
        }
    }
    let (mut there, mut plugins) = (BTreeSet::new(), BTreeSet::new());
    for (index, module) in modules.iter().enumerate() {
        let names = if embedded.contains(&index) { &mut plugins } else { &mut there };
        names.extend(module.path.file_name().map(|name| name.to_string_lossy().into_owned()));
        names.insert(module.path.to_string_lossy().into_owned());
        let known = known.iter().find(|known| *known.path == module.path);
        names.extend(known.map(|known| known.soname.clone()));
    }
    let mut findings: Vec<Finding> = findings.into_values().collect();
    for finding in &mut findings {
        complete(finding, &there, &plugins, host_libs);
    }
    findings
}

fn know(module: &Module) -> Option<Known<'_>> {
    let elf = ElfFile::parse_any(&module.bytes).ok()?;
    let dynamic = elf.dynamic().ok()??;
    let soname = dynamic.soname().map(|name| String::from_utf8_lossy(name).into_owned());
    let last = || module.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let soname = soname.or_else(last).unwrap_or_default();
    let c_family = libraries::c_family(&elf, &dynamic);
    Some(Known { path: &module.path, elf, dynamic, soname, c_family })
}

/// A module that defines a function, and the version under which it does.
type Definition<'a> = (usize, Option<&'a [u8]>);

/// Which modules define the functions that are known.
struct Providers<'a>(HashMap<&'a str, Vec<Definition<'a>>>);

impl<'a> Providers<'a> {
    fn of(modules: &[Known<'a>]) -> Self {
        let mut providers: HashMap<&'a str, Vec<_>> = HashMap::new();
        for (module, known) in modules.iter().enumerate() {
            let dynamic = &known.dynamic;
            let versions = dynamic.versions();
            for (index, symbol) in (0..).zip(dynamic.symbols().iter()) {
                if !symbol.is_exported() {
                    continue;
                }
                let name = dynamic.string(symbol.name.into());
                let Some(name) = name.and_then(|name| str::from_utf8(name).ok()) else { continue };
                if !entry_points::named(name).is_empty() {
                    let version = versions.number(index).and_then(|number| versions.name(number));
                    providers.entry(name).or_default().push((module, version));
                }
            }
        }
        Self(providers)
    }

    /// The first that the loader would take.
    fn find(&self, import: &Import<'_>) -> Option<usize> {
        let candidates = self.0.get(import.name)?;
        let fits = |version: Option<&[u8]>| {
            version.is_none() || import.version.is_none() || version == import.version
        };
        candidates.iter().find(|(_, version)| fits(*version)).map(|(module, _)| *module)
    }
}

/// The findings of one module, one for each function and way; incomplete.
fn findings_of(
    module: &Known<'_>,
    known: &[Known<'_>],
    providers: &Providers<'_>,
) -> Vec<(Finding, Symbol)> {
    let imports = imports::imports(&module.dynamic, |name| !entry_points::named(name).is_empty());
    if imports.is_empty() {
        return Vec::new();
    }
    let slots: Vec<Vec<u64>> = imports.iter().map(|import| import.slots.clone()).collect();
    // Of machines whose code is not decoded, nothing is seen.
    let machine = module.elf.machine().filter(|_| module.elf.is_little_endian());
    let mut uses = machine.map(|machine| machine.uses(&module.elf, &slots));
    for (uses, import) in uses.iter_mut().flatten().zip(&imports) {
        uses.taken |= import.taken;
    }
    let mut findings = Vec::new();
    for (index, import) in imports.iter().enumerate() {
        let provider = providers.find(import).map(|provider| &known[provider]);
        let symbol = Symbol {
            name: import.name.to_owned(),
            provider: provider.map(|provider| provider.soname.clone()),
        };
        let uses = uses.as_ref().map(|uses| &uses[index]);
        for entry in entry_points::named(import.name) {
            if !is_meant(entry, import, provider) {
                continue;
            }
            let asked = calls::asked(&module.dynamic, entry.argument, uses, import.weak);
            let Some(asked) = asked else { continue };
            if let Some(finding) = finding(module, entry, asked) {
                findings.push((finding, symbol.clone()));
            }
        }
    }
    findings
}

/// Whether the function that is bound is the one that is meant.
fn is_meant(entry: &EntryPoint, import: &Import<'_>, provider: Option<&Known<'_>>) -> bool {
    match entry.library {
        Library::Named(name) => provider.is_some_and(|provider| provider.soname.starts_with(name)),
        // A library may stand between (and call the C library's in ways that are not seen), which
        // the version tells.
        Library::C => match provider.map(|provider| provider.c_family) {
            Some(Some(CFamily::Musl)) => entry.in_musl,
            Some(Some(CFamily::Glibc)) | None => true,
            Some(None) => import.version.is_some_and(|version| version.starts_with(b"GLIBC_")),
        },
    }
}

fn finding(module: &Known<'_>, entry: &EntryPoint, asked: Asked) -> Option<Finding> {
    let Asked { names: mut asked, mut unknown } = asked;
    let mut category = entry.category;
    match entry.argument {
        Argument::Library(_) => {
            category = libraries::opener(&module.soname, &module.dynamic);
            if unknown {
                let possible = names::possible(&module.dynamic);
                let possible = possible.into_iter();
                asked.extend(possible.map(|name| Name { certainty: Certainty::Possible, name }));
            }
        }
        Argument::Locale(_) if entry.kind == Kind::Code => {
            if !unknown && asked.iter().all(|locale| calls::is_utf8(&locale.name)) {
                return None;
            }
            (asked, unknown) = (BTreeSet::new(), false);
        }
        Argument::Mode(_) | Argument::Locale(_) => (asked, unknown) = (BTreeSet::new(), false),
        // What stands behind it is in configuration files.
        Argument::None | Argument::Name(_) => unknown = entry.names.is_empty(),
        Argument::Program(_) => {}
    }
    asked.extend(entry.names.iter().map(|name| Name::of_library(name)));
    Some(Finding {
        category,
        kind: entry.kind,
        module: module.soname.clone(),
        path: module.path.to_string_lossy().into_owned(),
        symbols: Vec::new(),
        names: asked.into_iter().collect(),
        unknown_names: unknown,
        answer: Answer::Host,
    })
}

/// Brings a finding in order, and says who answers.
fn complete(
    finding: &mut Finding,
    there: &BTreeSet<String>,
    plugins: &BTreeSet<String>,
    host_libs: Option<HostLibs>,
) {
    if finding.kind == Kind::Code {
        // What is loaded is not asked of the host, so its mere mention says nothing.
        finding
            .names
            .retain(|name| name.certainty != Certainty::Possible || !there.contains(&name.name));
    }
    finding.names.sort();
    finding.names.dedup();
    // A name that is certain need not be called possible, too.
    finding.names.dedup_by(|later, first| later.name == first.name);
    finding.symbols.sort();
    finding.symbols.dedup();
    if finding.kind != Kind::Code {
        return;
    }
    let all = |answer: &dyn Fn(&str) -> bool| {
        let certain = |name: &Name| name.certainty == Certainty::Certain && answer(&name.name);
        !finding.unknown_names && !finding.names.is_empty() && finding.names.iter().all(certain)
    };
    finding.answer = if all(&|name| there.contains(name)) {
        Answer::Loaded
    } else if all(&|name| there.contains(name) || plugins.contains(name)) {
        Answer::Embedded
    } else if host_libs == Some(HostLibs::Deny) {
        Answer::Denied
    } else {
        Answer::Host
    };
}
