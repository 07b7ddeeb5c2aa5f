//! A channel for one value.

use super::Closed;
use alloc::sync::Arc;
use core::{
    pin::Pin,
    task::{Context, Poll, Waker},
};
use spin::Mutex;

#[derive(Debug)]
struct Shared<T> {
    value: Option<T>,
    waker: Option<Waker>,
    closed: bool,
}

/// Sends the value.
#[derive(Debug)]
pub struct Sender<T>(Arc<Mutex<Shared<T>>>);

/// Completes with the value, or with [`Closed`] if the sender was dropped.
///
/// # Cancel safety
/// Polling by reference loses nothing; dropping it loses the value.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Mutex<Shared<T>>>);

/// A channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(Shared { value: None, waker: None, closed: false }));
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    /// Sends `value`.
    ///
    /// # Errors
    /// The value: nobody will receive it.
    pub fn send(self, value: T) -> Result<(), T> {
        let mut shared = self.0.lock();
        if shared.closed {
            return Err(value);
        }
        shared.value = Some(value);
        Ok(())
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        shared.closed = true;
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            crate::sched::synchronously(|| waker.wake());
        }
    }
}

impl<T> Receiver<T> {
    /// The value, if it was sent.
    ///
    /// # Errors
    /// [`Closed`] if it never will be; `Ok(None)` if it was not yet.
    pub fn try_recv(&mut self) -> Result<Option<T>, Closed> {
        let mut shared = self.0.lock();
        match shared.value.take() {
            None if shared.closed => Err(Closed),
            value => Ok(value),
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.0.lock();
        if let Some(value) = shared.value.take() {
            return Poll::Ready(Ok(value));
        }
        if shared.closed {
            return Poll::Ready(Err(Closed));
        }
        shared.waker = Some(context.waker().clone());
        drop(shared);
        crate::task::waiting_for("reply");
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        shared.closed = true;
        let dropped = (shared.value.take(), shared.waker.take());
        drop(shared);
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn poll<T>(receiver: &mut Receiver<T>) -> Poll<Result<T, Closed>> {
        Pin::new(receiver).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn delivers_the_value() {
        let (sender, mut receiver) = channel();
        assert!(poll(&mut receiver).is_pending());
        assert_eq!(receiver.try_recv(), Ok(None));
        assert_eq!(sender.send(String::from("value")), Ok(()));
        assert_eq!(poll(&mut receiver), Poll::Ready(Ok(String::from("value"))));
        assert_eq!(poll(&mut receiver), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn each_side_learns_that_the_other_is_gone() {
        let (sender, mut receiver) = channel::<u8>();
        assert!(!sender.is_closed());
        drop(sender);
        assert_eq!(poll(&mut receiver), Poll::Ready(Err(Closed)));
        let (sender, receiver) = channel();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send(1), Err(1));
    }
}
