//! Both guests booted, as they were and with converted programs, in every way that is asked for: the paper's Tables 3 and 4.
//!
//! [`boot`] is a run, and reads as its phases: images ([`guests`]), a store of them ([`served`]), a boot of each through the
//! store that writes down its reads and is not measured, and then the boots that are ([`machine`]), one of each kind in
//! every round. [`text`], [`csv`] and [`html`] show what came of it.

mod accelerator;
mod charts;
pub mod csv;
mod event;
mod guests;
pub mod html;
pub mod initramfs;
mod machine;
mod memory;
pub mod options;
pub mod outcome;
mod record;
mod rounds;
pub mod rows;
mod served;
pub mod table;
pub mod text;

use std::fs::File;

use chunkstore::serve::trace::statistics::SIZES;
use statify_files::path_text;
use statify_process::ksm::Ksm;
use statify_vm::Accelerator;

use crate::error::boot::Fault;
use crate::error::{Error, Result};
use crate::measure::chunks;
pub use event::Event;
use machine::Bench;
use options::{Options, Variant};
use outcome::{Chunks, Image, Outcome};
use record::Record;
use served::Stored;

/// Boots them, and writes what stays into the directory of the report.
pub fn boot(options: &Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
    let record = Record::open(&options.report)?;
    // Before anything that takes its time.
    let ksm = options
        .ksm
        .contains(&true)
        .then(|| Ksm::take(&options.ksm_places))
        .transpose()
        .map_err(Fault::from)?;
    if let Some(ksm) = &ksm {
        tell(Event::Ksm(&ksm.put_back()));
    }
    let guests = guests::prepare(options, &mut |what| tell(Event::Begun(what)))?;
    let accelerator =
        accelerator::choose(options, &guests.kernel, &mut |what| tell(Event::Found(what)))?;
    let stored = Stored::new(&options.scratch)?;
    let mut images = Vec::new();
    for pair in &guests.pairs {
        for (variant, path) in Variant::BOTH.into_iter().zip(&pair.images) {
            let label = served::label(pair.system, variant);
            tell(Event::Begun(&format!("cutting {label}")));
            stored.cut(path, &label, options.chunk)?;
            images.push(image(pair, variant, path)?);
        }
    }
    let bench = Bench { options, accelerator, record: &record };
    let traces = rounds::traced(&bench, &guests, &stored, tell)?;
    let boots = rounds::measured(&bench, &guests, &stored, ksm.as_ref(), tell)?;
    drop(ksm);
    let outcome = Outcome {
        normal: path_text::to_text(&options.normal),
        converted: path_text::to_text(&options.converted),
        accelerator: match accelerator {
            Accelerator::Kvm => "kvm",
            Accelerator::Software => "software",
        },
        memory_mib: options.memory,
        cpus: options.cpus,
        until: options.until.to_string(),
        chunk_size: options.chunk.bytes(),
        runs: options.runs,
        chunks: table::chunks(&images, &traces),
        times: table::times(&boots),
        images,
        traces,
        boots,
    };
    write(&outcome, &record)?;
    Ok(outcome)
}

fn image(pair: &guests::Pair, variant: Variant, path: &std::path::Path) -> Result<Image> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    let bytes = file.metadata().map_err(Error::file("read", path))?.len();
    let counted = chunks::of_one(path, &file)?;
    let sizes = chunks::SIZES.into_iter().zip(counted.sizes);
    Ok(Image {
        variant,
        system: pair.system,
        bytes,
        // Of the smallest chunks, not all of which are whole.
        data_bytes: (counted.sizes[0].chunks * chunks::SIZES[0]).min(bytes),
        chunks: sizes
            .filter(|(size, _)| SIZES.contains(size))
            .map(|(size, unique)| Chunks { size, distinct: unique.unique_chunks })
            .collect(),
    })
}

/// Writes it down.
fn write(outcome: &Outcome, record: &Record) -> Result<()> {
    let json = serde_json::to_string_pretty(outcome).unwrap_or_default();
    record.write("boot.json", (statify_printable::printable_json(&json) + "\n").as_bytes())?;
    record.write("boot.txt", text::text(outcome).as_bytes())?;
    record.write("boot.html", html::html(outcome).as_bytes())?;
    for (table, name) in csv::Table::ALL {
        record.write(&format!("{name}.csv"), csv::csv(outcome, table).as_bytes())?;
    }
    Ok(())
}
