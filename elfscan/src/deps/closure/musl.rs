//! musl's order: that of the asking (ldso/dynlink.c, `load_deps`).

use std::os::unix::ffi::OsStrExt;

use super::super::found::Found;
use super::super::library::{Kind, Name};
use super::super::musl;
use super::{By, Known, Outcome, Slot, State};

impl State<'_> {
    /// Everything that is loaded, in its order.
    pub(super) fn musl(&mut self) -> Vec<Slot> {
        let (environment, interpreter) = (self.environment, self.interpreter);
        let secure = self.objects[0].secure;
        let search =
            musl::Search { environment, interpreter, secure, attempts: Default::default() };
        let own = interpreter.loader.path.as_os_str().as_bytes();
        self.files.insert(self.objects[0].library.id, 0);
        let mut order = Vec::new();
        let mut at = 0;
        while at < self.objects.len() {
            let library = self.objects[at].library.clone();
            let start = self.requests.len();
            for (kind, name) in &library.dependencies {
                if *kind != Kind::Needed {
                    continue;
                }
                let before = self.objects.len();
                let outcome = if musl::is_own(name) || **name == *own {
                    match self.known.get(own) {
                        Some(Known::Module(index)) => Outcome::Known(*index, By::Name),
                        _ => {
                            self.known.insert(own.into(), Known::Loader);
                            self.add_loader(at)
                        }
                    }
                } else if let Some(Known::Module(index)) = self.known.get(name) {
                    Outcome::Known(*index, By::Name)
                } else {
                    match search.find(&self.objects, at, name) {
                        Ok(found) => self.add_for_musl(found, at, name),
                        Err(error) => error.into(),
                    }
                };
                let slot = self.note(at, *kind, name.clone(), outcome);
                let is_new = match slot {
                    Some(Slot::Module(index)) => index == before,
                    Some(Slot::Missing(_)) => true,
                    None => false,
                };
                order.extend(slot.filter(|_| is_new));
            }
            self.objects[at].requests = start..self.requests.len();
            at += 1;
        }
        order
    }

    /// Libraries found by searching are known by their last component afterwards, all by their file.
    fn add_for_musl(&mut self, found: Found, by: usize, name: &Name) -> Outcome {
        let index = self.objects.len();
        let was_searched = !name.contains(&b'/');
        let (id, path) = (found.library.id, found.path.clone());
        let known = self.files.get(&id).copied();
        if was_searched {
            let path = known.map_or(&path, |known| &self.objects[known].path);
            let short = musl::short_name(path).into();
            self.known.entry(short).or_insert(Known::Module(known.unwrap_or(index)));
        }
        if let Some(known) = known {
            return Outcome::Known(known, By::Inode);
        }
        self.files.insert(id, index);
        self.push(found, by);
        Outcome::Loaded(index)
    }
}
