//! Whether the processor can run guests here: /dev/kvm may be there and yet start no kernel, in a machine that is one itself.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use regex::bytes::Regex;
use statify_vm::{Accelerator, Console, Kind, Machine, Serial};

use super::machine::cpu;
use super::options::{Accelerate, Options};
use crate::error::boot::Fault;
use crate::error::{Error, Result};

/// How long a kernel may take until it finds that it has no root.
const PATIENCE: Duration = Duration::from_secs(20);

/// What runs the guests. `tell` hears why it is not the processor.
pub fn choose(options: &Options, kernel: &Path, tell: &mut dyn FnMut(&str)) -> Result<Accelerator> {
    Machine::emulator(Kind::HERE).map_err(|error| Fault::NoEmulator(error.to_string()))?;
    let why = match options.accelerator {
        Accelerate::Software => return Ok(Accelerator::Software),
        Accelerate::Auto | Accelerate::Kvm => match kvm(options, kernel)? {
            None => return Ok(Accelerator::Kvm),
            Some(why) => why,
        },
    };
    if options.accelerator == Accelerate::Kvm {
        return Err(Fault::NoKvm(why).into());
    }
    tell(&format!("guests are emulated in software: {why}"));
    Ok(Accelerator::Software)
}

/// Why not by KVM: the kernel is started alone, and must come to say that it has no root.
fn kvm(options: &Options, kernel: &Path) -> Result<Option<String>> {
    const DEVICE: &str = "/dev/kvm";
    if let Err(error) = File::options().read(true).write(true).open(DEVICE) {
        return Ok(Some(format!("{DEVICE} cannot be opened: {error}")));
    }
    let machine = Machine {
        kind: Kind::HERE,
        accelerator: Accelerator::Kvm,
        cpu: cpu(Accelerator::Kvm).into(),
        cpus: 1,
        memory: options.memory,
        mergeable: false,
        kernel: kernel.to_owned(),
        initial_files: None,
        parameters: String::new(),
        serial: vec![Serial::Standard],
        disks: Vec::new(),
        monitor: None,
    };
    let scratch = &options.scratch;
    let transcript = tempfile::tempfile_in(scratch).map_err(Error::file("written", scratch))?;
    let emulator = machine.start_quietly(scratch).map_err(Fault::from)?;
    let mut console = Console::of(emulator, transcript).map_err(Fault::from)?;
    let panic = Regex::new("(?i)kernel panic").map_err(|_| Fault::NoKvm(String::new()))?;
    Ok(match console.wait(&panic, PATIENCE) {
        Ok(_) => None,
        Err(statify_vm::Error::Stopped { .. }) => {
            Some(format!("QEMU with {DEVICE} ends before the kernel says a word"))
        }
        Err(_) => Some(format!("a kernel that is started with {DEVICE} does nothing")),
    })
}
