//! What was written, read back as the agent reads it: from its parameters to the index, from there
//! to every embedded file.

use statify_params::agent::{AGENT_MAGIC, AgentParams, FILE_MODULE, File};
use zerocopy::FromBytes;

use crate::classify::Image;
use crate::layout::Plan;
use crate::place::Place;

/// Checks the output's bytes; `agent` is where the agent lies.
pub fn check(bytes: &[u8], image: &Image, plan: &Plan, agent: Place) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("the agent {what}"));
    let params = at(bytes, plan, agent, size_of::<AgentParams>() as u64).unwrap_or_default();
    let Ok(params) = AgentParams::read_from_bytes(params) else {
        return wrong("is not in the file");
    };
    if params.magic != AGENT_MAGIC {
        return wrong("is not where it should be");
    }
    let index = agent.wrapping_add(params.index);
    let mut plugins = image.plugins.clone();
    for number in 0..u64::from(params.files) {
        let len = size_of::<File>() as u64;
        let record = at(bytes, plan, index + number * len, len).unwrap_or_default();
        let Ok(file) = File::read_from_bytes(record) else {
            return wrong("has no index");
        };
        if file.kind == FILE_MODULE {
            continue;
        }
        let [whole, _] = file.parts;
        let Some(object) = plugins.next().map(|object| &image.objects[object].bytes) else {
            return wrong("lists more files than there are");
        };
        let found = at(bytes, plan, index.wrapping_add(whole.at), whole.len);
        if (file.size, whole.offset, whole.len) != (object.len() as u64, 0, file.size)
            || found != Some(&object[..])
        {
            return wrong("lists a file that is another");
        }
        let in_output = file.output as usize..(file.output + file.size) as usize;
        if file.output != 0 && bytes.get(in_output) != Some(&object[..]) {
            return wrong("looks for a file where it is not");
        }
    }
    if plugins.next().is_some() { wrong("misses a file") } else { Ok(()) }
}

/// Bytes of the file that lie at a place.
fn at<'a>(bytes: &'a [u8], plan: &Plan, place: Place, len: u64) -> Option<&'a [u8]> {
    let segment = plan.segments.iter().find(|segment| segment.file_range().contains(&place))?;
    if place + len > segment.file_range().end {
        return None;
    }
    let start = (segment.offset + (place - segment.range.start)) as usize;
    bytes.get(start..start.checked_add(len as usize)?)
}
