//! KSM for a test: taken when others have done with it, set as the test wants it, and put back.
#![allow(dead_code)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use statify_process::ksm::{Fault, Ksm, Places};

use crate::trials::not_here;

/// Where it is switched and set.
pub const KERNEL: &str = "/sys/kernel/mm/ksm";
/// Others have it for minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// KSM, off at first and in the end.
pub struct Merging(Ksm);

impl Merging {
    /// Takes it, and waits for others that have it. It is the test's failure if they never end.
    pub fn take() -> Self {
        let begun = Instant::now();
        loop {
            match Ksm::take(&Places::default()) {
                Ok(ksm) => return Self(ksm),
                Err(Fault::Taken(_)) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                Err(fault @ Fault::InUse(_)) => not_here(&fault.to_string()),
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    /// Sets it, as long as what is returned lives. What an older kernel has no setting for is as it wants to be.
    pub fn set(&self, settings: &[(&'static str, &str)]) -> Settings<'_> {
        let settings = settings.iter().filter_map(|(name, value)| Setting::new(name, value));
        Settings { merging: self, _settings: settings.collect() }
    }

    pub fn switch(&self, on: bool) {
        self.0.switch(on).expect("it is this test's");
    }

    /// Does something while it stands still, between two passes if one round is enough for all pages. What it knows it keeps.
    pub fn while_it_stands<T>(&self, work: impl FnOnce() -> T) -> T {
        let run =
            |value: &str| fs::write(Path::new(KERNEL).join("run"), value).expect("we are root");
        run("0");
        let result = work();
        run("1");
        result
    }

    /// Waits until it has gone over all of memory so many times more.
    pub fn passes(&self, count: u64) {
        let (last, begun) = (number("full_scans") + count, Instant::now());
        while number("full_scans") < last {
            assert!(begun.elapsed() < Duration::from_secs(300), "{count} passes take too long");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// One of its numbers.
pub fn number(name: &str) -> u64 {
    let path = Path::new(KERNEL).join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.trim().parse().unwrap_or_else(|error| panic!("{name}: {text}: {error}"))
}

/// Settings as they were.
pub struct Settings<'a> {
    merging: &'a Merging,
    _settings: Vec<Setting>,
}

impl Drop for Settings<'_> {
    fn drop(&mut self) {
        // Some cannot be set while pages are merged.
        self.merging.switch(false);
    }
}

/// A setting as it was.
struct Setting(&'static str, String);

impl Setting {
    fn new(name: &'static str, value: &str) -> Option<Self> {
        let path = Path::new(KERNEL).join(name);
        let before = fs::read_to_string(&path).ok()?.trim().to_owned();
        // Of several words the one in brackets.
        let chosen = before.split(['[', ']']).nth(1).map(str::to_owned);
        fs::write(&path, value).unwrap_or_else(|error| panic!("{name}: {error}"));
        Some(Self(name, chosen.unwrap_or(before)))
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let path = Path::new(KERNEL).join(self.0);
        if let Err(error) = fs::write(path, &self.1) {
            eprintln!("{} is not put back to {}: {error}", self.0, self.1);
        }
    }
}
