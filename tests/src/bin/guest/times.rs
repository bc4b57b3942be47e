//! `rootfs-tools boot` of the images: how long both guests take to the login, in files, through a store, and with KSM; what
//! they read; and the paper's Tables 3 and 4 of that.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rootfs_tools::boot::initramfs;
use serde_json::Value;
use statify_printable::amount::thousands;
use statify_room::Root;

use crate::Cli;
use crate::images;
use crate::room::Room;
use crate::root;

const MEMORY: &str = "2048";

/// What it says of each kind of file system.
pub fn measure(room: &Room, tool: &Path, cli: &Cli, scratch: &Path) -> Result<Vec<Value>> {
    let of = |system: &String| {
        let name = format!("times-{system}");
        room.once(&name, || {
            let report = room.results().join(&name);
            boot(room, tool, system, scratch, &report, cli.runs)
        })
    };
    cli.systems.iter().map(of).collect()
}

fn boot(
    room: &Room,
    tool: &Path,
    system: &str,
    scratch: &Path,
    report: &Path,
    runs: u16,
) -> Result<Value> {
    let (kernel, release) = root::kernel(&room.root())?;
    let mut command = Command::new(tool);
    command.arg("boot");
    command.args(["normal", "converted"].map(|which| images::path(room, system, which)));
    command.arg("--kernel").arg(kernel).arg("--report").arg(report);
    command.args(["--json", "--memory", MEMORY, "--runs", &runs.to_string()]);
    // Where the kernel has none there is nothing to be measured.
    let ksm = if Path::new("/sys/kernel/mm/ksm/run").exists() { "off,on" } else { "off" };
    command.args(["--ksm", ksm]);
    if system == "erofs" {
        let archive = scratch.join("initramfs-times");
        let root = room.root();
        let busybox = room.statics().join("bin/busybox");
        initramfs::write(&archive, &root, &Root::open(&root)?, &release, &busybox)?;
        // The initial file system finds the root.
        command.args(["--via", "erofs"]).arg("--initrd").arg(archive);
    } else {
        command.args(["--via", "file,store"]);
    }
    // The store is as large as the images.
    let store = room.pending("store")?;
    fs::create_dir(&store)?;
    command.env("TMPDIR", &store).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().context("starting rootfs-tools")?;
    room.remove(&store)?;
    ensure!(output.status.success(), "rootfs-tools boot: {}", output.status);
    serde_json::from_slice(&output.stdout).context("the answer is no JSON")
}

/// The rows of a table of all answers.
fn rows<'a>(times: &'a [Value], table: &'a str) -> impl Iterator<Item = &'a Value> {
    times.iter().filter_map(move |answer| answer[table].as_array()).flatten()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// Chunks, over the image and at boot.
pub fn table_3(text: &mut String, times: &[Value]) {
    text.push_str(
        "\n| Table 3 (different chunks) | image: normal | converted | here | paper | boot: normal | converted | here | paper |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows(times, "chunks") {
        let size = row["size"].as_u64();
        let system = row["system"].as_str().unwrap_or_default();
        let (name, paper) = match size.map(|size| size >> 10) {
            None => (format!("{system}, MB"), ["1.88", "2.25"]),
            Some(16) => (format!("{system}, 16 KiB"), ["1.04", "-"]),
            Some(64) => (format!("{system}, 64 KiB"), ["1.12", "1.40"]),
            Some(kib) => (format!("{system}, {kib} KiB"), ["1.18", "1.29"]),
        };
        let _ = write!(text, "| {name} ");
        for (half, paper) in ["whole", "boot"].into_iter().zip(paper) {
            for guest in ["normal", "converted"] {
                let count = row[half][guest].as_u64().unwrap_or_default();
                let _ = match size {
                    None => write!(text, "| {:.1} ", count as f64 / 1e6),
                    Some(_) => write!(text, "| {} ", thousands(count)),
                };
            }
            let _ = write!(text, "| {:.2} | {paper} ", number(&row[half]["times"]));
        }
        text.push_str("|\n");
    }
}

/// Seconds to the login, and what goes with them.
pub fn table_4(text: &mut String, times: &[Value]) {
    text.push_str(
        "\n| Table 4 (seconds to the login) | normal | converted | here | paper | MB fetched | memory of the guest, MB | merged pages |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows(times, "times") {
        let (way, ksm) = (row["way"].as_str().unwrap_or_default(), row["ksm"] == true);
        let paper = match (way, ksm) {
            ("file", false) => "95, 84: 0.88",
            ("file", true) => "95, 105: 1.11",
            ("store-cold", false) => "107, 108: 1.01",
            ("store-cold", true) => "115, 130: 1.13",
            _ => "-",
        };
        let both = |field: &str, shown: fn(f64) -> String| {
            let side = |guest: &str| row[guest][field].as_f64().map_or_else(|| "-".into(), shown);
            format!("{}, {}", side("normal"), side("converted"))
        };
        let mega = |bytes: f64| format!("{:.1}", bytes / 1e6);
        let _ = writeln!(
            text,
            "| {way}{} | {:.1} | {:.1} | {:.2} | {paper} | {} | {} | {} |",
            if ksm { ", KSM" } else { "" },
            number(&row["normal"]["seconds"]),
            number(&row["converted"]["seconds"]),
            number(&row["times"]),
            both("fetched_bytes", mega),
            both("guest_proportional", mega),
            both("merged_pages", |pages| thousands(pages as u64)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_have_the_papers_figures_beside() {
        let pair = serde_json::json!({"normal": 3000, "converted": 3600, "times": 1.2});
        let side = serde_json::json!({"seconds": 10.0, "fetched_bytes": 5_000_000.0,
            "guest_proportional": 1e8, "merged_pages": 2000.0});
        let answers = [serde_json::json!({
            "chunks": [{"system": "ext4", "size": 65536, "whole": pair.clone(), "boot": pair}],
            "times": [{"way": "store-cold", "ksm": true, "normal": side.clone(), "converted": side,
                "times": 1.0}],
        })];
        let mut text = String::new();
        table_3(&mut text, &answers);
        assert!(text.ends_with(
            "| ext4, 64 KiB | 3,000 | 3,600 | 1.20 | 1.12 | 3,000 | 3,600 | 1.20 | 1.40 |\n"
        ));
        table_4(&mut text, &answers);
        assert!(text.ends_with(
            "| store-cold, KSM | 10.0 | 10.0 | 1.00 | 115, 130: 1.13 | 5.0, 5.0 | 100.0, 100.0 | 2,000, 2,000 |\n"
        ));
    }
}
