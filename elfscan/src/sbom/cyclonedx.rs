//! The document's form: CycloneDX 1.6 in JSON, as much of it as is used here
//! (<https://cyclonedx.org/docs/1.6/json/>).

use serde::Serialize;

/// The document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bom {
    /// Where its schema is.
    #[serde(rename = "$schema")]
    pub schema: &'static str,
    /// `CycloneDX`.
    pub bom_format: &'static str,
    /// `1.6`.
    pub spec_version: &'static str,
    /// A UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Of the document.
    pub version: u32,
    /// Of what.
    pub metadata: Metadata,
    /// Of which parts.
    pub components: Vec<Component>,
    /// Which need which.
    pub dependencies: Vec<Dependency>,
}

/// What the document is of.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// When it was made (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// What made it.
    pub tools: Tools,
    /// The program.
    pub component: Component,
    /// Of the converted file.
    pub properties: Vec<Property>,
}

/// What made the document.
#[derive(Clone, Debug, Serialize)]
pub struct Tools {
    /// Programs.
    pub components: Vec<Component>,
}

/// A part.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// `application`, `library`, `file`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// By which others name it.
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    pub bom_ref: Option<String>,
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of its bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<Hash>,
    /// Its licences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<LicenseChoice>,
    /// The package URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// How that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What has no field of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// A hash.
#[derive(Clone, Debug, Serialize)]
pub struct Hash {
    /// `SHA-256`.
    pub alg: &'static str,
    /// In hexadecimal.
    pub content: String,
}

/// A licence.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LicenseChoice {
    /// An SPDX expression.
    Expression(String),
    /// Other words.
    License {
        /// Them.
        name: String,
    },
}

/// Where a part was found, and how it was recognised.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// Of the package URL.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Identity>,
    /// Paths.
    pub occurrences: Vec<Occurrence>,
}

/// How a field is known.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// `purl`.
    pub field: &'static str,
    /// From 0 to 1.
    pub confidence: f32,
    /// How.
    pub methods: Vec<Method>,
}

/// A way to recognise a part.
#[derive(Clone, Debug, Serialize)]
pub struct Method {
    /// `hash-comparison` or `filename`.
    pub technique: &'static str,
    /// From 0 to 1.
    pub confidence: f32,
}

/// A place where it was.
#[derive(Clone, Debug, Serialize)]
pub struct Occurrence {
    /// A path.
    pub location: String,
}

/// A name and a value.
#[derive(Clone, Debug, Serialize)]
pub struct Property {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Property {
    /// One of ours.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: format!("elfscan:{name}"), value: value.into() }
    }
}

/// What a part needs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// The part.
    #[serde(rename = "ref")]
    pub part: String,
    /// What it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}
