//! In which modules, and in which order, a loader looks for a symbol (glibc's elf/dl-deps.c, dl-open.c
//! and dl-lookup.c; musl looks in the order of its list).
//!
//! What was loaded at the start looks in all that was loaded at the start, in order. What was opened
//! later looks there first, too, and then in what was opened with it, or the other way round
//! (RTLD_DEEPBIND); which flags were given is nowhere to be read, so that both answers are right.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use goblin::elf::dynamic::{DF_SYMBOLIC, DT_FLAGS, DT_SYMBOLIC};
use goblin::elf::sym::{STB_GNU_UNIQUE, STB_LOCAL, STV_DEFAULT, STV_PROTECTED, st_visibility};
use statify_elf::Symbol;

use super::links::Links;
use super::lookup::Wanted;
use super::module::Module;

const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

/// A definition, and the module that has it (by index).
pub type Definition = (usize, Symbol);

/// The modules of one namespace.
#[derive(Debug, Default)]
struct Namespace {
    /// In the loader's order.
    order: Vec<usize>,
    /// How many of them were loaded at the start.
    initial: usize,
}

/// Where each module looks.
#[derive(Debug)]
pub struct Scopes<'m, 'a> {
    modules: &'m [Module<'a>],
    namespaces: Vec<Namespace>,
    /// Of each module: its namespace, and its place there.
    places: Vec<(usize, usize)>,
    /// Of each module that was opened later: what may have been opened together with it, each in
    /// the order of looking.
    opened: HashMap<usize, Vec<Vec<usize>>>,
    /// A loader that minds names only (musl's).
    by_name: bool,
    /// What was found among the modules of a namespace's start.
    cache: RefCell<HashMap<(usize, Wanted<'a>), Option<Definition>>>,
}

impl<'m, 'a> Scopes<'m, 'a> {
    /// From the loader's list. What this does not hold is taken to be in a namespace of its own; with no
    /// list at all everything is in one, in the order of `modules`.
    pub fn new(modules: &'m [Module<'a>], links: &Links, by_name: bool) -> Self {
        let dynamics: HashMap<u64, usize> = (0..)
            .zip(modules)
            .filter_map(|(index, module)| {
                Some((module.loaded(module.dynamic_range()?.start), index))
            })
            .collect();
        let listed = links.namespaces.iter().map(|list| {
            let order = list.iter().filter_map(|link| dynamics.get(&link.dynamic).copied());
            // A damaged list may name one many times.
            let mut seen = HashSet::new();
            Namespace { order: order.filter(|index| seen.insert(*index)).collect(), initial: 0 }
        });
        let mut namespaces: Vec<Namespace> = listed.collect();
        let is_listed = |index: &usize| namespaces.iter().any(|space| space.order.contains(index));
        let mut rest: Vec<usize> = (0..modules.len()).filter(|index| !is_listed(index)).collect();
        let has_list = !namespaces.is_empty();
        if has_list && !rest.is_empty() {
            // Every namespace has the one loader.
            rest.extend((0..modules.len()).filter(|&index| modules[index].is_loader));
        }
        namespaces.push(Namespace { initial: if has_list { 0 } else { rest.len() }, order: rest });
        let mut places = vec![(namespaces.len() - 1, 0); modules.len()];
        for (number, space) in namespaces.iter().enumerate().rev() {
            for (position, &index) in space.order.iter().enumerate().rev() {
                places[index] = (number, position);
            }
        }
        let cache = RefCell::default();
        let mut scopes =
            Self { modules, namespaces, places, opened: HashMap::new(), by_name, cache };
        for number in 0..scopes.namespaces.len() {
            scopes.divide(number, has_list && number == 0);
        }
        scopes
    }

    /// Tells what was loaded at the start from what was opened later.
    fn divide(&mut self, number: usize, has_start: bool) {
        let order = self.namespaces[number].order.clone();
        let names = self.names(&order);
        let needs: HashMap<usize, Vec<usize>> =
            order.iter().map(|&index| (index, self.needs(index, &names))).collect();
        if has_start {
            // Whatever stands before the last thing that the program needs was loaded with it,
            // LD_PRELOAD among it, and so was what that needs.
            let mut initial = 1.min(order.len());
            loop {
                let reached: Vec<usize> =
                    order[..initial].iter().flat_map(|index| closure(*index, &needs)).collect();
                let last = order.iter().rposition(|index| reached.contains(index)).unwrap_or(0);
                if last < initial {
                    break;
                }
                initial = last + 1;
            }
            self.namespaces[number].initial = initial;
        }
        for &root in order.iter().skip(self.namespaces[number].initial) {
            let together = closure(root, &needs);
            for &member in &together {
                let (space, position) = self.places[member];
                if space == number && position >= self.namespaces[number].initial {
                    self.opened.entry(member).or_default().push(together.clone());
                }
            }
        }
    }

    /// Names by which the modules are needed.
    fn names(&self, order: &[usize]) -> HashMap<&'a [u8], usize> {
        let mut names = HashMap::new();
        for &index in order {
            let module = &self.modules[index];
            let soname = module.definitions.as_ref().and_then(|symbols| symbols.facts().soname());
            let path = module.image.name.as_bytes();
            let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
            let last = path.rsplit(|&byte| byte == b'/').next();
            for name in [soname, Some(path), last].into_iter().flatten() {
                names.entry(name).or_insert(index);
            }
        }
        names
    }

    fn needs(&self, index: usize, names: &HashMap<&'a [u8], usize>) -> Vec<usize> {
        let Some(symbols) = &self.modules[index].definitions else { return Vec::new() };
        let facts = symbols.facts();
        let filters =
            facts.entries().iter().filter(|(tag, _)| matches!(*tag, DT_AUXILIARY | DT_FILTER));
        let filters = filters.filter_map(|(_, name)| facts.string(*name));
        let find = |name: &[u8]| {
            let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
            names.get(name).or_else(|| names.get(last)).copied()
        };
        filters.chain(facts.needed()).filter_map(find).collect()
    }

    /// Every definition that a reference of module `from` may have been bound to, the likeliest first.
    pub fn candidates(&self, from: usize, symbol: &Symbol, wanted: &Wanted<'a>) -> Vec<Definition> {
        let is_own = symbol.is_defined()
            && (symbol.binding() == STB_LOCAL
                || !matches!(st_visibility(symbol.other), STV_DEFAULT | STV_PROTECTED));
        if is_own {
            return vec![(from, *symbol)];
        }
        let mut found: Vec<Definition> = Vec::new();
        let mut add = |definition: Option<Definition>| {
            found.extend(definition.filter(|new| {
                !found.iter().any(|old| old.0 == new.0 && old.1.value == new.1.value)
            }));
        };
        let (number, position) = self.places[from];
        let space = &self.namespaces[number];
        let module = &self.modules[from];
        let has_own_way = is_symbolic(module)
            || module.is_loader
            || symbol.is_defined() && st_visibility(symbol.other) == STV_PROTECTED;
        if has_own_way {
            add(self.in_module(from, wanted));
        }
        let initial = self.initial(number, wanted);
        add(initial);
        if position >= space.initial {
            for together in self.opened.get(&from).into_iter().flatten() {
                add(together.iter().find_map(|&index| self.in_module(index, wanted)));
            }
        }
        if initial.is_none() {
            // Opened with RTLD_GLOBAL before this was bound, perhaps.
            for &index in space.order.iter().skip(space.initial) {
                add(self.in_module(index, wanted));
            }
        }
        if found.iter().any(|(_, symbol)| symbol.binding() == STB_GNU_UNIQUE) {
            // The first of all that are loaded is the one, whoever looks, whatever its version.
            for &index in &space.order {
                let symbols = self.modules[index].definitions.as_ref();
                let unique = symbols.and_then(|symbols| symbols.find(wanted, true));
                let unique = unique.filter(|symbol| symbol.binding() == STB_GNU_UNIQUE);
                if let Some(symbol) = unique.filter(|_| !found.iter().any(|old| old.0 == index)) {
                    found.push((index, symbol));
                }
            }
        }
        found
    }

    fn initial(&self, number: usize, wanted: &Wanted<'a>) -> Option<Definition> {
        let key = (number, *wanted);
        if let Some(known) = self.cache.borrow().get(&key) {
            return *known;
        }
        let space = &self.namespaces[number];
        let found =
            space.order[..space.initial].iter().find_map(|&index| self.in_module(index, wanted));
        self.cache.borrow_mut().insert(key, found);
        found
    }

    fn in_module(&self, index: usize, wanted: &Wanted<'_>) -> Option<Definition> {
        let symbol = self.modules[index].definitions.as_ref()?.find(wanted, self.by_name)?;
        Some((index, symbol))
    }

    /// The modules that the loader does not list.
    pub fn unlisted(&self) -> &[usize] {
        match self.namespaces.split_last() {
            Some((last, rest)) if !rest.is_empty() => &last.order,
            _ => &[],
        }
    }
}

/// DT_SYMBOLIC: it looks in itself first.
fn is_symbolic(module: &Module<'_>) -> bool {
    module.definitions.as_ref().is_some_and(|symbols| {
        let facts = symbols.facts();
        facts.value(DT_SYMBOLIC).is_some()
            || facts.value(DT_FLAGS).is_some_and(|flags| flags & DF_SYMBOLIC != 0)
    })
}

/// A module and all that it needs, breadth first.
fn closure(root: usize, needs: &HashMap<usize, Vec<usize>>) -> Vec<usize> {
    let mut reached = vec![root];
    let mut seen = HashSet::from([root]);
    let mut next = 0;
    while let Some(index) = reached.get(next).copied() {
        next += 1;
        let more = needs.get(&index).into_iter().flatten();
        reached.extend(more.copied().filter(|&index| seen.insert(index)));
    }
    reached
}
