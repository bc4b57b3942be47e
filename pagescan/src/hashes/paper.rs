//! What the paper has ("Analyzing Shared Memory Opportunities in Different Workloads").

use crate::hash::Algorithm;

/// False positives in its table 5.4: an address space of 1 GB in which a guest built a kernel, held against SHA-1. Its figures 5.1
/// and 5.2, of speed, have no numbers in its text.
pub fn paper_false_positives(algorithm: Algorithm) -> Option<u64> {
    match algorithm {
        Algorithm::Sha1 | Algorithm::Md5 | Algorithm::Crc32Ex => Some(0),
        Algorithm::Crc32 | Algorithm::SuperFastHash => Some(7),
        Algorithm::SimplePattern => Some(9736),
        _ => None,
    }
}
