//! A key for hashes, in a file that nobody else can read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use statify_command_line::Failure;

/// Fewer could be found out by trying.
const LEAST: usize = 32;
/// More is none.
const MOST: u64 = 4096;

/// The key that a file holds, whatever its length.
pub fn read(path: &Path) -> Result<[u8; 32], Failure> {
    let shown = statify_printable::path(path);
    let failed = |error: std::io::Error| format!("{shown}: the key cannot be read: {error}");
    let file = File::open(path).map_err(failed)?;
    let stat = file.metadata().map_err(failed)?;
    if stat.is_file() && stat.mode() & 0o077 != 0 {
        return Err(format!("{shown}: others may read this key; chmod 600 it").into());
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() < LEAST || bytes.len() as u64 > MOST {
        return Err(format!(
            "{shown}: a key has {LEAST} to {MOST} bytes; `head -c 32 /dev/urandom` makes one"
        )
        .into());
    }
    Ok(pagescan::hash::key(&bytes))
}
