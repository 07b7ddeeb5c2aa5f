//! timerfd_create(2): a timer that is read.
//!
//! The alarm only wakes; how often the timer has expired is computed from the clock when somebody
//! looks. A read sets the next alarm of a periodic timer.

use super::{Clock, clock::wall_clock_changes};
use abi::{Errno, Events, Result};
use alloc::{sync::Arc, task::Wake};
use core::{task::Waker, time::Duration};
use executor::{
    timer::Timer,
    wait::{Observer, ObserverKey, WaitQueue},
};
use framework::{Instant, Sink};
use spin::Mutex;

/// A timer behind a descriptor.
#[derive(Debug)]
pub struct TimerFd {
    clock: Clock,
    shared: Arc<Shared>,
    /// Told when the wall clock is set; since the first setting that it matters to.
    observer: Mutex<Option<ObserverKey>>,
}

#[derive(Debug)]
struct Shared {
    queue: WaitQueue,
    state: Mutex<State>,
    timer: Mutex<Option<Timer>>,
}

/// When the timer expires.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The first expiration that has not been read; none if it is not set.
    next: Option<Instant>,
    /// Zero if it expires once.
    interval: Duration,
    /// What the wall clock does to it.
    wall: WallClock,
    /// The wall clock was set, and nobody has read that yet.
    cancelled: bool,
}

impl State {
    /// How often it has expired since it was read.
    fn expirations(&self, now: Instant) -> u64 {
        match self.next {
            Some(next) if next <= now => {
                let interval = self.interval.as_nanos();
                if interval == 0 {
                    return 1;
                }
                let passed = now.saturating_since(next).as_nanos() / interval;
                u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
            }
            _ => 0,
        }
    }

    /// Goes on behind `count` expirations.
    fn advance(&mut self, count: u64) {
        self.next = match self.next {
            Some(next) if !self.interval.is_zero() => {
                let ns = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
                let total = ns.saturating_mul(count);
                Some(next.saturating_add(Duration::from_nanos(total)))
            }
            _ => None,
        };
    }
}

/// What setting the wall clock does to a timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WallClock {
    /// Nothing.
    #[default]
    Ignored,
    /// The timer still expires when the clock shows this.
    Followed(Duration),
    /// So it does, and the next read says that the clock was set (`TFD_TIMER_CANCEL_ON_SET`).
    Cancels(Duration),
}

impl Shared {
    fn arm(&self, next: Option<Instant>) {
        if let Some(timer) = &*self.timer.lock() {
            timer.set(next);
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.queue.wake_all(Events::IN.bits());
    }
}

/// The wall clock was set.
impl Observer for Shared {
    fn notify(&self, _mask: u32) {
        let mut state = self.state.lock();
        let (first, cancels) = match state.wall {
            WallClock::Ignored => return,
            WallClock::Followed(first) => (first, false),
            WallClock::Cancels(first) => (first, true),
        };
        if state.next.is_some() {
            state.next = Some(Clock::Realtime.instant(first));
        }
        state.cancelled |= cancels;
        let next = state.next;
        drop(state);
        self.arm(next);
        self.queue.wake_all(Events::IN.bits());
    }
}

impl TimerFd {
    /// A timer on `clock` that is not set.
    pub fn new(clock: Clock) -> Self {
        let shared = Arc::new(Shared {
            queue: WaitQueue::new(),
            state: Mutex::default(),
            timer: Mutex::new(None),
        });
        *shared.timer.lock() = Some(Timer::new(Waker::from(Arc::clone(&shared))));
        Self { clock, shared, observer: Mutex::new(None) }
    }

    /// Its clock.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Sets it to expire at `next` and then every `interval`; returns what [`get`](Self::get) did.
    pub fn set(
        &self,
        next: Option<Instant>,
        interval: Duration,
        wall: WallClock,
    ) -> (Duration, Duration) {
        let old = self.get();
        if wall != WallClock::Ignored {
            let shared = Arc::clone(&self.shared) as Arc<dyn Observer>;
            let observe = || wall_clock_changes().observe(shared, u32::MAX);
            self.observer.lock().get_or_insert_with(observe);
        }
        *self.shared.state.lock() = State { next, interval, wall, cancelled: false };
        self.shared.arm(next);
        self.shared.queue.wake_all(Events::IN.bits());
        old
    }

    /// The time to the next expiration, and the interval.
    pub fn get(&self) -> (Duration, Duration) {
        let now = framework::time::now();
        let mut state = *self.shared.state.lock();
        let passed = state.expirations(now);
        if passed > 0 {
            state.advance(passed);
        }
        let left = state.next.map_or(Duration::ZERO, |next| next.saturating_since(now));
        (left, state.interval)
    }

    /// Reads how often it has expired, as eight bytes.
    ///
    /// # Errors
    /// - `EINVAL`: room for fewer than eight bytes.
    /// - `EAGAIN`: it has not.
    /// - `ECANCELED`: the wall clock was set.
    pub fn read(&self, to: &mut Sink<'_>) -> Result<usize> {
        if to.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let count = {
            let mut state = self.shared.state.lock();
            if core::mem::take(&mut state.cancelled) {
                return Err(Errno::ECANCELED);
            }
            state.expirations(framework::time::now())
        };
        if count == 0 {
            return Err(Errno::EAGAIN);
        }
        to.write_whole(&count.to_ne_bytes())?;
        let mut state = self.shared.state.lock();
        state.advance(count);
        let next = state.next;
        drop(state);
        self.shared.arm(next);
        Ok(8)
    }

    /// Whether there is something to read.
    pub fn events(&self) -> Events {
        let state = *self.shared.state.lock();
        let ready = state.cancelled || state.expirations(framework::time::now()) > 0;
        if ready { Events::IN } else { Events::empty() }
    }

    /// Who waits for it.
    pub fn queue(&self) -> &WaitQueue {
        &self.shared.queue
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        if let Some(key) = self.observer.get_mut().take() {
            wall_clock_changes().unobserve(key);
        }
        // Its waker holds what it is in.
        let timer = self.shared.timer.lock().take();
        drop(timer);
    }
}

#[cfg(test)]
mod tests {
    use super::State;
    use core::time::Duration;
    use framework::Instant;

    #[test]
    fn expirations_are_counted_from_the_clock() {
        let at = Instant::from_nanos;
        let once = State { next: Some(at(100)), ..State::default() };
        assert_eq!(once.expirations(at(99)), 0);
        assert_eq!(once.expirations(at(5000)), 1);
        let mut periodic =
            State { next: Some(at(100)), interval: Duration::from_nanos(10), ..State::default() };
        assert_eq!(periodic.expirations(at(125)), 3);
        periodic.advance(3);
        assert_eq!(periodic.next, Some(at(130)));
        assert_eq!(periodic.expirations(at(125)), 0);
    }
}
