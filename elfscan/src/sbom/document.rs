//! From a converted file and the package databases to the document.

use std::time::{Duration, UNIX_EPOCH};

use sha1::{Digest, Sha1};
use sha2::Sha256;
use statify_format::manifest::{EmbeddedFile, FileKind, hex};
use statify_room::Root;

use super::cyclonedx::{
    Bom, Component, Dependency, Evidence as Found, Hash, Identity, LicenseChoice, Metadata, Method,
    Occurrence, Property, Tools,
};
use super::needed::needed;
use super::packages::{Evidence, Owner, Packages};
use super::purl;
use crate::converted::open::Converted;

/// What may be chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Seconds since 1970, to be told as the time of the document.
    pub timestamp: Option<u64>,
}

/// By which the starter is named in the document.
const STARTER: &str = "statify-starter";

/// Makes the document; package databases are those of `root`.
pub fn document(converted: &Converted<'_>, root: &Root, options: Options) -> Bom {
    let packages = Packages::open(root);
    let owners = packages.owners(converted);
    let files = &converted.manifest.files;
    let refs = references(files);
    let describe = |index: usize| {
        let owner = owners.get(index).and_then(Option::as_ref);
        component(&files[index], refs[index].clone(), owner, &packages)
    };
    let program = files.iter().position(|file| file.kind == FileKind::Program);
    let others = (0..files.len()).filter(|&index| Some(index) != program);
    let mut components: Vec<Component> = others.map(describe).collect();
    components.push(starter(converted));
    let mut metadata = Metadata {
        timestamp: options.timestamp.map(rfc3339),
        tools: Tools { components: vec![tool("elfscan", env!("CARGO_PKG_VERSION"))] },
        component: program.map_or_else(
            || Component { kind: "application", name: "unknown".into(), ..Component::default() },
            describe,
        ),
        properties: Vec::new(),
    };
    if let Some(id) = converted.elf.build_id() {
        metadata.properties.push(Property::new("output:build-id", hex(&id)));
    }
    metadata.properties.push(Property::new("output:statify", &*converted.manifest.version));
    if packages.has_rpm {
        let value = "there is an rpm database, which is not read";
        metadata.properties.push(Property::new("package:database", value));
    }
    for unread in &packages.unread {
        metadata.properties.push(Property::new("package:database", unread.as_str()));
    }
    let mut bom = Bom {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata,
        components,
        dependencies: dependencies(converted, &refs, program),
    };
    bom.serial_number = Some(serial_number(&bom));
    bom
}

/// Names for the files that are different.
fn references(files: &[EmbeddedFile]) -> Vec<String> {
    let mut references: Vec<String> = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let path = file.path.to_string_lossy();
        let is_new = path != STARTER && !references.iter().any(|other| *other == path);
        references.push(if is_new { path.into_owned() } else { format!("{index}:{path}") });
    }
    references
}

fn component(
    file: &EmbeddedFile,
    reference: String,
    owner: Option<&Owner>,
    packages: &Packages<'_>,
) -> Component {
    let path = file.path.to_string_lossy().into_owned();
    let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_code = file.soname.is_some() || file.build_id.is_some() || file.kind != FileKind::Plugin;
    let mut component = Component {
        kind: match file.kind {
            FileKind::Program => "application",
            _ if is_code => "library",
            _ => "file",
        },
        bom_ref: Some(reference),
        name: file.soname.clone().or(name).unwrap_or_else(|| path.clone()),
        hashes: sha256(&file.sha256),
        ..Component::default()
    };
    let kind = serde_json::to_value(file.kind).unwrap_or_default();
    component.properties.push(Property::new("kind", kind.as_str().unwrap_or_default()));
    if let Some(id) = &file.build_id {
        component.properties.push(Property::new("build-id", id.clone()));
    }
    let mut identity = Vec::new();
    match owner {
        None => component.properties.push(Property::new("package", "unknown")),
        Some(Owner { package, evidence }) => {
            let state = serde_json::to_value(evidence).unwrap_or_default();
            let state = state.as_str().unwrap_or_default();
            component.properties.push(Property::new("package:evidence", state));
            component.properties.push(Property::new("package:name", package.name.clone()));
            if let Some(source) = &package.source {
                component.properties.push(Property::new("package:source", source.clone()));
            }
            let (confidence, technique) = match evidence {
                Evidence::Verified => (1.0, "hash-comparison"),
                Evidence::Modified | Evidence::Unverified => (0.5, "filename"),
                // The database is of another file: what it says of versions is of no worth.
                Evidence::Changed | Evidence::Missing => (0.0, ""),
            };
            if confidence > 0.0 {
                component.version = Some(package.version.clone());
                component.purl = Some(purl::of(package, &packages.release));
                component.licenses = package.licence.iter().map(|text| licence(text)).collect();
                let methods = vec![Method { technique, confidence }];
                identity.push(Identity { field: "purl", confidence, methods });
            }
        }
    }
    component.evidence = Some(Found { identity, occurrences: vec![Occurrence { location: path }] });
    component
}

/// A hash that is one.
fn sha256(hash: &str) -> Vec<Hash> {
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hash = is_hash.then(|| Hash { alg: "SHA-256", content: hash.to_lowercase() });
    hash.into_iter().collect()
}

/// apk's licences are SPDX expressions, mostly.
fn licence(text: &str) -> LicenseChoice {
    let is_word = |word: &str| {
        let word = word.trim_matches(['(', ')']);
        word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte))
    };
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let joined = |word: &&str| ["AND", "OR", "WITH"].contains(word);
    let alternate = words.iter().enumerate().all(|(index, word)| joined(word) == (index % 2 == 1));
    if alternate && words.len() % 2 == 1 && words.iter().all(|word| is_word(word)) {
        LicenseChoice::Expression(text.into())
    } else {
        LicenseChoice::License { name: text.into() }
    }
}

fn tool(name: &str, version: &str) -> Component {
    let (name, version) = (name.into(), Some(version.into()));
    Component { kind: "application", name, version, ..Component::default() }
}

/// What is in the file besides the embedded ones.
fn starter(converted: &Converted<'_>) -> Component {
    let parameters = statify_format::parameters::Parameters::read(&converted.elf).ok();
    let code = parameters.and_then(|parameters| converted.part(parameters.code));
    Component {
        kind: "library",
        bom_ref: Some(STARTER.into()),
        name: STARTER.into(),
        version: Some(converted.manifest.version.clone()),
        hashes: code.map(|code| sha256(&hex(&Sha256::digest(code)))).unwrap_or_default(),
        ..Component::default()
    }
}

fn dependencies(
    converted: &Converted<'_>,
    refs: &[String],
    program: Option<usize>,
) -> Vec<Dependency> {
    let files = &converted.manifest.files;
    let needed = needed(converted);
    let mut dependencies: Vec<Dependency> = Vec::new();
    for (index, part) in refs.iter().enumerate() {
        let mut needs = needed.get(index).cloned().unwrap_or_default();
        if Some(index) == program {
            // It opens them at run time.
            let plugins = (0..files.len()).filter(|&other| files[other].kind == FileKind::Plugin);
            needs.extend(plugins);
            needs.sort_unstable();
            needs.dedup();
        }
        let mut depends_on: Vec<String> = needs.iter().map(|&other| refs[other].clone()).collect();
        depends_on.extend((Some(index) == program).then(|| STARTER.into()));
        dependencies.push(Dependency { part: part.clone(), depends_on });
    }
    dependencies.push(Dependency { part: STARTER.into(), depends_on: Vec::new() });
    dependencies
}

/// A name-based UUID (RFC 9562, version 5) of the whole document: another document has another.
fn serial_number(bom: &Bom) -> String {
    /// Of these documents; chosen at random.
    const NAMESPACE: [u8; 16] =
        *b"\x8d\x1b\x0c\x5e\x3a\x72\x4f\x19\x9c\x44\x6b\xe0\x27\xd5\xa1\x93";
    let mut hash = Sha1::new_with_prefix(NAMESPACE);
    hash.update(serde_json::to_vec(bom).unwrap_or_default());
    let hash = hash.finalize();
    let mut uuid: [u8; 16] = hash.first_chunk().copied().unwrap_or_default();
    uuid[6] = uuid[6] & 0x0f | 0x50;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let text = hex(&uuid);
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    format!("urn:uuid:{}", parts.join("-"))
}

/// Seconds since 1970 as `2026-11-22T03:57:03Z`.
fn rfc3339(seconds: u64) -> String {
    // The last second of the year 9999: the format has no later.
    let since = Duration::from_secs(seconds.min(253_402_300_799));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }

    #[test]
    fn licences_that_are_expressions() {
        let is_expression = |text| matches!(licence(text), LicenseChoice::Expression(_));
        assert!(is_expression("MIT"));
        assert!(is_expression("GPL-2.0-or-later WITH Classpath-exception-2.0"));
        assert!(is_expression("(MIT OR Apache-2.0) AND BSD-3-Clause"));
        assert!(!is_expression("custom licence"));
        assert!(!is_expression("MIT AND"));
        assert!(!is_expression("see http://example.org/"));
    }
}
