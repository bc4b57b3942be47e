//! What a conversion tells of itself (`--json`, `-v`).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use statify_format::manifest::Manifest;

use crate::classify::tunables::Variables;
use crate::classify::{Captures, Image, Value};
use crate::layout::Plan;
use crate::plugins::Plugins;
use crate::write::Written;

/// A step of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The program is opened and examined.
    Examine,
    /// It is run to its hand-off, several times.
    Capture,
    /// The captures are compared.
    Classify,
    /// What the program opens at run time is found and embedded.
    Plugins,
    /// The output is planned.
    LayOut,
    /// And written.
    Write,
    /// And read back.
    Check,
    /// And run beside the original.
    Verify,
    /// And given its name.
    Finish,
}

impl Phase {
    /// For progress messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Examine => "examining",
            Self::Capture => "capturing",
            Self::Classify => "comparing captures",
            Self::Plugins => "finding plugins",
            Self::LayOut => "laying out",
            Self::Write => "writing",
            Self::Check => "checking",
            Self::Verify => "comparing with the original",
            Self::Finish => "finishing",
        }
    }
}

/// The facts of a finished conversion.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The program.
    #[serde(serialize_with = "as_text")]
    pub program: PathBuf,
    /// The output.
    #[serde(serialize_with = "as_text")]
    pub output: PathBuf,
    /// The output's size, in bytes.
    pub size: u64,
    /// How much of it was not written, but is shared with embedded files ([`crate::sharing`]), in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub shared: u64,
    /// Memory that comes from the file, in bytes.
    pub loaded: u64,
    /// Program headers that the kernel maps.
    pub loads: usize,
    /// Mappings that the starter makes.
    pub mapped: usize,
    /// What is embedded.
    pub manifest: Option<Manifest>,
    /// Words to be written at start, by kind.
    pub fixups: BTreeMap<&'static str, usize>,
    /// Which of the C library's variables count at a start.
    pub variables: &'static str,
    /// Bytes of the starter and its tables.
    pub starter: usize,
    /// Milliseconds by phase.
    pub milliseconds: BTreeMap<Phase, f64>,
    /// How the run of `--trace` ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traced: Option<String>,
    /// What a user should know.
    pub notices: Vec<String>,
    #[serde(skip)]
    current: Option<(Phase, Instant)>,
}

impl Report {
    pub(crate) fn new(program: &Path, output: &Path) -> Self {
        Self {
            program: program.to_owned(),
            output: output.to_owned(),
            size: 0,
            shared: 0,
            loaded: 0,
            loads: 0,
            mapped: 0,
            manifest: None,
            fixups: BTreeMap::new(),
            variables: "",
            starter: 0,
            milliseconds: BTreeMap::new(),
            traced: None,
            notices: Vec::new(),
            current: None,
        }
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        self.finish();
        self.current = Some((phase, Instant::now()));
    }

    pub(crate) fn finish(&mut self) {
        if let Some((phase, since)) = self.current.take() {
            let milliseconds = since.elapsed().as_secs_f64() * 1e3;
            self.milliseconds.insert(phase, (milliseconds * 1e3).round() / 1e3);
        }
    }

    pub(crate) fn notice_captures(&mut self, captures: &Captures) {
        if let Some(needs) = captures.first.machine.kernel_needs() {
            self.notices.push(needs.into());
        }
        if captures.first.preload_hidden {
            self.notices.push("/etc/ld.so.preload is not part of the output".into());
        }
        if !captures.first.cpu_dictated {
            self.notices.push(
                "the CPUID instruction cannot be made to trap on this machine, and the loader's code \
                 is not understood, so the output needs a CPU with all that this one has"
                    .into(),
            );
        }
        if !captures.are_bound() {
            self.notices.push(
                "not everything can be bound before the program starts (a function is missing that \
                 it may never call, or one library's IFUNC needs another that is not ready yet); its \
                 symbols are bound when they are first used, as in the original"
                    .into(),
            );
        }
    }

    pub(crate) fn notice_plugins(&mut self, plugins: &Plugins) {
        if let Some(ending) = plugins.ending {
            self.traced = Some(ending.to_string());
            let count = plugins.files.len();
            self.notices
                .push(format!("the traced run ended with {ending}; {count} files embedded"));
        }
    }

    pub(crate) fn notice_written(&mut self, written: &Written) {
        self.size = written.size;
        self.shared = written.shared.iter().map(|range| range.end - range.start).sum();
    }

    /// A pool was asked for.
    pub(crate) fn notice_no_pool(&mut self) {
        self.notices.push(
            "the program has privileges, so the output has all its pages itself and takes nothing \
             from the pool"
                .into(),
        );
    }

    /// `output` has its privileges.
    pub(crate) fn notice_privileges(&mut self, output: &File, fixed: bool) {
        if fixed {
            self.notices.push(
                "the output has privileges, and its addresses are the same at every start: whoever \
                 attacks it has less to guess than with the original"
                    .into(),
            );
        }
        let flags = rustix::fs::fstatvfs(output).map(|system| system.f_flag);
        if flags.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::NOSUID)) {
            self.notices.push(
                "the output lies on a file system that is mounted nosuid: there its privileges \
                 have no effect"
                    .into(),
            );
        }
    }

    /// On machines whose kernels have pages of several sizes.
    fn notice_page_sizes(&mut self, image: &Image, plan: &Plan) {
        let (most, size) = (image.machine().largest_page(), plan.largest_page >> 10);
        let same = image.page_size >> 10;
        if image.machine().front_gap() > 0 && !image.page_size_followed {
            self.notices.push(format!(
                "the output starts on kernels with pages of {same} KiB, as this one has, and no others: it has no C \
                 library that is known to follow another size"
            ));
        } else if plan.largest_page < most {
            self.notices.push(format!(
                "the output starts on kernels with pages of up to {size} KiB: the segments of its files lie too close \
                 together for larger ones (-z max-page-size of the linker)"
            ));
        }
    }

    pub(crate) fn describe(&mut self, image: &Image, plan: &Plan, manifest: Manifest) {
        self.loaded = plan.segments.iter().map(|segment| segment.file_len).sum();
        self.loads = plan.loads.len();
        self.mapped = plan.mapped;
        self.variables = image.variables.describe(image.cpu.can_resolve);
        if image.variables == Variables::Frozen {
            let why = "how its loader reads them is not understood";
            self.notices.push(format!("{}: {why}", self.variables));
        }
        self.notice_page_sizes(image, plan);
        self.starter = plan.front.len();
        self.fixups.insert("pointer", image.slides.len() + image.unaligned_slides.len());
        for fixup in &image.fixups {
            *self.fixups.entry(kind_name(&fixup.value)).or_default() += 1;
        }
        self.manifest = Some(manifest);
    }
}

/// Paths that are no text cannot stand in JSON as they are.
fn as_text<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Stack(_) | Value::Envp | Value::Auxv => "stack",
        Value::Argc => "argc",
        Value::Aux(_) => "auxv",
        Value::Canary(_) => "canary",
        Value::PointerGuard | Value::RandomWord(_) => "pointer_guard",
        Value::ThreadId => "thread_id",
        Value::Break => "break",
        Value::StackLimit => "stack_limit",
        Value::CpuWord(..) | Value::Hwcap(..) => "CPU",
        Value::RseqSize => "rseq",
        Value::Random => "random",
        Value::Timestamp | Value::TimestampHigh => "timestamp",
        Value::Secure(_) => "secure",
        Value::Origin(_) => "origin",
        Value::Vdso(_) => "vdso",
    }
}
