//! The boots, one after another: first those whose reads are written down, then those that are measured.
//!
//! What a guest reads is written down by the server of the store, which sees each read that leaves the emulator. A boot from
//! a file reads the same, so its chunks are counted here, too, and no measured boot is held up by a trace.

use std::fs::{self, File};
use std::path::PathBuf;

use chunkstore::serve::trace;
use chunkstore::serve::trace::statistics::{Contents, statistics};
use statify_process::ksm::Ksm;
use statify_vm::Disk;

use super::event::Event;
use super::guests::{Guests, Pair};
use super::machine::{Bench, From};
use super::options::{System, Variant, Way};
use super::outcome::{Boot, Trace};
use super::served::{self, Help, Stored};
use crate::error::boot::Fault;
use crate::error::{Error, Result};

/// So often a machine that ends is started.
const ATTEMPTS: u32 = 3;

/// Boots both guests of each pair through the store, and writes down what they read.
pub(super) fn traced(
    bench: &Bench<'_>,
    guests: &Guests,
    stored: &Stored,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Trace>> {
    let mut traces = Vec::new();
    for pair in &guests.pairs {
        for variant in Variant::BOTH {
            let label = served::label(pair.system, variant);
            tell(Event::Begun(&format!("a boot of {label} whose reads are written down")));
            traces.push(attempts(tell, || traced_one(bench, guests, pair, variant, stored))?);
        }
    }
    Ok(traces)
}

fn traced_one(
    bench: &Bench<'_>,
    guests: &Guests,
    pair: &Pair,
    variant: Variant,
    stored: &Stored,
) -> Result<Trace> {
    let label = served::label(pair.system, variant);
    let trace = trace_of(bench, pair, variant);
    let cache = cache_of(bench, pair, variant, "warm");
    let help = Help { cache: &cache, trace: Some(&trace), prefetch: None };
    let server = stored.serve(&label, help)?;
    let from = From {
        disk: Disk::Nbd(server.socket().to_owned(), label.clone()),
        guest: format!("{label}, through the store"),
        transcript: format!("console-trace-{label}.txt"),
        ..from(guests, pair)
    };
    bench.boot(&from, None, false, || {})?;
    server.end();
    let reads = trace::reads(&trace).map_err(Error::file("read", &trace))?;
    let image = &pair.images[variant as usize];
    let file = File::open(image).map_err(Error::file("read", image))?;
    let len = file.metadata().map_err(Error::file("read", image))?.len();
    let statistics = statistics(&reads, Some(&Contents { file: &file, len }));
    let statistics = statistics.map_err(Error::file("read", image))?;
    let name = format!("trace-{label}.jsonl");
    let bytes = fs::read(&trace).map_err(Error::file("read", &trace))?;
    bench.record.write(&name, &bytes)?;
    Ok(Trace { variant, system: pair.system, file: name, statistics })
}

/// A boot, once more if the machine has ended: emulated kernels do so now and then before their first process.
fn attempts<T>(tell: &mut dyn FnMut(Event<'_>), mut boot: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..ATTEMPTS {
        match boot() {
            Err(error @ Error::Boot(Fault::Ended { .. })) => {
                tell(Event::Found(&format!("once more: {error}")));
            }
            other => return other,
        }
    }
    boot()
}

/// Boots both guests in each way, with and without KSM, as many rounds as are asked for.
pub(super) fn measured(
    bench: &Bench<'_>,
    guests: &Guests,
    stored: &Stored,
    ksm: Option<&Ksm>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Boot>> {
    let options = bench.options;
    let mut boots = Vec::new();
    for round in 1..=options.runs {
        for &with_ksm in &options.ksm {
            for way in Way::of(&options.via) {
                // Who comes first has no advantage of it in the end.
                let mut both = Variant::BOTH;
                if round % 2 == 0 {
                    both.reverse();
                }
                for variant in both {
                    let turn = Turn { round, way, variant, ksm: ksm.filter(|_| with_ksm) };
                    let boot = attempts(tell, || turn.take(bench, guests, stored))?;
                    tell(Event::Found(&said(&boot)));
                    boots.push(boot);
                }
            }
        }
    }
    Ok(boots)
}

/// One boot of a round.
struct Turn<'a> {
    round: u32,
    way: Way,
    variant: Variant,
    ksm: Option<&'a Ksm>,
}

impl Turn<'_> {
    fn take(&self, bench: &Bench<'_>, guests: &Guests, stored: &Stored) -> Result<Boot> {
        let &Self { round, way, variant, ksm } = self;
        let system = match way {
            Way::File => Some(System::Ext4),
            Way::Erofs => Some(System::Erofs),
            _ => None,
        };
        let pair =
            guests.pair(system).ok_or_else(|| Fault::NoGuest(bench.options.normal.clone()))?;
        let label = served::label(pair.system, variant);
        let server = self.server(bench, pair, stored, &label)?;
        let words = if ksm.is_some() { "with KSM" } else { "without KSM" };
        let name = format!(
            "{}-{}-{}-{round}",
            way.name(),
            if ksm.is_some() { "ksm" } else { "plain" },
            variant.name()
        );
        let from = From {
            disk: match &server {
                Some(server) => Disk::Nbd(server.socket().to_owned(), label),
                None => Disk::File(pair.images[variant as usize].clone()),
            },
            guest: format!("the {} guest, {}, {words}, round {round}", variant.name(), way.name()),
            transcript: format!("console-{name}.txt"),
            ..from(guests, pair)
        };
        if let Some(ksm) = ksm {
            ksm.switch(true).map_err(Fault::from)?;
        }
        let mut fetched_bytes = None;
        let then = || fetched_bytes = server.as_ref().map(served::Server::fetched);
        let measured = bench.boot(&from, ksm, round == 1, then);
        if let Some(ksm) = ksm {
            ksm.switch(false).map_err(Fault::from)?;
        }
        let measured = measured?;
        Ok(Boot { round, way, ksm: ksm.is_some(), variant, measured, fetched_bytes })
    }

    /// The store's server, if the way is through the store.
    fn server(
        &self,
        bench: &Bench<'_>,
        pair: &Pair,
        stored: &Stored,
        label: &str,
    ) -> Result<Option<served::Server>> {
        let (warm, cold) = (
            cache_of(bench, pair, self.variant, "warm"),
            cache_of(bench, pair, self.variant, "cold"),
        );
        let trace = trace_of(bench, pair, self.variant);
        let help = match self.way {
            Way::File | Way::Erofs => return Ok(None),
            Way::StoreWarm => Help { cache: &warm, trace: None, prefetch: None },
            Way::StoreCold => Help { cache: &cold, trace: None, prefetch: None },
            Way::StorePrefetch => Help { cache: &cold, trace: None, prefetch: Some(&trace) },
        };
        if help.cache == cold.as_path() && cold.exists() {
            fs::remove_dir_all(&cold).map_err(Error::file("removed", &cold))?;
        }
        stored.serve(label, help).map(Some)
    }
}

/// All but what differs from boot to boot.
fn from<'a>(guests: &'a Guests, pair: &'a Pair) -> From<'a> {
    From {
        kernel: &guests.kernel,
        initial_files: pair.initial_files.as_ref(),
        parameters: &pair.parameters,
        disk: Disk::File(PathBuf::new()),
        guest: String::new(),
        transcript: String::new(),
    }
}

fn trace_of(bench: &Bench<'_>, pair: &Pair, variant: Variant) -> PathBuf {
    bench.options.scratch.join(format!("trace-{}", served::label(pair.system, variant)))
}

fn cache_of(bench: &Bench<'_>, pair: &Pair, variant: Variant, which: &str) -> PathBuf {
    bench.options.scratch.join(format!("cache-{which}-{}", served::label(pair.system, variant)))
}

/// A boot in words.
fn said(boot: &Boot) -> String {
    let Boot { round, way, ksm, variant, measured, .. } = boot;
    let ksm = if *ksm { " with KSM" } else { "" };
    format!(
        "round {round}: {}, {}{ksm}: {:.1} s, {} reads",
        way.name(),
        variant.name(),
        measured.seconds,
        measured.requests
    )
}
