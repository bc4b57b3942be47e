//! What is said of a file, in the words of `--json`.

use serde::Serialize;
use statify_format::HostLibs;

/// The answer to: what may still come from the host at run time?
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Verdict {
    /// The file.
    pub file: String,
    /// What it is.
    pub form: Form,
    /// `--host-libs` of a converted file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_libs: Option<HostLibs>,
    /// No code comes from the host once the program runs: no finding of kind [`Kind::Code`] whose
    /// answer is [`Answer::Host`].
    pub clean: bool,
    /// What may come, by module and category.
    pub findings: Vec<Finding>,
    /// The files that were looked at: the program, its libraries and loader, embedded plugins.
    pub modules: Vec<String>,
}

impl Verdict {
    /// Judges by the findings.
    pub fn new(
        file: String,
        form: Form,
        host_libs: Option<HostLibs>,
        findings: Vec<Finding>,
        modules: Vec<String>,
    ) -> Self {
        let is_open =
            |finding: &Finding| finding.kind == Kind::Code && finding.answer == Answer::Host;
        let clean = !findings.iter().any(is_open);
        Self { file, form, host_libs, clean, findings, modules }
    }

    /// Whether the host gives nothing at all: no code, no data, no programs, nothing at start.
    pub fn is_bare(&self) -> bool {
        self.findings.iter().all(|finding| finding.answer != Answer::Host)
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A dynamic executable, with the libraries that it loads.
    Program,
    /// A shared library, with those that it needs.
    Library,
    /// An output of statify.
    Converted,
}

/// What kind of thing comes from the host.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Libraries, which then are part of the process.
    Code,
    /// Other programs, which are run as processes of their own.
    Programs,
    /// Files that are read.
    Data,
    /// What ld.so takes before the program runs, as for every dynamic program.
    Start,
}

/// How it comes.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Opened by dlopen(3) or a wrapper of it, for nothing that is known here.
    Dlopen,
    /// Services of the name service switch: users, groups, hosts ... (nsswitch.conf(5)).
    Nss,
    /// iconv's converters of character sets, for iconv(3) or a locale.
    Gconv,
    /// libidn2, for hosts' names that are not ASCII.
    Idn,
    /// libgcc_s, for threads that are ended and for backtraces.
    Unwinder,
    /// Modules of pam.conf(5).
    Pam,
    /// Mechanisms of libsasl2.
    Sasl,
    /// Engines and providers of OpenSSL.
    Openssl,
    /// Modules for tokens: p11-kit, Mozilla's NSS.
    Pkcs11,
    /// Plugins of MIT Kerberos, and mechanisms of GSS-API.
    Kerberos,
    /// Modules of GIO.
    Gio,
    /// Loaders of pictures, input methods and modules of GTK.
    Gtk,
    /// Drivers of OpenGL, Vulkan and the like; what libX11 opens.
    Graphics,
    /// Plugins of ALSA and PulseAudio.
    Sound,
    /// Extension modules of Python.
    Python,
    /// Extension modules of Perl.
    Perl,
    /// A library that is needed and was not found.
    Missing,
    /// Other programs.
    Programs,
    /// Locales and messages.
    Locale,
    /// Time zones.
    Timezone,
    /// Where hosts' names are looked up.
    Resolver,
    /// Descriptions of terminals.
    Terminfo,
    /// ICU's data.
    Icu,
    /// What the loader takes before the program runs.
    Start,
}

impl Category {
    /// As in `--json`.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|name| Some(name.as_str()?.to_owned()))
            .unwrap_or_default()
    }
}

/// How certain it is that a name is asked for where the function is called.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// A constant at the call, or in the called library.
    Certain,
    /// `*` stands for what configuration, environment or arguments say.
    Pattern,
    /// A text in a module some of whose calls have names that are computed.
    Possible,
}

/// What is asked for.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// How it is known.
    pub certainty: Certainty,
    /// The name: of a library, file, directory or program; bytes that are no text are replaced.
    pub name: String,
}

impl Name {
    /// A name that a library always asks for, or a pattern if it has a `*`.
    pub fn of_library(name: &str) -> Self {
        let certainty = if name.contains('*') { Certainty::Pattern } else { Certainty::Certain };
        Self { certainty, name: name.to_owned() }
    }
}

/// A function that is imported.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    /// Its name, mangled where it is C++'s.
    pub name: String,
    /// The module that defines it; none if none of those that were looked at does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// Who answers.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The host.
    Host,
    /// All that may be asked for is loaded from the start.
    Loaded,
    /// All that may be asked for is in the converted file.
    Embedded,
    /// Nobody: `--host-libs deny`.
    Denied,
}

/// A way by which something comes from the host.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Finding {
    /// How.
    pub category: Category,
    /// What.
    pub kind: Kind,
    /// The module that calls: its SONAME, or its file's name.
    pub module: String,
    /// Its path.
    pub path: String,
    /// What it calls.
    pub symbols: Vec<Symbol>,
    /// What is asked for, as far as it is known.
    pub names: Vec<Name>,
    /// There may be other names: some are computed at run time.
    pub unknown_names: bool,
    /// Who answers.
    pub answer: Answer,
}
