//! Timers that send signals: setitimer(2), alarm(2), timer_create(2).
//!
//! The alarm posts the signal and sets the next one. A signal that is still pending from the last
//! time counts as an overrun instead.

use crate::{
    process::Process,
    signal::{self, Info, code},
    thread::Tcb,
};
use alloc::{
    sync::{Arc, Weak},
    task::Wake,
};
use core::{
    sync::atomic::{AtomicU32, Ordering},
    task::Waker,
    time::Duration,
};
use executor::timer::Timer;
use framework::Instant;
use spin::Mutex;

/// Whom the signal is for.
#[derive(Clone, Debug)]
pub enum Target {
    /// Nobody: the timer is only read (`SIGEV_NONE`).
    None,
    /// A process.
    Process(Weak<Process>),
    /// One thread of it (`SIGEV_THREAD_ID`).
    Thread(Weak<Tcb>),
}

/// A timer that sends a signal.
#[derive(Debug)]
pub struct SignalTimer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    info: Info,
    setting: Mutex<Setting>,
    overrun: AtomicU32,
    /// Emptied when the timer goes, since its waker holds this.
    timer: Mutex<Option<Timer>>,
}

/// When it expires next, and how often then; zero is never again.
#[derive(Clone, Copy, Debug, Default)]
struct Setting {
    next: Option<Instant>,
    interval: Duration,
}

impl Setting {
    /// Takes the expirations up to `now`: how many, and the setting goes on behind them.
    fn expire(&mut self, now: Instant) -> u32 {
        let Some(next) = self.next.filter(|next| *next <= now) else { return 0 };
        if self.interval.is_zero() {
            self.next = None;
            return 1;
        }
        let passed = now.saturating_since(next).as_nanos() / self.interval.as_nanos() + 1;
        let count = u32::try_from(passed).unwrap_or(u32::MAX);
        self.next = Some(next.saturating_add(self.interval.saturating_mul(count)));
        count
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        let (count, next) = {
            let mut setting = self.setting.lock();
            (setting.expire(framework::time::now()), setting.next)
        };
        if let Some(timer) = &*self.timer.lock() {
            timer.set(next);
        }
        if count > 0 {
            self.post(count);
        }
    }
}

impl Shared {
    /// Sends the signal for `count` expirations.
    fn post(&self, count: u32) {
        let mut info = self.info;
        if info.code == code::TIMER {
            info = Info::timer(info.signal, info.pid(), count - 1, info.value());
        }
        self.overrun.store(count - 1, Ordering::Relaxed);
        // Refused only when the queue is full: then this expiration is lost, as on Linux.
        let _ = match &self.target {
            Target::None => return,
            Target::Process(process) => {
                let Some(process) = process.upgrade() else { return };
                if self.merge(&mut process.signals.lock().pending, count) {
                    return;
                }
                signal::post_to_process(&process, info)
            }
            Target::Thread(thread) => {
                let Some(thread) = thread.upgrade() else { return };
                if self.merge(&mut thread.signals.lock().pending, count) {
                    return;
                }
                signal::post_to_thread(&thread, info)
            }
        };
    }

    /// Adds to the overruns of this timer's signal if it is still pending.
    fn merge(&self, pending: &mut signal::Pending, count: u32) -> bool {
        let own = |info: &Info| {
            info.code == code::TIMER
                && self.info.code == code::TIMER
                && info.signal == self.info.signal
                && info.pid() == self.info.pid()
        };
        let Some(info) = pending.find(own) else { return false };
        let overrun = info.uid().saturating_add(count);
        *info = Info::timer(info.signal, info.pid(), overrun, info.value());
        self.overrun.store(overrun, Ordering::Relaxed);
        true
    }
}

impl SignalTimer {
    /// A timer that is not set.
    pub fn new(target: Target, info: Info) -> Self {
        let shared = Arc::new(Shared {
            target,
            info,
            setting: Mutex::default(),
            overrun: AtomicU32::new(0),
            timer: Mutex::new(None),
        });
        let timer = Timer::new(Waker::from(Arc::clone(&shared)));
        *shared.timer.lock() = Some(timer);
        Self { shared }
    }

    /// Sets it to expire at `next` and then every `interval`; returns what [`get`](Self::get) did.
    pub fn set(&self, next: Option<Instant>, interval: Duration) -> (Duration, Duration) {
        let old = self.get();
        *self.shared.setting.lock() = Setting { next, interval };
        if let Some(timer) = &*self.shared.timer.lock() {
            timer.set(next);
        }
        old
    }

    /// The time to the next expiration, zero if it is not set; and the interval.
    pub fn get(&self) -> (Duration, Duration) {
        let setting = *self.shared.setting.lock();
        let now = framework::time::now();
        // One that is due but has not been looked at yet is not off: as short as can be.
        let left = setting
            .next
            .map_or(Duration::ZERO, |next| next.saturating_since(now).max(Duration::from_nanos(1)));
        (left, setting.interval)
    }

    /// Expirations that the last signal stands for, beyond the first.
    pub fn overrun(&self) -> u32 {
        self.shared.overrun.load(Ordering::Relaxed)
    }
}

impl Drop for SignalTimer {
    fn drop(&mut self) {
        let timer = self.shared.timer.lock().take();
        drop(timer);
    }
}

#[cfg(test)]
mod tests {
    use super::Setting;
    use core::time::Duration;
    use framework::Instant;

    #[test]
    fn periodic_settings_go_on_behind_what_has_passed() {
        let at = Instant::from_nanos;
        let mut setting = Setting { next: Some(at(100)), interval: Duration::from_nanos(50) };
        assert_eq!(setting.expire(at(99)), 0);
        assert_eq!(setting.expire(at(201)), 3);
        assert_eq!(setting.next, Some(at(250)));
        let mut once = Setting { next: Some(at(100)), interval: Duration::ZERO };
        assert_eq!(once.expire(at(5000)), 1);
        assert_eq!(once.expire(at(5000)), 0);
    }
}
