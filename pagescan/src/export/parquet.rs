//! The tables of a snapshot. In all of them `snapshot` says which; all else that points somewhere is an index in the same
//! snapshot, and -1 is none.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use parquet::errors::ParquetError;

use super::ids;
use super::output::{Output, directory};
use super::pages::pages;
use super::table::Kind::{Number, Random, Text};
use super::table::{Table, TableWriter, Value};
use crate::error::{Error, Result};
use crate::snapshot::{Scope, Snapshot};

const SNAPSHOTS: Table = Table {
    name: "snapshots",
    columns: &[
        ("snapshot", Random),
        ("machine", Number),
        ("taken", Random),
        ("host", Text),
        ("boot", Text),
        ("kernel", Text),
        ("scope", Text),
        ("page_size", Number),
        ("memory", Number),
        ("algorithm", Text),
        ("key_id", Text),
        ("frames", Number),
        ("pages", Number),
        ("committed", Number),
        ("swapped", Number),
    ],
};

const FRAMES: Table = Table {
    name: "frames",
    columns: &[
        ("snapshot", Number),
        ("frame", Random),
        ("owner", Number),
        ("number", Random),
        ("hash_high", Random),
        ("hash_low", Random),
        ("flags", Number),
        ("map_count", Number),
        ("ref_count", Number),
        ("cgroup", Number),
    ],
};

const FILES: Table = Table {
    name: "files",
    columns: &[
        ("snapshot", Number),
        ("file", Random),
        ("device", Number),
        ("inode", Random),
        ("path", Text),
        ("size", Number),
    ],
};

const PROCESSES: Table = Table {
    name: "processes",
    columns: &[
        ("snapshot", Number),
        ("process", Number),
        ("pid", Number),
        ("started", Number),
        ("name", Text),
        ("exe", Text),
        ("uid", Number),
        ("cgroup", Text),
        ("size", Number),
        ("committed", Number),
        ("swapped", Number),
        ("code_begin", Number),
        ("code_end", Number),
        ("heap_begin", Number),
        ("heap_end", Number),
        ("stack_begin", Number),
        ("stack_end", Number),
    ],
};

const MAPPINGS: Table = Table {
    name: "mappings",
    columns: &[
        ("snapshot", Number),
        ("process", Number),
        ("mapping", Number),
        ("address_begin", Number),
        ("address_end", Number),
        ("prot", Number),
        ("is_shared", Number),
        ("vm_flags", Text),
        ("file", Number),
        ("file_offset", Number),
        ("name", Text),
        ("swapped", Number),
    ],
};

const PAGES: Table = Table {
    name: "pages",
    columns: &[
        ("snapshot", Number),
        ("process", Number),
        ("mapping", Number),
        ("file", Number),
        ("page", Random),
        ("frame", Random),
        ("flags", Number),
    ],
};

type Rows<'a, 'b> = &'a mut TableWriter<Output<'b>>;
type Written = std::result::Result<(), ParquetError>;

/// Writes a snapshot's, in this folder of each table's directory.
pub fn write(snapshot: &Snapshot, dir: &Path, folder: &Path) -> Result<()> {
    let to = (dir, folder);
    table(to, snapshot, &SNAPSHOTS, snapshots)?;
    table(to, snapshot, &FRAMES, frames)?;
    table(to, snapshot, &FILES, files)?;
    table(to, snapshot, &PROCESSES, processes)?;
    table(to, snapshot, &MAPPINGS, mappings)?;
    table(to, snapshot, &PAGES, page_rows)
}

fn table(
    (dir, folder): (&Path, &Path),
    snapshot: &Snapshot,
    table: &Table,
    rows: impl FnOnce(&Snapshot, i64, Rows<'_, '_>) -> Written,
) -> Result<()> {
    let id = ids::snapshot(&snapshot.header);
    let name = format!("{id:016x}.parquet");
    let (place, path) = directory(&dir.join(table.name).join(folder), &name)?;
    let name = OsString::from(name);
    let write = || -> io::Result<()> {
        let mut writer = TableWriter::new(Output::new(&place, &name)?, table).map_err(error)?;
        rows(snapshot, id, &mut writer).map_err(error)?;
        writer.finish().map_err(error)?.finish().map(|_| ())
    };
    write().map_err(|error| Error::Output(path, error))
}

/// The file's error, if it is one.
fn error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        other => io::Error::other(other),
    }
}

fn snapshots(snapshot: &Snapshot, id: i64, rows: Rows<'_, '_>) -> Written {
    let (header, totals) = (&snapshot.header, &snapshot.totals);
    let key = header.key_id.map_or(String::new(), |id| format!("{:016x}", u64::from_be_bytes(id)));
    rows.row([
        id.into(),
        ids::machine(header).into(),
        header.taken.into(),
        header.host.as_str().into(),
        header.boot.as_str().into(),
        header.kernel.as_str().into(),
        scope(&header.scope).into(),
        header.page_size.into(),
        header.memory.into(),
        header.algorithm.name().into(),
        key.as_str().into(),
        totals.frames.into(),
        totals.pages.into(),
        totals.committed.into(),
        totals.swapped.into(),
    ])
}

fn scope(scope: &Scope) -> &'static str {
    match scope {
        Scope::Processes => "processes",
        Scope::All => "all",
        Scope::Ram => "ram",
        Scope::Cache => "cache",
        Scope::Guests => "guests",
        Scope::Cgroup(_) => "cgroup",
    }
}

fn frames(snapshot: &Snapshot, id: i64, rows: Rows<'_, '_>) -> Written {
    let machine = ids::machine(&snapshot.header);
    for frame in 0..snapshot.frames.len() {
        let attributes = snapshot.frames.attributes(frame);
        let hash = u128::from_be_bytes(snapshot.frames.hashes[frame].0);
        let number = snapshot.frames.numbers.get(frame);
        rows.row([
            id.into(),
            (frame as u64).into(),
            if number.is_some() { machine } else { id }.into(),
            number.map_or(frame as u64, |number| *number).into(),
            ((hash >> 64) as u64).into(),
            (hash as u64).into(),
            attributes.flags.0.into(),
            attributes.map_count.into(),
            attributes.ref_count.into(),
            attributes.cgroup.into(),
        ])?;
    }
    Ok(())
}

fn files(snapshot: &Snapshot, id: i64, rows: Rows<'_, '_>) -> Written {
    for (index, file) in snapshot.files.iter().enumerate() {
        let file = &file.file;
        rows.row([
            id.into(),
            (index as u64).into(),
            file.device.into(),
            file.inode.into(),
            file.path.as_slice().into(),
            file.size.into(),
        ])?;
    }
    Ok(())
}

fn processes(snapshot: &Snapshot, id: i64, rows: Rows<'_, '_>) -> Written {
    for (index, task) in snapshot.tasks.iter().enumerate() {
        let process = &task.process;
        rows.row([
            id.into(),
            (index as u64).into(),
            process.pid.into(),
            process.start.into(),
            process.name.as_str().into(),
            process.exe.as_slice().into(),
            process.uid.into(),
            process.cgroup.as_str().into(),
            process.size.into(),
            process.committed.into(),
            process.swapped.into(),
            process.code.start.into(),
            process.code.end.into(),
            process.heap.start.into(),
            process.heap.end.into(),
            process.stack.start.into(),
            process.stack.end.into(),
        ])?;
    }
    Ok(())
}

fn mappings(snapshot: &Snapshot, id: i64, rows: Rows<'_, '_>) -> Written {
    for (process, task) in snapshot.tasks.iter().enumerate() {
        for (index, vma) in task.vmas.iter().enumerate() {
            let mapping = &vma.mapping;
            rows.row([
                id.into(),
                (process as u64).into(),
                (index as u64).into(),
                mapping.range.start.into(),
                mapping.range.end.into(),
                mapping.prot.into(),
                mapping.is_shared.into(),
                mapping.flags.as_str().into(),
                index_or_none(mapping.file.map(|file| file as usize)),
                mapping.offset.into(),
                mapping.name.as_str().into(),
                mapping.swapped.into(),
            ])?;
        }
    }
    Ok(())
}

fn page_rows(snapshot: &Snapshot, id: i64, rows: Rows<'_, '_>) -> Written {
    for page in pages(snapshot) {
        rows.row([
            id.into(),
            index_or_none(page.task.map(|(task, _)| task)),
            index_or_none(page.task.map(|(_, vma)| vma)),
            index_or_none(page.file),
            page.page.into(),
            (page.frame as u64).into(),
            u32::from(page.flags).into(),
        ])?;
    }
    Ok(())
}

fn index_or_none(index: Option<usize>) -> Value {
    Value::Number(index.map_or(-1, |index| index as i64))
}
