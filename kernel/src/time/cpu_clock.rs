//! CPU time as a clock for timers: `ITIMER_VIRTUAL`, `ITIMER_PROF`, timers on CPU clocks and
//! `RLIMIT_CPU`.
//!
//! Nothing is due at a known moment: CPU time passes only while threads run. So a timer looks again
//! when it could be due at the earliest, had every CPU run the process since; and while the process
//! sleeps, ever less often.

use crate::{process::Process, thread::Tcb};
use alloc::sync::{Arc, Weak};
use core::time::Duration;
use framework::Instant;

/// How exact CPU timers are: a tick of Linux with `HZ=250`.
const TICK: Duration = Duration::from_millis(4);
/// How rarely a timer of a process that sleeps looks.
const RAREST: Duration = Duration::from_millis(32);

/// Whose CPU time it is, and which.
#[derive(Clone, Debug)]
pub enum CpuClock {
    /// A process's time in user mode.
    User(Weak<Process>),
    /// All of a process's time.
    Process(Weak<Process>),
    /// All of a thread's time.
    Thread(Weak<Tcb>),
}

impl CpuClock {
    /// The time used so far; `None` once who used it is gone.
    pub fn used(&self) -> Option<Duration> {
        match self {
            Self::User(process) => process.upgrade().map(|process| process.user_time()),
            Self::Process(process) => process.upgrade().map(|process| process.cpu_time()),
            Self::Thread(thread) => thread.upgrade().map(|thread| thread.cpu_time()),
        }
    }

    /// The time used so far as the moment of a clock that starts at zero.
    pub fn now(&self) -> Instant {
        let used = self.used().unwrap_or_default();
        Instant::from_nanos(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Brings the accounts up to date: time in user mode is charged when it ends.
    pub fn charge(&self) {
        let charge = |thread: &Arc<Tcb>| {
            if let Some(task) = thread.task() {
                framework::cpu::kick(task.cpu());
            }
        };
        match self {
            Self::User(process) | Self::Process(process) => {
                let process = process.upgrade();
                process.iter().flat_map(|process| process.live_threads()).for_each(|t| charge(&t));
            }
            Self::Thread(thread) => thread.upgrade().iter().for_each(charge),
        }
    }

    /// When to look again for `left` to have passed, given the last pause and whether time passed
    /// in it; the pause is the second value.
    pub fn next_look(
        &self,
        left: Duration,
        last_pause: Duration,
        idle: bool,
    ) -> (Instant, Duration) {
        let cpus = match self {
            Self::Thread(_) => 1,
            _ => u32::try_from(framework::cpu::count()).unwrap_or(u32::MAX).max(1),
        };
        let pause = if idle { (last_pause * 2).clamp(TICK, RAREST) } else { TICK };
        let pause = pause.max(left / cpus);
        (framework::time::now().saturating_add(pause), pause.min(RAREST))
    }
}
