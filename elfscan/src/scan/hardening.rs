//! What makes it harder to attack a file's program. Where a question makes no sense or cannot be
//! answered from the file, the answer is none.

use goblin::elf::dynamic::{
    DF_1_NOW, DF_BIND_NOW, DF_TEXTREL, DT_BIND_NOW, DT_FLAGS, DT_FLAGS_1, DT_TEXTREL,
};
use goblin::elf::program_header::{PF_X, PT_GNU_RELRO, PT_GNU_STACK};
use serde::Serialize;
use statify_elf::{DynamicFacts, ElfFile};

use super::Kind;

/// Which constants are made read-only after relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relro {
    /// None.
    None,
    /// All but the GOT entries that lazy binding writes.
    Partial,
    /// Those, too: nothing is bound lazily.
    Full,
}

/// A file's protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hardening {
    /// The program's own addresses are new at each start. Of programs.
    pub pie: Option<bool>,
    /// PT_GNU_RELRO, and with it DT_BIND_NOW or its flags.
    pub relro: Option<Relro>,
    /// DT_BIND_NOW, DF_BIND_NOW or DF_1_NOW.
    pub bind_now: Option<bool>,
    /// The stack is not executable: PT_GNU_STACK says so. Without it glibc makes it executable.
    pub nx: Option<bool>,
    /// It calls `__stack_chk_fail`. Static programs: as far as they are not stripped.
    pub canary: Option<bool>,
    /// It calls functions that check the sizes of buffers (`__memcpy_chk`).
    pub fortify: Option<bool>,
    /// It is marked for indirect branch tracking. Of x86.
    pub ibt: Option<bool>,
    /// It is marked for shadow stacks. Of x86.
    pub shstk: Option<bool>,
    /// It is marked for branch target identification. Of Arm's 64-bit machines, as the next two.
    pub bti: Option<bool>,
    /// It is marked as signing its return addresses.
    pub pac: Option<bool>,
    /// It is marked for guarded control stacks.
    pub gcs: Option<bool>,
    /// Its code is written to when it is loaded: relocations lie in it (DT_TEXTREL, DF_TEXTREL). Of dynamic files.
    pub text_relocations: Option<bool>,
}

/// The C libraries themselves define what others call.
const C_LIBRARIES: [&[u8]; 5] = [b"libc.so", b"libc.musl", b"ld-", b"ld.so", b"ld64.so"];

impl Hardening {
    /// A file's.
    pub fn of(elf: &ElfFile<'_>, kind: Kind, dynamic: Option<&DynamicFacts<'_>>) -> Self {
        let (canary, fortify) = checks(elf, kind, dynamic);
        let own = Self { canary, fortify, ..Self::default() };
        if matches!(kind, Kind::Relocatable | Kind::Core | Kind::Other | Kind::Damaged) {
            return own;
        }
        let cet = elf.cet();
        let branches = elf.branch_protection();
        let stack = elf.of_type(PT_GNU_STACK).next();
        let own = Self {
            nx: Some(stack.is_some_and(|stack| stack.p_flags & PF_X == 0)),
            ibt: cet.map(|cet| cet.ibt),
            shstk: cet.map(|cet| cet.shstk),
            bti: branches.map(|branches| branches.bti),
            pac: branches.map(|branches| branches.pac),
            gcs: branches.map(|branches| branches.gcs),
            ..own
        };
        if kind == Kind::Converted {
            // Its starter makes constants read-only, whatever its program headers say.
            return Self { ibt: None, shstk: None, bti: None, pac: None, gcs: None, ..own };
        }
        let now = dynamic.is_some_and(binds_now);
        let relro = match (elf.of_type(PT_GNU_RELRO).next(), now) {
            (None, _) => Relro::None,
            (Some(_), false) => Relro::Partial,
            (Some(_), true) => Relro::Full,
        };
        let pie = matches!(kind, Kind::DynamicPie | Kind::StaticPie);
        let pie = kind.is_program().then_some(pie);
        let text_relocations = dynamic.map(relocates_text);
        Self { pie, relro: Some(relro), bind_now: Some(now), text_relocations, ..own }
    }
}

impl Hardening {
    /// How many of the means it has, for an order.
    pub fn strength(&self) -> usize {
        let branches = [self.ibt, self.shstk, self.bti, self.pac, self.gcs];
        let flags = [self.pie, self.nx, self.canary, self.fortify].into_iter().chain(branches);
        let relro = self.relro.map_or(0, |relro| relro as usize);
        relro + flags.filter(|flag| *flag == Some(true)).count()
    }
}

fn binds_now(dynamic: &DynamicFacts<'_>) -> bool {
    let has = |tag, flag| dynamic.value(tag).is_some_and(|flags| flags & flag != 0);
    dynamic.value(DT_BIND_NOW).is_some() || has(DT_FLAGS, DF_BIND_NOW) || has(DT_FLAGS_1, DF_1_NOW)
}

fn relocates_text(dynamic: &DynamicFacts<'_>) -> bool {
    dynamic.value(DT_TEXTREL).is_some()
        || dynamic.value(DT_FLAGS).is_some_and(|flags| flags & DF_TEXTREL != 0)
}

/// Canary and fortify.
fn checks(
    elf: &ElfFile<'_>,
    kind: Kind,
    dynamic: Option<&DynamicFacts<'_>>,
) -> (Option<bool>, Option<bool>) {
    let found = match (kind, dynamic) {
        (Kind::Static | Kind::StaticPie | Kind::Relocatable, _) => elf.symtab_names().map(look_for),
        (Kind::DynamicPie | Kind::DynamicNonPie | Kind::SharedLibrary, Some(dynamic)) => {
            let soname = dynamic.soname().unwrap_or_default();
            let is_c_library = C_LIBRARIES.iter().any(|own| soname.starts_with(own));
            (!is_c_library).then(|| look_for(dynamic.imports()))
        }
        _ => None,
    };
    // In a static program the C library's own calls of checking functions are seen.
    let is_static = matches!(kind, Kind::Static | Kind::StaticPie);
    (found.map(|found| found.0), found.map(|found| found.1).filter(|_| !is_static))
}

/// Whether `__stack_chk_fail` is among the names, and any function that checks sizes.
fn look_for<'a>(names: impl Iterator<Item = &'a [u8]>) -> (bool, bool) {
    names.fold((false, false), |(canary, fortify), name| {
        let fails = matches!(name, b"__stack_chk_fail" | b"__stack_chk_fail_local");
        let checks = name.starts_with(b"__") && name.ends_with(b"_chk");
        (canary || fails, fortify || checks)
    })
}
