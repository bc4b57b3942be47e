//! Samples as lines of CSV (RFC 4180): numbers only, so that nothing needs quotes. What is not known is empty.

use super::sample::Sample;

/// Seconds of lifetimes that have columns.
const LIFETIMES: [u32; 10] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// The names of the columns, with the line's end. New ones come last.
pub fn csv_head() -> String {
    let names: Vec<String> =
        columns(&Sample::default()).into_iter().map(|(name, _)| name).collect();
    names.join(",") + "\r\n"
}

/// A sample's line, with its end.
pub fn csv_line(sample: &Sample) -> String {
    let cells: Vec<String> = columns(sample).into_iter().map(|(_, cell)| cell).collect();
    cells.join(",") + "\r\n"
}

fn columns(sample: &Sample) -> Vec<(String, String)> {
    let mut columns = Vec::new();
    let mut add = |name: &str, cell: String| columns.push((name.to_owned(), cell));
    let (classes, changes, ksm) = (&sample.classes, sample.changes.as_ref(), &sample.ksm);
    add("time", format!("{:.3}", sample.time));
    add("seconds", format!("{:.3}", sample.seconds));
    add("snapshot_seconds", format!("{:.3}", sample.snapshot_seconds));
    add("processes", sample.processes.to_string());
    add("frames", sample.frames.to_string());
    add("pages", sample.pages.to_string());
    add("shared", classes.shared.to_string());
    add("opportunity_anonymous", classes.anonymous.to_string());
    add("opportunity_named", classes.named.to_string());
    add("opportunity_mixed", classes.mixed.to_string());
    add("private", classes.private.to_string());
    add("zero", classes.zero.to_string());
    add("unread", classes.unread.to_string());
    add("savable", classes.savable.to_string());
    add("attainable", classes.attainable.to_string());
    add("tracked", cell(changes.map(|changes| changes.tracked)));
    add("changed", cell(changes.map(|changes| changes.changed)));
    add("appeared", cell(changes.map(|changes| changes.appeared)));
    add("vanished", cell(changes.map(|changes| changes.vanished)));
    add("sharings", sample.sharings.alive.to_string());
    add("sharings_begun", sample.sharings.begun.to_string());
    add("sharings_ended", sample.sharings.ended.to_string());
    add("swapped_bytes", sample.swapped.to_string());
    add("page_cache_bytes", cell(sample.page_cache));
    add("ksm_run", cell(ksm.run));
    add("ksm_pages_shared", cell(ksm.pages_shared));
    add("ksm_pages_sharing", cell(ksm.pages_sharing));
    add("ksm_pages_unshared", cell(ksm.pages_unshared));
    add("ksm_pages_volatile", cell(ksm.pages_volatile));
    add("ksm_pages_skipped", cell(ksm.pages_skipped));
    add("ksm_pages_scanned", cell(ksm.pages_scanned));
    add("ksm_zero_pages", cell(ksm.ksm_zero_pages));
    add("ksm_full_scans", cell(ksm.full_scans));
    add("ksm_general_profit", cell(ksm.general_profit));
    let sum = |of: fn(&super::counters::ProcessKsm) -> u64| {
        sample.process_ksm.iter().map(of).sum::<u64>()
    };
    add("process_merging_pages", sum(|process| process.merging_pages).to_string());
    add("process_zero_pages", sum(|process| process.zero_pages).to_string());
    for seconds in LIFETIMES {
        add(
            &format!("lasting_{seconds}s"),
            sample.lasting(seconds).map_or(String::new(), |share| format!("{share:.4}")),
        );
    }
    add("zero_savable", classes.zero_savable.to_string());
    add("zero_attainable", classes.zero_attainable.to_string());
    add("ksm_max_page_sharing", cell(ksm.max_page_sharing));
    columns
}

fn cell(number: Option<impl ToString>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::lifetimes::Survival;
    use super::*;

    /// Whoever reads these by place or by name relies on them.
    const HEAD: &str = "time,seconds,snapshot_seconds,processes,frames,pages,shared,opportunity_anonymous,opportunity_named,\
        opportunity_mixed,private,zero,unread,savable,attainable,tracked,changed,appeared,vanished,sharings,sharings_begun,\
        sharings_ended,swapped_bytes,page_cache_bytes,ksm_run,ksm_pages_shared,ksm_pages_sharing,ksm_pages_unshared,\
        ksm_pages_volatile,ksm_pages_skipped,ksm_pages_scanned,ksm_zero_pages,ksm_full_scans,ksm_general_profit,\
        process_merging_pages,process_zero_pages,lasting_2s,lasting_4s,lasting_8s,lasting_16s,lasting_32s,lasting_64s,\
        lasting_128s,lasting_256s,lasting_512s,lasting_1024s,zero_savable,zero_attainable,ksm_max_page_sharing\r\n";

    #[test]
    fn columns_stay() {
        assert_eq!(csv_head(), HEAD);
        let lifetimes = vec![Survival { seconds: 4, share: 0.25, seen: 1 }];
        let line =
            csv_line(&Sample { time: 1.5, lifetimes, page_cache: Some(7), ..Sample::default() });
        let cells: Vec<_> = line.trim_end().split(',').collect();
        let names: Vec<_> = HEAD.trim_end().split(',').collect();
        assert_eq!(cells.len(), names.len());
        let of = |name| cells[names.iter().position(|is| *is == name).unwrap()];
        assert_eq!((of("time"), of("tracked"), of("frames")), ("1.500", "", "0"));
        assert_eq!(
            (of("lasting_2s"), of("lasting_4s"), of("page_cache_bytes")),
            ("", "0.2500", "7")
        );
    }
}
