//! The samples of a watch, as many as can be shown.

use serde::Serialize;

use super::sample::Sample;

/// What there is to show of a watch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// What is watched.
    pub of: String,
    /// Bytes of a page.
    pub page_size: u32,
    /// What is not in snapshots that could be, and why, in sentences.
    pub lacks: Vec<String>,
    /// How many samples were taken.
    pub taken: u64,
    /// Every so many of them is kept.
    pub step: u64,
    /// Those that are kept, without what is not drawn: KSM in single processes.
    pub samples: Vec<Sample>,
    /// The last one.
    pub last: Option<Sample>,
}

impl Course {
    /// So many samples are kept at most, so that a watch of months needs no more memory than one of hours.
    pub const MOST: usize = 4096;

    /// An empty one.
    pub fn new(of: &str, page_size: u32) -> Self {
        Self {
            of: of.into(),
            page_size,
            lacks: Vec::new(),
            taken: 0,
            step: 1,
            samples: Vec::new(),
            last: None,
        }
    }

    /// Adds a sample. If there are too many, every other one is left out, and from then on.
    pub fn add(&mut self, sample: Sample) {
        if self.taken.is_multiple_of(self.step) {
            if self.samples.len() == Self::MOST {
                let mut index = 0;
                self.samples.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.step *= 2;
            }
            if self.taken.is_multiple_of(self.step) {
                self.samples.push(Sample {
                    process_ksm: Vec::new(),
                    lifetimes: Vec::new(),
                    ..sample.clone()
                });
            }
        }
        self.taken += 1;
        self.last = Some(sample);
    }

    /// Of each sample that is kept, and of the last, the seconds and what it has, where it has it.
    pub fn line(&self, value: impl Fn(&Sample) -> Option<f64>) -> Vec<(f64, f64)> {
        let is_kept = self.samples.last().map(|sample| sample.seconds);
        let last = self.last.iter().filter(|last| Some(last.seconds) != is_kept);
        let samples = self.samples.iter().chain(last);
        samples.filter_map(|sample| Some((sample.seconds, value(sample)?))).collect()
    }

    /// Bytes of some pages.
    pub fn bytes(&self, pages: u64) -> f64 {
        pages as f64 * f64::from(self.page_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_watches_are_thinned_out() {
        let mut course = Course::new("x", 4096);
        for second in 0..3 * Course::MOST {
            course.add(Sample { seconds: second as f64, ..Sample::default() });
            assert!(course.samples.len() <= Course::MOST);
        }
        let line = course.line(|_| Some(1.0));
        assert_eq!((course.taken, course.step), (3 * Course::MOST as u64, 4));
        assert!(
            line[..line.len() - 1].iter().enumerate().all(|(i, point)| point.0 == i as f64 * 4.0)
        );
        assert_eq!(line.last().unwrap().0, (3 * Course::MOST - 1) as f64);
    }
}
