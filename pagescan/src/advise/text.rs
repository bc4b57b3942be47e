//! An answer for people.

use std::fmt::Write;

use statify_printable::amount::bytes;
use statify_printable::printable;

use super::advice::Advice;
use super::obstacle::Obstacle;

/// So many processes and regions are named.
const NAMED: usize = 12;

/// In lines.
pub fn text(advice: &Advice) -> String {
    let mut text = String::new();
    let size = |pages: u64| bytes(pages * u64::from(advice.page_size));
    let forecast = &advice.forecast;
    let mut line = |words: String| {
        // A String takes what is written to it.
        let _ = writeln!(text, "{words}");
    };
    let percent = 100.0 * advice.saved_frames as f64 / forecast.frames_now.max(1) as f64;
    match u64::try_from(advice.saved_frames) {
        Ok(saved) => line(format!(
            "KSM would save {} of {} ({percent:.1}%): {} frames become {}.",
            size(saved),
            size(forecast.frames_now),
            forecast.frames_now,
            forecast.frames_after
        )),
        Err(_) => line(format!(
            "KSM would take {} more: {} frames become {}, since each frame stands for {} pages at most.",
            size(advice.saved_frames.unsigned_abs()),
            forecast.frames_now,
            forecast.frames_after,
            advice.settings.max_page_sharing
        )),
    }
    if let Some(certain) = advice.certain_frames.filter(|certain| *certain < advice.saved_frames) {
        let rest = advice.saved_frames.saturating_sub(certain).unsigned_abs();
        line(format!(
            "Only {} of that is certain. Whether the other {} will ever merge cannot be foretold: smart_scan is on, so KSM looks at pages that it \
             has looked at before in one pass of nine only, and equal ones whose turns are in different passes never merge. The kernel does not tell whose \
             turn is when. With smart_scan off (echo 0 > /sys/kernel/mm/ksm/smart_scan) all of it merges, in two passes.",
            size(u64::try_from(certain).unwrap_or(0)),
            size(rest),
        ));
    }
    if forecast.frames_least < forecast.frames_after {
        let more = forecast.frames_after - forecast.frames_least;
        line(format!("Without the limit max_page_sharing it would be {} more.", size(more)));
    }
    if forecast.zero_frames_freed > 0 {
        line(format!("{} of that are pages of zeros.", size(forecast.zero_frames_freed)));
    }
    if forecast.huge_pages_split > 0 {
        line(format!("{} huge pages would be split for it.", forecast.huge_pages_split));
    }
    if forecast.merged_already > 0 {
        line(format!("{} more are saved by KSM already.", size(forecast.merged_already)));
    }
    line(format!(
        "It needs {} to keep account of {} pages. If all that it merges is written to, {} are needed again.",
        bytes(advice.account_bytes),
        advice.scanned_pages,
        size(forecast.frames_if_written)
    ));
    let settling = &advice.settled.settling;
    let advisor = match advice.settings.advisor {
        Some(_) => " under the scan-time advisor",
        None => "",
    };
    line(format!(
        "{} in {} ({} passes at {} pages each {} ms{advisor}) and takes {:.1}% of a CPU, {:.1} CPU-s in all.",
        if advice.certain.is_some() { "What is certain has merged" } else { "It settles" },
        time(settling.seconds),
        advice.settled.passes,
        settling.pages_to_scan,
        advice.settings.sleep_millisecs,
        settling.cpu_percent,
        settling.cpu_seconds
    ));
    let choice = advice.choices.iter().find(|choice| choice.pages_to_scan == advice.pays);
    if let Some(choice) = choice {
        line(format!(
            "What pays: pages_to_scan {}, which settles in {} at {:.1}% of a CPU.",
            choice.pages_to_scan,
            time(choice.seconds),
            choice.cpu_percent
        ));
    }
    if !advice.cost.is_own {
        line(
            "What a page costs was measured on another machine: KSM has not been used on this one."
                .into(),
        );
    }
    match advice.obstacles.get(&Obstacle::Changes) {
        _ if advice.looked_seconds == 0.0 => {
            line("Which pages change too often to merge is not known from one look; --interval takes two.".into());
        }
        changed => line(format!(
            "{} changed within {} and are taken not to merge.",
            size(changed.copied().unwrap_or(0)),
            time(advice.looked_seconds)
        )),
    }
    if !advice.obstacles.is_empty() {
        line("\nWhat does not merge, and why:".into());
        for (obstacle, pages) in &advice.obstacles {
            line(format!("  {:>10}  {}", size(*pages), obstacle.words()));
        }
        line("The largest of it:".into());
        for region in advice.regions.iter().take(NAMED) {
            line(format!(
                "  {:>10}  process {}, {:x}-{:x} {}: {}",
                size(region.pages),
                region.pid,
                region.range.start,
                region.range.end,
                printable(&region.name),
                region.obstacle.words()
            ));
        }
    }
    if !advice.processes.is_empty() {
        line("\nProcesses (in memory, may merge, KSM is on for):".into());
        let mut processes: Vec<_> = advice.processes.iter().collect();
        processes.sort_by_key(|process| std::cmp::Reverse(process.candidates));
        for process in processes.iter().take(NAMED) {
            line(format!(
                "  {:>10} {:>10} {:>10}  {} {}",
                size(process.pages),
                size(process.candidates),
                size(process.pages_on),
                process.pid,
                printable(&process.name)
            ));
        }
        if processes.len() > NAMED {
            line(format!("  and {} more; --json has them all.", processes.len() - NAMED));
        }
    }
    for lack in &advice.lacks {
        line(printable(lack));
    }
    text
}

/// A time: `3.6 s`, `2 min 40 s`, `3 h 5 min`.
fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds < 100.0 => format!("{seconds:.1} s"),
        _ if seconds < 7200.0 => format!("{} min {} s", seconds as u64 / 60, seconds as u64 % 60),
        _ => format!("{} h {} min", seconds as u64 / 3600, seconds as u64 / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(3.61), "3.6 s");
        assert_eq!(time(161.0), "2 min 41 s");
        assert_eq!(time(7322.0), "2 h 2 min");
    }
}
