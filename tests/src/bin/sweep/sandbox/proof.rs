//! Before anything is swept, the sandbox is tried with a shell that attempts what must fail.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Order;
use crate::run::run;

/// Each line must print what stands behind the `#`.
const SCRIPT: &str = r"
id -u                                                               # 65534
echo $$                                                             # 2
uname -n                                                            # sandbox
(: > /usr/x) 2>/dev/null || echo no                                 # no
(: > /x) 2>/dev/null || echo no                                     # no
(: > /dev/x) 2>/dev/null || echo no                                 # no
ls -A /run /home /root /mnt /media /srv | grep -v : | grep -c .     # 0
cut -d ' ' -f 6 /proc/self/mountinfo | grep -c ^rw                  # 4
tail -n +3 /proc/net/dev | grep -v lo: | grep -c .                  # 0
grep CapEff: /proc/self/status | tr -d '[:space:]'; echo            # CapEff:0000000000000000
grep NoNewPrivs: /proc/self/status | tr -d '[:space:]'; echo        # NoNewPrivs:1
grep Seccomp: /proc/self/status | tr -d '[:space:]'; echo           # Seccomp:2
(: < /dev/tty) 2>/dev/null || echo no                               # no
: > file && ls                                                      # file
cat | wc -c                                                         # 0
";

/// Runs the script in a sandbox; an error says what came out differently.
pub fn prove(image: &Path) -> Result<()> {
    let order = Order {
        program: "/bin/sh".into(),
        mount_at: std::fs::canonicalize("/bin/sh")?,
        image: image.into(),
        args: vec!["-c".into(), SCRIPT.into()],
        time_limit: 20.0,
    };
    let outcome = run(&order, Duration::from_secs(30))?;
    let expected: Vec<&str> = SCRIPT
        .lines()
        .filter_map(|line| line.rsplit_once(" # "))
        .map(|(_, result)| result)
        .collect();
    let printed = String::from_utf8_lossy(&outcome.stdout.bytes).into_owned();
    let printed: Vec<&str> = printed.lines().collect();
    ensure!(
        printed == expected,
        "the sandbox does not hold: {}, printed {printed:?}, expected {expected:?}, stderr: {}",
        outcome.end,
        String::from_utf8_lossy(&outcome.stderr.bytes),
    );
    Ok(())
}
