//! `chunkstore trace`

use std::path::PathBuf;

use chunkstore::serve::trace::reads;
use chunkstore::serve::trace::statistics::{self, Contents, Statistics};
use statify_command_line::{print, print_json};

use super::size;
use crate::{Failure, Verdict};

/// Say what a trace of `serve --trace` comes to: reads, bytes, and the chunks that they need
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The trace
    #[arg(value_name = "FILE")]
    trace: PathBuf,
    /// The image that was served: equal chunks of it count once, and zeros never; without it chunks are told by
    /// where they are
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The numbers as JSON, and how they grew in the course of time
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let about = |path: &PathBuf| {
        let path = statify_printable::path(path);
        move |error: std::io::Error| format!("{path}: it cannot be read: {error}")
    };
    let reads = reads(&arguments.trace).map_err(about(&arguments.trace))?;
    let found = match &arguments.image {
        None => statistics::statistics(&reads, None).map_err(about(&arguments.trace))?,
        Some(path) => {
            let file = std::fs::File::open(path).map_err(about(path))?;
            let len = file.metadata().map_err(about(path))?.len();
            let image = Contents { file: &file, len };
            statistics::statistics(&reads, Some(&image)).map_err(about(path))?
        }
    };
    match arguments.json {
        true => print_json(&found)?,
        false => print(&text(&found))?,
    }
    Ok(Verdict::Good)
}

fn text(found: &Statistics) -> String {
    let seconds = found.timeline.last().map_or(0.0, |moment| moment.seconds);
    let mut text = format!(
        "{} reads in {seconds:.1} s: {}, {} of it different\n",
        found.requests,
        size(found.bytes),
        size(found.distinct_bytes)
    );
    for of in &found.chunks {
        let chunks = match of.distinct {
            Some(distinct) => format!("{distinct} different chunks at {} places", of.positions),
            None => format!("{} places", of.positions),
        };
        text += &format!(
            "chunks of {} KiB: {chunks}, {}: {:.2} times what was read\n",
            of.size >> 10,
            size(of.bytes),
            of.amplification
        );
    }
    if found.impossible > 0 {
        text +=
            &format!("left out: {} lines that cannot be reads of the image\n", found.impossible);
    }
    text
}
