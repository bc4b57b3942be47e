//! `pagescan advise`

use std::path::Path;
use std::time::Duration;

use pagescan::advise::candidates::Reach;
use pagescan::advise::cost::{Cost, tick};
use pagescan::advise::settings::{ScanTime, Settings};
use pagescan::advise::{Question, advice, text};
use pagescan::scan::{Target, take_here};
use statify_command_line::{Failure, Verdict, print, print_json};

use crate::target::{TargetArguments, WayArguments};

/// Where KSM is switched and set.
const KERNEL: &str = "/sys/kernel/mm/ksm";

/// Say what KSM would save, how soon and for how much CPU, before it is switched on, and what does not merge and why
///
/// Nothing is merged and nothing is switched for it. Memory is looked at twice, to see what changes. The saving is told in
/// frames: what is left is what was there less that.
#[derive(Debug, clap::Args)]
// What all memory and the page cache are of no process is nothing for KSM.
#[command(mut_arg("ram", |arg| arg.hide(true)), mut_arg("free", |arg| arg.hide(true)), mut_arg("cache", |arg| arg.hide(true)))]
pub struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    way: WayArguments,

    /// Take KSM to be on only where it is now, rather than for all that the processes have (`pagescan ksm on`)
    #[arg(long)]
    as_it_is: bool,

    /// Seconds between the two looks; 0 for one look only
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    interval: u64,

    /// Pages that KSM looks at before it sleeps; as it is set now if not given, like the other settings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pages_to_scan: Option<u64>,

    /// How long it sleeps
    #[arg(long, value_name = "MILLISECONDS")]
    sleep_millisecs: Option<u64>,

    /// A frame stands for at most so many pages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    max_page_sharing: Option<u64>,

    /// Whether pages of zeros go to the kernel's own
    #[arg(long, value_name = "BOOL")]
    use_zero_pages: Option<bool>,

    /// Whether pages that KSM knows are left out of most passes
    #[arg(long, value_name = "BOOL")]
    smart_scan: Option<bool>,

    /// By what pages_to_scan is changed
    #[arg(long, value_enum)]
    advisor: Option<Advisor>,

    /// Percent of a CPU that KSM may take where the pages_to_scan that pays is looked for
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    max_cpu: f64,

    /// The numbers as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Advisor {
    /// By nothing
    None,
    /// By the kernel's advisor for the time of a pass
    ScanTime,
}

impl Arguments {
    fn settings(&self) -> Settings {
        let mut settings = Settings::read(Path::new(KERNEL));
        if let Some(pages) = self.pages_to_scan {
            (settings.pages_to_scan, settings.advisor) = (pages, None);
        }
        settings.sleep_millisecs = self.sleep_millisecs.unwrap_or(settings.sleep_millisecs);
        settings.max_page_sharing = self.max_page_sharing.unwrap_or(settings.max_page_sharing);
        settings.use_zero_pages = self.use_zero_pages.unwrap_or(settings.use_zero_pages);
        settings.smart_scan = self.smart_scan.unwrap_or(settings.smart_scan);
        match self.advisor {
            Some(Advisor::None) => settings.advisor = None,
            Some(Advisor::ScanTime) => {
                settings.advisor = settings.advisor.or(Some(ScanTime::default()));
            }
            None => {}
        }
        settings
    }
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let target = arguments.target.target();
    if matches!(target, Target::Ram { .. } | Target::Cache) {
        return Err("KSM merges memory of processes only, so --ram and --cache are nothing to advise on; name processes, or use --all, --guest or --cgroup".into());
    }
    let (tools, hasher) = (arguments.way.tools(), arguments.way.hasher()?);
    let look = || take_here(&target, &tools, &hasher);
    let mut earlier = None;
    if arguments.interval > 0 {
        earlier = Some(look()?);
        std::thread::sleep(Duration::from_secs(arguments.interval));
    }
    let now = look()?;
    let question = Question {
        reach: if arguments.as_it_is { Reach::AsItIs } else { Reach::Everything },
        settings: arguments.settings(),
        cost: Cost::of_machine(),
        tick: tick(),
        max_cpu: arguments.max_cpu,
    };
    let mut advice = advice(&now, earlier.as_ref(), &question);
    if !Path::new(KERNEL).is_dir() {
        advice.lacks.push(format!(
            "{KERNEL} is not there: this kernel merges no pages (CONFIG_KSM), or /sys is not to be seen here; the answer is for one that does, as it is set by default"
        ));
    }
    match arguments.json {
        true => print_json(&advice)?,
        false => print(&text::text(&advice))?,
    }
    Ok(Verdict::Good)
}
