//! The tools at work there: a small root converted, checked and put back; the files of a converted program taken out of it again.

use std::fs;

use anyhow::{Context, Result, ensure};
use statify_tests::arm64::Guest;
use statify_tests::case::Case;
use statify_tests::cross::AARCH64;

/// A root of eleven programs, a set-user-ID one among them, with all libraries that lie directly in the machine's directory.
const ROOT: &str = r"
cd /tmp && mkdir -p tree/dev tree/proc tree/run tree/tmp
(cd / && tar -c bin sbin lib usr/bin/{bash,cat,date,find,git,grep,openssl,perl,sqlite3,su,tar} usr/lib/aarch64-linux-gnu/lib*.so* \
    usr/lib/{,aarch64-linux-gnu/}ld-linux* etc/{passwd,group,ld.so.conf,ld.so.conf.d,ld.so.cache}) | tar -x -C tree
for command in 'convert tree --out new --preserve-privileges' 'check new' 'restore new'; do
    /files/rootfs-tools $command || exit
done
diff -r --no-dereference tree new && echo 'the trees are the same'
";

/// What binutils say of a program and its libraries, and of those that come out of the output: the same, but for what is in
/// no segment.
const EXTRACTED: &str = r#"
/files/statify /usr/bin/git -o git && /files/elfscan extract git -o git.d >/dev/null || exit
cd git.d
find usr -type f | while read -r file; do
    objdump -d "/$file" | cut -f1-2 | grep -P '^ +[0-9a-f]+:' | sort >/tmp/theirs
    objdump -d "$file" | cut -f1-2 | grep -P '^ +[0-9a-f]+:' | sort >/tmp/own
    [ -s /tmp/theirs ] && [ -z "$(comm -23 /tmp/theirs /tmp/own)" ] && [ "$(nm -D "/$file")" = "$(nm -D "$file")" ] &&
        [ -z "$(readelf -aW "$file" 2>&1 >/dev/null)" ] && echo "extracted: $file" || echo "differs: $file"
done
"#;

/// Runs them.
pub fn at_work(case: &Case) -> Result<()> {
    let mut guest = Guest::locate().context("TEST_ARM64")?;
    guest.time = super::PATIENCE;
    let (files, machine) = (case.dir.join("files"), case.dir.join("machine"));
    fs::create_dir(&files)?;
    fs::create_dir(&machine)?;
    for (package, name) in
        [("statify-convert", "statify"), ("elfscan", "elfscan"), ("rootfs-tools", "rootfs-tools")]
    {
        fs::copy(AARCH64.build(package, name)?, files.join(name))?;
    }
    let script = format!("{ROOT}{EXTRACTED}");
    let answer = guest.run(&script, &files, &case.dir.join("out"), &machine)?;
    let said = format!("{}\n{}", answer.stdout, answer.stderr);
    ensure!(answer.status == 0, "{said}");
    for sentence in [
        "11 programs converted, 0 could not be",
        "11 programs: 11 intact, 0 damaged",
        "22 answers agree, 0 vary by themselves, 0 differ; 0 calls are not answered",
        "11 programs restored",
        "the trees are the same",
    ] {
        ensure!(said.contains(sentence), "{sentence}?\n{said}");
    }
    ensure!(!said.contains("differs: ") && said.matches("extracted: ").count() == 5, "{said}");
    Ok(())
}
