//! `jinux test`: every check and every test of the tree, counted in one last line.

mod busybox;
mod cases;
mod guest;
mod host;
mod interactive;
mod native;
mod programs;
mod report;

use anyhow::{Context, Result};
use clap::ValueEnum;
use std::{fs, path::PathBuf};

use crate::{
    machine::{Kind, Machine},
    paths,
};
use report::Report;

/// What can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Formatting and lints.
    Check,
    /// The tests of every crate on the host, `tidy` among them.
    Host,
    /// The test programs, here on Linux and in the machine.
    Programs,
    /// The table of busybox commands, here on Linux and in the machine.
    Busybox,
    /// The interactive shell: job control, editors, signals from the keyboard.
    Interactive,
}

/// What to run, and with which kernel.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The suites; none means all.
    pub suites: Vec<Suite>,
    /// Only the cases of the machine's suites whose name contains this.
    pub filter: Option<String>,
    /// Another kernel than the one of this tree, to check the tests themselves.
    pub kernel: Option<PathBuf>,
    /// Number of CPUs of the machine.
    pub smp: u32,
}

impl Options {
    fn wants(&self, suite: Suite) -> bool {
        self.suites.is_empty() || self.suites.contains(&suite)
    }

    fn selects(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}

/// Runs the tests; the status to exit with is 0 if all passed.
///
/// # Errors
/// Something other than a test failed: a program to run the tests with is missing.
pub fn run(options: &Options) -> Result<u8> {
    let mut report = Report::new();
    if options.wants(Suite::Check) {
        host::check(&mut report);
    }
    if options.wants(Suite::Host) {
        host::tests(&mut report);
    }
    let machine_suites = [Suite::Programs, Suite::Busybox, Suite::Interactive];
    if machine_suites.into_iter().any(|suite| options.wants(suite)) {
        in_machine(options, &mut report)?;
    }
    Ok(report.finish())
}

/// The suites that need the kernel's image.
fn in_machine(options: &Options, report: &mut Report) -> Result<()> {
    let kernel = match &options.kernel {
        Some(kernel) => kernel.clone(),
        None if host::build(report) => paths::kernel(),
        None => return Ok(()),
    };
    let work = work_directory()?;
    let machine = Machine {
        kernel,
        initrd: None,
        disks: vec![],
        // no5lvl: Linux then has the address space of the host's.
        append: "console=ttyS0 quiet panic=-1 no5lvl".into(),
        kind: Kind::Q35,
        smp: options.smp,
        memory: "512M".into(),
        extra: vec![],
    };
    if options.wants(Suite::Programs) {
        programs::run(options, &machine, &work, report)?;
    }
    if options.wants(Suite::Busybox) {
        busybox::run(options, &machine, &work, report)?;
    }
    if options.wants(Suite::Interactive) {
        interactive::run(options, &machine, &work, report)?;
    }
    Ok(())
}

/// Where images, binaries and logs of the tests go.
fn work_directory() -> Result<PathBuf> {
    let work = paths::target().join("test");
    fs::create_dir_all(&work).with_context(|| format!("creating {}", work.display()))?;
    Ok(work)
}
