//! `/proc/PID/{limits,personality,oom_score,oom_score_adj}`: what can be set about a process.

use super::{full, target::Target};
use crate::process::{INFINITY, Process, Resource};
use abi::{Errno, Result};
use alloc::{format, string::String, sync::Arc};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use fs::{
    Caller, Capabilities,
    generated::{Body, Content, Written},
};

/// Title and unit of each resource, in the order of `limits`.
const LIMITS: [(Resource, &str, &str); 16] = [
    (Resource::Cpu, "Max cpu time", "seconds"),
    (Resource::FileSize, "Max file size", "bytes"),
    (Resource::Data, "Max data size", "bytes"),
    (Resource::Stack, "Max stack size", "bytes"),
    (Resource::Core, "Max core file size", "bytes"),
    (Resource::Rss, "Max resident set", "bytes"),
    (Resource::Processes, "Max processes", "processes"),
    (Resource::Files, "Max open files", "files"),
    (Resource::LockedMemory, "Max locked memory", "bytes"),
    (Resource::AddressSpace, "Max address space", "bytes"),
    (Resource::Locks, "Max file locks", "locks"),
    (Resource::PendingSignals, "Max pending signals", "signals"),
    (Resource::MessageQueue, "Max msgqueue size", "bytes"),
    (Resource::Nice, "Max nice priority", ""),
    (Resource::RealtimePriority, "Max realtime priority", ""),
    (Resource::RealtimeTime, "Max realtime timeout", "us"),
];

/// `/proc/PID/limits`.
///
/// Source: proc_pid_limits(5)
pub(super) fn limits(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    let limits = *target.process()?.limits.lock();
    let text = |value: u64| match value {
        INFINITY => String::from("unlimited"),
        value => format!("{value}"),
    };
    let title = ("Limit", "Soft Limit", "Hard Limit", "Units");
    writeln!(out, "{:<25} {:<20} {:<20} {:<10}", title.0, title.1, title.2, title.3)
        .and_then(|()| {
            LIMITS.iter().try_for_each(|(resource, name, unit)| {
                let limit = limits.get(*resource);
                let (soft, hard) = (text(limit.soft), text(limit.hard));
                write!(out, "{name:<25} {soft:<20} {hard:<20} ")?;
                if unit.is_empty() { writeln!(out) } else { writeln!(out, "{unit:<10}") }
            })
        })
        .map_err(full)
}

/// `/proc/PID/cgroup`: there is one group, the root, which all processes are in.
///
/// Source: cgroups(7)
pub(super) fn control_group(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    target.process()?;
    out.write_str("0::/\n").map_err(full)
}

/// `/proc/PID/personality`.
pub(super) fn personality(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    writeln!(out, "{:08x}", target.process()?.personality.load(Relaxed)).map_err(full)
}

/// `/proc/PID/oom_score`: what part of the memory it has, in thousandths, with the adjustment, on
/// Linux's scale of 0 to 2000.
///
/// Source: proc_pid_oom_score(5)
pub(super) fn oom_score(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    let process = target.process()?;
    let pages = target.memory().map_or(0, |memory| memory.badness());
    let total = framework::frame::stats().total.max(1);
    let adjustment = i64::from(process.oom_score_adjustment.load(Relaxed));
    let share = i64::try_from(pages * 1000 / total).unwrap_or(1000) + adjustment;
    let score = if adjustment == MIN { 0 } else { ((1000 + share) * 2 / 3).max(0) };
    writeln!(out, "{score}").map_err(full)
}

/// An adjustment that keeps the process from being chosen.
const MIN: i64 = -1000;
const MAX: i64 = 1000;

/// `/proc/PID/oom_score_adj`.
///
/// Source: proc_pid_oom_score_adj(5)
pub(super) fn oom_score_adjustment(target: Target) -> Body {
    Body::File(Arc::new(Adjustment(target)))
}

struct Adjustment(Target);

impl Content for Adjustment {
    fn show(&self, out: &mut dyn fmt::Write, _caller: &Caller<'_>) -> Result<()> {
        let process = self.0.process()?;
        writeln!(out, "{}", process.oom_score_adjustment.load(Relaxed)).map_err(full)
    }

    fn store(&self, bytes: &[u8], caller: &Caller<'_>) -> Result<Written> {
        let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
        let value: i64 = text.trim().parse().map_err(|_| Errno::EINVAL)?;
        if !(MIN..=MAX).contains(&value) {
            return Err(Errno::EINVAL);
        }
        let process = self.0.process()?;
        set_adjustment(&process, value, caller)?;
        Ok(Written::All)
    }
}

/// Only a privileged caller may make it less likely to be chosen than it was.
fn set_adjustment(process: &Process, value: i64, caller: &Caller<'_>) -> Result<()> {
    let old = i64::from(process.oom_score_adjustment.load(Relaxed));
    if value < old && !caller.capable(Capabilities::SYS_RESOURCE) {
        return Err(Errno::EACCES);
    }
    let value = i32::try_from(value).map_err(|_| Errno::EINVAL)?;
    process.oom_score_adjustment.store(value, Relaxed);
    Ok(())
}
