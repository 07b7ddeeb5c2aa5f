//! What others send to and wait for.

use super::inbox::Inbox;
use abi::Events;
use executor::wait::WaitQueue;
use spin::Mutex;

/// The part of a socket that its peers know.
#[derive(Debug)]
pub(super) struct Endpoint<F> {
    pub(super) inbox: Mutex<Inbox<F>>,
    pub(super) queue: WaitQueue,
}

impl<F> Endpoint<F> {
    pub(super) const fn new() -> Self {
        Self { inbox: Mutex::new(Inbox::new()), queue: WaitQueue::new() }
    }

    /// Something can be received.
    pub(super) fn wake_receivers(&self) {
        self.queue.wake_all((Events::IN | Events::RDNORM).bits());
    }

    /// Something can be sent.
    pub(super) fn wake_senders(&self) {
        self.queue.wake_all((Events::OUT | Events::WRNORM).bits());
    }

    /// Everything may have changed.
    pub(super) fn wake(&self) {
        self.queue.wake_all(u32::MAX);
    }
}
