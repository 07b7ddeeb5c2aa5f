//! The clock and the alarms: the host's monotonic clock, and a deadline that a halt observes.

use super::{cpu, sim};
use crate::{
    cpu::{CpuId, MAX_CPUS},
    time::{Instant, TscClock},
};
use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// The host's clocks at the first look at the time, which counts as the moment of boot.
struct Boot {
    monotonic: std::time::Instant,
    wall: Duration,
}

static BOOT: OnceLock<Boot> = OnceLock::new();

/// When each CPU's alarm is due, in nanoseconds since boot.
static ALARMS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(NEVER) }; MAX_CPUS];

const NEVER: u64 = u64::MAX;

fn boot() -> &'static Boot {
    BOOT.get_or_init(|| Boot {
        monotonic: std::time::Instant::now(),
        // A host clock before 1970 is as good as none.
        wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    })
}

pub(crate) fn now() -> Instant {
    if sim::active() {
        return sim::now();
    }
    Instant::from_nanos(0).saturating_add(boot().monotonic.elapsed())
}

pub(crate) fn boot_wall_clock() -> Duration {
    if sim::active() {
        return sim::WALL_CLOCK;
    }
    boot().wall
}

/// Programs get the clock by a system call: the host's counter is not known to be stable.
pub(crate) fn tsc_clock() -> Option<TscClock> {
    None
}

pub(crate) fn set_alarm(at: Option<Instant>) {
    let ns = at.map_or(NEVER, |at| at.as_nanos().min(NEVER - 1));
    ALARMS[cpu::current().index()].store(ns, Ordering::Relaxed);
}

pub(crate) fn alarm_is_set() -> bool {
    ALARMS[cpu::current().index()].load(Ordering::Relaxed) != NEVER
}

/// Forgets the alarm of `id`: it went off, or another thread is this CPU now.
pub(super) fn clear_alarm(id: CpuId) {
    ALARMS[id.index()].store(NEVER, Ordering::Relaxed);
}

/// The time left until the alarm of `id`, zero if it is due; `None` if there is none.
pub(super) fn until_alarm(id: CpuId) -> Option<Duration> {
    match ALARMS[id.index()].load(Ordering::Relaxed) {
        NEVER => None,
        at => Some(Instant::from_nanos(at) - now()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward() {
        let first = now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(now() - first >= Duration::from_millis(2));
    }

    #[test]
    fn boot_was_in_this_century() {
        assert!(boot_wall_clock() > Duration::from_secs(978_307_200));
    }
}
