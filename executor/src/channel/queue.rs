//! A queue of values with a limit.

use super::Closed;
use crate::wait::WaitQueue;
use alloc::{boxed::Box, collections::VecDeque, sync::Arc};
use core::{
    fmt,
    sync::atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};
use crossbeam_queue::ArrayQueue;
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

/// What was sent and not received.
enum Values<T> {
    /// Its memory is there from the start, and nobody waits for a lock.
    Bounded(Box<ArrayQueue<T>>),
    Growing {
        values: Mutex<VecDeque<T>>,
        limit: usize,
    },
}

impl<T> Values<T> {
    fn push(&self, value: T) -> Result<(), T> {
        match self {
            Self::Bounded(values) => values.push(value),
            Self::Growing { values, limit } => {
                let mut values = values.lock();
                if values.len() >= *limit {
                    return Err(value);
                }
                values.push_back(value);
                Ok(())
            }
        }
    }

    fn pop(&self) -> Option<T> {
        match self {
            Self::Bounded(values) => values.pop(),
            Self::Growing { values, .. } => values.lock().pop_front(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Bounded(values) => values.is_empty(),
            Self::Growing { values, .. } => values.lock().is_empty(),
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Bounded(values) => values.is_full(),
            Self::Growing { values, limit } => values.lock().len() >= *limit,
        }
    }
}

struct Channel<T> {
    values: Values<T>,
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
    with_values(Values::Bounded(Box::new(ArrayQueue::new(limit.max(1)))))
}

/// A channel that grows as needed up to `limit` values.
pub fn unbounded<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    with_values(Values::Growing { values: Mutex::new(VecDeque::new()), limit: limit.max(1) })
}

fn with_values<T>(values: Values<T>) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        values,
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
        if self.is_closed() {
            return Err(TrySendError::Closed(value));
        }
        self.0.values.push(value).map_err(TrySendError::Full)?;
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
            if self.0.values.is_full() && !self.is_closed() {
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
        let closed = self.0.senders.load(Acquire) == 0;
        let value = self.0.values.pop();
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
        if self.0.values.is_empty() && !closed {
            sent.await;
        }
    }

    /// Whether nothing is there to receive now.
    pub fn is_empty(&self) -> bool {
        self.0.values.is_empty()
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
            self.0.received.wake_all(ANY);
            while self.0.values.pop().is_some() {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spawn, State, run_until, spawn_join, yield_now};
    use alloc::vec::Vec;

    fn finish<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
        let mut handle = spawn_join(Spawn::named("test"), future);
        let task = handle.task().clone();
        run_until(|| task.state() == State::Ended);
        let mut context = core::task::Context::from_waker(core::task::Waker::noop());
        match core::pin::Pin::new(&mut handle).poll(&mut context) {
            core::task::Poll::Ready(value) => value,
            core::task::Poll::Pending => panic!("the task has ended"),
        }
    }

    #[test]
    fn a_full_channel_refuses_and_a_closed_one_too() {
        for (sender, receiver) in [bounded(2), unbounded(2)] {
            assert_eq!(sender.try_send(1), Ok(()));
            assert_eq!(sender.try_send(2), Ok(()));
            assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
            assert_eq!(receiver.try_recv(), Ok(1));
            assert_eq!(sender.try_send(3), Ok(()));
            drop(receiver);
            assert_eq!(sender.try_send(4), Err(TrySendError::Closed(4)));
        }
    }

    #[test]
    fn what_was_sent_before_the_close_is_received() {
        let (sender, receiver) = bounded(4);
        sender.try_send(1).unwrap();
        drop(sender.clone());
        sender.try_send(2).unwrap();
        drop(sender);
        let all = finish(async move {
            let mut all = Vec::new();
            while let Ok(value) = receiver.recv().await {
                all.push(value);
            }
            all
        });
        assert_eq!(all, [1, 2]);
    }

    #[test]
    fn senders_wait_for_room_and_receivers_for_values() {
        let (sender, receiver) = bounded(3);
        let sum = finish(async move {
            for part in 0..4_u64 {
                let sender = sender.clone();
                let _detached = spawn_join(Spawn::named("sender"), async move {
                    for value in 0..100 {
                        sender.send(part * 100 + value).await.unwrap();
                    }
                });
            }
            drop(sender);
            let mut receivers = Vec::new();
            for _ in 0..3 {
                let receiver = receiver.clone();
                receivers.push(spawn_join(Spawn::named("receiver"), async move {
                    let mut sum = 0;
                    while let Ok(value) = receiver.recv().await {
                        sum += value;
                        yield_now().await;
                    }
                    sum
                }));
            }
            let mut sum = 0;
            for receiver in receivers {
                sum += receiver.await;
            }
            sum
        });
        assert_eq!(sum, 399 * 400 / 2);
    }

    #[test]
    fn a_sender_that_waits_learns_of_the_close() {
        let (sender, receiver) = bounded(1);
        sender.try_send(()).unwrap();
        let result = finish(async move {
            let waiting = spawn_join(Spawn::named("sender"), async move { sender.send(()).await });
            yield_now().await;
            drop(receiver);
            waiting.await
        });
        assert_eq!(result, Err(Closed));
    }

    #[test]
    fn ready_takes_nothing() {
        let (sender, receiver) = bounded(1);
        let value = finish(async move {
            let waiting = spawn_join(Spawn::named("receiver"), async move {
                receiver.ready().await;
                receiver.ready().await;
                receiver.try_recv()
            });
            yield_now().await;
            sender.try_send(5).unwrap();
            waiting.await
        });
        assert_eq!(value, Ok(5));
    }
}
