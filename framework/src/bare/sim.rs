//! Nothing is simulated here.

use crate::sim::Choice;

pub(crate) const fn active() -> bool {
    false
}

pub(crate) const fn choose(_what: Choice, _n: u32) -> Option<u32> {
    None
}

pub(crate) const fn wakes_for_nothing() -> bool {
    false
}

pub(crate) const fn set_probe(_on: bool) {}

pub(crate) const fn spend(_time: core::time::Duration) {}

pub(crate) const fn progress() {}

pub(crate) const fn progress_count() -> u64 {
    0
}

pub(crate) const fn fail(_what: core::fmt::Arguments<'_>) {}

pub(crate) const fn has_failed() -> bool {
    false
}
