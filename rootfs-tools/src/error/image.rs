//! What can be wrong with an image layout, as the end of a sentence that begins with its name.

use std::io;
use std::path::Path;

use super::archive::Fault as ArchiveFault;

/// What is wrong: a clause, without the layout's name.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file of it, or of the new one.
    #[error("{0} cannot be {1}: {2}")]
    File(String, &'static str, #[source] io::Error),
    /// Its bytes are not those that it is named for.
    #[error("{0} is damaged: its contents have another digest; get a whole copy of the image")]
    Damaged(String),
    /// A blob that is not there.
    #[error("the blob {0} is not in it; get the whole image, with all its layers")]
    Missing(String),
    /// JSON that is none, or lacks something.
    #[error("{0} is not what the image specification says: {1}")]
    Malformed(String, &'static str),
    /// A layer.
    #[error("layer {0}: {1}")]
    Layer(String, #[source] ArchiveFault),
    /// What the new layer is written to.
    #[error("the new layer: {0}")]
    NewLayer(#[source] ArchiveFault),
    /// A whiteout of `.` or `..`.
    #[error("layer {0}: its member {1} removes what has no name, so it is not converted")]
    Whiteout(String, String),
    /// No image for the platform.
    #[error("it has no image for {0}, but {1}; say with --platform which is meant")]
    NoImage(String, String),
    /// Several.
    #[error(
        "it has several images for {0}: {1}; copy the one that is meant into a layout of its own, as by `skopeo copy oci:DIR:NAME oci:NEW`"
    )]
    Several(String, String),
}

impl Fault {
    /// For `map_err`: what could not be done with `path`.
    pub fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File(path, what, source)
    }
}

/// A result of reading or writing an image layout.
pub type Result<T, E = Fault> = std::result::Result<T, E>;
