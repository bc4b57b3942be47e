//! The paper's Tables 3 and 4, of what came of a run.

use super::options::{System, Variant, Way};
use super::outcome::{Boot, Image, Trace};
use super::rows::{ChunkRow, Pair, Side, TimeRow};

/// Table 3: for each kind of image that there are both of.
pub fn chunks(images: &[Image], traces: &[Trace]) -> Vec<ChunkRow> {
    let mut rows = Vec::new();
    for system in [System::Ext4, System::Erofs] {
        let image = |variant| images.iter().find(|i| i.system == system && i.variant == variant);
        let trace = |variant| traces.iter().find(|t| t.system == system && t.variant == variant);
        let both =
            Variant::BOTH.map(|variant| Some((image(variant)?, &trace(variant)?.statistics)));
        let [Some(normal), Some(converted)] = both else { continue };
        rows.push(ChunkRow {
            system,
            size: None,
            whole: Pair::of(normal.0.data_bytes, converted.0.data_bytes),
            boot: Pair::of(normal.1.distinct_bytes, converted.1.distinct_bytes),
        });
        for of in &normal.1.chunks {
            let whole = [normal.0, converted.0].map(|image| {
                let chunks = image.chunks.iter().find(|chunks| chunks.size == of.size);
                chunks.map_or(0, |chunks| chunks.distinct)
            });
            let boot = [normal.1, converted.1].map(|statistics| {
                let chunks = statistics.chunks.iter().find(|chunks| chunks.size == of.size);
                chunks.and_then(|chunks| chunks.distinct).unwrap_or(0)
            });
            rows.push(ChunkRow {
                system,
                size: Some(of.size),
                whole: Pair::of(whole[0], whole[1]),
                boot: Pair::of(boot[0], boot[1]),
            });
        }
    }
    rows
}

/// Table 4: in the order in which boots were first made.
pub fn times(boots: &[Boot]) -> Vec<TimeRow> {
    let mut rows: Vec<TimeRow> = Vec::new();
    for boot in boots {
        let is_it = |row: &TimeRow| row.way == boot.way && row.ksm == boot.ksm;
        if rows.iter().any(is_it) {
            continue;
        }
        let of = |variant| -> Vec<&Boot> {
            let all = boots.iter().filter(|other| other.variant == variant);
            all.filter(|other| other.way == boot.way && other.ksm == boot.ksm).collect()
        };
        let [normal, converted] = Variant::BOTH.map(|variant| side(&of(variant)));
        let times = if normal.seconds > 0.0 { converted.seconds / normal.seconds } else { 0.0 };
        rows.push(TimeRow { way: boot.way, ksm: boot.ksm, normal, converted, times });
    }
    rows
}

fn side(boots: &[&Boot]) -> Side {
    let all = |value: fn(&Boot) -> f64| boots.iter().map(|boot| value(boot)).collect::<Vec<f64>>();
    let seconds = all(|boot| boot.measured.seconds);
    let fetched: Vec<f64> =
        boots.iter().filter_map(|boot| boot.fetched_bytes).map(|bytes| bytes as f64).collect();
    // Only in the first round it is waited until pages are merged.
    let first = boots.iter().min_by_key(|boot| boot.round);
    let merged = |value: fn(&Boot) -> f64| match first {
        Some(first) if first.ksm => value(first),
        _ => median(&all(value)),
    };
    Side {
        seconds: median(&seconds),
        least_seconds: seconds.iter().copied().reduce(f64::min).unwrap_or_default(),
        most_seconds: seconds.iter().copied().reduce(f64::max).unwrap_or_default(),
        read_bytes: median(&all(|boot| boot.measured.read_bytes as f64)),
        requests: median(&all(|boot| boot.measured.requests as f64)),
        fetched_bytes: (!fetched.is_empty()).then(|| median(&fetched)),
        resident: merged(|boot| boot.measured.memory.resident as f64),
        guest_resident: merged(|boot| boot.measured.memory.guest_resident as f64),
        guest_proportional: merged(|boot| boot.measured.memory.guest_proportional as f64),
        merged_pages: merged(|boot| boot.measured.memory.merged_pages as f64),
        settled: first.and_then(|first| first.measured.settled),
    }
}

/// The middle one, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// What the paper has in a row of Table 3: of the whole image, and at boot; normal and converted.
pub fn paper_chunks(size: Option<u64>) -> [Option<[&'static str; 3]>; 2] {
    match size {
        None => [Some(["3,754 MB", "7,075 MB", "1.88"]), Some(["151.7 MB", "341.0 MB", "2.25"])],
        Some(16_384) => [Some(["268,454", "278,499", "1.04"]), None],
        Some(65_536) => [Some(["74,679", "83,863", "1.12"]), Some(["3,481", "4,866", "1.40"])],
        Some(262_144) => [Some(["22,806", "26,892", "1.18"]), Some(["1,560", "2,019", "1.29"])],
        Some(_) => [None, None],
    }
}

/// What the paper has in a row of Table 4: seconds, normal and converted. Its store had chunks of 256 KiB.
pub fn paper_times(way: Way, ksm: bool) -> Option<[f64; 2]> {
    match (way, ksm) {
        (Way::File, false) => Some([95.0, 84.0]),
        (Way::File, true) => Some([95.0, 105.0]),
        (Way::StoreCold, false) => Some([107.0, 108.0]),
        (Way::StoreCold, true) => Some([115.0, 130.0]),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::machine::Measured;
    use super::super::memory::Memory;
    use super::*;

    pub(crate) fn boot(round: u32, ksm: bool, variant: Variant, seconds: f64) -> Boot {
        let memory = Memory { merged_pages: u64::from(round), ..Memory::default() };
        let settled = (ksm && round == 1).then_some(30.0);
        let measured = Measured { seconds, read_bytes: 7, requests: 1, memory, settled };
        Boot { round, way: Way::StoreCold, ksm, variant, measured, fetched_bytes: Some(10) }
    }

    #[test]
    fn medians_of_all_rounds() {
        let mut boots = Vec::new();
        for (round, seconds) in [(1, 10.0), (2, 30.0), (3, 12.0)] {
            boots.push(boot(round, false, Variant::Normal, seconds));
            boots.push(boot(round, false, Variant::Converted, seconds / 2.0));
            boots.push(boot(round, true, Variant::Normal, seconds));
        }
        let rows = times(&boots);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].normal.seconds, rows[0].converted.seconds), (12.0, 6.0));
        assert_eq!((rows[0].times, rows[0].normal.merged_pages), (0.5, 2.0));
        assert_eq!((rows[0].normal.least_seconds, rows[0].normal.most_seconds), (10.0, 30.0));
        assert_eq!(rows[0].normal.fetched_bytes, Some(10.0));
        assert_eq!((rows[1].normal.merged_pages, rows[1].normal.settled), (1.0, Some(30.0)));
        assert_eq!((rows[1].converted.seconds, rows[1].times), (0.0, 0.0));
        assert_eq!([median(&[]), median(&[4.0, 1.0])], [0.0, 2.5]);
    }

    #[test]
    fn the_papers_own_ratios() {
        let ratio = |[a, b]: [f64; 2]| (b / a * 1000.0).round() / 1000.0;
        let of = |way, ksm| paper_times(way, ksm).map(ratio);
        assert_eq!(of(Way::File, false), Some(0.884));
        assert_eq!(of(Way::StoreCold, true), Some(1.13));
        assert_eq!(of(Way::StoreWarm, true), None);
    }
}
