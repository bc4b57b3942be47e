//! What is trusted of a pool, and by whom.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases};
use statify_tests::process::End;
use statify_tests::sandbox;

use super::{POOL, arguments, convert_out, mapped, pool_of, tiny};
use crate::rootfs::{guest, snapshot, tool};

pub fn add(cases: &mut Cases) {
    for (name, test) in [
        ("pool/forged", forged as fn(&Case) -> Result<()>),
        ("pool/not-roots", not_roots),
        ("pool/privileges", privileges),
        ("pool/checked", checked),
    ] {
        // Only root can have one that programs trust.
        cases.needing(&["root"]).check(name, test);
    }
}

/// What somebody has put where the pool should be: nothing is converted, nothing copied.
fn forged(case: &Case) -> Result<()> {
    let outside = case.dir.join("outside");
    fs::create_dir(&outside)?;
    let lib = case.dir.join("guest/usr/lib");
    let statify = lib.join("statify");
    let pool = statify.join("pool");
    let root = tiny(case)?;
    let anew = || -> Result<()> {
        let _ = fs::remove_dir_all(&statify);
        let _ = fs::remove_file(&statify);
        Ok(fs::create_dir(&statify)?)
    };
    type Forge<'a> = Box<dyn Fn() -> Result<()> + 'a>;
    let cases: Vec<(&str, Forge<'_>)> = vec![
        ("it is a symbolic link", Box::new(|| Ok(symlink(&outside, &pool)?))),
        ("it is a symbolic link", Box::new(|| Ok(symlink("../../../../outside", &pool)?))),
        (
            "leads to no directory of the tree",
            Box::new(|| {
                fs::remove_dir(&statify)?;
                Ok(symlink(&outside, &statify)?)
            }),
        ),
        (
            "the symbolic link /usr/lib/statify leads to no",
            Box::new(|| {
                fs::remove_dir(&statify)?;
                Ok(symlink("statify", &statify)?)
            }),
        ),
        ("is no directory", Box::new(|| Ok(fs::write(&pool, "")?))),
        (
            "does not belong to root",
            Box::new(|| {
                fs::create_dir(&pool)?;
                Ok(chown(&pool, Some(1234), Some(0))?)
            }),
        ),
        (
            "/usr/lib/statify does not belong to root",
            Box::new(|| Ok(chown(&statify, Some(1234), Some(0))?)),
        ),
        (
            "can be written to by a group",
            Box::new(|| {
                fs::create_dir(&pool)?;
                Ok(fs::set_permissions(&pool, Permissions::from_mode(0o775))?)
            }),
        ),
        (
            "can be written to by everybody",
            Box::new(|| Ok(fs::set_permissions(&statify, Permissions::from_mode(0o1777))?)),
        ),
    ];
    let (out, backup) = (case.dir.join("out"), case.dir.join("backup"));
    for (words, forge) in cases {
        anew()?;
        forge()?;
        let before = snapshot::of(&root.dir)?;
        for more in [
            &["--out".as_ref(), out.as_path()][..],
            &["--in-place".as_ref(), "--backup".as_ref(), &backup],
            &["--dry-run".as_ref()],
        ] {
            let outcome = tool::run(arguments(&root.dir, more))?;
            tool::refused(&outcome, words).with_context(|| format!("{words} {more:?}"))?;
            ensure!(!out.exists() && !backup.exists(), "{words}: something was written");
            snapshot::same(&snapshot::of(&root.dir)?, &before, true)?;
        }
        ensure!(fs::read_dir(&outside)?.next().is_none());
    }
    // A file of it.
    anew()?;
    let good = case.dir.join("good");
    convert_out(&root.dir, &good)?;
    let name = pool_of(&good)?.pop_first().context("nothing in it")?;
    for (words, bytes, owner) in [("a SHA-256", &b"evil"[..], 0), ("belong to root", b"", 1234)] {
        anew()?;
        fs::create_dir(&pool)?;
        let path = pool.join(&name);
        match bytes {
            b"" => drop(fs::copy(good.join(POOL).join(&name), &path)?),
            _ => fs::write(&path, bytes)?,
        }
        chown(&path, Some(owner), Some(0))?;
        tool::refused(&tool::run(arguments(&root.dir, &["--out".as_ref(), &out]))?, words)?;
        fs::remove_dir_all(&out)?;
        fs::remove_file(case.dir.join(".out.rootfs-tools-journal"))?;
    }
    // Where programs are.
    let words = [
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--dry-run".as_ref(),
        "--pool".as_ref(),
        "/bin/x".as_ref(),
    ];
    tool::good(words)?;
    let words = [
        "convert".as_ref(),
        root.dir.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
        "--pool".as_ref(),
        "/usr/bin".as_ref(),
    ];
    tool::refused(&tool::run(words)?, "has programs")
}

/// What an ordinary user makes is nobody's to trust: that is said, and programs work.
fn not_roots(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    guest::shell(&root.dir, &format!("chown -hR {NOBODY}:{NOBODY} .", NOBODY = sandbox::NOBODY))?;
    let place = case.dir.join("place");
    fs::create_dir(&place)?;
    sandbox::give_to_unprivileged(&place)?;
    fs::set_permissions(&case.dir, Permissions::from_mode(0o755))?;
    let (copy, out) = (place.join("tool"), place.join("out"));
    fs::copy(tool::path()?, &copy)?;
    let mut command = Command::new(copy);
    command.args(arguments(&root.dir, &["--out".as_ref(), &out]));
    let outcome = tool::finish(sandbox::unprivileged(&mut command))?;
    let said = outcome.stderr_text();
    ensure!(outcome.end == End::Exit(0), "{}: {said}", outcome.end);
    ensure!(said.contains("only root can make a pool that programs trust"), "{said}");
    ensure!(!pool_of(&out)?.is_empty());
    ensure!(mapped(&out)?.is_empty(), "a user's pool is trusted");
    guest::shell(&out, "chown -hR 0:0 .")?;
    ensure!(!mapped(&out)?.is_empty(), "it is root's now");
    Ok(())
}

fn privileges(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    root.add_program(Path::new("/usr/bin/id"), "/usr/bin/id")?;
    guest::add_privileged(&root)?;
    guest::shell(&root.dir, "chmod -R go-w .")?;
    let out = case.dir.join("out");
    tool::good(arguments(&root.dir, &["--out".as_ref(), &out, "--preserve-privileges".as_ref()]))?;
    let looks = |name: &str| -> Result<bool> {
        let bytes = fs::read(out.join(name))?;
        // As the starter goes there.
        let names = POOL.replace('/', "\0");
        Ok(bytes.windows(names.len()).any(|word| word == names.as_bytes()))
    };
    for (name, wanted) in
        [("usr/bin/id", true), ("usr/bin/set-id", false), ("usr/bin/capable", false)]
    {
        ensure!(looks(name)? == wanted, "{name}");
    }
    Ok(())
}

/// Says whether it has mapped anything from a pool.
const TELLS: &str = r#"
    #include <stdio.h>
    #include <string.h>
    int main(void) {
        char line[8192];
        FILE *maps = fopen("/proc/self/maps", "r");
        while (maps && fgets(line, sizeof line, maps))
            if (strstr(line, "/statify/pool/")) return puts("from the pool"), 0;
        return puts(maps ? "not from a pool" : "nothing known"), 0;
    }
"#;

/// Original beside converted run with the tree's pool, where they are root's to run; and with their own pages elsewhere.
fn checked(case: &Case) -> Result<()> {
    let root = tiny(case)?;
    let (source, tells) = (case.dir.join("tells.c"), case.dir.join("tells"));
    fs::write(&source, TELLS)?;
    let built = Command::new("cc").arg(&source).arg("-o").arg(&tells).status()?;
    ensure!(built.success(), "{built}");
    root.add_program(&tells, "/usr/bin/tells")?;
    let out = case.dir.join("out");
    convert_out(&root.dir, &out)?;
    fs::set_permissions(&case.dir, Permissions::from_mode(0o755))?;
    let tool = case.dir.join("tool");
    fs::copy(tool::path()?, &tool)?;
    let words = ["check".as_ref(), out.as_os_str(), "--only".as_ref(), "tells".as_ref()];
    let differs = || -> Result<bool> {
        let outcome = tool::run(words)?;
        let said = outcome.stdout_text();
        ensure!(said.contains("1 intact") && !said.contains("nothing known"), "{said}");
        ensure!(said.contains("from the pool") == (outcome.end == End::Exit(1)), "{said}");
        Ok(outcome.end == End::Exit(1))
    };
    ensure!(differs()?, "the tree's pool is not seen by what root runs");
    // The journal is root's; without it, programs are looked for.
    let known = case.dir.join("known");
    guest::copy(&out, &known)?;
    fs::remove_dir_all(known.join(".rootfs-tools"))?;
    let mut command = Command::new(&tool);
    command.arg("check").arg(&known).arg("--original").arg(&root.dir).args(["--only", "tells"]);
    let outcome = tool::finish(sandbox::unprivileged(&mut command))?;
    let said = outcome.stdout_text() + &outcome.stderr_text();
    ensure!(outcome.end == End::Exit(0), "another user's: {said}");
    // What the machine has there is not looked at, and the tree's may be gone.
    fs::remove_dir_all(out.join(POOL))?;
    ensure!(!differs()?, "a pool is seen that is not there");
    let said = tool::good(["check".as_ref(), out.as_os_str()])?;
    ensure!(said.contains("4 intact"), "{said}");
    Ok(())
}
