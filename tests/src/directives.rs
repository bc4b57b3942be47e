//! The directives of a fixture: comment lines `//# Key: value` in the block of comments that opens the file.
//!
//! Parsing is pure: text in, [`Fixture`] out. Anything not understood is an error that names the line, so that a
//! misspelt directive cannot make a fixture pass by being ignored.

use std::collections::BTreeSet;

use regex::bytes::Regex;

use crate::process::End;

mod overlay;
mod values;

use overlay::Overlay;
use values::{end_by_signal, end_by_status, once, pattern, push_line, sentence, words};

/// What a fixture's directives say.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The behaviour shown, one sentence.
    pub about: String,
    /// Flags for compiling and linking the main program.
    pub flags: Vec<String>,
    /// Variants by name; empty when there is just one, unnamed.
    pub configs: Vec<Config>,
    /// Shared libraries the program is linked with, in build order.
    pub libraries: Vec<SharedObject>,
    /// Shared objects for `dlopen`.
    pub plugins: Vec<SharedObject>,
    /// Further sources of the main program.
    pub objects: Vec<Object>,
    /// Arguments, one list for each run; never empty.
    pub runs: Vec<Vec<String>>,
    /// Variables added to the clean environment.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub stdin: String,
    /// How the program must end.
    pub end: End,
    /// Exact standard output, if given.
    pub stdout: Option<String>,
    /// Patterns that must match somewhere in standard output; `^` and `$` stand for a line's ends.
    pub stdout_patterns: Vec<Regex>,
    /// Why output may differ between two runs; it is then not compared.
    pub varies: Option<String>,
    /// Why it says nothing of programs of another C library than glibc.
    pub glibc_only: Option<String>,
    /// Features of the machine without which the fixture cannot run.
    pub needs: Vec<String>,
    /// Further options for statify.
    pub statify: Vec<String>,
    /// The message with which statify must refuse the program.
    pub refuses: Option<Regex>,
    /// What is otherwise with musl.
    musl: Overlay,
}

/// A named variant of a fixture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The second half of the test's name.
    pub name: String,
    /// Flags added to [`Fixture::flags`].
    pub flags: Vec<String>,
}

/// A shared object the fixture needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedObject {
    /// File name, `libNAME.so` or any other.
    pub file: String,
    /// Sources, relative to `fixtures/lib/`.
    pub sources: Vec<String>,
    /// Flags added to `-shared -fPIC -O2`.
    pub flags: Vec<String>,
}

/// A further source of the main program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Source, relative to `fixtures/lib/`.
    pub source: String,
    /// Flags for this source alone, in place of the program's.
    pub flags: Vec<String>,
}

/// A directive that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {reason}")]
pub struct DirectiveError {
    /// Line number from 1; 0 when the file as a whole lacks something.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl Fixture {
    /// Parses the directives of the fixture whose text is `source`.
    pub fn parse(source: &str) -> Result<Self, DirectiveError> {
        let mut parser = Parser::default();
        let mut in_block = true;
        for (index, text) in source.lines().enumerate() {
            let at = |reason: String| DirectiveError { line: index + 1, reason };
            in_block &= text.trim().is_empty() || text.starts_with("//");
            let Some(directive) = text.strip_prefix("//#") else {
                continue;
            };
            if !in_block {
                return Err(at("a directive below the opening comment block".into()));
            }
            let (key, value) =
                directive.split_once(':').ok_or_else(|| at("expected `//# Key: value`".into()))?;
            // One blank separates key and value; further blanks belong to the value.
            parser.directive(key.trim(), value.strip_prefix(' ').unwrap_or(value)).map_err(at)?;
        }
        parser.finish().map_err(|reason| DirectiveError { line: 0, reason })
    }

    /// What the fixture says of its program built for musl.
    pub fn for_musl(&self) -> Self {
        let mut fixture = self.clone();
        let Overlay { end, stdout, refuses } = &self.musl;
        fixture.end = end.unwrap_or(fixture.end);
        fixture.stdout = stdout.clone().or(fixture.stdout);
        fixture.refuses = refuses.clone().or(fixture.refuses);
        fixture
    }
}

#[derive(Default)]
struct Parser {
    about: Option<String>,
    flags: Option<Vec<String>>,
    configs: Vec<Config>,
    libraries: Vec<SharedObject>,
    plugins: Vec<SharedObject>,
    objects: Vec<Object>,
    runs: Vec<Vec<String>>,
    env: Vec<(String, String)>,
    stdin: String,
    end: Option<End>,
    stdout: Option<String>,
    stdout_patterns: Vec<Regex>,
    varies: Option<String>,
    glibc_only: Option<String>,
    needs: Vec<String>,
    statify: Vec<String>,
    refuses: Option<Regex>,
    musl: Overlay,
}

impl Parser {
    fn directive(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "About" => once(&mut self.about, sentence(value)?),
            "Flags" => once(&mut self.flags, words(value)?),
            "Config" => self.config(value),
            "Lib" => {
                self.libraries.push(shared_object(value)?);
                Ok(())
            }
            "Plugin" => {
                self.plugins.push(shared_object(value)?);
                Ok(())
            }
            "Object" => {
                let mut words = words(value)?.into_iter();
                let source = words.next().ok_or("expected a source")?;
                self.objects.push(Object { source, flags: words.collect() });
                Ok(())
            }
            "Args" => {
                self.runs.push(words(value)?);
                Ok(())
            }
            "Env" => {
                let (name, value) = value.split_once('=').ok_or("expected NAME=value")?;
                self.env.push((name.trim().into(), value.into()));
                Ok(())
            }
            "Stdin" => {
                push_line(&mut self.stdin, value);
                Ok(())
            }
            "Exit" => once(&mut self.end, end_by_status(value)?),
            "Signal" => once(&mut self.end, end_by_signal(value)?),
            "Stdout" => {
                push_line(self.stdout.get_or_insert_default(), value);
                Ok(())
            }
            "Stdout-re" => {
                self.stdout_patterns.push(pattern(value)?);
                Ok(())
            }
            "Varies" => once(&mut self.varies, sentence(value)?),
            "Glibc" => once(&mut self.glibc_only, sentence(value)?),
            "Needs" => {
                self.needs.extend(words(value)?);
                Ok(())
            }
            "Statify" => {
                self.statify.extend(words(value)?);
                Ok(())
            }
            "Refuses" => once(&mut self.refuses, pattern(value)?),
            _ => match key.strip_prefix("Musl-") {
                Some(key) => self.musl.directive(key, value),
                None => Err(format!("unknown directive `{key}`")),
            },
        }
    }

    fn config(&mut self, value: &str) -> Result<(), String> {
        let (name, flags) = value.split_once(':').ok_or("expected `Config: name: flags`")?;
        let name = name.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!("`{name}` is no name for a variant"));
        }
        self.configs.push(Config { name: name.into(), flags: words(flags)? });
        Ok(())
    }

    fn finish(self) -> Result<Fixture, String> {
        let names: BTreeSet<_> = self.configs.iter().map(|config| &config.name).collect();
        if names.len() != self.configs.len() {
            return Err("two variants have the same name".into());
        }
        if self.varies.is_some() && self.stdout.is_some() {
            return Err("`Varies` and `Stdout` exclude each other".into());
        }
        Ok(Fixture {
            about: self.about.ok_or("`About` is missing")?,
            flags: self.flags.unwrap_or_else(|| vec!["-O2".into()]),
            configs: self.configs,
            libraries: self.libraries,
            plugins: self.plugins,
            objects: self.objects,
            runs: if self.runs.is_empty() { vec![Vec::new()] } else { self.runs },
            env: self.env,
            stdin: self.stdin,
            end: self.end.unwrap_or(End::Exit(0)),
            stdout: self.stdout,
            stdout_patterns: self.stdout_patterns,
            varies: self.varies,
            glibc_only: self.glibc_only,
            needs: self.needs,
            statify: self.statify,
            refuses: self.refuses,
            musl: self.musl,
        })
    }
}

/// `file: sources` or `file: sources : flags`.
fn shared_object(value: &str) -> Result<SharedObject, String> {
    let mut parts = value.splitn(3, ':');
    let file = parts.next().unwrap_or_default().trim();
    let sources = words(parts.next().unwrap_or_default())?;
    let flags = words(parts.next().unwrap_or_default())?;
    if file.is_empty() || file.contains('/') || sources.is_empty() {
        return Err("expected `file.so: source.c ... : flags`".into());
    }
    Ok(SharedObject { file: file.into(), sources, flags })
}

#[cfg(test)]
#[path = "directives/tests.rs"]
mod tests;
