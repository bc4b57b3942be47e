//! glibc's order: a list that grows at its end while it is processed and, for auxiliary libraries,
//! before the element at hand (elf/dl-deps.c, `_dl_map_object_deps`).

use std::os::unix::ffi::OsStrExt;

use super::super::expand;
use super::super::found::Rule;
use super::super::library::{Kind, Name};
use super::super::search;
use super::{Known, Outcome, Slot, State};

/// An element of the list that glibc processes while it grows at its end and, for auxiliary
/// libraries, before the element at hand.
struct Node {
    slot: Slot,
    done: bool,
    next: Option<usize>,
}

impl State<'_> {
    /// Everything that is loaded, in its order.
    pub(super) fn glibc(&mut self) -> Vec<Slot> {
        let interpreter = self.interpreter;
        let search = search::Search::new(self.environment, interpreter, &self.objects[0]);
        // The program's own DT_SONAME counts, but not its file: the kernel has mapped it.
        if let Some(soname) = self.objects[0].library.soname.clone() {
            self.known.insert(soname, Known::Module(0));
        }
        if let Some(library) = &interpreter.library {
            let path = interpreter.loader.path.as_os_str().as_bytes();
            for name in library.soname.as_deref().into_iter().chain([path]) {
                self.known.entry(name.into()).or_insert(Known::Loader);
            }
        }
        let mut list = vec![Node { slot: Slot::Module(0), done: false, next: None }];
        let mut listed = vec![true];
        let mut tail = 0;
        for name in self.environment.preload() {
            let before = self.objects.len();
            let slot = self.ask(&search, 0, Kind::Preload, name.clone());
            if let Some(Slot::Module(index)) = slot
                && index == before
            {
                tail = append(&mut list, tail, Slot::Module(index));
                listed.resize(self.objects.len(), false);
                listed[index] = true;
            }
        }
        let mut at = Some(0);
        while let Some(node) = at {
            list[node].done = true;
            let Slot::Module(by) = list[node].slot else {
                at = list[node].next;
                continue;
            };
            let library = self.objects[by].library.clone();
            // What is preloaded, the program has asked for.
            let start = if by == 0 { 0 } else { self.requests.len() };
            let mut here = node;
            for (kind, name) in &library.dependencies {
                let Some(slot) = self.ask_expanded(&search, by, *kind, name) else { continue };
                listed.resize(self.objects.len(), false);
                let known = matches!(slot, Slot::Module(index) if listed[index]);
                if *kind == Kind::Needed {
                    if !known {
                        tail = append(&mut list, tail, slot);
                    }
                } else if known {
                    tail = move_before(&mut list, here, slot, tail, &mut here);
                } else {
                    tail = insert_before(&mut list, here, slot, tail, &mut here);
                }
                if let Slot::Module(index) = slot {
                    listed[index] = true;
                }
            }
            self.objects[by].requests = start..self.requests.len();
            // What was inserted before an element stands in its place now, and is next.
            at = Some(node);
            while let Some(next) = at.filter(|&next| list[next].done) {
                at = list[next].next;
            }
        }
        let nodes = std::iter::successors(Some(0), |&node| list[node].next);
        let slots = nodes.map(|node| list[node].slot);
        let slots = slots.filter(|slot| *slot != Slot::Module(0)).collect();
        self.loader_before_missing(slots)
    }

    /// The loader is in its list from the start, and goes behind the last before it that is there.
    fn loader_before_missing(&self, mut slots: Vec<Slot>) -> Vec<Slot> {
        let is_loader = |slot: &Slot| match slot {
            Slot::Module(index) => self.objects[*index].rule == Rule::Loader,
            Slot::Missing(_) => false,
        };
        if let Some(at) = slots.iter().position(is_loader) {
            let before = slots[..at].iter().rposition(|slot| matches!(slot, Slot::Module(_)));
            let to = before.map_or(0, |before| before + 1);
            slots[to..=at].rotate_right(1);
        }
        slots
    }

    /// Asks for a name in which tokens are to be replaced first.
    fn ask_expanded(
        &mut self,
        search: &search::Search<'_>,
        by: usize,
        kind: Kind,
        name: &Name,
    ) -> Option<Slot> {
        if !expand::has_token(name) {
            return self.ask(search, by, kind, name.clone());
        }
        let refused = |why: &str| {
            let (path, why) = (name.to_vec(), Some(why.to_owned()));
            Outcome::Refused { path, why }
        };
        let outcome = if search.secure {
            refused("DST not allowed in SUID/SGID programs")
        } else {
            match expand::expand(name, &search.tokens(&self.objects[by])) {
                Some(expanded) if !expanded.is_empty() => {
                    return self.ask(search, by, kind, expanded.into());
                }
                _ => refused("empty dynamic string token substitution"),
            }
        };
        self.note(by, kind, name.clone(), outcome)
    }
}

/// Adds an element at the end; answers where it is.
fn append(list: &mut Vec<Node>, tail: usize, slot: Slot) -> usize {
    let new = list.len();
    list.push(Node { slot, done: false, next: None });
    list[tail].next = Some(new);
    new
}

/// Puts what is new before the element `at`: into its place, and its contents into a new one, which
/// becomes `here`. Answers the last element.
fn insert_before(
    list: &mut Vec<Node>,
    at: usize,
    slot: Slot,
    tail: usize,
    here: &mut usize,
) -> usize {
    let new = list.len();
    let moved = Node { slot: list[at].slot, done: list[at].done, next: list[at].next };
    list.push(moved);
    list[at] = Node { slot, done: false, next: Some(new) };
    *here = new;
    if at == tail { new } else { tail }
}

/// The same for what is in the list already, if it stands behind.
fn move_before(
    list: &mut Vec<Node>,
    at: usize,
    slot: Slot,
    tail: usize,
    here: &mut usize,
) -> usize {
    let mut behind = std::iter::successors(Some(at), |&node| list[node].next);
    let is_before = |node: &usize| list[*node].next.is_some_and(|next| list[next].slot == slot);
    let Some(before) = behind.find(is_before) else { return tail };
    let removed = list[before].next.expect("it was found there");
    list[before].next = list[removed].next;
    let tail = if tail == removed { before } else { tail };
    insert_before(list, at, slot, tail, here)
}
