//! What this machine and this user have to take snapshots with. It is found out once.

use super::by_frame::ByFrame;
use super::lacks::sentences;
use crate::kernel::kpage::KernelPages;
use crate::kernel::{Lack, StructPages, Types};

/// By what means contents are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// By frame where that is possible.
    #[default]
    Best,
    /// By /proc/PID/mem.
    Process,
}

/// The means.
pub struct Tools {
    /// Reads memory by frame; or why it cannot be.
    pub frames: Result<ByFrame, Lack>,
    /// Tells what frames are, where that is known.
    pub pages: Option<KernelPages>,
    /// Tells how often they are used, where that is known.
    pub uses: Option<StructPages>,
    /// What cannot be told therefore, in sentences.
    pub lacks: Vec<String>,
}

impl Tools {
    /// What there is.
    pub fn find(by: By) -> Self {
        let mut lacks = Vec::new();
        let frames = match by {
            By::Best => ByFrame::new(),
            By::Process => Err(Lack::NotWanted),
        };
        let pages = KernelPages::open();
        let unknown = pages.as_ref().map(KernelPages::unknown).unwrap_or_default();
        let why = frames.as_ref().err().filter(|_| by == By::Best);
        lacks.extend(sentences(why, &unknown));
        let cannot = |error: &_| lacks.push(format!("what frames are is not known: {error}"));
        let pages = pages.inspect_err(cannot).ok();
        // It is read the same way.
        let uses = frames.as_ref().ok().and_then(|_| {
            let found = Types::of_kernel().and_then(|types| StructPages::find(&types));
            found.inspect_err(|lack| lacks.push(lack.to_string())).ok()
        });
        Self { frames, pages, uses, lacks }
    }
}
