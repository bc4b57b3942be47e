//! Texts that are made of a command's definition: man pages and the shells' completions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap_complete::Shell;

/// A text that is made of a command's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Generated {
    /// The man page.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

impl Generated {
    /// The text.
    pub fn text(self, mut command: clap::Command) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let name = command.get_name().to_owned();
        let mut complete =
            |shell: Shell| clap_complete::generate(shell, &mut command, &name, &mut bytes);
        match self {
            Self::Bash => complete(Shell::Bash),
            Self::Zsh => complete(Shell::Zsh),
            Self::Fish => complete(Shell::Fish),
            Self::Man => clap_mangen::Man::new(command).render(&mut bytes)?,
        }
        Ok(bytes)
    }

    /// Where a shell looks for the completions of a command, below a prefix such as /usr/local. Man pages
    /// have no one place: each verb has its own.
    fn place(self, command: &str) -> Option<PathBuf> {
        let (directory, name) = match self {
            Self::Man => return None,
            Self::Bash => ("bash-completion/completions", command.to_owned()),
            Self::Zsh => ("zsh/site-functions", format!("_{command}")),
            Self::Fish => ("fish/vendor_completions.d", format!("{command}.fish")),
        };
        Some(Path::new("share").join(directory).join(name))
    }
}

/// Where man(1) looks for the pages of commands, below a prefix.
const MAN_PAGES: &str = "share/man/man1";

/// Writes all texts of a command below a prefix, each where its readers look for it: a man page for the
/// command and one for each of its verbs (`elfscan-scan.1`), and the completions of every shell.
pub fn write_all(command: &clap::Command, prefix: &Path) -> io::Result<()> {
    let pages = prefix.join(MAN_PAGES);
    let written =
        fs::create_dir_all(&pages).and_then(|()| clap_mangen::generate_to(command.clone(), &pages));
    written.map_err(|error| at(&pages, &error))?;
    for shell in [Generated::Bash, Generated::Zsh, Generated::Fish] {
        let Some(place) = shell.place(command.get_name()) else { continue };
        let path = prefix.join(place);
        let text = shell.text(command.clone())?;
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        written.and_then(|()| fs::write(&path, text)).map_err(|error| at(&path, &error))?;
    }
    Ok(())
}

/// An error with the path that it is about.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Print the man page or a shell's completions
#[derive(Debug, clap::Args)]
pub struct GenerateArguments {
    /// What to print
    #[arg(required_unless_present = "into")]
    what: Option<Generated>,

    /// Print nothing: write the man pages of this command and its verbs, and all completions, where they
    /// belong below a prefix such as /usr/local
    #[arg(long, value_name = "PREFIX", conflicts_with = "what")]
    into: Option<PathBuf>,
}

impl GenerateArguments {
    /// Prints or writes what is asked for, of this command.
    pub fn run(&self, command: clap::Command) -> io::Result<()> {
        if let Some(prefix) = &self.into {
            write_all(&command, prefix)?;
        }
        match self.what {
            Some(what) => crate::print_bytes(&what.text(command)?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command with a verb that is shown and one that is not.
    fn command() -> clap::Command {
        let verb = |name| clap::Command::new(name).about("Does something");
        clap::Command::new("tool").subcommand(verb("see")).subcommand(verb("secret").hide(true))
    }

    #[test]
    fn every_text_gets_its_place() {
        let prefix = tempfile::tempdir().expect("a directory");
        write_all(&command(), prefix.path()).expect("it can be written");
        let mut files = Vec::new();
        let mut left = vec![prefix.path().to_owned()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).expect("it is there") {
                let path = entry.expect("it can be read").path();
                match path.is_dir() {
                    true => left.push(path),
                    false => {
                        assert!(path.metadata().is_ok_and(|file| file.len() > 0), "{path:?}");
                        let name = path.strip_prefix(prefix.path()).expect("it is in there");
                        files.push(name.display().to_string());
                    }
                }
            }
        }
        files.sort();
        let expected = [
            "share/bash-completion/completions/tool",
            "share/fish/vendor_completions.d/tool.fish",
            "share/man/man1/tool-see.1",
            "share/man/man1/tool.1",
            "share/zsh/site-functions/_tool",
        ];
        assert_eq!(files, expected);
    }

    #[test]
    fn an_error_names_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = write_all(&command(), file.path()).expect_err("it is no directory");
        assert!(error.to_string().starts_with(&file.path().display().to_string()), "{error}");
    }
}
