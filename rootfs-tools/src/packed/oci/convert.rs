//! A layout, converted.

use std::fs::OpenOptions;

use super::layers::{self, Headers};
use super::layout::{self, INDEX, Layout};
use super::platform::Platform;
use super::{docker, image, new_layer};
use crate::error::image::Fault;
use crate::error::{Error, Result};
use crate::packed::archive::compression::Compression;
use crate::packed::archive::unpack::Unpacker;
use crate::packed::room::Room;
use crate::packed::unpacked::{convert_tree, open_in, pooled, programs};
use crate::run::options::Options;
use crate::run::outcome::{Event, Outcome};
use crate::tree::Tree;

/// Makes the converted layout in `room`.
pub fn convert(
    options: &Options,
    room: &Room,
    platform: &Platform,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let fault = |fault| Error::Image(options.root.clone(), fault);
    tell(Event::Copying);
    let new = room.output();
    layout::copy(&options.root, &new).map_err(fault)?;
    let mut layout = Layout::open(&new).map_err(fault)?;
    convert_layout(options, room, &mut layout, platform, tell)
}

/// Converts the image of a private layout, in place.
pub(crate) fn convert_layout(
    options: &Options,
    room: &Room,
    layout: &mut Layout,
    platform: &Platform,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let fault = |fault| Error::Image(options.root.clone(), fault);
    let no_index = || fault(Fault::Malformed(INDEX.into(), "it is not there"));
    let mut index = layout.file(INDEX).map_err(fault)?.ok_or_else(no_index)?;
    let mut image = image::choose(layout, &index, platform).map_err(fault)?;
    tell(Event::Unpacking);
    let tree = Tree::open(&room.tree())?;
    let mut unpacker = Unpacker::new(&tree);
    let kept = room.path.join("headers");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&kept);
    let mut headers = Headers::new(file.map_err(Error::file("written", &kept))?);
    let mut compression = Compression::None;
    for (descriptor, contents) in image.layers().map_err(fault)? {
        let (digest, file) = layout.blob(descriptor).map_err(fault)?;
        let applied = layers::apply((&digest, file), &contents, &tree, &mut unpacker, &mut headers);
        compression = applied.map_err(fault)?;
    }
    let places = unpacker.places()?;
    let outcome = convert_tree(options, room, tell)?;
    let programs = programs(&tree, &places)?;
    if programs.is_empty() {
        return Ok(outcome);
    }
    tell(Event::Packing);
    let made = room.path.join("layer");
    let find = |path: &std::path::Path| open_in(&tree, path).ok();
    let layer = new_layer::write(
        &made,
        compression,
        &programs,
        &pooled(&tree)?,
        &places,
        &mut headers,
        &find,
    );
    let layer = layer.map_err(|error| fault(Fault::NewLayer(error)))?;
    let mut write = || -> Result<(), Fault> {
        layout.add_file(&made, &layer.blob)?;
        let old = layout::digest_of(&image.descriptor)?;
        let old_config = layout::digest_of(&image.manifest["config"])?;
        image.add_layer(&layer.blob, layer.size, &layer.contents, compression);
        let new = image.write(layout)?;
        image::redirect(layout, &mut index, &old, &new)?;
        layout.replace(INDEX, &index)?;
        let config = layout::digest_of(&image.manifest["config"])?;
        docker::redirect(layout, &old_config, &config, &layer.blob)
    };
    write().map_err(fault)?;
    Ok(outcome)
}
