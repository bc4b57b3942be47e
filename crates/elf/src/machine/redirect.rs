//! Instructions that enter the kernel made to call something else: each gives way, maybe with its neighbours, to a jump to a
//! trampoline, which has the neighbours' instructions, and a call in the instruction's place.

/// Code of a machine, in which system calls can be made to call something else.
pub trait Code {
    /// The addresses behind the instructions that make a system call which does what one of these numbers does where
    /// this runs, as far as the number is put into its register shortly before.
    fn calls(&self, numbers: &[i64]) -> Vec<u64>;

    /// The addresses behind those that may make a system call of any number, since what is before them does not tell.
    fn calls_of_any_number(&self) -> Vec<u64>;

    /// What can give way around the instruction that enters the kernel and ends at `behind`: instructions that do the same
    /// anywhere, and that nothing jumps between. `None` if there is none.
    fn redirection(&self, behind: u64) -> Option<Redirection>;
}

/// The code that a machine has for it.
#[derive(Debug)]
pub struct Branches {
    /// Goes from an address to another one. `None` if that is too far away.
    pub jump: fn(at: u64, to: u64) -> Option<Vec<u8>>,
    /// What stands in the instruction's place at an address, calls another one and tells it a kind. `None` if that is
    /// too far away.
    pub call: fn(at: u64, callee: u64, kind: u32) -> Option<Vec<u8>>,
    /// What fills up code that is never executed.
    pub filler: u8,
}

/// Instructions that can give way to a jump.
#[derive(Clone, Debug)]
pub struct Redirection {
    pub(super) branches: &'static Branches,
    /// The first one's address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// Those in front of the one that enters the kernel.
    pub(super) before: Vec<u8>,
    /// Those behind it.
    pub(super) after: Vec<u8>,
}

impl Redirection {
    /// What takes the instructions' place: a jump to `trampoline`. `moved` is how far the code lies
    /// from where its addresses say. `None` if it is too far away.
    pub fn jump(&self, moved: u64, trampoline: u64) -> Option<Vec<u8>> {
        let mut bytes = (self.branches.jump)(self.start.wrapping_add(moved), trampoline)?;
        // What is left of the last instruction is never executed.
        bytes.resize((self.end - self.start) as usize, self.branches.filler);
        Some(bytes)
    }

    /// The trampoline at `at`, which calls `callee` and tells it `kind`.
    pub fn trampoline(&self, moved: u64, at: u64, callee: u64, kind: u32) -> Option<Vec<u8>> {
        let mut bytes = self.before.clone();
        let next = |bytes: &Vec<u8>| at.wrapping_add(bytes.len() as u64);
        bytes.extend((self.branches.call)(next(&bytes), callee, kind)?);
        bytes.extend(&self.after);
        let end = self.end.wrapping_add(moved);
        bytes.extend((self.branches.jump)(next(&bytes), end)?);
        Some(bytes)
    }
}
