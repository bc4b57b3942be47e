//! Texts that are made of a command's definition: the man page and the shells' completions.

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
    pub fn text(self, mut command: clap::Command) -> std::io::Result<Vec<u8>> {
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
}

/// Print the man page or a shell's completions
#[derive(Debug, clap::Args)]
pub struct GenerateArguments {
    /// What to print
    what: Generated,
}

impl GenerateArguments {
    /// Prints it of this command.
    pub fn print(&self, command: clap::Command) -> std::io::Result<()> {
        crate::print_bytes(&self.what.text(command)?)
    }
}
