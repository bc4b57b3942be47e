//! What `cargo test` says: which suites ran, how each test ended, and what was listed as not run.

use std::collections::BTreeMap;

use statify_tests::tier::Tier;

/// One test binary, as far as its output tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Suite {
    /// As cargo calls it (`tests/fixtures.rs`).
    pub name: String,
    /// How many tests there are.
    announced: Option<usize>,
    passed: Vec<String>,
    failed: Vec<String>,
    ignored: Vec<String>,
    /// Lines `name: reason`.
    listed: Vec<String>,
    /// Whether it said how it ended.
    ended: bool,
}

/// The suites in the order in which they ran.
pub fn parse(said: &str) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    let mut is_list = false;
    for line in said.lines() {
        if let Some(name) = begins(line) {
            suites.push(Suite { name: name.into(), ..Suite::default() });
            is_list = false;
            continue;
        }
        let Some(suite) = suites.last_mut() else { continue };
        if is_list && line.starts_with("    ") {
            suite.listed.push(line.trim_start().into());
            continue;
        }
        is_list = line == "not run here:";
        if let Some(rest) = line.strip_prefix("running ") {
            suite.announced = rest.split(' ').next().and_then(|count| count.parse().ok());
        } else if line.starts_with("test result: ") {
            suite.ended = true;
        } else if let Some((name, end)) =
            line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
        {
            let ends = match end {
                "ok" => &mut suite.passed,
                _ if end.starts_with("ignored") => &mut suite.ignored,
                _ => &mut suite.failed,
            };
            ends.push(name.trim_end().into());
        }
    }
    suites
}

/// The name of a suite in the line by which cargo announces it.
fn begins(line: &str) -> Option<&str> {
    let line = line.trim_start();
    match line.strip_prefix("Running ") {
        Some(rest) => rest.split_once(" (").map(|(name, _)| name),
        None => line.strip_prefix("Doc-tests ").map(|_| line),
    }
}

impl Suite {
    /// What is wrong: tests that failed, and such that did not run without being listed.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> =
            self.failed.iter().map(|name| format!("{}: {name} failed", self.name)).collect();
        let listed = |name: &str| {
            let mut lines = self.listed.iter();
            lines.any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": ")))
        };
        let silent = self.ignored.iter().filter(|name| !listed(name) && !is_slow(name));
        problems.extend(
            silent.map(|name| format!("{}: {name} did not run, and is not listed", self.name)),
        );
        let known = self.passed.len() + self.failed.len() + self.ignored.len();
        if !self.ended {
            problems.push(format!("{}: it did not come to its end", self.name));
        } else if self.announced != Some(known) {
            let announced = self.announced.unwrap_or_default();
            problems.push(format!("{}: {known} of {announced} tests are accounted for", self.name));
        }
        problems
    }

    /// Why tests did not run.
    fn reasons(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().filter_map(|line| line.split_once(": ").map(|(_, reason)| reason))
    }
}

/// Tests of the slow tier are not asked for one by one.
fn is_slow(name: &str) -> bool {
    Tier::of(name) == Tier::Slow
}

/// Counts of the suites with tests, and of the reasons for which tests did not run.
pub fn print_table(suites: &[Suite]) {
    println!("\n| suite | passed | failed | not run | slow tier |\n|---|---|---|---|---|");
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for suite in suites.iter().filter(|suite| suite.announced != Some(0)) {
        let [passed, failed, ignored] =
            [&suite.passed, &suite.failed, &suite.ignored].map(Vec::len);
        let slow = suite.ignored.iter().filter(|name| is_slow(name)).count();
        let not_run = ignored - slow;
        println!("| {} | {passed} | {failed} | {not_run} | {slow} |", suite.name);
        for reason in suite.reasons() {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    println!();
    for (reason, count) in reasons {
        println!("not run, {count} times: {reason}");
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "   Compiling statify v0.1.0
     Running unittests src/lib.rs (target/debug/deps/elfscan-0)

running 1 test
test tests::one ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running suites.rs (target/debug/deps/suites-0)

running 4 tests
test cpus/program/awk ... ignored
test a/one        ... ok
test b/two        ... ignored, root: not run as root
test c/three-four ... ignored

test result: ok. 1 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.00s

not run here:
    b/two: root: not run as root
    c/three-four: program:xz: not installed

   Doc-tests elfscan

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    fn problems(said: &str) -> Vec<String> {
        parse(said).iter().flat_map(Suite::problems).collect()
    }

    #[test]
    fn all_is_well_where_everything_is_accounted_for() {
        let suites = parse(SAID);
        let names: Vec<_> = suites.iter().map(|suite| suite.name.as_str()).collect();
        assert_eq!(names, ["unittests src/lib.rs", "suites.rs", "Doc-tests elfscan"]);
        assert_eq!(problems(SAID), Vec::<String>::new());
        let reasons: Vec<_> = suites[1].reasons().collect();
        assert_eq!(reasons, ["root: not run as root", "program:xz: not installed"]);
    }

    #[test]
    fn what_is_not_well_is_said() {
        for (change, by, problem) in [
            ("a/one        ... ok", "a/one        ... FAILED", "a/one failed"),
            ("    b/two: root: not run as root\n", "", "b/two did not run, and is not listed"),
            ("test a/one        ... ok\n", "", "3 of 4 tests are accounted for"),
            ("test result: ok. 1 passed; 0 failed; 3", "killed", "did not come to its end"),
        ] {
            let found = problems(&SAID.replace(change, by));
            assert!(found.len() == 1 && found[0].contains(problem), "{problem}: {found:?}");
        }
    }
}
