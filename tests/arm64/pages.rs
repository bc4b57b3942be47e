//! Outputs that were made where pages have 4 KiB, started where they have 16: they do what their originals do there.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::arm64::{Guest, KERNEL_16K, programs};
use statify_tests::case::Case;
use statify_tests::process::{self, End, Limits};
use statify_tests::tool;

/// Debian's, one of them with the libraries that it opens, a fixture of glibc and of musl, one that its linker has laid out
/// for small pages, and one without a C library that could tell another size.
const MAKE: &str = r#"
cd /tmp
for program in bash curl gdb git openssl python3 sqlite3 xz; do
    /files/statify /usr/bin/$program -o "$OUT/$program" || exit
    cp /usr/bin/$program "$OUT/$program.original"
done
gcc -O2 -pthread -o glibc /files/fixtures/page-size.c && musl-gcc -O2 -pthread -o musl /files/fixtures/page-size.c || exit
for program in glibc musl; do
    /files/statify ./$program -o "$OUT/$program" && cp $program "$OUT/$program.original" || exit
done
opens='import decimal, sqlite3, ssl; print(decimal.Decimal(7) / 2, ssl.OPENSSL_VERSION, sqlite3.sqlite_version)'
/files/statify -q /usr/bin/python3 -o "$OUT/plugins" --host-libs deny --trace -- -S -c "$opens" >/dev/null &&
    cp /usr/bin/python3 "$OUT/plugins.original" || exit
gcc -O2 -pthread -Wl,-z,max-page-size=4096 -o small /files/fixtures/page-size.c && /files/statify ./small -o "$OUT/small" &&
    cp small "$OUT/small.as-it-was" || exit
cat >alone.c <<'END'
void _start(void) {
    register long number __asm__("x8") = 93, status __asm__("x0") = 7;
    __asm__ volatile("svc #0" : : "r"(number), "r"(status));
}
END
gcc -O2 -pie -fPIE -nostdlib -Wl,--dynamic-linker=/lib/ld-linux-aarch64.so.1 -o alone alone.c &&
    /files/statify ./alone -o "$OUT/alone" && { "$OUT/alone"; [ $? = 7 ]; }
"#;

/// Each beside its original: as its owner starts it, by a path that cannot be read, and with what the loader's
/// variables change.
const COMPARE: &str = r#"
cd /files
for program in *.original; do
    run() {
        case $program in
            glibc*|musl*) "$@" ;;
            openssl*) "$@" version ;;
            plugins*) "$@" -S -c 'import decimal, sqlite3, ssl
print(decimal.Decimal(7) / 2, ssl.OPENSSL_VERSION, sqlite3.connect(":memory:").execute("select 6 * 7").fetchone())' ;;
            python3*) "$@" -c 'import mmap, ssl, threading; print(mmap.PAGESIZE, ssl.OPENSSL_VERSION)
t = threading.Thread(target=print, args=["thread"]); t.start(); t.join()' ;;
            *) "$@" --version ;;
        esac
        echo "status $?"
    }
    wanted=$(run ./$program 2>&1)
    own=$(run ./${program%.original} 2>&1)
    # Not readable: the output's file cannot be opened, and its pages come from those that the kernel has mapped.
    cp ${program%.original} /tmp/unreadable && chmod 711 /tmp/unreadable
    unreadable=$(run setpriv --reuid=1000 --clear-groups --inh-caps=-all --bounding-set=-all /tmp/unreadable 2>&1)
    tuned=$(GLIBC_TUNABLES=glibc.pthread.stack_cache_size=65536 run ./${program%.original} 2>&1)
    for answer in "$own" "$unreadable" "$tuned"; do
        [ "$answer" = "$wanted" ] && echo "agrees: $program" || printf 'differs: %s\n%s\n%s\n' "$program" "$wanted" "$answer"
    done
    case $program in glibc*|musl*) echo "$own" ;; esac
done
./small
ended=$?
./small.as-it-was
echo "small ended with $ended, its original with $?"
./alone
echo "alone ended with $?"
./plugins -S -c 'import bz2'
"#;

/// Makes them there, looks at them here, and starts them in the other guest.
pub fn larger(case: &Case) -> Result<()> {
    let mut guest = Guest::locate().context("TEST_ARM64")?;
    let directory = |name: &str| -> Result<_> {
        let path = case.dir.join(name);
        fs::create_dir(&path).map(|()| path).context("a directory of the test")
    };
    let (files, made) = (case.dir.join("files"), case.dir.join("made"));
    programs::gather(&[("statify-convert", "statify")], &files)?;
    let answer = guest.run(MAKE, &files, &made, &directory("small")?)?;
    ensure!(answer.status == 0, "{}\n{}", answer.stdout, answer.stderr);
    for notice in
        ["with pages of up to 4 KiB", "with pages of 4 KiB, as this one has, and no others"]
    {
        ensure!(answer.stderr.matches(notice).count() == 1, "{}", answer.stderr);
    }
    for said in ["stdout", "stderr", "status"] {
        fs::remove_file(made.join(said))?;
    }
    let names = fs::read_dir(&made)?.map(|entry| Ok(entry?.path()));
    let outputs: Vec<_> = names.collect::<Result<Vec<_>>>()?;
    let outputs = outputs.iter().filter(|path| path.extension().is_none());
    let mut check = Command::new(tool::locate("elfscan")?);
    let outcome = process::run(check.arg("check").args(outputs), b"", Limits::seconds(300))?;
    ensure!(outcome.end == End::Exit(0), "{}", outcome.stderr_text());

    guest.kernel = KERNEL_16K.into();
    let answer = guest.run(COMPARE, &made, &case.dir.join("compared"), &directory("large")?)?;
    let said = &answer.stdout;
    ensure!(said.matches("pages of 16384, constants ").count() == 2, "{said}\n{}", answer.stderr);
    ensure!(said.matches("a thread's guard has 16384 bytes").count() == 1, "{said}");
    ensure!(said.matches("agrees: ").count() == 33, "{said}\n{}", answer.stderr);
    ensure!(!said.contains("differs: "), "{said}");
    // The kernel cannot map its segments: SIGSEGV.
    ensure!(said.contains("small ended with 139, its original with 139"), "{said}");
    ensure!(said.contains("alone ended with 127"), "{said}");
    for sentence in
        ["converted for another page size than this kernel has", "which --host-libs deny refuses"]
    {
        ensure!(answer.stderr.contains(sentence), "{}", answer.stderr);
    }
    Ok(())
}
