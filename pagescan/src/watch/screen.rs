//! The terminal as long as it shows a watch.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::course::Course;
use super::output::Output;
use super::sample::Sample;
use super::view::draw;
use crate::{Error, Result};

/// A terminal that is drawn on as a whole. However this ends, a panic included, it is put back as it was.
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal that is the standard output.
    pub fn open() -> Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                ratatui::restore();
                Err(failed(error))
            }
        }
    }

    /// Draws what there is.
    pub fn show(&mut self, course: &Course) -> Result<()> {
        self.0.draw(|frame| draw(frame, course)).map(drop).map_err(failed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Output for Screen {
    fn sample(&mut self, _: &Sample, course: &Course) -> Result<()> {
        self.show(course)
    }

    fn wait(&mut self, time: Duration, course: &Course) -> Result<bool> {
        if !event::poll(time).map_err(failed)? {
            return Ok(false);
        }
        match event::read().map_err(failed)? {
            Event::Key(key) if key.kind == KeyEventKind::Press => Ok(match key.code {
                KeyCode::Char('q') | KeyCode::Esc => true,
                KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
                _ => false,
            }),
            Event::Resize(..) => self.show(course).map(|()| false),
            _ => Ok(false),
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::Output(PathBuf::from("the terminal"), error)
}
