//! `pagescan watch`

use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pagescan::scan::take_here;
use pagescan::watch::{
    Course, Form, Kernel, Lines, Output, Pace, Sample, Screen, html, run as watch, svg, table_head,
    table_line,
};
use pagescan::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use statify_command_line::{Failure, Verdict, print, say, signals};
use statify_files::new_file::NewFile;

use crate::period;
use crate::target::{TargetArguments, WayArguments};

/// Show over time which memory is shared, which could be, how long that lasts, and what KSM does about it
///
/// On a terminal all of it is drawn (q ends); elsewhere each sample is a line. Processes are only read, and neither stopped nor
/// changed. Ctrl-C ends it, and files are whole then, too.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    way: WayArguments,
    /// From one sample to the next: seconds, or a time with its unit (500ms)
    #[arg(long, value_name = "TIME", default_value = "2", value_parser = period::parse)]
    every: Duration,
    /// As many samples; without it, until it is ended
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print CSV, a line for each sample
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON, a line for each sample
    #[arg(long)]
    json: bool,
    /// Write samples to this file, too, each when it is taken: CSV (.csv) or lines of JSON (.jsonl, .json)
    #[arg(short, long, value_name = "FILE", value_parser = lines_file)]
    output: Option<(PathBuf, Form)>,
    /// Write charts to this file in the end
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write a page with charts to this file in the end
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn lines_file(text: &str) -> std::result::Result<(PathBuf, Form), String> {
    let path = PathBuf::from(text);
    let form = Form::of(&path).ok_or("its name is to end with .csv, .jsonl or .json")?;
    Ok((path, form))
}

pub fn run(arguments: &Arguments) -> std::result::Result<Verdict, Failure> {
    let is_over = signals::flag(&[SIGHUP, SIGINT, SIGTERM])?;
    let mut pages = Vec::new();
    for (path, page) in [(&arguments.svg, svg as fn(&Course) -> String), (&arguments.html, html)] {
        if let Some(path) = path {
            // Whether it can be written is not to be known in the end only.
            let file = NewFile::begin(path, 0o666);
            let file = file.map_err(|error| Error::Output(path.clone(), error))?;
            pages.push(Page { path: path.clone(), file: Some(file), page });
        }
    }
    let mut file = match &arguments.output {
        Some((path, form)) => Some(Lines::create(path, *form)?),
        None => None,
    };
    let (target, tools) = (arguments.target.target(), arguments.way.tools());
    let hasher = arguments.way.hasher()?;
    let mut take = || take_here(&target, &tools, &hasher);
    let of = target.to_string();
    let pace = Pace { every: arguments.every, count: arguments.count };
    let is_drawn = !arguments.csv && !arguments.json && stdout().is_terminal();
    let mut first: Box<dyn Output> = match (arguments.csv, arguments.json) {
        (true, _) => Box::new(Lines::new(stdout(), Path::new("the standard output"), Form::Csv)),
        (_, true) => {
            Box::new(Lines::new(stdout(), Path::new("the standard output"), Form::JsonLines))
        }
        _ if is_drawn => {
            let mut screen = Screen::open()?;
            screen.show(&Course::new(&of, 4096))?;
            Box::new(screen)
        }
        _ => Box::new(Table::default()),
    };
    let mut lacks = Lacks { is_later: is_drawn, are_said: false };
    let mut outputs: Vec<&mut dyn Output> = vec![&mut *first, &mut lacks];
    outputs.extend(file.iter_mut().map(|file| file as &mut dyn Output));
    outputs.extend(pages.iter_mut().map(|page| page as &mut dyn Output));
    let watched = watch(&of, &mut take, Kernel::default(), pace, &mut outputs, &is_over);
    // The terminal is as it was before anything is said.
    drop(first);
    let course = watched?;
    lacks.say(&course);
    if let Some(last) = course.last.as_ref().filter(|_| is_drawn) {
        print(&(table_head() + &table_line(last, &course)))?;
    }
    Ok(Verdict::Good)
}

/// Says once what snapshots lack: at the first, or after the terminal has been drawn on.
struct Lacks {
    is_later: bool,
    are_said: bool,
}

impl Lacks {
    fn say(&mut self, course: &Course) {
        if !std::mem::replace(&mut self.are_said, true) {
            course.lacks.iter().for_each(|lack| say("pagescan", lack));
        }
    }
}

impl Output for Lacks {
    fn sample(&mut self, _: &Sample, course: &Course) -> Result<()> {
        if !self.is_later {
            self.say(course);
        }
        Ok(())
    }
}

/// Lines of a table on what is no terminal.
#[derive(Default)]
struct Table {
    lines: u64,
}

impl Output for Table {
    fn sample(&mut self, sample: &Sample, course: &Course) -> Result<()> {
        let head = if self.lines.is_multiple_of(20) { table_head() } else { String::new() };
        self.lines += 1;
        print(&(head + &table_line(sample, course)))
            .map_err(|error| Error::Output("the standard output".into(), error))
    }
}

/// A file that is written in the end. What it held before stays until then, and for good if there was nothing to see.
struct Page {
    path: PathBuf,
    file: Option<NewFile>,
    page: fn(&Course) -> String,
}

impl Output for Page {
    fn sample(&mut self, _: &Sample, _: &Course) -> Result<()> {
        Ok(())
    }

    fn end(&mut self, course: &Course) -> Result<()> {
        let Some(mut file) = self.file.take().filter(|_| course.taken > 0) else { return Ok(()) };
        let written = file.write_all((self.page)(course).as_bytes()).and_then(|()| file.finish());
        written.map_err(|error| Error::Output(self.path.clone(), error))
    }
}
