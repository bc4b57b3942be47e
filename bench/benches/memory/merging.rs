//! The kernel's merging of equal pages (KSM), taken for an experiment: it is off afterwards, and its settings as they were,
//! whatever the way out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use statify_process::ksm::{Fault, Ksm, Places};

/// The kernel's directory for it (Documentation/admin-guide/mm/ksm.rst).
const KERNEL: &str = "/sys/kernel/mm/ksm";
/// What experiments change. The last one is there from Linux 6.7 on.
const SETTINGS: [&str; 3] = ["pages_to_scan", "sleep_millisecs", "smart_scan"];
/// Others may need it for so long.
const PATIENCE: Duration = Duration::from_secs(600);

/// How fast it looks at pages.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Pages that it looks at before it sleeps.
    pub pages_to_scan: u64,
    /// How long it sleeps.
    pub sleep_millisecs: u64,
    /// Whether it looks less often at pages that were like no other before; the papers' kernels did not.
    pub smart_scan: bool,
}

impl Pace {
    /// So fast that it settles in seconds.
    pub const FAST: Self = Self::of(20_000, 50);
    /// A guest of 256 MiB is looked at in a second, in a twentieth of a CPU's time.
    pub const BRISK: Self = Self::of(1000, 20);
    /// Ten times the second paper's, whose guests were four to eight times as large and were watched many times as long.
    pub const SCALED: Self = Self::of(2000, 200);

    /// So many pages after so many milliseconds.
    pub const fn of(pages_to_scan: u64, sleep_millisecs: u64) -> Self {
        Self { pages_to_scan, sleep_millisecs, smart_scan: false }
    }
}

/// It, as long as this lives this benchmark's.
pub struct Merging {
    ksm: Ksm,
    settings: Arc<Settings>,
    signals: Handle,
}

/// How the settings were.
struct Settings(Mutex<Vec<(PathBuf, String)>>);

impl Settings {
    fn read() -> Self {
        let read = |name: &str| {
            let path = Path::new(KERNEL).join(name);
            let text = fs::read_to_string(&path).ok()?;
            Some((path, text.trim().to_owned()))
        };
        Self(Mutex::new(SETTINGS.into_iter().filter_map(read).collect()))
    }

    /// As they were.
    fn put_back(&self) {
        for (path, text) in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Nobody is left who could do something about it.
            let _ = fs::write(path, text);
        }
    }
}

impl Merging {
    /// Takes it, when others need it no more. On signals it is put back, `scratch` removed, and the benchmark ended.
    pub fn take(scratch: &Path) -> Result<Self> {
        let until = Instant::now() + PATIENCE;
        let ksm = loop {
            match Ksm::take(&Places::default()) {
                Ok(ksm) => break ksm,
                Err(Fault::Taken(_) | Fault::InUse(_)) if Instant::now() < until => {
                    thread::sleep(Duration::from_secs(1));
                }
                Err(fault) => bail!("{fault}"),
            }
        };
        let settings = Arc::new(Settings::read());
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let (to_put_back, to_settings) = (ksm.put_back(), settings.clone());
        let scratch = scratch.to_owned();
        thread::spawn(move || {
            if signals.forever().next().is_some() {
                to_put_back.now();
                to_settings.put_back();
                let _ = fs::remove_dir_all(scratch);
                std::process::exit(1);
            }
        });
        Ok(Self { ksm, settings, signals: handle })
    }

    /// Switches it on at a pace, or from one pace to another.
    pub fn on(&self, pace: Pace) -> Result<()> {
        let values = [pace.pages_to_scan, pace.sleep_millisecs, pace.smart_scan.into()];
        for (name, value) in SETTINGS.iter().zip(values) {
            let path = Path::new(KERNEL).join(name);
            if !path.exists() {
                continue;
            }
            fs::write(&path, value.to_string()).with_context(|| path.display().to_string())?;
        }
        Ok(self.ksm.switch(true)?)
    }

    /// How often all pages were looked at.
    pub fn passes(&self) -> u64 {
        self.ksm.full_scans()
    }

    /// Waits until all pages were looked at so often since now, or for so long.
    pub fn wait(&self, passes: u64, most: Duration) {
        let (begun, until) = (self.ksm.full_scans(), Instant::now() + most);
        while self.ksm.full_scans() < begun + passes && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Merging {
    fn drop(&mut self) {
        self.ksm.put_back().now();
        self.settings.put_back();
        self.signals.close();
    }
}

/// CPU time that the kernel's thread for it has used.
pub fn cpu_time() -> Result<Duration> {
    for entry in fs::read_dir("/proc")? {
        let dir = entry?.path();
        if fs::read_to_string(dir.join("comm")).is_ok_and(|name| name.trim() == "ksmd") {
            let stat = fs::read_to_string(dir.join("stat"))?;
            // Fields 14 and 15; the name in parentheses is the second (proc_pid_stat(5)).
            let fields = stat.rsplit(')').next().unwrap_or_default();
            let ticks = fields.split_whitespace().skip(11).take(2);
            let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
            return Ok(Duration::from_millis(ticks * 10));
        }
    }
    bail!("the kernel has no thread ksmd")
}
