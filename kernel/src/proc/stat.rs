//! `/proc/PID/stat` and `/proc/PID/statm`: a process as one line of numbers.

use super::{full, target::Target};
use crate::{
    memory::Layout,
    process::{ExitStatus, Process, Usage, UsageOf},
    thread::Tcb,
};
use abi::Result;
use alloc::sync::Arc;
use core::{fmt, sync::atomic::Ordering::Relaxed, time::Duration};
use executor::Policy;
use framework::PAGE_SIZE;
use fs::Caller;

/// What a process is doing, as `ps` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Sleeping,
    Stopped,
    Zombie,
}

impl State {
    /// The state of a thread of `process`.
    pub(super) fn of(process: &Process, thread: Option<&Tcb>) -> Self {
        let Some(thread) = thread else { return Self::Zombie };
        let state = thread.task().map(executor::TaskRef::state);
        let running = matches!(state, Some(executor::State::Running | executor::State::Ready));
        let stopping = process.signals.lock().stop.signal.is_some();
        match (running, stopping) {
            (true, _) => Self::Running,
            (false, true) => Self::Stopped,
            (false, false) => Self::Sleeping,
        }
    }

    pub(super) const fn letter(self) -> char {
        match self {
            Self::Running => 'R',
            Self::Sleeping => 'S',
            Self::Stopped => 'T',
            Self::Zombie => 'Z',
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Running => "R (running)",
            Self::Sleeping => "S (sleeping)",
            Self::Stopped => "T (stopped)",
            Self::Zombie => "Z (zombie)",
        }
    }
}

/// Clock ticks of a hundredth of a second.
pub(super) fn ticks(time: Duration) -> u128 {
    time.as_nanos() / 10_000_000
}

/// Priority and nice value as `stat` shows them, real-time priority, and policy number.
pub(super) fn scheduling(thread: Option<&Tcb>) -> (i32, i32, u8, u8) {
    let Some(task) = thread.and_then(Tcb::task) else { return (20, 0, 0, 0) };
    let nice = i32::from(task.nice());
    let policy = task.policy();
    let real_time = policy.priority().unwrap_or(0);
    let number = match policy {
        Policy::Fair => 0,
        Policy::Fifo(_) => 1,
        Policy::RoundRobin(_) => 2,
        Policy::Batch => 3,
        Policy::Idle => 5,
    };
    let priority = if real_time > 0 { -1 - i32::from(real_time) } else { 20 + nice };
    (priority, nice, real_time, number)
}

/// Device number of the controlling terminal, 0 for none, and its foreground group, -1 for none.
fn terminal(process: &Process) -> (u64, i32) {
    let Some(tty) = process.session().tty() else { return (0, -1) };
    let (major, minor) = tty.device();
    let control = crate::tty::Control::of(&tty);
    let foreground = control.and_then(|control| control.foreground());
    (
        fs::DeviceNumber::new(major, minor).to_raw(),
        foreground.map_or(-1, |group| group.pid.as_i32()),
    )
}

/// Flags of a task (`PF_*`), as far as they mean something here.
fn flags(process: &Process) -> u32 {
    const EXITING: u32 = 0x4;
    const FORKED_WITHOUT_EXEC: u32 = 0x40;
    const RANDOMIZE: u32 = 0x40_0000;
    let mut flags = 0;
    if process.is_zombie() {
        flags |= EXITING;
    }
    if !process.has_executed() {
        flags |= FORKED_WITHOUT_EXEC;
    }
    if !process.has_fixed_layout() {
        flags |= RANDOMIZE;
    }
    flags
}

/// What the target used: one thread in `task`, else the whole process.
fn usage(target: &Target, process: &Process, thread: Option<&Tcb>) -> Usage {
    match (target.tid, thread) {
        (Some(_), Some(thread)) => thread.usage(),
        (Some(_), None) => Usage::default(),
        (None, _) => process.usage(UsageOf::Process),
    }
}

/// Pending and blocked signals, as the low 31 bits.
fn signals(process: &Process, thread: Option<&Tcb>) -> (u64, u64, u64, u64) {
    const LOW: u64 = 0x7fff_ffff;
    let pending = thread.map_or(0, |thread| thread.signals.lock().pending.set().bits());
    let blocked = thread.map_or(0, |thread| thread.blocked().bits());
    let (ignored, caught) = process.signal_dispositions();
    (pending & LOW, blocked & LOW, ignored.bits() & LOW, caught.bits() & LOW)
}

/// `/proc/PID/stat`.
///
/// Source: proc_pid_stat(5)
pub(super) fn show(target: &Target, out: &mut dyn fmt::Write, caller: &Caller<'_>) -> Result<()> {
    let process = target.process()?;
    let thread = target.thread();
    let permitted = target.is_open_to(caller);
    write_identity(target, &process, thread.as_deref(), out)
        .and_then(|()| write_times(target, &process, thread.as_deref(), out))
        .and_then(|()| write_memory(target, permitted, out))
        .and_then(|()| write_rest(target, &process, thread.as_ref(), permitted, out))
        .map_err(full)
}

/// Fields 1 to 13.
fn write_identity(
    target: &Target,
    process: &Process,
    thread: Option<&Tcb>,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let state = State::of(process, thread).letter();
    let parent = process.parent_pid().map_or(0, abi::Pid::get);
    let (group, session) = (process.group().pid.get(), process.session().pid.get());
    let (tty, foreground) = terminal(process);
    let used = usage(target, process, thread);
    let children = process.usage(UsageOf::Children);
    write!(out, "{} ({}) {state} ", target.number().get(), process.name())?;
    write!(out, "{parent} {group} {session} {tty} {foreground} {} ", flags(process))?;
    write!(out, "{} {} ", used.minor_faults, children.minor_faults)?;
    write!(out, "{} {} ", used.major_faults, children.major_faults)
}

/// Fields 14 to 22.
fn write_times(
    target: &Target,
    process: &Process,
    thread: Option<&Tcb>,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let used = usage(target, process, thread);
    let children = process.usage(UsageOf::Children);
    write!(out, "{} {} ", ticks(used.user), ticks(used.system))?;
    write!(out, "{} {} ", ticks(children.user), ticks(children.system))?;
    let (priority, nice, ..) = scheduling(thread);
    let threads = process.live_threads().len();
    let started = match (target.tid, thread) {
        (Some(_), Some(thread)) => thread.started,
        _ => process.started,
    };
    write!(out, "{priority} {nice} {threads} 0 {} ", started.as_nanos() / 10_000_000)
}

/// Fields 23 to 30.
fn write_memory(target: &Target, permitted: bool, out: &mut dyn fmt::Write) -> fmt::Result {
    let Some(memory) = target.memory() else {
        return write!(out, "0 0 {} 0 0 0 0 0 ", u64::MAX);
    };
    let usage = memory.usage();
    let limit =
        target.process().map_or(u64::MAX, |process| process.limit(crate::process::Resource::Rss));
    write!(out, "{} {} {limit} ", usage.totals.mapped * PAGE_SIZE, usage.resident)?;
    if permitted {
        let layout = memory.layout();
        let (start, end) = layout.code;
        write!(out, "{} {} {} 0 0 ", start.get(), end.get(), layout.stack_start.get())
    } else {
        out.write_str("1 1 0 0 0 ")
    }
}

/// Fields 31 to 52.
fn write_rest(
    target: &Target,
    process: &Process,
    thread: Option<&Arc<Tcb>>,
    permitted: bool,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let thread = thread.map(|thread| &**thread);
    let (pending, blocked, ignored, caught) = signals(process, thread);
    let waits = State::of(process, thread) == State::Sleeping;
    write!(out, "{pending} {blocked} {ignored} {caught} {} 0 0 ", u8::from(waits))?;
    let exit_signal = match target.tid {
        Some(tid) if tid != process.pid => -1,
        _ => i32::from(process.exit_signal.load(Relaxed)),
    };
    let cpu = thread.and_then(Tcb::task).map_or(0, |task| task.cpu().index());
    let (_, _, real_time, policy) = scheduling(thread);
    write!(out, "{exit_signal} {cpu} {real_time} {policy} 0 0 0 ")?;
    match target.memory().filter(|_| permitted) {
        Some(memory) => write_places(&memory.layout(), out)?,
        None => out.write_str("0 0 0 0 0 0 0 ")?,
    }
    let status = process.threads.lock().ended.filter(|_| permitted);
    writeln!(out, "{}", status.map_or(0, ExitStatus::to_wait_status))
}

fn write_places(layout: &Layout, out: &mut dyn fmt::Write) -> fmt::Result {
    let pairs = [layout.data, (layout.break_start, layout.arguments.0)];
    let [(data_start, data_end), (heap, arguments)] = pairs;
    write!(out, "{} {} {} {} ", data_start.get(), data_end.get(), heap.get(), arguments.get())?;
    let (start, end) = layout.environment;
    write!(out, "{} {} {} ", layout.arguments.1.get(), start.get(), end.get())
}

/// `/proc/PID/statm`.
///
/// Source: proc_pid_statm(5)
pub(super) fn show_memory(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    target.process()?;
    let Some(memory) = target.memory() else {
        return out.write_str("0 0 0 0 0 0 0\n").map_err(full);
    };
    let usage = memory.usage();
    let layout = memory.layout();
    let code =
        (layout.code.1.get().next_multiple_of(PAGE_SIZE) - layout.code.0.page().get()) / PAGE_SIZE;
    let data = usage.totals.data + usage.totals.stack;
    let shared = memory.shared_pages();
    let (mapped, resident) = (usage.totals.mapped, usage.resident);
    writeln!(out, "{mapped} {resident} {shared} {code} 0 {data} 0").map_err(full)
}
