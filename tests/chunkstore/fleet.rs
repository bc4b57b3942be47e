//! What `fleet/` has for many builders: valid for Kubernetes, by a validator with its schemas; and the script that its Jobs run
//! does what they want.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use statify_tests::case::{Case, Cases, output};
use statify_tests::convert::SYSTEM_PATH;
use statify_tests::machine::test_python;
use statify_tests::s3_server;
use statify_tests::tool;

use super::remote::Remote;
use super::tool::path;
use crate::rootfs::guest;

pub fn add(cases: &mut Cases) {
    cases.needing(&["kubernetes-validate"]).check("fleet/manifests", manifests);
    let needs = [
        "s3-server",
        "kubernetes-validate",
        "program:mke2fs",
        "program:debugfs",
        "program:minisign",
    ];
    cases.needing(&needs).check("fleet/jobs-of-one-image-and-of-several", jobs);
}

/// `kubectl`'s server would say the same of them.
const VALIDATE: &str = "
import sys, yaml, kubernetes_validate
kinds = set()
for document in yaml.safe_load_all(open(sys.argv[1])):
    kubernetes_validate.validate(document, '1.32', strict=True)
    kinds.add(document['kind'])
print(*sorted(kinds))
";

const SCRIPT: &str = "
import sys, yaml
for document in yaml.safe_load_all(open(sys.argv[1])):
    print(document.get('data', {}).get('convert.sh', ''), end='')
";

fn fleet() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fleet")).to_owned()
}

fn python(program: &str, file: &Path) -> Result<String> {
    let python = test_python().context("no TEST_PYTHON")?;
    let done = Command::new(python).args(["-c", program]).arg(file).output()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.success(), "{}: {said}", file.display());
    Ok(String::from_utf8(done.stdout)?)
}

fn manifests(case: &Case) -> Result<()> {
    let mut kinds = Vec::new();
    for entry in fs::read_dir(fleet())? {
        let path = entry?.path();
        kinds.push(python(VALIDATE, &path)?.trim().to_owned());
        // The validator sees what is wrong.
        let text = fs::read_to_string(&path)?;
        let wrong = case.dir.join("wrong.yaml");
        fs::write(&wrong, text.replace("  restartPolicy:", "  restartPolitics:") + "unknown: 1\n")?;
        ensure!(python(VALIDATE, &wrong).is_err(), "{} with an unknown field", path.display());
    }
    kinds.sort();
    ensure!(kinds == ["ConfigMap", "ConfigMap Job", "CronJob", "Job"], "{kinds:?}");
    Ok(())
}

/// The script as its Pods run it: secrets as Kubernetes mounts them, and a bucket.
fn jobs(case: &Case) -> Result<()> {
    let server = s3_server::Server::start(&[])?;
    let store = Remote::s3(&server.endpoint);
    let root = guest::tiny(case.dir.join("guest"))?;
    let [guests, keys, work, programs] =
        ["guests", "keys", "work", "programs"].map(|name| case.dir.join(name));
    for dir in [&guests, &keys.join("..data"), &work, &programs] {
        fs::create_dir_all(dir)?;
    }
    for name in ["one", "two"] {
        let tar = guests.join(format!("{name}.tar"));
        output(Command::new("tar").arg("-cf").arg(tar).arg("-C").arg(&root.dir).arg("."))?;
    }
    let index_key = keys.join("..data/index-key");
    let public = case.dir.join("index-key.pub");
    output(
        Command::new("minisign").args(["-G", "-W", "-s"]).arg(&index_key).arg("-p").arg(&public),
    )?;
    fs::write(keys.join("..data/cache-key"), "0123456789abcdef0123456789abcdef\n")?;
    for name in ["index-key", "cache-key"] {
        let private = fs::Permissions::from_mode(0o400);
        fs::set_permissions(keys.join("..data").join(name), private)?;
        symlink(Path::new("..data").join(name), keys.join(name))?;
    }
    symlink(path()?, programs.join("chunkstore"))?;
    symlink(tool::locate("rootfs-tools")?, programs.join("rootfs-tools"))?;
    let list = case.dir.join("list");
    fs::write(&list, "one\ntwo\n")?;
    let script = case.dir.join("convert.sh");
    fs::write(&script, python(SCRIPT, &fleet().join("configuration.yaml"))?)?;
    let run = |name: &str, value: &str| {
        let mut command = Command::new("sh");
        command.arg(&script).env_clear().envs(store.variables());
        command.env("PATH", format!("{}:{SYSTEM_PATH}", programs.display())).env(name, value);
        command
            .env("CACHE", format!("s3://{}/cache", s3_server::BUCKET))
            .env("CHUNKS", store.place());
        command.env("GUESTS", &guests).env("KEYS", &keys).env("WORK", &work).env("LIST", &list);
        output(&mut command)
    };
    run("NAME", "one")?;
    // What is begun anew is done again, and by the index of a Job as by a name.
    run("NAME", "one")?;
    run("JOB_COMPLETION_INDEX", "1")?;
    let key = public.to_str().context("a path")?;
    for name in ["one", "two"] {
        let image = case.dir.join(format!("{name}.ext4"));
        let copy = image.to_str().context("a path")?;
        store.good("cat", [name, "--key", key, "-o", copy])?;
        let listed = output(Command::new("debugfs").args(["-R", "ls -l /usr/bin"]).arg(&image))?;
        ensure!(listed.contains(" three"), "{listed}");
    }
    Ok(())
}
