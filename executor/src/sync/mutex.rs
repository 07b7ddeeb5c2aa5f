//! A lock that may be held across `.await`.
//!
//! First come, first served: an unlock hands the lock over to the first who waits, so it is never
//! free in between and nobody is passed. One who gives up waiting hands on what he was given.

use crate::{
    primitive::{Lock, LockGuard, constructor},
    wait::{Nodes, Wakers, Woken},
};
use core::{
    fmt, mem,
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// A lock whose waiters are tasks. For short sections without `.await` use a spin lock.
pub struct Mutex<T> {
    gate: Lock<Gate>,
    /// Locked by whoever the gate let in, so nobody ever spins on it.
    value: Lock<T>,
}

struct Gate {
    locked: bool,
    waiting: Nodes,
}

/// Only one mask is in use.
const TURN: u32 = 1;

impl<T> Mutex<T> {
    constructor! {
        /// An unlocked lock.
        pub fn new(value: T) -> Self {
            let gate = Gate { locked: false, waiting: Nodes::new() };
            Self { gate: Lock::new(gate), value: Lock::new(value) }
        }
    }

    /// Locks it if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let mut gate = self.gate.lock();
        if gate.locked {
            return None;
        }
        gate.locked = true;
        drop(gate);
        Some(self.guard())
    }

    /// Locks it; waits for its turn.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it gives up its place in the queue.
    pub fn lock(&self) -> Locking<'_, T> {
        Locking { mutex: self, key: None }
    }

    fn guard(&self) -> MutexGuard<'_, T> {
        let value = self.value.try_lock().expect("the gate lets in one at a time");
        MutexGuard { mutex: self, value: Some(value) }
    }

    /// Hands the lock to the next, or frees it.
    fn hand_over(&self) {
        let mut wakers = Wakers::new();
        let mut gate = self.gate.lock();
        gate.locked = gate.waiting.wake(true, TURN, 1, &mut wakers) > 0;
        drop(gate);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The future of [`Mutex::lock`].
#[must_use = "a lock is taken only when awaited"]
pub struct Locking<'a, T> {
    mutex: &'a Mutex<T>,
    /// The node, while it waits.
    key: Option<u32>,
}

impl<'a, T> Future for Locking<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut gate = self.mutex.gate.lock();
        let key = match self.key {
            None if !gate.locked => {
                gate.locked = true;
                drop(gate);
                return Poll::Ready(self.mutex.guard());
            }
            None => gate.waiting.insert(TURN, true),
            Some(key) => key,
        };
        if let Woken::By(_) = gate.waiting.poll(key, context.waker()) {
            gate.waiting.remove(key);
            drop(gate);
            self.key = None;
            return Poll::Ready(self.mutex.guard());
        }
        drop(gate);
        self.key = Some(key);
        crate::task::waiting_for("mutex");
        Poll::Pending
    }
}

impl<T> Drop for Locking<'_, T> {
    fn drop(&mut self) {
        let Some(key) = mem::take(&mut self.key) else { return };
        let (waker, turn) = self.mutex.gate.lock().waiting.remove(key);
        drop(waker);
        if turn.is_some() && !cfg!(jinux_mutant = "hand_on") {
            self.mutex.hand_over();
        }
    }
}

/// The lock is held while this lives.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `Some` until the drop.
    value: Option<LockGuard<'a, T>>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_deref().expect("held until the guard is dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect("held until the guard is dropped")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.mutex.hand_over();
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.gate.lock().locked { "Mutex(locked)" } else { "Mutex(free)" })
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use alloc::{boxed::Box, vec::Vec};

    fn poll<'a, T>(lock: &mut Pin<Box<Locking<'a, T>>>) -> Option<MutexGuard<'a, T>> {
        match lock.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(guard) => Some(guard),
            Poll::Pending => None,
        }
    }

    #[test]
    fn first_come_first_served() {
        let mutex = Mutex::new(Vec::new());
        let mut guard = mutex.try_lock().unwrap();
        guard.push(0);
        let mut second = Box::pin(mutex.lock());
        let mut third = Box::pin(mutex.lock());
        assert!(poll(&mut second).is_none() && poll(&mut third).is_none());
        drop(guard);
        // It is the second one's now, although nobody has polled it.
        assert!(mutex.try_lock().is_none());
        assert!(poll(&mut third).is_none());
        poll(&mut second).unwrap().push(2);
        poll(&mut third).unwrap().push(3);
        assert_eq!(*mutex.try_lock().unwrap(), [0, 2, 3]);
    }

    #[test]
    fn who_gives_up_hands_on_his_turn() {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock().unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(mutex.lock())).collect();
        for lock in &mut waiting {
            assert!(poll(lock).is_none());
        }
        drop(waiting.remove(1));
        drop(guard);
        drop(waiting.remove(0));
        drop(poll(&mut waiting[0]).unwrap());
        assert!(mutex.try_lock().is_some());
    }
}
