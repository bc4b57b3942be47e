//! Code that takes the address of something: `lea` relative to the next instruction, the one way in
//! which compilers do that in position-independent code (Intel SDM vol. 2, LEA; 2.2.1.6).

use memchr::memchr_iter;

use crate::ElfFile;

/// See [`crate::machine::Machine::functions_that_refer_to`].
pub fn functions_that_refer_to(elf: &ElfFile<'_>, addresses: &[u64]) -> Vec<u64> {
    const LEA: u8 = 0x8d;
    let Some(functions) = elf.functions() else { return Vec::new() };
    let mut found = Vec::new();
    for load in elf.loads().filter(|load| load.is_executable()) {
        let bytes = elf.contents(load).unwrap_or_default();
        for at in memchr_iter(LEA, bytes) {
            // REX.W (and .R), 8D, a ModRM byte of mode 0 with the base "next instruction", a distance.
            let Some(&[rex, _, operand, ref distance @ ..]) =
                at.checked_sub(1).and_then(|at| bytes.get(at..)).and_then(|b| b.first_chunk::<7>())
            else {
                continue;
            };
            if rex & 0xfb != 0x48 || operand & 0xc7 != 0x05 {
                continue;
            }
            let next = load.p_vaddr.wrapping_add(at as u64 + 6);
            let target = next.wrapping_add_signed(i32::from_le_bytes(*distance).into());
            if addresses.contains(&target) {
                found.extend(functions.covering(next - 7));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[inline(never)]
    fn tells() -> &'static str {
        std::hint::black_box("a string that nothing but this function refers to")
    }

    #[test]
    fn a_function_of_this_test_program_and_its_string() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = ElfFile::parse(&bytes).unwrap();
        // SAFETY: AT_PHDR is the address of this program's own headers, which stay mapped.
        let bias = unsafe { libc::getauxval(libc::AT_PHDR) } - elf.header_table_address().unwrap();
        let string = tells().as_ptr() as u64 - bias;
        let function = tells as *const () as u64 - bias;
        assert_eq!(functions_that_refer_to(&elf, &[string]), [function]);
        assert!(functions_that_refer_to(&elf, &[function]).len() <= 2);
        assert_eq!(functions_that_refer_to(&elf, &[]), [0; 0]);
    }
}
