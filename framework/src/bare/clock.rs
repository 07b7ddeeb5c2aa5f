//! The clock: the time stamp counter, calibrated at boot.
use crate::time::{Instant, TscClock};
use core::time::Duration;

pub(crate) fn now() -> Instant {
    unimplemented!()
}

pub(crate) fn boot_wall_clock() -> Duration {
    unimplemented!()
}

pub(crate) fn tsc_clock() -> Option<TscClock> {
    unimplemented!()
}

pub(crate) fn set_alarm(_at: Option<Instant>) {
    unimplemented!()
}
