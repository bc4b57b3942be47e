//! Docker's own list of the images of a layout.

use serde_json::{Value, json};

use super::digest::Digest;
use super::layout::Layout;
use crate::error::image::Result;

/// What `docker load` reads.
const DOCKER: &str = "manifest.json";

/// Docker's own list of images, if there is one: where it names the old configuration, it names the new one,
/// with one layer more.
pub(crate) fn redirect(
    layout: &mut Layout,
    old: &Digest,
    new: &Digest,
    layer: &Digest,
) -> Result<()> {
    let Some(mut list) = layout.file(DOCKER)? else {
        return Ok(());
    };
    let text = |digest: &Digest| json!(digest.path().to_string_lossy());
    let mut changed = false;
    for image in list.as_array_mut().into_iter().flatten() {
        if image.get("Config") == Some(&text(old)) {
            image["Config"] = text(new);
            if let Some(layers) = image.get_mut("Layers").and_then(Value::as_array_mut) {
                layers.push(text(layer));
            }
            changed = true;
        }
    }
    if changed { layout.replace(DOCKER, &list) } else { Ok(()) }
}
