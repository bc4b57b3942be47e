//! `pagescan snapshot`

use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pagescan::scan::{Begin, Target, take};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use statify_command_line::{Failure, Verdict, say, signals};
use statify_files::new_file::NewFile;

use crate::period;
use crate::target::{TargetArguments, WayArguments};

/// Write down which pages are in memory, what they hold and who uses them
///
/// Each frame is there once, with a hash of its contents instead of them. Nothing that is not in memory is brought there,
/// nothing that is merged or shared is separated.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    way: WayArguments,
    /// The file to write, for oneself only (mode 0600)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Take several snapshots, one each so many seconds (2), or in another time (500ms)
    #[arg(long, value_name = "TIME", value_parser = period::parse)]
    every: Option<Duration>,
    /// How many; without it, until Ctrl-C
    #[arg(long, value_name = "N", requires = "every", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let hasher = arguments.way.hasher()?;
    let tools = arguments.way.tools();
    let target = arguments.target.target();
    for lack in &tools.lacks {
        say("pagescan", lack);
    }
    let path = &arguments.output;
    let failed = |error| pagescan::Error::Output(path.clone(), error);
    let mut out = BufWriter::new(NewFile::begin(path, 0o600).map_err(failed)?);
    let count = arguments.count.or(arguments.every.is_none().then_some(1));
    let ending: &[i32] = if arguments.every.is_some() { &[SIGHUP, SIGINT, SIGTERM] } else { &[] };
    let stopped = signals::flag(ending)?;
    let mut verdict = Verdict::Good;
    let mut taken = 0;
    // Bytes of whole snapshots.
    let mut kept = 0;
    let begin = Instant::now();
    let bar = progress(arguments.quiet);
    loop {
        let begin_file = if taken == 0 { Begin::File } else { Begin::Behind };
        let taking = take(&mut out, begin_file, &target, &tools, &hasher, &mut |now| {
            bar.set_length(now.total);
            bar.set_position(now.done);
        });
        bar.finish_and_clear();
        let lacks = match taking {
            Ok((_, lacks)) => lacks,
            Err(pagescan::Error::Write(error)) => return Err(failed(error).into()),
            Err(error) if taken == 0 => return Err(error.into()),
            // What was taken before is kept: a process that is named has ended, say.
            Err(error) => {
                say("pagescan", &format!("snapshot {}: {error}", taken + 1));
                verdict = Verdict::Bad;
                out.flush().map_err(failed)?;
                out.get_mut().cut(kept).map_err(failed)?;
                break;
            }
        };
        out.flush().map_err(failed)?;
        kept = out.get_ref().length().map_err(failed)?;
        for lack in lacks {
            say("pagescan", &lack);
            // Of many, some always come and go.
            if matches!(target, Target::Processes(_) | Target::Guests(_)) {
                verdict = Verdict::Bad;
            }
        }
        taken += 1;
        let every = arguments.every.unwrap_or_default();
        if count == Some(taken) || !sleep_until(begin + every * taken, &stopped) {
            break;
        }
    }
    out.flush().map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.finish().map_err(failed)?;
    Ok(verdict)
}

/// A bar on a terminal, and nothing elsewhere.
fn progress(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{wide_bar} {pos}/{len} frames, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Whether it came to that before it was to stop.
fn sleep_until(time: Instant, stopped: &AtomicBool) -> bool {
    const STEP: Duration = Duration::from_millis(50);
    loop {
        if stopped.load(Ordering::Relaxed) {
            return false;
        }
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(STEP));
    }
}
