//! `/proc/PID/sched` and `/proc/PID/wchan`: how a task is scheduled and what it waits for.

use super::{full, stat, target::Target};
use crate::thread::Tcb;
use abi::Result;
use core::fmt;
use fs::Caller;

/// `/proc/PID/sched`, as far as the scheduler has the same things to tell.
pub(super) fn show(target: &Target, out: &mut dyn fmt::Write, _caller: &Caller<'_>) -> Result<()> {
    let process = target.process()?;
    let Some(thread) = target.thread() else { return Ok(()) };
    let usage = thread.usage();
    let (priority, _, _, policy) = stat::scheduling(Some(&thread));
    let runtime = thread.cpu_time().as_nanos();
    let (millis, nanos) = (runtime / 1_000_000, runtime % 1_000_000);
    let switches = usage.voluntary_switches + usage.involuntary_switches;
    let number = target.number().get();
    let title =
        alloc::format!("{} ({number}, #threads: {})", thread.name(), process.live_threads().len());
    writeln!(out, "{title}\n{:-<67}", "")
        .and_then(|()| writeln!(out, "{:<45}:{millis:14}.{nanos:06}", "se.sum_exec_runtime"))
        .and_then(|()| writeln!(out, "{:<45}:{switches:21}", "nr_switches"))
        .and_then(|()| {
            writeln!(out, "{:<45}:{:21}", "nr_voluntary_switches", usage.voluntary_switches)
        })
        .and_then(|()| {
            writeln!(out, "{:<45}:{:21}", "nr_involuntary_switches", usage.involuntary_switches)
        })
        .and_then(|()| writeln!(out, "{:<45}:{policy:21}", "policy"))
        // The kernel's own scale: 100 more than `stat` shows.
        .and_then(|()| writeln!(out, "{:<45}:{:21}", "prio", priority + 100))
        .map_err(full)
}

/// `/proc/PID/wchan`: what the task waits for, as the wait says it; `0` if it does not wait.
///
/// Source: proc_pid_wchan(5)
pub(super) fn wait_channel(
    target: &Target,
    out: &mut dyn fmt::Write,
    caller: &Caller<'_>,
) -> Result<()> {
    target.process()?;
    let thread = target.thread().filter(|_| target.is_open_to(caller));
    let info = thread.as_deref().and_then(Tcb::task).map(executor::TaskRef::info);
    let wait = info.filter(|info| info.state == executor::State::Waiting).map(|info| info.wait);
    let wait = wait.filter(|wait| !wait.is_empty()).unwrap_or("0");
    // One word, as programs expect.
    wait.chars()
        .try_for_each(|letter| out.write_char(if letter == ' ' { '_' } else { letter }))
        .map_err(full)
}
