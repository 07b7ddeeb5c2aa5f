//! What the executor needs of the machine.
//!
//! In this crate's own tests a thread can switch to virtual time, which moves only when told to or
//! when its CPU halts.

#[cfg(not(test))]
pub(crate) use framework::{
    cpu::halt_unless,
    time::{alarm_is_set, now, set_alarm},
};

#[cfg(test)]
pub(crate) use simulated::{
    advance, alarm, alarm_is_set, halt_unless, now, set_alarm, virtual_time,
};

#[cfg(test)]
mod simulated {
    extern crate std;

    use core::{cell::Cell, time::Duration};
    use framework::{Instant, cpu, time};

    std::thread_local! {
        static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
        static ALARM: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    /// Puts this thread on virtual time, at one second after boot.
    pub(crate) fn virtual_time() {
        NOW.set(Some(Instant::from_nanos(1_000_000_000)));
        ALARM.set(None);
    }

    /// Moves virtual time.
    pub(crate) fn advance(by: Duration) {
        NOW.set(NOW.get().map(|now| now.saturating_add(by)));
    }

    /// What the alarm is set to.
    pub(crate) fn alarm() -> Option<Instant> {
        ALARM.get()
    }

    /// Whether the alarm is still to come.
    pub(crate) fn alarm_is_set() -> bool {
        ALARM.get().is_some_and(|alarm| alarm > now())
    }

    pub(crate) fn now() -> Instant {
        NOW.get().unwrap_or_else(time::now)
    }

    pub(crate) fn set_alarm(at: Option<Instant>) {
        match NOW.get() {
            Some(_) => ALARM.set(at),
            None => time::set_alarm(at),
        }
    }

    pub(crate) fn halt_unless(ready: impl FnOnce() -> bool) {
        let Some(now) = NOW.get() else { return cpu::halt_unless(ready) };
        if !ready() {
            let alarm = ALARM.take().expect("the last CPU halts with no alarm: a deadlock");
            NOW.set(Some(alarm.max(now)));
        }
    }
}
