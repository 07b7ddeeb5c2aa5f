//! `/proc/PID/{mounts,mountinfo,mountstats}`: what is mounted where, as the process sees it.

use super::{full, target::Target};
use abi::{Errno, Result};
use alloc::vec::Vec;
use core::fmt;
use fs::{Caller, Listed};

/// The mounts below the process's root.
fn list(target: &Target) -> Result<Vec<Listed>> {
    let thread = target.thread().ok_or(Errno::EINVAL)?;
    let context = thread.view.lock().fs.clone().ok_or(Errno::EINVAL)?;
    Ok(target.system.mounts.list(&context.places().root))
}

/// `/proc/PID/mounts`.
///
/// Source: proc_pid_mounts(5)
pub(super) fn mounts(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    list(target)?.iter().try_for_each(|mount| mount.write_mounts(out)).map_err(full)
}

/// `/proc/PID/mountinfo`.
///
/// Source: proc_pid_mountinfo(5)
pub(super) fn mountinfo(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    list(target)?.iter().try_for_each(|mount| mount.write_mountinfo(out)).map_err(full)
}

/// `/proc/PID/mountstats`.
pub(super) fn mountstats(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    list(target)?
        .iter()
        .try_for_each(|listed| {
            let source = alloc::string::String::from_utf8_lossy(listed.mount.source());
            let point = alloc::string::String::from_utf8_lossy(&listed.point);
            let kind = listed.mount.super_block().file_system().name();
            writeln!(out, "device {source} mounted on {point} with fstype {kind}")
        })
        .map_err(full)
}
