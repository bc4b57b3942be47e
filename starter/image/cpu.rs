//! What depends on the CPU: the C library's record of it, and the functions that IFUNC resolvers
//! choose. The image holds what the least CPU needs; here the running one's is put in.

use crate::elf::Word;
use crate::params::{Constant, CpuFeatures, Params, Resolver, Variant};
use crate::slides::{Words, constants};
use crate::stack::Stack;
use crate::tunables::Tunables;
use crate::{Block, arch, message};

/// Takes what was prepared for this CPU, or else lets the resolvers choose again.
///
/// # Safety
///
/// All is in place but for the final permissions; the thread pointer is set.
pub unsafe fn apply(p: &Params, block: Block<'_>, stack: &Stack, tunables: &Tunables) {
    let needs_nothing = p.floor == CpuFeatures::default();
    if needs_nothing && p.variants.count == 0 && p.can_resolve == 0 {
        return;
    }
    let cpu = arch::cpu_features(stack);
    if !cpu.contains(&p.floor) {
        message::fail(message::CPU);
    }
    // SAFETY: the tables lead to writable words of the block.
    unsafe {
        if tunables.are_of_cpu && p.can_resolve != 0 {
            return resolve(p, block, stack, tunables);
        }
        for variant in p.variants.records::<Variant>(p) {
            if if variant.exact != 0 { variant.cpu == cpu } else { cpu.contains(&variant.cpu) } {
                return take(p, block, variant);
            }
        }
        if p.can_resolve != 0 {
            resolve(p, block, stack, tunables);
        }
    }
}

unsafe fn take(p: &Params, block: Block<'_>, variant: &Variant) {
    // SAFETY: the caller's promise.
    unsafe {
        constants(p, block, variant.literals);
        for word in variant.pointers.records::<Constant>(p) {
            *(block.at(word.at) as *mut Word) = block.at(word.value) as Word;
        }
        let results = variant.results.records::<u64>(p);
        for (resolver, &result) in p.resolvers.records::<Resolver>(p).iter().zip(results) {
            fill(p, block, resolver, block.at(result));
        }
    }
}

/// As ld.so would: its record of the CPU first (one of the resolvers makes it), then the others.
unsafe fn resolve(p: &Params, block: Block<'_>, stack: &Stack, tunables: &Tunables) {
    // SAFETY: the resolvers are the modules' own; what they need is relocated.
    unsafe {
        constants(p, block, p.resets);
        // The record keeps to them, and what it is reset to has none.
        tunables.read();
        for resolver in p.resolvers.records::<Resolver>(p) {
            let result = arch::resolver(block.at(resolver.function), stack);
            fill(p, block, resolver, result);
        }
    }
}

unsafe fn fill(p: &Params, block: Block<'_>, resolver: &Resolver, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut slots = Words::new(p, block.at(resolver.start), resolver.stream);
        for _ in 0..resolver.count {
            *slots.next() = value as Word;
        }
    }
}
