//! Sleeping until a moment.

use super::heap::Key;
use crate::{machine, task};
use core::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use framework::Instant;

/// Completes at or soon after `at`.
///
/// # Cancel safety
/// Dropping it takes the timer out of its heap.
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep { at, timer: None }
}

/// Completes when `duration` has passed.
///
/// # Cancel safety
/// Dropping it takes the timer out of its heap.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(machine::now().saturating_add(duration))
}

/// The future of [`sleep_until`].
#[derive(Debug)]
#[must_use = "a sleep does nothing unless awaited"]
pub struct Sleep {
    at: Instant,
    timer: Option<(Key, Waker)>,
}

impl Sleep {
    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.at
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if machine::now() >= self.at {
            self.timer = None;
            return Poll::Ready(());
        }
        let at = self.at;
        match &mut self.timer {
            Some((key, waker)) => {
                if !waker.will_wake(context.waker()) {
                    waker.clone_from(context.waker());
                    key.set_waker(waker);
                }
                if !key.is_set() {
                    key.set(Some(at));
                }
            }
            none => {
                let key = Key::new(context.waker().clone());
                key.set(Some(at));
                *none = Some((key, context.waker().clone()));
            }
        }
        task::waiting_for("sleep");
        Poll::Pending
    }
}
