//! A queue of values with a limit.

use super::Closed;
use crate::wait::WaitQueue;
use alloc::{collections::VecDeque, sync::Arc};
use core::{
    fmt,
    sync::atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Relaxed},
    },
};
use spin::Mutex;

/// Why [`Sender::try_send`] failed; the value comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The channel is full.
    Full(T),
    /// All receivers are gone.
    Closed(T),
}

/// Why [`Receiver::try_recv`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Nothing was sent.
    Empty,
    /// Nothing was sent and all senders are gone.
    Closed,
}

struct Channel<T> {
    values: Mutex<VecDeque<T>>,
    limit: usize,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    sent: WaitQueue,
    received: WaitQueue,
}

/// Any event: the two queues of a channel have one each.
const ANY: u32 = u32::MAX;

/// Sends into a channel.
pub struct Sender<T>(Arc<Channel<T>>);

/// Receives from a channel.
pub struct Receiver<T>(Arc<Channel<T>>);

/// A channel of at most `limit` values, whose memory is allocated now.
pub fn bounded<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    with_values(VecDeque::with_capacity(limit), limit)
}

/// A channel that grows as needed up to `limit` values.
pub fn unbounded<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    with_values(VecDeque::new(), limit)
}

fn with_values<T>(values: VecDeque<T>, limit: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        values: Mutex::new(values),
        limit: limit.max(1),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
        sent: WaitQueue::new(),
        received: WaitQueue::new(),
    });
    (Sender(channel.clone()), Receiver(channel))
}

impl<T> Sender<T> {
    /// Sends `value` if there is room.
    ///
    /// # Errors
    /// The value, if the channel is full or closed.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut values = self.0.values.lock();
        if self.is_closed() {
            return Err(TrySendError::Closed(value));
        }
        if values.len() >= self.0.limit {
            return Err(TrySendError::Full(value));
        }
        values.push_back(value);
        drop(values);
        self.0.sent.wake_one(ANY);
        Ok(())
    }

    /// Sends `value`; waits for room.
    ///
    /// # Errors
    /// [`Closed`] if all receivers are gone; the value is lost.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it has sent nothing and the value is lost.
    pub async fn send(&self, mut value: T) -> Result<(), Closed> {
        loop {
            match self.try_send(value) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(Closed),
                Err(TrySendError::Full(back)) => value = back,
            }
            let room = self.0.received.listen(ANY, true).named("room in channel");
            if self.0.values.lock().len() >= self.0.limit && !self.is_closed() {
                room.await;
            }
        }
    }

    /// Whether all receivers are gone.
    pub fn is_closed(&self) -> bool {
        self.0.receivers.load(Relaxed) == 0
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest value.
    ///
    /// # Errors
    /// There is none, yet or for ever.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        // Read before the values: what was sent before the last sender went is found.
        let closed = self.0.senders.load(core::sync::atomic::Ordering::Acquire) == 0;
        let value = self.0.values.lock().pop_front();
        match value {
            Some(value) => {
                self.0.received.wake_one(ANY);
                Ok(value)
            }
            None if closed => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Takes the oldest value; waits for one.
    ///
    /// # Errors
    /// [`Closed`] if there is none and all senders are gone.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it has taken nothing.
    pub async fn recv(&self) -> Result<T, Closed> {
        loop {
            match self.try_recv() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Closed) => return Err(Closed),
                Err(TryRecvError::Empty) => {}
            }
            self.wait(true).await;
        }
    }

    /// Completes when there is something to receive or the channel is closed.
    ///
    /// # Cancel safety
    /// It takes nothing.
    pub async fn ready(&self) {
        self.wait(false).await;
    }

    async fn wait(&self, exclusive: bool) {
        let sent = self.0.sent.listen(ANY, exclusive).named("channel");
        let closed = self.0.senders.load(Relaxed) == 0;
        if self.0.values.lock().is_empty() && !closed {
            sent.await;
        }
    }

    /// Whether nothing is there to receive now.
    pub fn is_empty(&self) -> bool {
        self.0.values.lock().is_empty()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, AcqRel) == 1 {
            self.0.sent.wake_all(ANY);
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.receivers.fetch_add(1, Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.0.receivers.fetch_sub(1, AcqRel) == 1 {
            let values = core::mem::take(&mut *self.0.values.lock());
            self.0.received.wake_all(ANY);
            drop(values);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}
