//! Storms in a machine: the program `bench/user/stress.c`, which compares what the kernel holds
//! before and after.

use crate::{initramfs::Initramfs, machine::Machine, paths, session::Session};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path, process::Command, time::Duration};

/// How long the machine may take to boot, and everything to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Written before the program's exit status.
const MARK: &str = "@stress ";

/// Runs the storms for `seconds` in `machine`, to which the files are added; returns what the
/// program said. Images and the log go to `work`.
///
/// # Errors
/// A storm's check failed, something was left over, or the machine did not come to the end.
pub fn run(machine: &Machine, work: &Path, seconds: u32) -> Result<String> {
    fs::create_dir_all(work).with_context(|| format!("making {}", work.display()))?;
    let mut image = Initramfs::with_busybox(None)?;
    let binary = work.join("stress");
    build(&binary)?;
    image.file("bin/stress", 0o755, fs::read(&binary)?);
    image.program("init", &script(seconds));
    let initrd = work.join("stress.cpio");
    fs::write(&initrd, image.to_bytes()?)?;
    let machine = Machine { initrd: Some(initrd), ..machine.clone() };
    let mut session = Session::boot(&machine, Some(work.join("stress.log")))?;
    let limit = PATIENCE + Duration::from_secs(u64::from(seconds) * 2);
    let said = session.expect_within(MARK, limit)?.replace('\r', "");
    let status = session.expect("\n")?;
    session.end(PATIENCE)?;
    match status.trim() {
        "0" => Ok(said),
        status => bail!("it ended with {status}:\n{said}"),
    }
}

fn build(binary: &Path) -> Result<()> {
    let source = paths::source().join("bench/user/stress.c");
    let status = Command::new("musl-gcc")
        .args(["-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([binary, source.as_path()])
        .status()
        .context("cannot run musl-gcc; `make setup` installs it (musl-tools)")?;
    if status.success() { Ok(()) } else { bail!("{} does not compile", source.display()) }
}

/// Init's script: what the program needs mounted, the program, the end.
fn script(seconds: u32) -> String {
    format!(
        "#!/bin/sh\nmount -t proc proc /proc\nmount -t devtmpfs dev /dev 2>/dev/null\n\
         mkdir -p /dev/pts /tmp\nmount -t devpts devpts /dev/pts\nmount -t tmpfs tmp /tmp\n\
         /bin/stress {seconds}\necho \"{MARK}$?\"\npoweroff -f\n"
    )
}
