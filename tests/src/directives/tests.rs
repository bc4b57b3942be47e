//! Tables of directives and what they mean.

use nix::sys::signal::Signal;

use super::*;

fn parse(lines: &[&str]) -> Fixture {
    Fixture::parse(&lines.join("\n")).expect("these directives are right")
}

#[test]
fn defaults() {
    let fixture = parse(&["//# About: nothing special.", "int main(void) { return 0; }"]);
    assert_eq!(fixture.about, "nothing special.");
    assert_eq!(fixture.flags, ["-O2"]);
    assert_eq!(fixture.runs, [Vec::<String>::new()]);
    assert_eq!(fixture.end, End::Exit(0));
    assert_eq!(fixture.stdin, "");
    assert!(
        fixture.configs.is_empty() && fixture.libraries.is_empty() && fixture.plugins.is_empty()
    );
    assert!(fixture.stdout.is_none() && fixture.varies.is_none() && fixture.refuses.is_none());
}

#[test]
fn every_directive() {
    let fixture = parse(&[
        "// A comment, then a blank line.",
        "",
        "//# About: all of them.",
        "//# Flags: -O1 -pthread",
        "//# Config: pie: -pie",
        "//# Config: no-pie: -no-pie -Wl,-z,now",
        "//# Lib: liba.so: a.c b.c : -Wl,-z,lazy -DX=\"a b\"",
        "//# Lib: libb.so: b.c",
        "//# Plugin: plug.so: plug.cc: -O0",
        "//# Object: extra.S -g",
        "//# Args: one \"two three\"",
        "//# Args:",
        "//# Env: A=1=2",
        "//# Stdin: first",
        "//# Stdin:",
        "//# Exit: 3",
        "//# Stdout:  indented",
        "//# Stdout: a: b",
        "//# Stdout-re: ^x+$",
        "//# Needs: root c++",
        "//# Needs: proc",
        "//# Glibc: shows how glibc does it",
        "//# Musl-Exit: 4",
        "//# Musl-Stdout: other",
        "//# Musl-Refuses: x",
        "//# Statify: --fixed",
        "#include <stdio.h>",
    ]);
    assert_eq!(fixture.flags, ["-O1", "-pthread"]);
    assert_eq!(fixture.configs[0], Config { name: "pie".into(), flags: vec!["-pie".into()] });
    assert_eq!(fixture.configs[1].flags, ["-no-pie", "-Wl,-z,now"]);
    assert_eq!(fixture.libraries[0].sources, ["a.c", "b.c"]);
    assert_eq!(fixture.libraries[0].flags, ["-Wl,-z,lazy", "-DX=a b"]);
    assert_eq!(fixture.libraries[1].file, "libb.so");
    assert!(fixture.libraries[1].flags.is_empty());
    assert_eq!(fixture.plugins[0].sources, ["plug.cc"]);
    assert_eq!(fixture.objects, [Object { source: "extra.S".into(), flags: vec!["-g".into()] }]);
    assert_eq!(fixture.runs, [vec!["one".to_owned(), "two three".into()], vec![]]);
    assert_eq!(fixture.env, [("A".into(), "1=2".into())]);
    assert_eq!(fixture.stdin, "first\n\n");
    assert_eq!(fixture.end, End::Exit(3));
    assert_eq!(fixture.stdout.as_deref(), Some(" indented\na: b\n"));
    assert!(
        fixture.stdout_patterns[0].is_match(b"a\nxx\nb"),
        "a pattern's ^ and $ are those of a line"
    );
    assert_eq!(fixture.needs, ["root", "c++", "proc"]);
    assert_eq!(fixture.glibc_only.as_deref(), Some("shows how glibc does it"));
    let musl = fixture.for_musl();
    assert_eq!((fixture.end, musl.end), (End::Exit(3), End::Exit(4)));
    assert_eq!(musl.stdout.as_deref(), Some("other\n"));
    assert!(fixture.refuses.is_none() && musl.refuses.is_some());
    assert_eq!(fixture.statify, ["--fixed"]);
}

#[test]
fn ends() {
    let cases = [
        ("//# Exit: 255", End::Exit(255)),
        ("//# Signal: SIGABRT", End::Signal(Signal::SIGABRT)),
        ("//# Signal: SEGV", End::Signal(Signal::SIGSEGV)),
    ];
    for (line, end) in cases {
        assert_eq!(parse(&["//# About: x", line]).end, end, "{line}");
    }
}

#[test]
fn refuses_what_it_does_not_understand() {
    let cases = [
        ("//# Flag: -O2", "unknown directive `Flag`"),
        ("//# Flags", "expected `//# Key: value`"),
        ("//# Flags: \"open", "quot"),
        ("//# About: again", "given twice"),
        ("//# Exit: 256", "0 to 255"),
        ("//# Signal: SIGNONE", "no signal"),
        ("//# Config: no flags", "Config: name: flags"),
        ("//# Config: a b: -O2", "no name"),
        ("//# Lib: libx.so", "file.so: source.c"),
        ("//# Plugin: ../x.so: x.c", "file.so: source.c"),
        ("//# Object:", "expected a source"),
        ("//# Env: PATH", "NAME=value"),
        ("//# Stdout-re: (", "regex"),
        ("//# Varies:", "sentence"),
    ];
    for (line, reason) in cases {
        let error = Fixture::parse(&format!("//# About: x\n{line}\n")).expect_err(line);
        assert_eq!(error.line, 2, "{line}");
        assert!(error.reason.contains(reason), "{line}: {}", error.reason);
    }
}

#[test]
fn refuses_what_contradicts_itself() {
    let cases = [
        ("", 0, "`About` is missing"),
        ("//# About: x\n//# Exit: 1\n//# Signal: SIGSEGV", 3, "excludes"),
        ("//# About: x\n//# Varies: pids\n//# Stdout: 1", 0, "exclude each other"),
        ("//# About: x\n//# Config: a: -O1\n//# Config: a: -O2", 0, "same name"),
        ("//# About: x\nint a;\n//# Exit: 1", 3, "below the opening comment block"),
    ];
    for (text, line, reason) in cases {
        let error = Fixture::parse(text).expect_err(text);
        assert_eq!(error.line, line, "{text}");
        assert!(error.reason.contains(reason), "{text}: {}", error.reason);
    }
}
