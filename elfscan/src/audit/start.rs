//! What the kernel gave a process at the start of its program: the auxiliary vector (getauxval(3)), and
//! where arguments and environment lie on the stack (psABI, "Process Initialization").

use std::collections::HashSet;

use super::process::Process;

const AT_BASE: u64 = 7;
const AT_PLATFORM: u64 = 15;
const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
/// More arguments or variables than this are no start's.
const MOST: u64 = 1 << 20;
/// Variables by which a loader is told to do something else than usual; malloc's are tunables.
const SETTINGS: [&[u8]; 3] = [b"LD_", b"GLIBC_TUNABLES", b"MALLOC_"];

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// AT_BASE: where the interpreter was mapped; 0 without one.
    pub interpreter: u64,
    /// Values that follow from it: addresses on the stack, those of the vector, the random words.
    pub values: HashSet<u64>,
    /// The loader was not told anything: neither by the environment nor by its arguments.
    pub is_plain: bool,
}

impl Start {
    /// Reads it; what cannot be read is not known.
    pub fn of(process: &Process) -> Self {
        let vector = process.auxiliary_vector();
        let value = |kind: u64| vector.iter().find(|entry| entry.0 == kind).map(|entry| entry.1);
        let interpreter = value(AT_BASE).unwrap_or(0);
        let mut start = Self { interpreter, ..Self::default() };
        start.values.extend(vector.iter().map(|entry| entry.1));
        if let Some(random) = value(AT_RANDOM) {
            // Canary and pointer guard.
            let canary = process.word(random).map(|word| word & !0xff);
            start.values.extend(
                canary.into_iter().chain(process.word(random.wrapping_add(process.word_size))),
            );
        }
        let platform = value(AT_PLATFORM).and_then(|at| process.string(at));
        start.values.extend(platform.map(|name| name.len() as u64));
        let variables = start.stack(process, vector.first().copied());
        let environment = process.environment();
        let strings = environment.split(|&byte| byte == 0).filter(|string| !string.is_empty());
        let strings: Vec<&[u8]> = strings.collect();
        // Programs that set a title write over their environment.
        let is_whole = variables == Some(strings.len() as u64)
            && strings.iter().all(|string| string.contains(&b'='));
        let is_set = |string: &&[u8]| SETTINGS.iter().any(|name| string.starts_with(name));
        start.is_plain = is_whole
            && interpreter != 0
            && value(AT_SECURE) == Some(0)
            && !strings.iter().any(is_set);
        start
    }

    /// Notes the addresses on the stack; how many variables the environment has.
    fn stack(&mut self, process: &Process, first: Option<(u64, u64)>) -> Option<u64> {
        let size = process.word_size;
        let at = process.stack_start().filter(|at| at % size == 0)?;
        let count = process.word(at).filter(|count| *count < MOST)?;
        let environment = at + size * (count + 2);
        let mut variables = 0;
        let mut chunk = [0; 512];
        let vector = 'end: loop {
            let from = environment + size * variables;
            let len = process.read_some(from, &mut chunk);
            for word in chunk[..len].chunks_exact(size as usize) {
                variables += 1;
                if process.number(word) == 0 {
                    break 'end environment + size * variables;
                }
            }
            if len < chunk.len() || variables > MOST {
                return None;
            }
        };
        // It is the vector only if it begins as the kernel says.
        (process.word(vector) == Some(first?.0)).then_some(())?;
        self.values.extend([count, at, at + size, environment, vector]);
        Some(variables - 1)
    }
}
