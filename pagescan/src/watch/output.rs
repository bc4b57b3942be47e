//! Where samples go.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use statify_files::new_file::{self, NewFile};
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
    to: To<W>,
    path: PathBuf,
    form: Form,
    is_begun: bool,
}

/// Where lines go.
#[derive(Debug)]
enum To<W> {
    /// There.
    Here(W),
    /// To a file that is made, or replaced, when there is something to write. That this can be done is known.
    New {
        make: fn(&Path) -> io::Result<W>,
        /// Whoever reads a pipe has not seen its end before anything was written.
        _kept: NewFile,
    },
}

impl Lines<File> {
    /// To a file that is made with the first sample. What it held before stays until then.
    pub fn create(path: &Path, form: Form) -> Result<Self> {
        let make: fn(&Path) -> io::Result<File> =
            |path| new_file::write(path, b"").and_then(|()| new_file::append(path));
        let kept = NewFile::begin(path, 0o666);
        let kept = kept.map_err(|error| Error::Output(path.into(), error))?;
        Ok(Self { to: To::New { make, _kept: kept }, path: path.into(), form, is_begun: false })
    }
}

impl<W: Write> Lines<W> {
    /// Lines to somewhere; its path is for errors.
    pub fn new(to: W, path: &Path, form: Form) -> Self {
        Self { to: To::Here(to), path: path.into(), form, is_begun: false }
    }
}

impl<W: Write> Lines<W> {
    fn write(&mut self, sample: &Sample) -> io::Result<()> {
        // In one piece: what is read meanwhile, or is left by one that is killed, are whole lines.
        let head = if self.is_begun { String::new() } else { self.form.head() };
        self.is_begun = true;
        let line = head + &self.form.line(sample)?;
        if let To::New { make, .. } = &self.to {
            self.to = To::Here(make(&self.path)?);
        }
        match &mut self.to {
            To::Here(to) => to.write_all(line.as_bytes()).and_then(|()| to.flush()),
            To::New { .. } => Ok(()),
        }
    }
}

impl<W: Write> Output for Lines<W> {
    fn sample(&mut self, sample: &Sample, _: &Course) -> Result<()> {
        self.write(sample).map_err(|error| match error.kind() {
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
            assert_eq!(std::fs::read(&path).unwrap(), b"what was there before");
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
