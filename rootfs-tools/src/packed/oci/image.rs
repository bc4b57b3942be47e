//! Manifests, configurations and indexes: which image is meant, and what becomes of them. Whatever
//! else they say stays.

use serde_json::{Value, json};

use super::digest::Digest;
use super::layout::{Layout, describe, digest_of};
use super::platform::Platform;
use crate::error::image::{Fault, Result};
use crate::packed::archive::compression::Compression;

/// Indexes in indexes in indexes.
const DEEPEST: usize = 8;
/// What a tag is called in an index (OCI image specification, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image.
#[derive(Clone, Debug)]
pub struct Image {
    /// What describes its manifest.
    pub descriptor: Value,
    /// Its manifest.
    pub manifest: Value,
    /// Its configuration.
    pub config: Value,
}

/// What images a layout has.
fn images(
    layout: &Layout,
    index: &Value,
    depth: usize,
    found: &mut Vec<(Platform, Image)>,
) -> Result<()> {
    for descriptor in descriptors(index) {
        match kind(descriptor) {
            Kind::Index if depth < DEEPEST => {
                images(layout, &layout.json(descriptor)?, depth + 1, found)?;
            }
            Kind::Manifest => {
                let manifest = layout.json(descriptor)?;
                let Some(config) = manifest.get("config").filter(|config| is_config(config)) else {
                    continue;
                };
                let config = layout.json(config)?;
                let said = descriptor.get("platform").and_then(Platform::of);
                if let Some(platform) = said.or_else(|| Platform::of(&config)) {
                    found.push((
                        platform,
                        Image { descriptor: descriptor.clone(), manifest, config },
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The one that is meant.
pub fn choose(layout: &Layout, index: &Value, platform: &Platform) -> Result<Image> {
    let mut found = Vec::new();
    images(layout, index, 0, &mut found)?;
    let (meant, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(known, _)| platform.means(known));
    let Some((_, first)) = meant.first() else {
        let mut others: Vec<_> = others.iter().map(|(known, _)| format!("for {known}")).collect();
        others.dedup();
        let others = if others.is_empty() { "none at all".into() } else { others.join(", ") };
        return Err(Fault::NoImage(platform.to_string(), others));
    };
    let digest = |image: &Image| image.descriptor["digest"].clone();
    if meant.iter().any(|(_, image)| digest(image) != digest(first)) {
        let name = |image: &Image| {
            let name = image.descriptor.get("annotations").and_then(|all| all[REF_NAME].as_str());
            name.map_or_else(|| digest(image).to_string(), str::to_owned)
        };
        let names: Vec<_> = meant.iter().map(|(_, image)| name(image)).collect();
        return Err(Fault::Several(platform.to_string(), names.join(", ")));
    }
    Ok(first.clone())
}

/// What a descriptor describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Manifest,
    Index,
    Other,
}

fn kind(descriptor: &Value) -> Kind {
    match descriptor.get("mediaType").and_then(Value::as_str).unwrap_or_default() {
        "application/vnd.oci.image.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v2+json" => Kind::Manifest,
        "application/vnd.oci.image.index.v1+json"
        | "application/vnd.docker.distribution.manifest.list.v2+json" => Kind::Index,
        _ => Kind::Other,
    }
}

fn is_config(descriptor: &Value) -> bool {
    let kind = descriptor.get("mediaType").and_then(Value::as_str);
    kind.is_some_and(|kind| {
        kind == "application/vnd.oci.image.config.v1+json"
            || kind == "application/vnd.docker.container.image.v1+json"
    })
}

fn descriptors(index: &Value) -> impl Iterator<Item = &Value> {
    index.get("manifests").and_then(Value::as_array).into_iter().flatten()
}

impl Image {
    /// The layers' descriptors, each with the digest of what is in it.
    pub fn layers(&self) -> Result<Vec<(&Value, Digest)>> {
        let manifest = |what| Fault::Malformed("the manifest".into(), what);
        let config = |what| Fault::Malformed("the configuration".into(), what);
        let layers = self.manifest.get("layers").and_then(Value::as_array);
        let layers = layers.ok_or_else(|| manifest("it has no layers"))?;
        let ids = self.config.pointer("/rootfs/diff_ids").and_then(Value::as_array);
        let ids = ids.ok_or_else(|| config("it has no diff_ids"))?;
        if layers.len() != ids.len() {
            return Err(config("it has another number of diff_ids than the manifest has layers"));
        }
        let digest = |id: &Value| id.as_str().and_then(Digest::parse);
        let ids: Option<Vec<Digest>> = ids.iter().map(digest).collect();
        let ids = ids.ok_or_else(|| config("a diff_id is no digest"))?;
        Ok(layers.iter().zip(ids).collect())
    }

    /// Puts one more layer on top, with blob and contents of these digests.
    pub(crate) fn add_layer(
        &mut self,
        blob: &Digest,
        size: u64,
        contents: &Digest,
        compression: Compression,
    ) {
        let layers = self.manifest.get("layers").and_then(Value::as_array);
        let last = layers.and_then(|layers| layers.last()?.get("mediaType")?.as_str());
        let media_type = media_type(last.unwrap_or_default(), compression);
        let layer = describe(&json!({ "mediaType": media_type }), blob, size);
        let count = layers.map_or(0, Vec::len);
        push(&mut self.manifest, "/layers", layer);
        push(&mut self.config, "/rootfs/diff_ids", json!(contents.to_string()));
        // The history, if it is whole, has an entry for each layer.
        let history = self.config.get("history").and_then(Value::as_array);
        let is_layer = |entry: &&Value| !entry["empty_layer"].as_bool().unwrap_or(false);
        if history.is_some_and(|all| all.iter().filter(is_layer).count() == count) {
            let mut entry = json!({
                "created_by": "rootfs-tools convert",
                "comment": "programs made self-contained",
            });
            if let Some(created) = self.config.get("created") {
                entry["created"] = created.clone();
            }
            push(&mut self.config, "/history", entry);
        }
    }

    /// Writes configuration and manifest, and returns the manifest's new descriptor.
    pub fn write(&mut self, layout: &mut Layout) -> Result<Value> {
        let config = layout.add_json(&self.config, &self.manifest["config"])?;
        self.manifest["config"] = config;
        layout.add_json(&self.manifest, &self.descriptor)
    }
}

fn push(value: &mut Value, pointer: &str, new: Value) {
    if let Some(list) = value.pointer_mut(pointer).and_then(Value::as_array_mut) {
        list.push(new);
    }
}

/// Of the same family as the layer below.
fn media_type(last: &str, compression: Compression) -> String {
    let (family, separator) = if last.starts_with("application/vnd.docker.") {
        ("application/vnd.docker.image.rootfs.diff.tar", ".")
    } else {
        ("application/vnd.oci.image.layer.v1.tar", "+")
    };
    match compression {
        Compression::None => family.into(),
        Compression::Gzip => format!("{family}{separator}gzip"),
        Compression::Zstd => format!("{family}{separator}zstd"),
    }
}

/// Where an index, or one that it refers to, describes the manifest `old`, it describes the one that
/// `new` does. Returns whether that was so.
pub(crate) fn redirect(
    layout: &mut Layout,
    index: &mut Value,
    old: &Digest,
    new: &Value,
) -> Result<bool> {
    redirect_in(layout, index, old, new, 0)
}

fn redirect_in(
    layout: &mut Layout,
    index: &mut Value,
    old: &Digest,
    new: &Value,
    depth: usize,
) -> Result<bool> {
    let mut changed = false;
    let list = index.get_mut("manifests").and_then(Value::as_array_mut);
    for descriptor in list.into_iter().flatten() {
        match kind(descriptor) {
            Kind::Manifest if digest_of(descriptor)? == *old => {
                let size = new["size"].as_u64().unwrap_or_default();
                *descriptor = describe(descriptor, &digest_of(new)?, size);
                changed = true;
            }
            Kind::Index if depth < DEEPEST => {
                let mut inner = layout.json(descriptor)?;
                if redirect_in(layout, &mut inner, old, new, depth + 1)? {
                    *descriptor = layout.add_json(&inner, descriptor)?;
                    changed = true;
                }
            }
            _ => {}
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_history() {
        let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        assert_eq!(media_type(docker, Compression::Gzip), docker);
        let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        assert_eq!(media_type(gzip, Compression::Zstd), zstd);
        let digest = Digest::new("sha256", &"0".repeat(64)).unwrap();
        let mut image = Image {
            descriptor: json!({}),
            manifest: json!({ "layers": [{ "mediaType": gzip }], "own": 1 }),
            config: json!({
                "created": "then",
                "rootfs": { "diff_ids": ["a"] },
                "history": [{ "empty_layer": true }, {}],
            }),
        };
        image.add_layer(&digest, 7, &digest, Compression::None);
        assert_eq!(image.manifest["layers"][1]["size"], 7);
        assert_eq!(image.manifest["own"], 1);
        assert_eq!(image.config["history"][2]["created"], "then");
        // Incomplete as it is, it stays.
        image.config["history"] = json!([{}]);
        image.add_layer(&digest, 7, &digest, Compression::None);
        assert_eq!(image.config["history"], json!([{}]));
        assert_eq!(image.config["rootfs"]["diff_ids"].as_array().unwrap().len(), 3);
    }
}
