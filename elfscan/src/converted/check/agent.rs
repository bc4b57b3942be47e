//! What serves plugins: the agent's parameters, its index, and the files that it names, read as the
//! agent reads them ([`statify_params::agent`]).

use sha2::{Digest, Sha256};
use statify_format::HostLibs;
use statify_format::manifest::{FileKind, hex};
use statify_params::agent::{
    AGENT_MAGIC, AgentParams, Directory, FILE_DATA, FILE_MODULE, FILE_PLUGIN, File, NAME_IN_SYSTEM,
    NAME_PATH, Name, POLICY_DENY, POLICY_OWN_FILE,
};
use zerocopy::FromBytes;

use super::problem::{Part, Problem, Problems};
use crate::converted::memory::Memory;
use crate::converted::open::Converted;
use crate::converted::places::Places;

/// Checks them, where there are any.
pub fn check(converted: &Converted<'_>, places: &Places, memory: &Memory, problems: &mut Problems) {
    let manifest = &converted.manifest;
    let params = size_of::<AgentParams>() as u64;
    let agents = manifest.memory.iter().filter(|memory| memory.prot == "r-x");
    let mut found = agents.filter_map(|agent| {
        let offset = agent.stored_at?;
        let bytes = converted.part(offset..offset.checked_add(params)?)?;
        let params = AgentParams::read_from_bytes(bytes).ok()?;
        (params.magic == AGENT_MAGIC).then_some((agent.address, params))
    });
    let Some((agent, params)) = found.next_back() else {
        let any = manifest.files.iter().any(|file| file.kind == FileKind::Plugin);
        let denies = matches!(manifest.options.host_libs, HostLibs::Deny);
        return problems.expect(!any && !denies, Part::Agent, "it is not in the file");
    };
    let denies = matches!(manifest.options.host_libs, HostLibs::Deny);
    let policy = params.policy;
    let same =
        (policy & POLICY_DENY != 0) == denies && policy & !(POLICY_DENY | POLICY_OWN_FILE) == 0;
    problems.expect(same, Part::Agent, "its policy is not what the manifest says");
    let index = Index {
        converted,
        memory,
        at: places.normal(agent.wrapping_add(params.index)),
        files: params.files.into(),
        names: params.names.into(),
        directories: params.directories.into(),
    };
    if let Err(what) = index.check() {
        problems.push(Problem { address: Some(index.at), ..Problem::new(Part::Agent, what) });
    }
}

struct Index<'a> {
    converted: &'a Converted<'a>,
    memory: &'a Memory,
    at: u64,
    files: u64,
    names: u64,
    directories: u64,
}

impl<'a> Index<'a> {
    /// Bytes of the program's memory as the file has them, counted from the index (wrapping).
    fn bytes(&self, at: u64, len: u64) -> Option<&'a [u8]> {
        let start = self.memory.offset(self.at.wrapping_add(at), len)?;
        self.converted.part(start..start.checked_add(len)?)
    }

    fn table(&self, at: u64, count: u64, size: usize) -> Option<&'a [u8]> {
        if count == 0 {
            return Some(&[]);
        }
        self.bytes(at, count.checked_mul(size as u64)?)
    }

    fn check(&self) -> Result<(), &'static str> {
        let (file, name, directory) =
            (size_of::<File>(), size_of::<Name>(), size_of::<Directory>());
        let names_at = self.files.saturating_mul(file as u64);
        let directories_at = names_at.saturating_add(self.names.saturating_mul(name as u64));
        let beyond = "its index is not in the file";
        let files = self.table(0, self.files, file).ok_or(beyond)?;
        let names = self.table(names_at, self.names, name).ok_or(beyond)?;
        let directories = self.table(directories_at, self.directories, directory).ok_or(beyond)?;
        let mut plugins =
            self.converted.manifest.files.iter().filter(|file| file.kind == FileKind::Plugin);
        // Files that share their bytes could make a small output a long task.
        let mut room = self.converted.bytes().len() as u64;
        for record in files.chunks_exact(file) {
            let file = File::read_from_bytes(record).map_err(|_| beyond)?;
            match file.kind {
                FILE_MODULE => continue,
                FILE_PLUGIN | FILE_DATA => {}
                _ => return Err("it lists a file of no known kind"),
            }
            let [whole, _] = file.parts;
            let (size, output, len) = (file.size, file.output, whole.len);
            let plugin = plugins.next().ok_or("it lists more files than the manifest")?;
            if (size, whole.offset, len) != (plugin.size, 0, plugin.size) {
                return Err("it lists a file that is not the manifest's");
            }
            let bytes = if len == 0 { Some(&[][..]) } else { self.bytes(whole.at, len) };
            let bytes = bytes.ok_or("it lists a file that is not in memory")?;
            room = room.checked_sub(len).ok_or("it lists a file twice")?;
            if hex(&Sha256::digest(bytes)) != plugin.sha256 {
                return Err("it lists a file that is not the manifest's");
            }
            let here = output.checked_add(size).and_then(|end| self.converted.part(output..end));
            if output != 0 && here != Some(bytes) {
                return Err("it looks for a file where it is not");
            }
        }
        if plugins.next().is_some() {
            return Err("it misses a file of the manifest's");
        }
        for record in names.chunks_exact(name) {
            let Name { file, kind, text, len } =
                Name::read_from_bytes(record).map_err(|_| beyond)?;
            let known = matches!(kind, NAME_PATH | NAME_IN_SYSTEM) && u64::from(file) < self.files;
            if !known || self.bytes(text.into(), len.into()).is_none() {
                return Err("it has a name of no file");
            }
        }
        for record in directories.chunks_exact(directory) {
            let Directory { is_system, text, len, .. } =
                Directory::read_from_bytes(record).map_err(|_| beyond)?;
            if is_system > 1 || self.bytes(text.into(), len.into()).is_none() {
                return Err("it has a directory without a name");
            }
        }
        Ok(())
    }
}
