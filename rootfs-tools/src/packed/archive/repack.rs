//! The archive once more, member by member as it was, but for some that have other contents now.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use statify_files::contents;

use super::header::BLOCK;
use super::members::{Members, Rest};
use crate::error::archive::{Fault, Result};

/// What tar fills its archives up to (20 blocks) unless it is told otherwise.
const RECORD: u64 = 20 * BLOCK as u64;

/// Copies `input` to `output`. The `n`th member, from 0 on, gets the contents of the file `changed[&n]`;
/// what is `new` comes behind the last one.
pub(crate) fn repack(
    input: impl Read,
    output: &mut impl Write,
    changed: &HashMap<u64, PathBuf>,
    new: &New,
) -> Result<()> {
    let mut output = Counted { to: output, len: 0 };
    let mut members = Members::new(input);
    let mut number = 0;
    let mut once_more = Vec::new();
    while let Some(member) = members.next_member()? {
        if new.once_more == Some(number) {
            once_more.clone_from(&member.raw);
        }
        if let Some(path) = changed.get(&number) {
            let (file, size) = open(path)?;
            output.write_all(&member.converted(size)).map_err(Fault::Write)?;
            contents_of(&file, size, &mut output)?;
        } else {
            output.write_all(&member.raw).map_err(Fault::Write)?;
            members.pass(&mut output)?;
        }
        number += 1;
    }
    for addition in &new.members {
        output.write_all(&addition.header).map_err(Fault::Write)?;
        if let Some(path) = &addition.path {
            let (file, size) = open(path)?;
            contents_of(&file, size, &mut output)?;
        }
    }
    output.write_all(&once_more).map_err(Fault::Write)?;
    let Rest { zeros, is_plain, size } = members.rest(&mut output)?;
    let unchanged = changed.is_empty() && new.members.is_empty();
    let fill = if unchanged || !is_plain {
        zeros
    } else if size % RECORD == 0 {
        let end = output.len + 2 * BLOCK as u64;
        end.next_multiple_of(RECORD) - output.len
    } else {
        zeros.max(2 * BLOCK as u64)
    };
    io::copy(&mut io::repeat(0).take(fill), &mut output).map_err(Fault::Write)?;
    Ok(())
}

/// What an archive gets besides.
#[derive(Debug, Default)]
pub(crate) struct New {
    /// Members.
    pub members: Vec<Addition>,
    /// The number of the directory, from 0 on, that they come into. Its header is repeated behind them, so that its time is
    /// what it was once all is unpacked.
    pub once_more: Option<u64>,
}

/// A member that is new.
#[derive(Debug)]
pub(crate) struct Addition {
    /// All in front of its contents.
    pub header: Vec<u8>,
    /// These, if it has any.
    pub path: Option<PathBuf>,
}

/// A file, and its size now.
fn open(path: &std::path::Path) -> Result<(File, u64)> {
    let file = contents::open(path).map_err(Fault::Write)?;
    let size = file.metadata().map_err(Fault::Write)?.len();
    Ok((file, size))
}

/// Writes a file's contents, and zeros up to the end of a block.
pub(crate) fn contents_of(file: &File, size: u64, to: &mut impl Write) -> Result<()> {
    let mut buffer = vec![0; 1 << 18];
    let mut left = size;
    let mut file = file.take(size);
    while left > 0 {
        let len = file.read(&mut buffer).map_err(Fault::Write)?;
        if len == 0 {
            return Err(Fault::Write(io::ErrorKind::UnexpectedEof.into()));
        }
        to.write_all(&buffer[..len]).map_err(Fault::Write)?;
        left -= len as u64;
    }
    let fill = size.wrapping_neg() % BLOCK as u64;
    to.write_all(&[0; BLOCK][..fill as usize]).map_err(Fault::Write)
}

struct Counted<'a, W> {
    to: &'a mut W,
    len: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.to.write(bytes)?;
        self.len += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
