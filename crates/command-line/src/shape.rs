//! The options of a command that shape outputs.

use clap::{Args, ValueEnum};
use statify_format::{Randomness, Seal, Shape};

/// What an output is to be like.
#[derive(Clone, Copy, Debug, Args)]
pub struct ShapeArguments {
    /// Choose addresses at conversion: pages are shared between processes and outputs, but
    /// addresses are the same at every start
    #[arg(long)]
    fixed: bool,

    /// How random addresses are: to the page, the heap's as well, whatever the file system and the
    /// program's size; or as the kernel gives them, which saves system calls at each start
    #[arg(long, value_name = "BITS", value_enum, default_value_t, conflicts_with = "fixed")]
    aslr: Aslr,

    /// When a converted program seals code and relocated constants (mseal(2)): at each start; unless it
    /// runs under a seccomp filter, which might end it for a system call that it does not know; or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    seal: SealWhen,

    /// The same as --seal never
    #[arg(long, conflicts_with = "seal")]
    no_seal: bool,

    /// Leave symbols and debug information of the program out: the output is smaller, and backtraces have
    /// no names
    #[arg(long)]
    strip: bool,

    /// File offsets of embedded files are multiples of this power of two, for stores that cut
    /// files into chunks
    #[arg(long, value_name = "BYTES", default_value_t = 4096, value_parser = parse_align)]
    align: u64,
}

/// What `--aslr` takes.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Aslr {
    /// To the page.
    #[default]
    Full,
    /// As the kernel gives them.
    Kernel,
}

/// What `--seal` takes.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum SealWhen {
    /// Unless a seccomp filter is in force.
    #[default]
    Unfiltered,
    /// At each start.
    Always,
    /// Never.
    Never,
}

impl ShapeArguments {
    /// What the library wants to know.
    pub fn shape(self) -> Shape {
        Shape {
            fixed: self.fixed,
            align: self.align,
            randomness: match self.aslr {
                Aslr::Full => Randomness::Full,
                Aslr::Kernel => Randomness::Kernel,
            },
            seal: match self.seal {
                _ if self.no_seal => Seal::Never,
                SealWhen::Unfiltered => Seal::Unfiltered,
                SealWhen::Always => Seal::Always,
                SealWhen::Never => Seal::Never,
            },
            strip: self.strip,
        }
    }
}

fn parse_align(text: &str) -> Result<u64, String> {
    const MOST: u64 = 1 << 30;
    match text.parse::<u64>() {
        Ok(align) if align.is_power_of_two() && (4096..=MOST).contains(&align) => Ok(align),
        _ => Err(format!("a power of two from 4096 to {MOST} is wanted")),
    }
}
