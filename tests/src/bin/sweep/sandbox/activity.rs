//! Whether anything happens in the sandbox, from the processor time of its threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The threads of the sandbox and the processor time each has used.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Activity {
    ticks: BTreeMap<String, [String; 2]>,
    /// A thread wants a processor or waits for a disk: on a loaded machine it may do so for long
    /// without using any time.
    pub busy: bool,
}

impl Activity {
    /// Reads it from `/proc`, process 1 left out.
    pub fn read() -> Self {
        let mut activity = Self::default();
        for process in numbers(Path::new("/proc")).filter(|number| number != "1") {
            let threads = Path::new("/proc").join(process).join("task");
            for thread in numbers(&threads) {
                let stat = fs::read(threads.join(&thread).join("stat")).unwrap_or_default();
                if let Some((state, ticks)) = parse(&String::from_utf8_lossy(&stat)) {
                    activity.busy |= matches!(state, 'R' | 'D');
                    activity.ticks.insert(thread, ticks);
                }
            }
        }
        activity
    }
}

/// The entries of a directory that are numbers; none if it is gone.
fn numbers(directory: &Path) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// State, user and system time of a line of proc_pid_stat(5); the name in it may hold anything.
fn parse(stat: &str) -> Option<(char, [String; 2])> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = [(*fields.get(11)?).to_owned(), (*fields.get(12)?).to_owned()];
    Some((fields.first()?.chars().next()?, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines() {
        let line = "7 (a) R b) S 1 7 7 0 -1 4194304 90 0 0 0 12 34 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse(line), Some(('S', ["12".into(), "34".into()])));
        assert_eq!(parse("7 (gone"), None);
        assert_eq!(parse(""), None);
    }
}
