//! What the modelled parts call in the scheduler, which no model contains.

pub(crate) fn waiting_for(_what: &'static str) {}

pub(crate) fn synchronously<T>(wake: impl FnOnce() -> T) -> T {
    wake()
}
