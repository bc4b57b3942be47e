//! Where samples go.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use statify_files::new_file;
use statify_printable::printable_json;

use super::course::Course;
use super::csv::{csv_head, csv_line};
use super::sample::Sample;
use crate::{Error, Result};

/// A way to show or keep samples.
pub trait Output {
    /// Takes in a sample; the course has it already.
    fn sample(&mut self, sample: &Sample, course: &Course) -> Result<()>;

    /// Waits for so long. True if its user wants it all to end. Only that of the first output is asked.
    fn wait(&mut self, time: Duration, _course: &Course) -> Result<bool> {
        std::thread::sleep(time);
        Ok(false)
    }

    /// There are no more.
    fn end(&mut self, _course: &Course) -> Result<()> {
        Ok(())
    }
}

/// A form in which each sample is a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With a line of names first.
    Csv,
    /// An object (https://jsonlines.org).
    JsonLines,
}

impl Form {
    /// That of a file by its name: `.csv`, `.json`, `.jsonl` or `.ndjson`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// What comes first.
    fn head(self) -> String {
        if self == Self::Csv { csv_head() } else { String::new() }
    }

    /// A sample.
    fn line(self, sample: &Sample) -> std::io::Result<String> {
        Ok(match self {
            Self::Csv => csv_line(sample),
            Self::JsonLines => printable_json(&serde_json::to_string(sample)?).into_owned() + "\n",
        })
    }
}

/// Lines that are there as soon as their sample is.
#[derive(Debug)]
pub struct Lines<W> {
    to: W,
    path: PathBuf,
    form: Form,
    is_begun: bool,
}

impl Lines<File> {
    /// Makes a file, or replaces it.
    pub fn create(path: &Path, form: Form) -> Result<Self> {
        let file = new_file::write(path, b"").and_then(|()| new_file::append(path));
        let to = file.map_err(|error| Error::Output(path.into(), error))?;
        Ok(Self::new(to, path, form))
    }
}

impl<W: Write> Lines<W> {
    /// Lines to somewhere; its path is for errors.
    pub fn new(to: W, path: &Path, form: Form) -> Self {
        Self { to, path: path.into(), form, is_begun: false }
    }
}

impl<W: Write> Output for Lines<W> {
    fn sample(&mut self, sample: &Sample, _: &Course) -> Result<()> {
        // In one piece: what is read meanwhile, or is left by one that is killed, are whole lines.
        let head = if self.is_begun { String::new() } else { self.form.head() };
        let line = self.form.line(sample).map(|line| head + &line);
        let written =
            line.and_then(|line| self.to.write_all(line.as_bytes()).and_then(|()| self.to.flush()));
        self.is_begun = true;
        written.map_err(|error| match error.kind() {
            // Whoever has read it has gone: so it ends.
            ErrorKind::BrokenPipe => Error::Interrupted,
            _ => Error::Output(self.path.clone(), error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_there_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let course = Course::new("x", 4096);
        let sample = Sample { seconds: 2.0, ..Sample::default() };
        for (name, lines) in [("a.csv", 3), ("a.jsonl", 2)] {
            let path = dir.path().join(name);
            std::fs::write(&path, "what was there before").unwrap();
            let mut output = Lines::create(&path, Form::of(&path).unwrap()).unwrap();
            output.sample(&sample, &course).unwrap();
            output.sample(&sample, &course).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().count(), lines, "{text}");
            if name == "a.jsonl" {
                let value: serde_json::Value =
                    serde_json::from_str(text.lines().next().unwrap()).unwrap();
                assert_eq!(value.pointer("/seconds"), Some(&2.0.into()));
                assert_eq!(value.pointer("/classes/savable"), Some(&0.into()));
            }
        }
        assert_eq!(Form::of(Path::new("a.txt")), None);
    }

    #[test]
    fn a_reader_that_has_gone_ends_it() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut output = Lines::new(Gone, Path::new("-"), Form::Csv);
        let ended = output.sample(&Sample::default(), &Course::new("x", 4096));
        assert!(matches!(ended, Err(Error::Interrupted)));
    }
}
