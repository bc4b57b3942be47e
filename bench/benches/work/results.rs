//! What is measured, in the shape that `--json` writes.

use serde::Serialize;

use statify_bench::machine::Machine;

/// One run of the benchmark.
#[derive(Serialize)]
pub struct Results {
    pub machine: Machine,
    /// Pairs of runs for each row.
    pub pairs: u32,
    pub jobs: Vec<Row>,
    pub servers: Vec<Row>,
}

/// A job, or a server under a load.
#[derive(Serialize)]
pub struct Row {
    pub name: String,
    /// Programs that are not installed, for want of which nothing was measured.
    pub missing: Vec<String>,
    pub measured: Option<Comparison>,
}

/// One run. Of a server: its load's time, and what the server used from its start to its end, divided by the number of requests.
#[derive(Clone, Copy, Serialize)]
pub struct Run {
    /// From its start to its end, in seconds.
    pub elapsed: f64,
    /// User and system time, in seconds.
    pub cpu: f64,
    /// The largest resident set of any of its processes, in bytes.
    pub peak: f64,
}

/// Original and converted program, measured in turn.
#[derive(Serialize)]
pub struct Comparison {
    /// The medians of the original's runs.
    pub original: Run,
    /// The medians of the converted program's runs.
    pub converted: Run,
    /// The medians of the pairs' ratios, converted to original.
    pub ratio: Run,
}

impl Comparison {
    /// Of pairs of an original's run and a converted program's.
    pub fn of(pairs: &[[Run; 2]]) -> Self {
        let originals = pairs.iter().map(|[original, _]| *original);
        let converted = pairs.iter().map(|[_, converted]| *converted);
        let ratios = pairs.iter().map(|[original, converted]| Run {
            elapsed: converted.elapsed / original.elapsed,
            cpu: converted.cpu / original.cpu,
            peak: converted.peak / original.peak,
        });
        Self { original: medians(originals), converted: medians(converted), ratio: medians(ratios) }
    }
}

/// Of each value apart.
fn medians(runs: impl Iterator<Item = Run>) -> Run {
    let runs: Vec<Run> = runs.collect();
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    Run { elapsed: of(|run| run.elapsed), cpu: of(|run| run.cpu), peak: of(|run| run.peak) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
