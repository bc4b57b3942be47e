//! What cannot be told for want of means, in as few sentences as say it.

use crate::kernel::Lack;
use crate::kernel::kpage::Unknown;

/// The sentences: why memory is not read by frame, and what is not known of frames.
pub fn sentences(frames: Option<&Lack>, unknown: &[Unknown]) -> Vec<String> {
    let whats: Vec<&str> = unknown.iter().map(|unknown| unknown.what).collect();
    match (frames, &whats[..]) {
        (Some(lack), [_, ..]) if lack.is_of_rights() => vec![format!(
            "without root's rights memory is read by /proc/PID/mem, which marks it as used, and it is not known {}; run pagescan \
             as root to have all of it",
            list(&whats)
        )],
        (Some(lack), []) => vec![lack.to_string()],
        (lack, whats) => {
            let mut all: Vec<String> = lack.map(Lack::to_string).into_iter().collect();
            if !whats.is_empty() {
                let files: Vec<&str> = unknown.iter().map(|unknown| unknown.file).collect();
                all.push(format!(
                    "it is not known {}: not to be read here: {}; run pagescan as root, on a kernel with CONFIG_PROC_PAGE_MONITOR",
                    list(whats),
                    list(&files)
                ));
            }
            all
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: [Unknown; 2] = [
        Unknown { what: "what frames are", file: "/proc/kpageflags" },
        Unknown { what: "who pays for them", file: "/proc/kpagecgroup" },
    ];

    #[test]
    fn one_sentence_for_those_without_rights() {
        let sentences = sentences(Some(&Lack::Ranges), &UNKNOWN);
        assert_eq!(sentences.len(), 1);
        assert!(sentences[0].contains("known what frames are and who pays for them; run"));
    }

    #[test]
    fn each_other_reason_has_its_own() {
        assert!(sentences(None, &[]).is_empty());
        assert_eq!(sentences(Some(&Lack::Ranges), &[]), [Lack::Ranges.to_string()]);
        let both = sentences(Some(&Lack::Lockdown), &UNKNOWN);
        assert_eq!((both.len(), &both[0]), (2, &Lack::Lockdown.to_string()));
        assert!(both[1].contains("/proc/kpageflags and /proc/kpagecgroup;"), "{}", both[1]);
        assert_eq!(sentences(None, &UNKNOWN), both[1..]);
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
