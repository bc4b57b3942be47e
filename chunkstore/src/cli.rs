//! The command line: the one definition that help, man page and completions come from. What each
//! verb takes stands in its file in `command/`.

use clap::{CommandFactory, Parser, Subcommand};
use statify_command_line::GenerateArguments;

use crate::command::{
    cat, cut, diff, export, gc, import, ls, rm, serve, sign, stats, trace, verify,
};

const EXAMPLES: &str = "\
Examples:
  chunkstore cut guest.img --store /srv/chunks
      Cut an image; what the store has already is not kept twice.
  chunkstore serve guest.img --store /srv/chunks --nbd unix:/run/guest.sock
      A read-only block device for QEMU: file.driver=nbd,file.server.type=unix,...
  chunkstore cat guest.img --store /srv/chunks -o copy.img
      The image back, byte for byte.
  chunkstore stats --store /srv/chunks
      How much the images share, and what each costs.
  chunkstore diff old.img new.img --store /srv/chunks
      What differs: chunks, bytes, and files if both are ext4 or EROFS.
  chunkstore export guest.img --store /srv/chunks --to guest.caibx --chunks guest.castr
      The same image for casync and desync.
  chunkstore verify --store /srv/chunks
      Every byte of the store against its name.

Exit status: 0 done; 1 not so, with sentences on stderr; 2 wrong usage.";

/// Keeps disk images as chunks, each once, and serves them to machines.
#[derive(Debug, Parser)]
#[command(name = "chunkstore", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Cut(cut::Arguments),
    Serve(serve::Arguments),
    Cat(cat::Arguments),
    Ls(ls::Arguments),
    Stats(stats::Arguments),
    Diff(diff::Arguments),
    Trace(trace::Arguments),
    Verify(verify::Arguments),
    Sign(sign::Arguments),
    Rm(rm::Arguments),
    Gc(gc::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    #[command(hide = true)]
    Generate(GenerateArguments),
}

/// The definition itself.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::command().debug_assert();
    }
}
