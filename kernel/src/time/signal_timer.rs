//! Timers that send signals: setitimer(2), alarm(2), timer_create(2).
//!
//! The alarm posts the signal and sets the next one. A signal that is still pending from the last
//! time counts as an overrun instead.

use super::CpuClock;
use crate::{
    cred::Charge,
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
    /// A process whose CPU time is limited: `SIGXCPU`, and in the end `SIGKILL`.
    Limited(Weak<Process>),
}

/// A timer that sends a signal.
#[derive(Debug)]
pub struct SignalTimer {
    shared: Arc<Shared>,
    charge: Option<Charge>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    info: Info,
    /// The clock of its moments; none is the monotonic one.
    clock: Option<CpuClock>,
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
    /// When it looked last, on its clock, and how long before it looks again: for CPU clocks.
    looked: Instant,
    pause: Duration,
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
        let now = self.now();
        let count = self.setting.lock().expire(now);
        self.arm(now);
        if count > 0 {
            self.post(count);
        }
    }
}

impl Shared {
    /// The time on its clock.
    fn now(&self) -> Instant {
        self.clock.as_ref().map_or_else(framework::time::now, CpuClock::now)
    }

    /// Sets the alarm for what is set, or for the next look at a CPU clock.
    fn arm(&self, now: Instant) {
        let at = {
            let mut setting = self.setting.lock();
            match (setting.next, &self.clock) {
                (Some(next), Some(clock)) => {
                    let idle = setting.looked == now;
                    let left = next.saturating_since(now);
                    let (at, pause) = clock.next_look(left, setting.pause, idle);
                    (setting.looked, setting.pause) = (now, pause);
                    clock.charge();
                    Some(at)
                }
                (next, _) => next,
            }
        };
        if let Some(timer) = &*self.timer.lock() {
            timer.set(at);
        }
    }

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
            Target::Limited(process) => {
                let Some(process) = process.upgrade() else { return };
                let signal = process.pass_cpu_limit();
                signal::post_to_process(&process, Info::kernel(signal))
            }
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

    /// Whether `info` is this timer's.
    fn is_own(&self, info: &Info) -> bool {
        info.code == code::TIMER
            && self.info.code == code::TIMER
            && info.signal == self.info.signal
            && info.pid() == self.info.pid()
    }

    /// Adds to the overruns of this timer's signal if it is still pending.
    fn merge(&self, pending: &mut signal::Pending, count: u32) -> bool {
        let Some(info) = pending.find(|info| self.is_own(info)) else { return false };
        let overrun = info.uid().saturating_add(count);
        *info = Info::timer(info.signal, info.pid(), overrun, info.value());
        self.overrun.store(overrun, Ordering::Relaxed);
        true
    }
}

impl SignalTimer {
    /// A timer that is not set.
    pub fn new(target: Target, info: Info) -> Self {
        Self::on_clock(None, target, info)
    }

    /// A timer on a CPU clock, or on the monotonic one, that is not set.
    pub fn on_clock(clock: Option<CpuClock>, target: Target, info: Info) -> Self {
        let shared = Arc::new(Shared {
            target,
            info,
            clock,
            setting: Mutex::default(),
            overrun: AtomicU32::new(0),
            timer: Mutex::new(None),
        });
        let timer = Timer::new(Waker::from(Arc::clone(&shared)));
        *shared.timer.lock() = Some(timer);
        Self { shared, charge: None }
    }

    /// Keeps what its user is charged for it.
    #[must_use]
    pub fn charged(mut self, charge: Charge) -> Self {
        self.charge = Some(charge);
        self
    }

    /// Sets it to expire at `next` on its clock and then every `interval`; returns what
    /// [`get`](Self::get) did.
    pub fn set(&self, next: Option<Instant>, interval: Duration) -> (Duration, Duration) {
        let old = self.get();
        self.discard_pending();
        // An interval without a first expiration means nothing, and is not shown.
        let interval = if next.is_some() { interval } else { Duration::ZERO };
        *self.shared.setting.lock() = Setting { next, interval, ..Setting::default() };
        self.shared.arm(self.shared.now());
        old
    }

    /// The time on its clock.
    pub fn now(&self) -> Instant {
        self.shared.now()
    }

    /// Drops a signal of an earlier setting that nobody has taken.
    fn discard_pending(&self) {
        let shared = &self.shared;
        if shared.info.code != code::TIMER {
            return;
        }
        let own = |info: &Info| shared.is_own(info);
        match &shared.target {
            Target::Process(process) => {
                if let Some(process) = process.upgrade() {
                    process.signals.lock().pending.remove(own);
                }
            }
            Target::Thread(thread) => {
                if let Some(thread) = thread.upgrade() {
                    thread.signals.lock().pending.remove(own);
                }
            }
            Target::None | Target::Limited(_) => {}
        }
    }

    /// The time to the next expiration, zero if it is not set; and the interval.
    pub fn get(&self) -> (Duration, Duration) {
        let mut setting = *self.shared.setting.lock();
        let now = self.shared.now();
        if matches!(self.shared.target, Target::None) {
            // Nothing tells of it, so nothing need be waited for.
            setting.expire(now);
        }
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
        self.discard_pending();
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
        let mut setting = Setting {
            next: Some(at(100)),
            interval: Duration::from_nanos(50),
            ..Setting::default()
        };
        assert_eq!(setting.expire(at(99)), 0);
        assert_eq!(setting.expire(at(201)), 3);
        assert_eq!(setting.next, Some(at(250)));
        let mut once = Setting { next: Some(at(100)), ..Setting::default() };
        assert_eq!(once.expire(at(5000)), 1);
        assert_eq!(once.expire(at(5000)), 0);
    }
}
