//! Faults of the kernel itself, in an image made for them: each ends in the whole report.
//!
//! What is wrong, where (with names), which tasks there are; then the machine is off, with the
//! status of a panic. A triple fault or a hang would be neither.

use anyhow::{Result, bail, ensure};
use std::{fs, path::Path, process::Command, time::Duration};

use super::{Options, Site, report::Report};
use crate::{
    initramfs::Initramfs,
    machine::{Kind, Machine, exit_status},
    paths,
    session::Session,
    symbols,
};

/// How long a machine may take.
const LIMIT: Duration = Duration::from_secs(30);
/// What the image is built for.
const BARE: &str = "x86_64-unknown-none";
/// The status of a panic.
const PANIC: u8 = 101;

/// What is done, what the report says of it, and a function of its backtrace; a jump to where no code
/// is leaves no frame, so its caller's caller is the first.
const FAULTS: &[(&str, &str, &str)] = &[
    ("panic", "as it was asked to", "sabotage"),
    // The error code of a page fault (SDM 3A, 4.7): 1 it is mapped, 2 a store, 0x10 a fetch.
    ("write-code", "error 0x3", "store"),
    ("write-constant", "error 0x3", "store"),
    ("write-nowhere", "page fault in kernel mode at 0x10, error 0x2", "store"),
    ("run-heap", "error 0x11", "sabotage"),
    ("run-stack", "error 0x11", "sabotage"),
    ("read-user", "page fault in kernel mode at 0x100000, error 0x1", "load"),
    ("write-user", "page fault in kernel mode at 0x100000, error 0x3", "store"),
    ("run-user", "page fault in kernel mode at 0x100000, error 0x11", "sabotage"),
    ("stack", "double fault, as a full kernel stack causes it", "deeper"),
    ("bad-opcode", "exception 6 in kernel mode", "sabotage"),
];

/// Builds the image and boots it once for each fault, on two machines.
pub(super) fn run(options: &Options, work: &Path, report: &Report) -> Result<()> {
    report.doing("building the image with faults");
    let image = work.join("faults.elf");
    if !report.case("faults::image", || build(&image)) {
        return Ok(());
    }
    for (kind, smp) in [(Kind::Q35, 4), (Kind::Microvm, 1)] {
        let site = Site::new(&image, kind, smp, work)?;
        let mut root = Initramfs::with_busybox(None)?;
        root.program("init", "#!/bin/sh\nsleep 100\n");
        let machine = site.machine_with("faults", &root)?;
        for (fault, says, function) in FAULTS {
            // The last CPU, so that where there are several it is not the one that booted.
            let append = format!("{} fault={fault} cpu={}", machine.append, smp - 1);
            let name = format!("faults::{fault}");
            if options.selects(&name) {
                let machine = Machine { append, ..machine.clone() };
                let log = site.work.join(format!("faults-{fault}.log"));
                report.case(&site.name(&name), || check(&machine, &log, says, function));
            }
        }
    }
    Ok(())
}

fn build(image: &Path) -> Result<()> {
    let output = Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", "faults", "--target", BARE])
        .current_dir(paths::source())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if image.exists() {
        fs::remove_file(image)?;
    }
    symbols::install(&paths::target().join(BARE).join("release/jinux-faults"), image)
}

fn check(machine: &Machine, log: &Path, says: &str, function: &str) -> Result<()> {
    let (status, text) = Session::boot(machine, Some(log.into()))?.end(LIMIT)?;
    let status = exit_status(status)?;
    let lines = |wanted: &str| text.lines().filter(|line| line.contains(wanted)).count();
    let named = format!("::{function}+0x");
    let wanted = [("kernel panicked at", 1), (says, 1), ("cpu ", 1), ("panic in a panic", 0)];
    for (wanted, count) in wanted {
        if lines(wanted) != count {
            bail!("{} lines, not {count}, contain {wanted:?}:\n{text}", lines(wanted));
        }
    }
    for wanted in [&named, "saboteur", "init", "Waiting"] {
        ensure!(lines(wanted) > 0, "no line contains {wanted:?}:\n{text}");
    }
    ensure!(status == PANIC, "the status is {status}");
    Ok(())
}
