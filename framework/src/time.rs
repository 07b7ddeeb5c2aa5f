//! Time: a monotonic clock, one one-shot alarm for each CPU, and the wall clock's offset.

use crate::machine;
use core::{ops, time::Duration};

/// A moment on the monotonic clock: nanoseconds since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment `ns` nanoseconds after boot.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Adds, stopping at the end of time (584 years).
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl ops::Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

/// The time now.
pub fn now() -> Instant {
    machine::clock::now()
}

/// Sets or clears this CPU's one alarm: an interrupt at or soon after `at`, which ends user mode
/// and a halt. An earlier setting is forgotten.
pub fn set_alarm(at: Option<Instant>) {
    machine::clock::set_alarm(at);
}

/// Whether this CPU's alarm is set and has not come yet; it may be late.
pub fn alarm_is_set() -> bool {
    machine::clock::alarm_is_set()
}

/// The UNIX time at the moment of boot, as the machine's clock told it (UTC).
pub fn boot_wall_clock() -> Duration {
    machine::clock::boot_wall_clock()
}

/// How the clock reads the time stamp counter, for a vDSO:
/// `ns = base_ns + ((tsc - base_tsc) * mult) >> shift`.
#[derive(Clone, Copy, Debug)]
pub struct TscClock {
    /// Counter value at `base_ns`.
    pub base_tsc: u64,
    /// Nanoseconds since boot at `base_tsc`.
    pub base_ns: u64,
    /// Multiplier.
    pub mult: u32,
    /// Shift.
    pub shift: u32,
}

/// The clock's parameters; `None` where programs cannot read the counter.
pub fn tsc_clock() -> Option<TscClock> {
    machine::clock::tsc_clock()
}
