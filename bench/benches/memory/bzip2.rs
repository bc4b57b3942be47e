//! bzip2 in two guests (Figure 5.15 of the second paper, there 401.bzip2 of SPEC CPU2006).

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::chart;
use crate::disk::{self, Wanted};
use crate::look::Eye;
use crate::report::{Outcome, Unit};
use crate::work;

const MEMORIES: [u64; 2] = [128, 256];
const TIME: Duration = Duration::from_secs(60);
/// What is compressed, in bytes.
const LEN: usize = 8 << 20;

/// The experiment.
pub fn run(eye: &Eye, scratch: &Path, outcome: &mut Outcome) -> Result<()> {
    let words = ["page", "frame", "merged", "shared", "guest", "host", "content", "equal"];
    let mut state = 7u64;
    let mut text = Vec::new();
    while text.len() < LEN {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        text.extend_from_slice(words[(state >> 61) as usize].as_bytes());
        text.extend_from_slice((state >> 52).to_string().as_bytes());
        text.push(b' ');
    }
    let wanted = Wanted { converted: false, data: &[text], more: &["bzip2"], start: false };
    let (image, _) = disk::make("bzip2", &wanted, scratch)?;
    let mut seen = Vec::new();
    for memory in MEMORIES {
        let line = "work /usr/bin/bzip2 -9 -c";
        seen.push(work::watch(eye, &image, memory, line, TIME, scratch)?);
    }
    outcome.note(format!(
        "Two guests, each of which compresses the same {} MiB again and again, watched for {} s; KSM looks at 2,000 pages each 200 ms, ten times as many as in the paper, whose guests were larger and watched longer. Shares are means over time, of frames that hold something else than zeros.",
        LEN >> 20,
        TIME.as_secs(),
    ));
    for seen in &seen {
        let name = format!("{} MiB", seen.memory);
        let percent = |value| seen.share(value) * 100.0;
        let paper = Some("60% (1024 MB)");
        outcome.line(
            format!("{name}: savable at most"),
            percent(|moment| moment.savable),
            Unit::Percent,
            paper,
        );
        let merged = percent(|moment| moment.merged);
        outcome.line(format!("{name}: merged"), merged, Unit::Percent, Some("hardly any"));
        for (seconds, paper) in [(8, None), (16, Some("most end within 15 s"))] {
            let what = format!("{name}: sharings that last {seconds} s or longer");
            outcome.line(what, seen.lasting(seconds) * 100.0, Unit::Percent, paper);
        }
    }
    if let Some(last) = seen.last() {
        let lines = [
            last.line("savable at most", |moment| moment.savable),
            last.line("merged", |moment| moment.merged),
        ];
        outcome.charts.push(("bzip2", chart::over_time("bzip2 in two guests, MB", &lines)?));
    }
    outcome.details = serde_json::to_value(&seen)?;
    Ok(())
}
