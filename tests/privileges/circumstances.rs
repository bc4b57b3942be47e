//! The circumstances in which an unprivileged caller may start a set-user-ID program: closed descriptors, no arguments, very
//! many variables, small limits. Original and converted side by side.

use std::env::consts::ARCH;

use anyhow::{Result, bail, ensure};
use nix::sys::signal::Signal;
use statify_tests::case::{Case, Cases};
use statify_tests::compare::{difference, said};
use statify_tests::process::End;

use crate::privileges::programs::{Caller, PRIVILEGED, Pair, REPORT};
use crate::privileges::starts::Report;

pub fn add(cases: &mut Cases) {
    let mut add = |name: &str, test: fn(&Case) -> Result<()>| {
        cases.needing(&[PRIVILEGED]).check(&format!("circumstances/{name}"), test);
    };
    add("standard-descriptors-closed", descriptors_closed);
    add("no-arguments", no_arguments);
    add("large-environment", large_environment);
    add("limit-of-descriptors", limit_of_descriptors);
    add("limits", limits);
    add("limit-of-address-space", limit_of_address_space);
}

fn descriptors_closed(case: &Case) -> Result<()> {
    let pair = Pair::set_user_id(case, "report", REPORT)?;
    let caller = Caller::new(case)?;
    for combination in 0..8 {
        let words: Vec<_> = (0..3)
            .filter(|descriptor| combination & (1 << descriptor) != 0)
            .map(|descriptor| format!("close={descriptor}"))
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let report = same(&caller, &pair, &words)?;
        for descriptor in 0..3 {
            let open = format!("descriptor: {descriptor} ");
            ensure!(report.rest.contains(&open), "{words:?}: {descriptor} is closed");
        }
    }
    Ok(())
}

/// Runs both in these surroundings; they must end well and say the same.
fn same(caller: &Caller, pair: &Pair, words: &[&str]) -> Result<Report> {
    let original = caller.run(words, &[], &pair.original, &[])?;
    let converted = caller.run(words, &[], &pair.converted, &[])?;
    ensure!(original.end == End::Exit(0), "{words:?}: the original: {}", original.end);
    ensure!(converted.end == End::Exit(0), "{words:?}: {}\n{}", converted.end, said(&converted));
    ensure!(
        original.stdout == converted.stdout,
        "{words:?}: {}",
        difference("report", &original.stdout, &converted.stdout).unwrap_or_default()
    );
    let report = Report::of(&converted);
    report.has("flag: 1")?;
    Ok(report)
}

fn no_arguments(case: &Case) -> Result<()> {
    let pair = Pair::set_user_id(case, "report", REPORT)?;
    same(&Caller::new(case)?, &pair, &["argv=none"])?;
    Ok(())
}

/// Tens of thousands of variables, each of them unsecure, and many times the same.
fn large_environment(case: &Case) -> Result<()> {
    let pair = Pair::set_user_id(case, "report", REPORT)?;
    let caller = case.build("many", "many", &["-O1"])?;
    for program in [&pair.original, &pair.converted] {
        let outcome = statify_tests::case::run(case.command(&caller).arg(program))?;
        ensure!(outcome.end == End::Exit(0), "{}: {}", outcome.end, said(&outcome));
        let environment = Report::of(&outcome).environment;
        ensure!(environment == ["FIRST=1", "LAST=1"], "{} are left", environment.len());
    }
    Ok(())
}

/// Where the standard descriptors cannot be opened, neither starts.
fn limit_of_descriptors(case: &Case) -> Result<()> {
    let pair = Pair::set_user_id(case, "report", REPORT)?;
    let caller = Caller::new(case)?;
    for most in 0..4 {
        let limit = format!("limit=nofile:{most}");
        for closed in 0..8 {
            let mut words: Vec<String> = (0..3)
                .filter(|descriptor| closed & (1 << descriptor) != 0)
                .map(|descriptor| format!("close={descriptor}"))
                .collect();
            // Once they are closed, the caller itself has nowhere to complain.
            words.insert(0, limit.clone());
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            // The original has to open its libraries, and can say so; the converted program has not.
            let converted = caller.run(&words, &[], &pair.converted, &[])?;
            let possible =
                (0..3).all(|descriptor| closed & (1 << descriptor) == 0 || descriptor < most);
            // By the instruction that glibc takes for it on this machine.
            let signal = if ARCH == "aarch64" { Signal::SIGTRAP } else { Signal::SIGSEGV };
            let expected = if possible { End::Exit(0) } else { End::Signal(signal) };
            ensure!(
                converted.end == expected,
                "{words:?}: {} in place of {expected}",
                converted.end
            );
            ensure!(possible != converted.stdout.is_empty(), "{words:?}: {}", said(&converted));
            let original = caller.run(&words, &[], &pair.original, &[])?;
            ensure!(
                possible || original.end == expected,
                "{words:?}: the original: {}",
                original.end
            );
        }
    }
    Ok(())
}

fn limits(case: &Case) -> Result<()> {
    let pair = Pair::set_user_id(case, "report", REPORT)?;
    let caller = Caller::new(case)?;
    for limit in [
        "stack:65536",
        "stack:131072",
        "stack:1048576",
        "stack:unlimited",
        "fsize:0",
        "core:0",
        "data:16777216",
        "memlock:0",
        "cpu:10",
        "nofile:8",
    ] {
        same(&caller, &pair, &[&format!("limit={limit}")])?;
    }
    Ok(())
}

/// At any limit, the converted program is either as it is without one, or does not start at all.
fn limit_of_address_space(case: &Case) -> Result<()> {
    let pair = Pair::set_user_id(case, "report", REPORT)?;
    let caller = Caller::new(case)?;
    let whole = caller.run(&[], &[], &pair.converted, &[])?;
    let (mut started, mut refused) = (0, 0);
    for kibibytes in (64..16 << 10).step_by(192) {
        let limit = format!("limit=as:{}", kibibytes << 10);
        let outcome = caller.run(&[&limit], &[], &pair.converted, &[])?;
        match outcome.end {
            End::Exit(0) if outcome.stdout == whole.stdout => started += 1,
            End::Exit(127) | End::Signal(_) if outcome.stdout.is_empty() => refused += 1,
            end => bail!("{limit}: {end}\n{}", said(&outcome)),
        }
    }
    ensure!(started > 0 && refused > 0, "{started} started, {refused} did not");
    Ok(())
}
