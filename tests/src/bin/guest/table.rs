//! What stands in docs/src/measured/guest.md: the paper's tables with this guest's figures beside them.

use std::fmt::Write;

use serde_json::Value;
use statify_printable::amount::thousands;

use crate::boot::{Boots, Guest};
use crate::check::Checked;
use crate::convert::{Converted, Run};
use crate::growth::ALIGNED;
use crate::images::{Images, Sizes};
use crate::machine::Machine;
use crate::root::Root;
use crate::stores::{Stored, Stores};
use crate::times;

/// All that was found out.
pub struct Facts<'a> {
    /// The machine and the day.
    pub machine: &'a Machine,
    /// The guest.
    pub root: &'a Root,
    /// What the conversion took.
    pub converted: &'a Converted,
    /// What rootfs-tools reports of it.
    pub report: &'a Value,
    /// And of chunks, with modules that are aligned for them.
    pub aligned: &'a Value,
    /// And what it finds in it, if that was asked for.
    pub checked: Option<&'a Checked>,
    /// The images.
    pub images: &'a Images,
    /// The EROFS images in chunk stores.
    pub stores: &'a [Stores],
    /// The guests that ran.
    pub boots: &'a Boots,
    /// How long they took, and what they read.
    pub times: &'a [Value],
}

/// All of it as Markdown.
pub fn markdown(facts: &Facts<'_>) -> String {
    let mut text = introduction(facts);
    table_1(&mut text, facts.report);
    table_2(&mut text, facts.report);
    storage(&mut text, facts);
    chunks(&mut text, facts);
    together(&mut text, facts.stores);
    conversion(&mut text, facts);
    boots(&mut text, facts.boots);
    times::table_3(&mut text, facts.times);
    times::table_4(&mut text, facts.times);
    text
}

fn introduction(facts: &Facts<'_>) -> String {
    let Machine { date, cpu, cpus, memory, kernel } = facts.machine;
    let Root { packages, version } = facts.root;
    format!(
        "Debian {version} with {packages} packages, measured on {date}: {cpus} CPUs ({cpu}), {memory} GiB, \
         Linux {kernel}.\n\n"
    )
}

fn table_1(text: &mut String, report: &Value) {
    text.push_str(
        "| Table 1 (bytes) | paper: original | converted | increase | here: original | converted | increase |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let table = &report["table"];
    let programs = table["programs"].as_u64().unwrap_or_default();
    let rows = [
        ("total", "87,865,480 | 3,572,936,704 | 40.66x", "total"),
        ("average", "75,615 | 3,074,816 | 40.66x", "average"),
        ("largest increase", "5,400 | 8,732,672 | 1617.16x (gnome-open)", "largest"),
        ("smallest increase", "3,426,340 | 6,094,848 | 1.78x (qmake)", "smallest"),
    ];
    for (name, paper, key) in rows {
        let name = match key {
            "total" => format!("total of 1,162; here {}", thousands(programs)),
            _ => name.to_owned(),
        };
        let _ = writeln!(text, "| {name} | {paper} | {} |", growth(&table[key]));
    }
    let image = &report["image"];
    let size = |which: &str| image[which]["apparent"].as_u64().unwrap_or_default();
    let _ = writeln!(
        text,
        "| whole image | 3,754 MB | 7,075 MB | 1.88x | {} | {} | {:.2}x |\n",
        thousands(size("original")),
        thousands(size("converted")),
        image["apparent_times"].as_f64().unwrap_or_default()
    );
}

/// Sizes before and after, and the program's name if it is one.
fn growth(value: &Value) -> String {
    let number = |key: &str| value[key].as_u64().map_or_else(|| "-".into(), thousands);
    let times = value["times"].as_f64().unwrap_or_default();
    let name = value["name"].as_str().and_then(|name| name.rsplit('/').next());
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{} | {} | {times:.2}x{name}", number("original"), number("converted"))
}

fn table_2(text: &mut String, report: &Value) {
    text.push_str(
        "| Table 2 (bytes) | dynamic | statically linked | converted | converted over static |\n\
         |---|---|---|---|---|\n\
         | paper: total of 164 | 8,065,092 | 99,734,044 (12.37x) | 262,627,328 (32.56x) | 2.63x |\n\
         | paper: largest, bzip2recover | 9,512 | 527,252 (55.43x) | 3,160,672 (332.28x) | 5.99x |\n\
         | paper: smallest, busybox | 896,076 | 1,682,984 (1.88x) | 2,629,632 (2.93x) | 1.56x |\n",
    );
    let table = &report["statics"];
    let programs = table["programs"].as_array().map_or(&[][..], Vec::as_slice);
    let mut row = |name: &str, sizes: &Value| {
        let number = |key: &str| sizes[key].as_u64().map_or_else(|| "-".into(), thousands);
        let times = |key: &str| sizes[key].as_f64().unwrap_or_default();
        let _ = writeln!(
            text,
            "| here: {name} | {} | {} ({:.2}x) | {} ({:.2}x) | {:.2}x |",
            number("dynamic"),
            number("static"),
            times("static_times"),
            number("converted"),
            times("converted_times"),
            times("converted_over_static")
        );
    };
    row(&format!("total of {}", programs.len()), &table["total"]);
    for program in programs {
        let name = program["name"].as_str().unwrap_or_default();
        row(name.rsplit('/').next().unwrap_or_default(), program);
    }
    text.push('\n');
}

fn together(text: &mut String, stores: &[Stores]) {
    text.push_str(
        "| both EROFS images in one store, cut by | chunks: normal alone | both | | stored bytes: normal alone | both | |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Stores { chunking, alone, together } in stores {
        let row = |of: fn(&Stored) -> u64| {
            let (alone, together) = (of(alone), of(together));
            let times = together as f64 / alone.max(1) as f64;
            format!("{} | {} | {times:.3}x", thousands(alone), thousands(together))
        };
        let (chunks, bytes) = (row(|stored| stored.chunks), row(|stored| stored.stored_bytes));
        let _ = writeln!(text, "| `{chunking}` | {chunks} | {bytes} |");
    }
    text.push('\n');
}

/// The paper's are cut over an image, these for each file.
fn chunks(text: &mut String, facts: &Facts<'_>) {
    let _ = writeln!(
        text,
        "| unique chunks per file | normal | converted | here | with `--align {ALIGNED}` | here | paper, over its image |\n\
         |---|---|---|---|---|---|---|"
    );
    let rows = |chunks: &Value| chunks["sizes"].as_array().cloned().unwrap_or_default();
    for (row, aligned) in rows(&facts.report["chunks"]).iter().zip(rows(facts.aligned)) {
        let size = row["size"].as_u64().unwrap_or_default() >> 10;
        let unique = |row: &Value, which: &str| {
            row[which]["unique_chunks"].as_u64().map_or_else(|| "-".into(), thousands)
        };
        let times = |row: &Value| row["chunk_times"].as_f64().unwrap_or_default();
        let paper = match size {
            16 => "1.04",
            64 => "1.12",
            256 => "1.18",
            _ => "-",
        };
        let _ = writeln!(
            text,
            "| {size} KiB | {} | {} | {:.2} | {} | {:.2} | {paper} |",
            unique(row, "original"),
            unique(row, "converted"),
            times(row),
            unique(&aligned, "converted"),
            times(&aligned),
        );
    }
    text.push('\n');
}

fn storage(text: &mut String, facts: &Facts<'_>) {
    text.push_str("| image (bytes) | normal | converted | growth |\n|---|---|---|---|\n");
    let images = facts.images;
    let mut row = |name: &str, sizes: Sizes| {
        let Sizes { normal, converted } = sizes;
        let times = converted as f64 / normal.max(1) as f64;
        let (normal, converted) = (thousands(normal), thousands(converted));
        let _ = writeln!(text, "| {name} | {normal} | {converted} | {times:.3}x |");
    };
    row("ext4, blocks in use", images.ext4);
    row("EROFS with chunks of 4 KiB", images.erofs);
    match &images.btrfs {
        Ok(in_place) => row("btrfs with reflinks, blocks in use", in_place.sizes),
        Err(reason) => {
            let _ = writeln!(text, "| btrfs with reflinks | not measured: {reason} | | |");
        }
    }
    text.push('\n');
}

fn conversion(text: &mut String, facts: &Facts<'_>) {
    text.push_str(
        "| conversion | seconds, of which copying the tree | CPU seconds | largest process, MiB |\n\
         |---|---|---|---|\n",
    );
    let Converted { first, second, failed } = facts.converted;
    let in_place = facts.images.btrfs.as_ref().ok().map(|in_place| &in_place.run);
    let in_place = in_place.map(|run| ("in place on btrfs, from the cache", run));
    let runs = [("first", first), ("again, from the cache", second)];
    for (name, run) in runs.into_iter().chain(in_place) {
        let Run { seconds, copying, cpu, peak } = run;
        let peak = peak >> 20;
        let _ = writeln!(text, "| {name} | {seconds:.1}, {copying:.1} | {cpu:.1} | {peak} |");
    }
    let _ = write!(text, "\n{} programs could not be converted", failed.len());
    if let Some(checked) = facts.checked {
        let count = |key: &str| thousands(checked.report["counts"][key].as_u64().unwrap_or(0));
        let _ = write!(
            text,
            "; `rootfs-tools check`: {} of {} intact, {} run beside their originals, {} differ",
            count("intact"),
            count("programs"),
            count("compared"),
            count("differing")
        );
    }
    text.push_str(".\n\n");
}

fn boots(text: &mut String, boots: &Boots) {
    text.push_str(
        "| boot to login, software emulation | seconds | MiB read | read requests |\n|---|---|---|---|\n",
    );
    for pair in &boots.pairs {
        for (which, guest) in [("normal", &pair.normal), ("converted", &pair.converted)] {
            let Guest { login, reads, .. } = guest;
            let mib = reads.bytes as f64 / (1 << 20) as f64;
            let requests = thousands(reads.requests);
            let _ =
                writeln!(text, "| {}, {which} | {login:.1} | {mib:.1} | {requests} |", pair.system);
        }
    }
    let _ = writeln!(
        text,
        "\n{} commands over the serial console, in each guest: {} differences.",
        boots.commands,
        boots.differences.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_table_takes_names_and_sizes_from_the_report() {
        let sizes = serde_json::json!({"original": 10, "converted": 4000, "times": 400.0});
        let mut largest = sizes.clone();
        largest["name"] = "/usr/bin/gio".into();
        let report = serde_json::json!({
            "table": {"programs": 1162, "total": sizes, "largest": largest},
            "image": {"original": {"apparent": 1000}, "converted": {"apparent": 1500}, "apparent_times": 1.5},
        });
        let mut text = String::new();
        table_1(&mut text, &report);
        assert!(
            text.contains(
                "here 1,162 | 87,865,480 | 3,572,936,704 | 40.66x | 10 | 4,000 | 400.00x |"
            )
        );
        assert!(text.contains("| 10 | 4,000 | 400.00x (gio) |"));
        assert!(text.contains("| 1,000 | 1,500 | 1.50x |"));
    }

    #[test]
    fn the_second_table_has_a_row_for_each_program() {
        let pair = serde_json::json!({"name": "/usr/bin/bash", "dynamic": 10, "static": 20,
            "converted": 30, "static_times": 2.0, "converted_times": 3.0, "converted_over_static": 1.5});
        let report = serde_json::json!({"statics": {"programs": [pair.clone()], "total": pair}});
        let mut text = String::new();
        table_2(&mut text, &report);
        assert!(
            text.ends_with("| here: bash | 10 | 20 (2.00x) | 30 (3.00x) | 1.50x |\n\n"),
            "{text}"
        );
    }
}
