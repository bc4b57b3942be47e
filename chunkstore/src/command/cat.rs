//! `chunkstore cat`

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use chunkstore::Image;
use chunkstore::image::Failed;

use crate::place::StoreArguments;
use crate::trust::TrustArguments;
use crate::{Failure, Verdict, progress};

/// Write an image, byte for byte as it was cut
///
/// Nothing is written that is not what the index says: what is damaged or missing ends it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The image's name in the store
    index: String,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    trust: TrustArguments,
    /// The file to write, which must not exist [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let store = arguments.store.open()?;
    let index = arguments.trust.index(&store, &arguments.index)?;
    let image = Image::new(&store, &index);
    let Some(path) = &arguments.output else {
        let mut out = BufWriter::new(io::stdout().lock());
        return match image.write_to(&mut out, |_| {}) {
            Ok(()) => Ok(Verdict::Good),
            Err(Failed::Store(error)) => Err(error.into()),
            // Whoever reads has had enough.
            Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Verdict::Good)
            }
            Err(Failed::Output(error)) => Err(format!("standard output: {error}").into()),
        };
    };
    let cannot = |error| chunkstore::Error::Output(path.clone(), error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.symlink_metadata().is_ok() {
        return Err(cannot(io::ErrorKind::AlreadyExists.into()).into());
    }
    let new = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")));
    let new = new.map_err(cannot)?;
    let bar = progress::bytes(index.image_len, arguments.quiet);
    let written = image.write_file(new.as_file(), |done| bar.set_position(done));
    bar.finish_and_clear();
    match written {
        Ok(()) => {}
        Err(Failed::Store(error)) => return Err(error.into()),
        Err(Failed::Output(error)) => return Err(cannot(error).into()),
    }
    publish(new, path).map_err(cannot)?;
    Ok(Verdict::Good)
}

/// Gives a complete file its name, and the permissions that a new file has.
fn publish(new: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    let mode = 0o666 & !mask.as_raw_mode();
    let file: &File = new.as_file();
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    new.persist_noclobber(path).map_err(|error| error.error).map(|_| ())
}
