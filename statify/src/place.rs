//! Coordinates: where something lies in the image, and where in the output. Where it lies in a process is
//! an address, which is a plain number. Neither can be taken for another, and whoever goes from one to the
//! next says by what: [`crate::classify::frame::Frame`] knows a process's block, [`crate::layout::Addresses`] the
//! output's.

use std::fmt::{Debug, Formatter, LowerHex, Result};
use std::ops::{Add, AddAssign, Sub};

use statify_elf::{PAGE, page_down, page_up};
use statify_params::ABSOLUTE;

macro_rules! coordinate {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// From the number that the starter's tables have, [`ABSOLUTE`] included.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number that the starter's tables have, [`ABSOLUTE`] included.
            pub const fn value(self) -> u64 {
                self.0
            }

            /// Whether it is an address that does not slide.
            pub const fn is_absolute(self) -> bool {
                self.0 & ABSOLUTE != 0
            }

            /// Without [`ABSOLUTE`]: what stands in headers of files and in the manifest.
            pub const fn address(self) -> u64 {
                self.0 & !ABSOLUTE
            }

            /// So many bytes further, modulo 2^64: addresses of a file are biased so.
            pub const fn wrapping_add(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }

            /// How many bytes it is further than another, modulo 2^64.
            pub const fn wrapping_sub(self, other: Self) -> u64 {
                self.0.wrapping_sub(other.0)
            }

            /// So many bytes before, but not before 0.
            pub const fn saturating_sub(self, bytes: u64) -> Self {
                Self(self.0.saturating_sub(bytes))
            }

            /// The first byte of its page.
            pub const fn page(self) -> Self {
                Self(page_down(self.0))
            }

            /// The first byte of the first page that is not before it.
            pub const fn next_page(self) -> Self {
                Self(page_up(self.0))
            }

            /// How far it lies in its page.
            pub const fn in_page(self) -> usize {
                (self.0 % PAGE) as usize
            }

            /// Whether it is a multiple of so many bytes.
            pub const fn is_multiple_of(self, bytes: u64) -> bool {
                self.0.is_multiple_of(bytes)
            }

            /// The greatest multiple of a power of two that is not behind it.
            pub const fn align_down(self, alignment: u64) -> Self {
                Self(self.0 & !(alignment - 1))
            }

            /// The least multiple of so many bytes that is not before it.
            pub const fn align_up(self, alignment: u64) -> Self {
                Self(self.0.next_multiple_of(alignment))
            }
        }

        impl Add<u64> for $name {
            type Output = Self;

            fn add(self, bytes: u64) -> Self {
                Self(self.0 + bytes)
            }
        }

        impl AddAssign<u64> for $name {
            fn add_assign(&mut self, bytes: u64) {
                self.0 += bytes;
            }
        }

        /// In bytes.
        impl Sub for $name {
            type Output = u64;

            fn sub(self, other: Self) -> u64 {
                self.0 - other.0
            }
        }

        impl Debug for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                write!(f, "{}({:#x})", stringify!($name), self.0)
            }
        }

        impl LowerHex for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                LowerHex::fmt(&self.0, f)
            }
        }
    };
}

coordinate! {
    /// Where something lies in the image: counted from the first capture's block, or with [`ABSOLUTE`] set an
    /// address that does not slide.
    Place
}

coordinate! {
    /// Where something lies in the output: a virtual address of its (p_vaddr), or with [`ABSOLUTE`] set an
    /// address that does not slide.
    OutPlace
}
