//! What was written, read back as the agent reads it: from its parameters to the index, from there
//! to every embedded file.

use statify_params::agent::{AGENT_MAGIC, AgentParams, FILE_MODULE, File};

use crate::classify::{Image, Place};
use crate::layout::Plan;

/// Checks the output's bytes; `agent` is where the agent lies.
pub fn check(bytes: &[u8], image: &Image, plan: &Plan, agent: Place) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("the agent {what}"));
    let params = at(bytes, plan, agent, size_of::<AgentParams>() as u64).unwrap_or_default();
    let words = words(params);
    let [magic, index, _, counts, ..] = words[..] else {
        return wrong("is not in the file");
    };
    if magic != AGENT_MAGIC {
        return wrong("is not where it should be");
    }
    let index = agent.wrapping_add(index);
    let mut plugins = image.plugins.clone();
    for number in 0..(counts & 0xffff_ffff) {
        let len = size_of::<File>() as u64;
        let Some(record) = at(bytes, plan, index + number * len, len) else {
            return wrong("has no index");
        };
        let record = self::words(record);
        let [head, size, output, start, offset, length, ..] = record[..] else {
            return wrong("has no index");
        };
        if head as u32 == FILE_MODULE {
            continue;
        }
        let Some(object) = plugins.next().map(|object| &image.objects[object].bytes) else {
            return wrong("lists more files than there are");
        };
        let found = at(bytes, plan, index.wrapping_add(start), length);
        if (size, offset, length) != (object.len() as u64, 0, size) || found != Some(&object[..]) {
            return wrong("lists a file that is another");
        }
        let in_output = output as usize..(output + size) as usize;
        if output != 0 && bytes.get(in_output) != Some(&object[..]) {
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

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}
