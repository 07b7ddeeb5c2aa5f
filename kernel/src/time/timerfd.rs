//! timerfd_create(2): a timer that is read.
//!
//! The alarm only wakes; how often the timer has expired is computed from the clock when somebody
//! looks. A read sets the next alarm of a periodic timer.

use super::Clock;
use abi::{Errno, Events, Result};
use alloc::{sync::Arc, task::Wake};
use core::{task::Waker, time::Duration};
use executor::{timer::Timer, wait::WaitQueue};
use framework::{Instant, Sink};
use spin::Mutex;

/// A timer behind a descriptor.
#[derive(Debug)]
pub struct TimerFd {
    clock: Clock,
    shared: Arc<Shared>,
    timer: Timer,
}

#[derive(Debug)]
struct Shared {
    queue: WaitQueue,
    state: Mutex<State>,
}

/// When the timer expires.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The first expiration that has not been read; none if it is not set.
    next: Option<Instant>,
    /// Zero if it expires once.
    interval: Duration,
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

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.queue.wake_all(Events::IN.bits());
    }
}

impl TimerFd {
    /// A timer on `clock` that is not set.
    pub fn new(clock: Clock) -> Self {
        let shared = Arc::new(Shared { queue: WaitQueue::new(), state: Mutex::default() });
        let timer = Timer::new(Waker::from(Arc::clone(&shared)));
        Self { clock, shared, timer }
    }

    /// Its clock.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Sets it to expire at `next` and then every `interval`; returns what [`get`](Self::get) did.
    pub fn set(&self, next: Option<Instant>, interval: Duration) -> (Duration, Duration) {
        let old = self.get();
        *self.shared.state.lock() = State { next, interval };
        self.timer.set(next);
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
    pub fn read(&self, to: &mut Sink<'_>) -> Result<usize> {
        if to.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let count = {
            let state = self.shared.state.lock();
            state.expirations(framework::time::now())
        };
        if count == 0 {
            return Err(Errno::EAGAIN);
        }
        to.write(&count.to_ne_bytes())?;
        let mut state = self.shared.state.lock();
        state.advance(count);
        self.timer.set(state.next);
        Ok(8)
    }

    /// Whether there is something to read.
    pub fn events(&self) -> Events {
        let state = *self.shared.state.lock();
        if state.expirations(framework::time::now()) > 0 { Events::IN } else { Events::empty() }
    }

    /// Who waits for it.
    pub fn queue(&self) -> &WaitQueue {
        &self.shared.queue
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
        let once = State { next: Some(at(100)), interval: Duration::ZERO };
        assert_eq!(once.expirations(at(99)), 0);
        assert_eq!(once.expirations(at(5000)), 1);
        let mut periodic = State { next: Some(at(100)), interval: Duration::from_nanos(10) };
        assert_eq!(periodic.expirations(at(125)), 3);
        periodic.advance(3);
        assert_eq!(periodic.next, Some(at(130)));
        assert_eq!(periodic.expirations(at(125)), 0);
    }
}
