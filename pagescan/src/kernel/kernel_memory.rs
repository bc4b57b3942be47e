//! The kernel's own memory, copied by BPF programs: large pieces, or many small ones by one call. Nothing is marked as used, and
//! nothing is brought in; where nothing is mapped it is said so (copy_from_kernel_nofault).

use super::bpf::{Array, Call, Instruction, Program, Register};
use super::lack::Lack;

use Instruction as I;
use Register::{R0, R1, R2, R3, R6, R7, R8, R9};

/// Copies pieces of the kernel's memory. One for each thread that does.
pub struct KernelMemory {
    program: Program,
    array: Array,
}

impl KernelMemory {
    /// One that copies at most so many bytes at once. The fewer, the more of them are still in the processor's cache when they
    /// are looked at.
    pub fn new(most: usize) -> Result<Self, Lack> {
        let array = Array::new(most)?;
        let mut program = vec![I::copy(R6, R1), I::load(R7, R6, 0), I::load(R2, R6, 8)];
        program.extend(I::array(R1, &array));
        program.extend([
            I::jump_if_above(R2, most as i32, 3),
            I::copy(R3, R7),
            I::call(Call::ProbeReadKernel),
            I::store(R6, 16, R0),
            I::set(R0, 0),
            I::exit(),
        ]);
        Ok(Self { program: Program::load(&program)?, array })
    }

    /// The bytes at an address; none if any of them is not there, or there are more than it can.
    pub fn read(&mut self, address: u64, len: usize) -> Option<&[u8]> {
        let mut context = [address, len as u64, u64::MAX];
        self.program.run(&mut context).ok()?;
        let [_, _, failed] = context;
        if failed != 0 {
            return None;
        }
        self.array.bytes().get(..len)
    }

    /// The 64-bit word at an address.
    pub fn word(&mut self, address: u64) -> Option<u64> {
        let bytes = self.read(address, 8)?;
        Some(u64::from_ne_bytes(*bytes.first_chunk()?))
    }
}

/// Copies many small pieces of the same size.
pub struct Gather {
    program: Program,
    array: Array,
    size: usize,
    most: usize,
}

impl Gather {
    /// For pieces of so many bytes, `most` with each call of the kernel. It follows the program through as many rounds before it
    /// takes it, so that should be a thousand at most.
    pub fn new(size: usize, most: usize) -> Result<Self, Lack> {
        // Addresses first, which become 0 where the piece was copied; then pieces.
        let pieces = (most * 8) as i32;
        let array = Array::new(most * (8 + size))?;
        let mut program = vec![I::load(R7, R1, 0)];
        program.extend(I::array(R8, &array));
        program.extend([
            I::set(R9, 0),
            // A round.
            I::jump_if_at_least(R9, most as i32, 14),
            I::jump_if_not_below(R9, R7, 13),
            I::copy(R6, R9),
            I::multiply(R6, 8),
            I::add(R6, R8),
            I::copy(R1, R9),
            I::multiply(R1, size as i32),
            I::add(R1, R8),
            I::add_number(R1, pieces),
            I::set(R2, size as i32),
            I::load(R3, R6, 0),
            I::call(Call::ProbeReadKernel),
            I::store(R6, 0, R0),
            I::add_number(R9, 1),
            I::jump(-15),
            I::set(R0, 0),
            I::exit(),
        ]);
        Ok(Self { program: Program::load(&program)?, array, size, most })
    }
    /// Says of each address, by its place in the list, what is there; none if it cannot be read.
    pub fn each(&mut self, addresses: &[u64], mut say: impl FnMut(usize, Option<&[u8]>)) {
        for (round, addresses) in addresses.chunks(self.most).enumerate() {
            let asked = self.array.bytes_mut();
            for (slot, address) in asked.chunks_exact_mut(8).zip(addresses) {
                slot.copy_from_slice(&address.to_ne_bytes());
            }
            let ran = self.program.run(&mut [addresses.len() as u64]).is_ok();
            let (failed, pieces) = self.array.bytes().split_at(self.most * 8);
            let pieces = pieces.chunks_exact(self.size);
            for (at, (failed, piece)) in failed.chunks_exact(8).zip(pieces).enumerate() {
                if at < addresses.len() {
                    let is_there = ran && failed.iter().all(|&byte| byte == 0);
                    say(round * self.most + at, is_there.then_some(piece));
                }
            }
        }
    }
}

/// Where the kernel has what it knows of the thread that asks (struct task_struct).
pub(super) fn current_task() -> Result<u64, Lack> {
    let program = Program::load(&[
        I::copy(R6, R1),
        I::call(Call::CurrentTask),
        I::store(R6, 0, R0),
        I::set(R0, 0),
        I::exit(),
    ])?;
    let mut context = [0];
    program.run(&mut context).map_err(Lack::Bpf)?;
    let [task] = context;
    Ok(task)
}
