//! Clocks (clock_gettime(2)): monotonic since boot, and the wall clock as an offset to it.

use super::CpuClock;
use crate::thread::Thread;
use abi::{Errno, Events, Pid, Result};
use alloc::sync::Arc;
use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use executor::wait::{Listener, WaitQueue};
use framework::Instant;
use spin::Once;

/// What settimeofday(2) and its like added to the machine's own wall clock, in nanoseconds, modulo
/// 2^64. One for the machine: the wall clock is no namespace.
static ADJUSTMENT: AtomicU64 = AtomicU64::new(0);

/// The UNIX time at boot as the machine told it, in nanoseconds.
fn boot_wall_ns() -> u64 {
    static BOOT: Once<u64> = Once::new();
    *BOOT.call_once(|| nanos(framework::time::boot_wall_clock()))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The UNIX time now.
pub fn realtime() -> Duration {
    Duration::from_nanos(framework::time::now().as_nanos().wrapping_add(realtime_offset_ns()))
}

/// What to add to the monotonic clock for the UNIX time, in nanoseconds, modulo 2^64.
pub fn realtime_offset_ns() -> u64 {
    boot_wall_ns().wrapping_add(ADJUSTMENT.load(Ordering::Relaxed))
}

/// The UNIX time for time stamps of files.
pub fn realtime_coarse() -> fs::Timespec {
    let now = realtime();
    fs::Timespec::new(i64::try_from(now.as_secs()).unwrap_or(i64::MAX), now.subsec_nanos())
}

/// Sets the wall clock; sleepers until a wall-clock time look at it again.
pub fn set_realtime(time: Duration) {
    let wanted = nanos(time).wrapping_sub(framework::time::now().as_nanos());
    ADJUSTMENT.store(wanted.wrapping_sub(boot_wall_ns()), Ordering::Relaxed);
    // Without a page for it there is no vDSO either.
    let _ = crate::memory::vdso::set_wall_offset(realtime_offset_ns());
    CHANGED.wake_all(Events::IN.bits());
}

/// Woken when the wall clock is set.
static CHANGED: WaitQueue = WaitQueue::new();

/// Woken when the wall clock is set, for who observes it.
pub(super) fn wall_clock_changes() -> &'static WaitQueue {
    &CHANGED
}

/// Completes when the wall clock is set after this call.
pub fn wall_clock_change() -> Listener<'static> {
    CHANGED.listen(Events::IN.bits(), false)
}

/// A clock a program can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The wall clock.
    Realtime,
    /// Time since boot; there is no suspend, so boot time is the same.
    Monotonic,
    /// CPU time of a process; none is the caller's own.
    ProcessCpu(Option<Pid>),
    /// CPU time of a thread; none is the caller.
    ThreadCpu(Option<Pid>),
}

/// The kinds of CPU clocks in the low bits of a negative clock number.
const CPU_CLOCK_MASK: i32 = 3;
const CPU_CLOCK_THREAD: i32 = 4;

impl Clock {
    /// The clock with this number.
    ///
    /// # Errors
    /// - `EINVAL`: there is none.
    pub fn new(number: i32) -> Result<Self> {
        match number {
            // Realtime, its coarse form, its alarm form; TAI without a known offset is UTC.
            0 | 5 | 8 | 11 => Ok(Self::Realtime),
            // Monotonic, raw, coarse, boot time and its alarm form.
            1 | 4 | 6 | 7 | 9 => Ok(Self::Monotonic),
            2 => Ok(Self::ProcessCpu(None)),
            3 => Ok(Self::ThreadCpu(None)),
            _ if number < 0 && number & CPU_CLOCK_MASK != CPU_CLOCK_MASK => {
                let pid = Pid::new(!(number >> 3));
                if number & CPU_CLOCK_THREAD != 0 {
                    Ok(Self::ThreadCpu(pid))
                } else {
                    Ok(Self::ProcessCpu(pid))
                }
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// The clock with this number, for who waits on it.
    ///
    /// # Errors
    /// - `EINVAL`: there is none.
    /// - `EOPNOTSUPP`: it is only read: raw and coarse ones.
    pub fn for_timers(number: i32) -> Result<Self> {
        match number {
            4..=6 => Err(Errno::EOPNOTSUPP),
            _ => Self::new(number),
        }
    }

    /// Whose CPU time this clock shows; none if it is no CPU clock.
    ///
    /// # Errors
    /// - `EINVAL`: there is no such process or thread.
    pub fn cpu_clock(self, thread: &Thread) -> Result<Option<CpuClock>> {
        let pids = &thread.system.pids;
        Ok(match self {
            Self::Realtime | Self::Monotonic => None,
            Self::ProcessCpu(None) => Some(CpuClock::Process(Arc::downgrade(thread.process()))),
            Self::ThreadCpu(None) => Some(CpuClock::Thread(Arc::downgrade(&thread.tcb))),
            Self::ProcessCpu(Some(pid)) => {
                let process = pids.process(pid).ok_or(Errno::EINVAL)?;
                Some(CpuClock::Process(Arc::downgrade(&process)))
            }
            Self::ThreadCpu(Some(pid)) => {
                let target = pids.thread(pid).ok_or(Errno::EINVAL)?;
                if !Arc::ptr_eq(&target.process, thread.process()) {
                    return Err(Errno::EINVAL);
                }
                Some(CpuClock::Thread(Arc::downgrade(&target)))
            }
        })
    }

    /// The time on this clock.
    ///
    /// # Errors
    /// - `EINVAL`: there is no such process or thread.
    pub fn now(self, thread: &Thread) -> Result<Duration> {
        let pids = &thread.system.pids;
        match self {
            Self::Realtime => Ok(realtime()),
            Self::Monotonic => Ok(Duration::from_nanos(framework::time::now().as_nanos())),
            Self::ProcessCpu(None) => Ok(thread.process().cpu_time()),
            Self::ThreadCpu(None) => Ok(thread.tcb.cpu_time()),
            Self::ProcessCpu(Some(pid)) => {
                pids.process(pid).map(|process| process.cpu_time()).ok_or(Errno::EINVAL)
            }
            Self::ThreadCpu(Some(pid)) => {
                let target = pids.thread(pid).ok_or(Errno::EINVAL)?;
                let own = Arc::ptr_eq(&target.process, thread.process());
                if own { Ok(target.cpu_time()) } else { Err(Errno::EINVAL) }
            }
        }
    }

    /// The moment the clock shows `time`; that of a CPU clock is one of its own.
    pub fn instant(self, time: Duration) -> Instant {
        match self {
            Self::Monotonic | Self::ProcessCpu(_) | Self::ThreadCpu(_) => {
                Instant::from_nanos(nanos(time))
            }
            Self::Realtime => {
                let offset = i128::from(realtime_offset_ns());
                let at = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX) - offset;
                Instant::from_nanos(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use abi::{Errno, Pid};

    #[test]
    fn numbers_of_cpu_clocks_hold_the_process() {
        // clock_getcpuclockid(1000): ~1000 << 3 | 2
        assert_eq!(Clock::new(!1000 << 3 | 2), Ok(Clock::ProcessCpu(Pid::new(1000))));
        assert_eq!(Clock::new(!1000 << 3 | 6), Ok(Clock::ThreadCpu(Pid::new(1000))));
        assert_eq!(Clock::new(-2), Ok(Clock::ThreadCpu(None)), "pthread_getcpuclockid of oneself");
        assert_eq!(Clock::new(10), Err(Errno::EINVAL));
        assert_eq!(Clock::new(-1), Err(Errno::EINVAL));
    }
}
