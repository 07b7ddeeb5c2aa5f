//! What a parent learns about its children (wait(2)).

use super::{ExitStatus, Process, Usage, UsageOf};
use abi::{Errno, Pid, Result, Signal};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// Which children are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    Any,
    /// The one with this number.
    Pid(Pid),
    /// Those of this process group.
    Group(Pid),
}

bitflags::bitflags! {
    /// Which changes are waited for, of which kind of child.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct WaitFor: u32 {
        /// `WNOHANG`: do not wait.
        const NO_HANG = 1;
        /// `WUNTRACED`, `WSTOPPED`: stops.
        const STOPPED = 2;
        /// `WEXITED`: ends.
        const EXITED = 4;
        /// `WCONTINUED`: continuations.
        const CONTINUED = 8;
        /// `WNOWAIT`: the change can be waited for again.
        const NO_WAIT = 0x0100_0000;
        /// `__WNOTHREAD`: only children of this thread; all are of the process here.
        const NO_THREAD = 0x2000_0000;
        /// `__WALL`: whatever their exit signal.
        const ALL = 0x4000_0000;
        /// `__WCLONE`: those whose exit signal is not SIGCHLD.
        const CLONE = 0x8000_0000;
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// Which children.
    pub which: Which,
    /// Which changes.
    pub options: WaitFor,
}

/// How a child changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It ended.
    Ended(ExitStatus),
    /// It was stopped.
    Stopped(Signal),
    /// It went on.
    Continued,
}

impl State {
    /// The word wait4(2) stores.
    pub fn to_wait_status(self) -> i32 {
        match self {
            Self::Ended(status) => status.to_wait_status(),
            Self::Stopped(signal) => i32::from(signal.number()) << 8 | 0x7f,
            Self::Continued => 0xffff,
        }
    }
}

/// A change of a child.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The child.
    pub pid: Pid,
    /// Its real user.
    pub uid: u32,
    /// What happened.
    pub state: State,
    /// What it and its waited-for children used.
    pub usage: Usage,
}

impl Process {
    /// Takes the first change of a child that is waited for.
    ///
    /// # Errors
    /// - `ECHILD`: there is no such child.
    pub fn try_wait(self: &Arc<Self>, wait: &Wait) -> Result<Option<Change>> {
        // The table's lock: nobody else takes the same change, or gives children away.
        let entries = self.system.pids.lock();
        let children = self.family.lock().children.clone();
        let mut any = false;
        let mut found = None;
        for child in children.iter().filter(|child| is_meant(child, wait)) {
            // Of a child that has ended, only its end is waited for.
            any |= wait.options.contains(WaitFor::EXITED) || child.threads.lock().ended.is_none();
            if let Some(state) = take_change(child, wait.options) {
                found = Some((child, state));
                break;
            }
        }
        drop(entries);
        let Some((child, state)) = found else {
            return if any { Ok(None) } else { Err(Errno::ECHILD) };
        };
        let mut usage = child.usage(UsageOf::Process);
        usage += child.usage(UsageOf::Children);
        let change = Change { pid: child.pid, uid: child.credentials().uid, state, usage };
        if matches!(state, State::Ended(_)) && !wait.options.contains(WaitFor::NO_WAIT) {
            self.usage.lock().children += usage;
            child.reap();
        }
        Ok(Some(change))
    }
}

fn is_meant(child: &Process, wait: &Wait) -> bool {
    let which = match wait.which {
        Which::Any => true,
        Which::Pid(pid) => child.pid == pid,
        Which::Group(pid) => child.group().pid == pid,
    };
    let is_clone = child.exit_signal.load(Ordering::Relaxed) != Signal::CHLD.number();
    which
        && (wait.options.contains(WaitFor::ALL)
            || is_clone == wait.options.contains(WaitFor::CLONE))
}

/// Takes a change of `child` that is among `options`, or leaves it with `NO_WAIT`.
fn take_change(child: &Process, options: WaitFor) -> Option<State> {
    let mut threads = child.threads.lock();
    if let Some(status) = threads.ended {
        if !options.contains(WaitFor::EXITED) || threads.reaped {
            return None;
        }
        // The next one who looks, before the zombie is gone, must not find it.
        threads.reaped = !options.contains(WaitFor::NO_WAIT);
        return Some(State::Ended(status));
    }
    drop(threads);
    let mut signals = child.signals.lock();
    let stop = &mut signals.stop;
    let keep = options.contains(WaitFor::NO_WAIT);
    if options.contains(WaitFor::STOPPED)
        && let Some(signal) = stop.stop_report
        && !stop.stop_reported
    {
        stop.stop_reported = !keep;
        return Some(State::Stopped(signal));
    }
    if options.contains(WaitFor::CONTINUED) && stop.continue_report {
        stop.continue_report = keep;
        return Some(State::Continued);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::State;
    use abi::Signal;

    #[test]
    fn stops_and_continuations_are_encoded() {
        assert_eq!(State::Stopped(Signal::STOP).to_wait_status(), 0x137f);
        assert_eq!(State::Continued.to_wait_status(), 0xffff);
    }
}
