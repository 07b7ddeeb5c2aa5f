//! One who waits.

use super::{WaitQueue, Woken};
use core::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

/// Registered on a [`WaitQueue`] until it is woken or dropped. Completes with the events of the
/// wake-up that reached it.
///
/// # Cancel safety
/// Dropping it takes it out of the queue. If an exclusive wake-up had reached it and was not seen,
/// the next exclusive listener gets it.
#[derive(Debug)]
#[must_use = "a listener is woken only once it is awaited"]
pub struct Listener<'a> {
    queue: &'a WaitQueue,
    /// The node; `None` once it has completed.
    key: Option<u32>,
    what: Option<&'static str>,
}

impl<'a> Listener<'a> {
    pub(super) fn new(queue: &'a WaitQueue, key: u32) -> Self {
        Self { queue, key: Some(key), what: None }
    }

    /// Says what the list of tasks shows while it waits.
    pub fn named(mut self, what: &'static str) -> Self {
        self.what = Some(what);
        self
    }

    /// Whether a wake-up has reached it. Does not complete it.
    pub fn is_woken(&self) -> bool {
        match self.key {
            Some(key) => self.queue.with(|inner| inner.nodes().is_woken(key)),
            None => true,
        }
    }
}

impl Listener<'_> {
    /// Ends the wait though nothing woke it, if a simulation wants that.
    fn wakes_for_nothing(&self, key: u32) -> Option<u32> {
        if !framework::sim::wakes_for_nothing() {
            return None;
        }
        self.queue.with(|inner| inner.nodes().remove(key));
        Some(0)
    }
}

impl Future for Listener<'_> {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
        let Some(key) = self.key else { return Poll::Ready(0) };
        let woken = self.queue.with(|inner| match inner.nodes().poll(key, context.waker()) {
            Woken::By(events) => {
                inner.nodes().remove(key);
                Some(events)
            }
            Woken::No => None,
        });
        let woken = woken.or_else(|| self.wakes_for_nothing(key));
        match woken {
            Some(events) => {
                self.key = None;
                Poll::Ready(events)
            }
            None => {
                if let Some(what) = self.what {
                    crate::task::waiting_for(what);
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let Some(key) = mem::take(&mut self.key) else { return };
        let (waker, baton) = self.queue.with(|inner| inner.nodes().remove(key));
        drop(waker);
        if let Some(events) = baton.filter(|_| !cfg!(jinux_mutant = "baton")) {
            self.queue.wake_exclusive(events);
        }
    }
}
