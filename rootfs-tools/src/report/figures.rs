//! Growth in numbers.

use serde::Serialize;

/// A program's size, or that of many, before and after; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Before.
    pub original: u64,
    /// After.
    pub converted: u64,
    /// After, divided by before.
    pub times: f64,
}

impl Growth {
    /// From the one to the other.
    pub fn new(original: u64, converted: u64) -> Self {
        Self { original, converted, times: times(converted, original) }
    }
}

/// A program and its growth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Its first name.
    pub name: String,
    /// How it grew.
    #[serde(flatten)]
    pub growth: Growth,
}

/// The paper's Table 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// How many.
    pub programs: usize,
    /// Together.
    pub total: Growth,
    /// The mean of the sizes.
    pub average: Growth,
    /// The program that grew the most.
    pub largest: Option<Named>,
    /// And the least.
    pub smallest: Option<Named>,
}

impl Table {
    /// Of these programs.
    pub fn of<'a>(programs: impl Iterator<Item = (&'a str, &'a Growth)> + Clone) -> Self {
        let count = programs.clone().count();
        let sum = |size: fn(&Growth) -> u64| {
            programs.clone().map(|(_, growth)| size(growth)).fold(0, u64::saturating_add)
        };
        let total = Growth::new(sum(|growth| growth.original), sum(|growth| growth.converted));
        let mean = |sum: u64| sum.checked_div(count as u64).unwrap_or(0);
        let by_times = |a: &(&str, &Growth), b: &(&str, &Growth)| a.1.times.total_cmp(&b.1.times);
        let named = |(name, growth): (&str, &Growth)| Named { name: name.into(), growth: *growth };
        Self {
            programs: count,
            average: Growth {
                times: total.times,
                ..Growth::new(mean(total.original), mean(total.converted))
            },
            largest: programs.clone().max_by(by_times).map(named),
            smallest: programs.min_by(by_times).map(named),
            total,
        }
    }
}

/// A quotient; 0 where there is nothing to divide by.
pub fn times(after: u64, before: u64) -> f64 {
    if before == 0 { 0.0 } else { after as f64 / before as f64 }
}
