//! Timing several programs in turn.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::spawn::Launch;

/// Rounds before the measured ones: they fill the page cache and meet first-time costs.
const WARM_UP: u32 = 3;
/// A row takes no longer than this, however many rounds are asked for.
const ROW_LIMIT: Duration = Duration::from_secs(20);
/// ... but this many rounds are always measured.
const LEAST_ROUNDS: u32 = 20;

/// Times of one program, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Of all runs.
    pub median: f64,
    /// The shortest.
    pub min: f64,
    /// The first and the third.
    pub quartiles: [f64; 2],
    /// How many were measured.
    pub runs: usize,
}

impl Times {
    /// Summarises `samples`; nothing for an empty slice.
    fn of(samples: &mut [f64]) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let at = |part: f64| {
            samples.get((part * samples.len().saturating_sub(1) as f64).round() as usize).copied()
        };
        Some(Self {
            median: at(0.5)?,
            min: at(0.0)?,
            quartiles: [at(0.25)?, at(0.75)?],
            runs: samples.len(),
        })
    }
}

/// Times `candidates` in turn, `rounds` times each. Each round starts with another one, so that no candidate always follows
/// the same one.
pub fn interleaved(candidates: &[Launch], rounds: u32) -> Result<Vec<Times>> {
    for _ in 0..WARM_UP {
        for candidate in candidates {
            candidate.time()?;
        }
    }
    let mut samples = vec![Vec::with_capacity(rounds as usize); candidates.len()];
    let start = Instant::now();
    for round in 0..rounds {
        if round >= LEAST_ROUNDS && start.elapsed() > ROW_LIMIT {
            break;
        }
        for turn in 0..candidates.len() {
            let index = (round as usize + turn) % candidates.len();
            samples[index].push(candidates[index].time()?.as_secs_f64() * 1e6);
        }
    }
    Ok(samples.iter_mut().filter_map(|samples| Times::of(samples)).collect())
}
