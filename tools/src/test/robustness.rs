//! Bad input, and programs that try to bring the machine down.
//!
//! Each case boots a machine of its own. It must end with a known status and one line that names
//! the cause, or go on as if nothing had been; it never panics and never hangs.

mod boot;
mod elf;
mod guest;

use anyhow::{Result, bail};
use std::{fs, path::Path, time::Duration};

use super::{Options, Site, report::Report};
use crate::{machine::Machine, session::Session};

/// How long a machine may take to its end.
const LIMIT: Duration = Duration::from_secs(30);

/// What no console may show.
const PANIC: &str = "panicked";

/// A machine to boot, and how that must end.
struct Case {
    name: String,
    initrd: Option<Vec<u8>>,
    append: String,
    memory: &'static str,
    end: End,
}

/// How a machine ends.
enum End {
    /// The kernel gives up (QEMU's status is 3) with exactly one line that contains this.
    Stops(String),
    /// Init ends with this status, as a shell has it, and one line contains this.
    Init(u8, String),
    /// Init runs and says this; then the machine is off.
    Says(String),
}

impl Case {
    /// A machine with this image, of 512 MiB, with nothing on its command line.
    fn new(name: &str, initrd: Option<Vec<u8>>, end: End) -> Self {
        Self { name: name.into(), initrd, append: String::new(), memory: "512M", end }
    }

    fn append(mut self, words: impl Into<String>) -> Self {
        self.append = words.into();
        self
    }

    fn memory(mut self, size: &'static str) -> Self {
        self.memory = size;
        self
    }

    fn check(&self, site: &Site) -> Result<()> {
        let file = self.name.replace('/', "-");
        let initrd = site.work.join(format!("robustness.{file}.cpio"));
        if let Some(image) = &self.initrd {
            fs::write(&initrd, image)?;
        }
        let machine = Machine {
            initrd: self.initrd.is_some().then(|| initrd.clone()),
            append: format!("console=ttyS0 quiet {}", self.append),
            memory: self.memory.into(),
            ..site.machine.clone()
        };
        let log = site.work.join(format!("robustness.{file}.log"));
        let result = self.end_of(&machine, &log);
        if self.initrd.is_some() {
            fs::remove_file(initrd)?;
        }
        result
    }

    fn end_of(&self, machine: &Machine, log: &Path) -> Result<()> {
        let (status, text) = Session::boot(machine, Some(log.into()))?.end(LIMIT)?;
        let (wanted, line) = match &self.end {
            End::Stops(line) => (3, line),
            // The device's exit status is twice the value and one, in eight bits.
            End::Init(0, line) | End::Says(line) => (0, line),
            End::Init(status, line) => (2 * i32::from((*status).min(127)) + 1, line),
        };
        let lines = text.lines().filter(|text| text.contains(line.as_str())).count();
        let lines = if line.is_empty() && text.is_empty() { 1 } else { lines };
        let right = status.code() == Some(wanted) && lines == 1 && !text.contains(PANIC);
        if !right {
            bail!(
                "QEMU ended with {status}, not {wanted}; {lines} lines contain {line:?}:\n{}",
                text.trim_end()
            );
        }
        Ok(())
    }
}

/// Runs the cases on one machine.
pub(super) fn run(options: &Options, site: &Site, work: &Path, report: &Report) -> Result<()> {
    let mut cases = boot::cases()?;
    cases.extend(elf::cases()?);
    for case in cases {
        let name = format!("robustness::{}", case.name);
        if options.selects(&name) {
            report.case(&site.name(&name), || case.check(site));
        }
    }
    guest::run(options, site, work, report)
}
