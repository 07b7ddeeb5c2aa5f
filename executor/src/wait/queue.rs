//! The queue of those who wait for an object to change.
//!
//! ```text
//!   waiter:  listen()  ──▶ look at the condition ──▶ .await ──▶ look again
//!   waker:   change it ──▶ wake_*()
//! ```
//! Either the waker sees the listener, or the listener sees the change: each writes first, then a
//! full fence, then reads what the other wrote.
//!
//! A queue nobody has ever waited on is 24 bytes and owns no memory; waking one that is empty is a
//! fence and a load.

use super::{Listener, Nodes, Wakers};
use crate::primitive::{AtomicU32, Lock, constructor, fence};
use alloc::{boxed::Box, sync::Arc};
use core::{
    fmt,
    sync::atomic::Ordering::{Relaxed, SeqCst},
};
use slab::Slab;

/// Told of every wake-up it asked for; an epoll instance, for example.
pub trait Observer: Send + Sync {
    /// Events of `mask` happened. Called in the context of the waker without any lock of the
    /// queue held; it may wake other queues.
    fn notify(&self, mask: u32);
}

/// Stands for an observer in its queue.
#[derive(Debug)]
pub struct ObserverKey(usize);

/// Tasks that wait for an object to change, and observers of its changes.
///
/// Masks are sets of events; their bits are the user's, `u32::MAX` stands for any.
pub struct WaitQueue {
    /// Listed nodes and observers.
    present: AtomicU32,
    inner: Lock<Option<Box<Inner>>>,
}

pub(super) struct Inner {
    nodes: Nodes,
    observers: Slab<(Arc<dyn Observer>, u32)>,
}

impl WaitQueue {
    constructor! {
        /// An empty queue.
        pub fn new() -> Self {
            Self { present: AtomicU32::new(0), inner: Lock::new(None) }
        }
    }

    /// Registers for the next wake-up with an event of `mask`, from this moment on, whether the
    /// listener is polled or not. Look at the condition after this and before awaiting.
    ///
    /// Of exclusive listeners a wake-up reaches only as many as it says.
    pub fn listen(&self, mask: u32, exclusive: bool) -> Listener<'_> {
        let key = self.with(|inner| inner.nodes.insert(mask, exclusive));
        self.entered();
        Listener::new(self, key)
    }

    /// Makes sure that a waker sees who came, or that one sees what the waker changed.
    pub(super) fn entered(&self) {
        if !cfg!(jinux_mutant = "listen_fence") {
            fence(SeqCst);
        }
    }

    /// Wakes all listeners and observers of `mask`.
    pub fn wake_all(&self, mask: u32) {
        self.wake(mask, u32::MAX);
    }

    /// Wakes all shared listeners and all observers of `mask`, and one exclusive listener. Whether
    /// there was one.
    pub fn wake_one(&self, mask: u32) -> bool {
        self.wake(mask, 1) > 0
    }

    /// Wakes all shared listeners and all observers of `mask`, and up to `n` exclusive listeners.
    /// How many of those.
    pub fn wake_n(&self, n: usize, mask: u32) -> usize {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        usize::try_from(self.wake(mask, n)).unwrap_or(usize::MAX)
    }

    /// Tells `observer` of every wake-up with an event of `mask` until [`WaitQueue::unobserve`].
    pub fn observe(&self, observer: Arc<dyn Observer>, mask: u32) -> ObserverKey {
        let key = self.with(|inner| inner.observers.insert((observer, mask)));
        fence(SeqCst);
        ObserverKey(key)
    }

    /// Changes what an observer is told of.
    pub fn observe_again(&self, key: &ObserverKey, mask: u32) {
        self.with(|inner| {
            if let Some((_, held)) = inner.observers.get_mut(key.0) {
                *held = mask;
            }
        });
    }

    /// Ends [`WaitQueue::observe`]. A notification that is going on may end after this.
    pub fn unobserve(&self, key: ObserverKey) {
        // The observer may be dropped with this; that is done without the lock.
        let removed = self.with(|inner| inner.observers.try_remove(key.0));
        drop(removed);
    }

    /// Whether nobody listens or observes. Exact only if the caller knows that nobody comes.
    pub fn is_empty(&self) -> bool {
        self.present.load(Relaxed) == 0
    }

    /// Changes the lists and the count that stands for them.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut guard = self.inner.lock();
        let inner = guard
            .get_or_insert_with(|| Box::new(Inner { nodes: Nodes::new(), observers: Slab::new() }));
        let result = change(inner);
        let observers = u32::try_from(inner.observers.len()).unwrap_or(u32::MAX);
        self.present.store(inner.nodes.listed().saturating_add(observers), Relaxed);
        result
    }

    fn wake(&self, mask: u32, exclusive: u32) -> u32 {
        if !cfg!(jinux_mutant = "wake_fence") {
            fence(SeqCst);
        }
        if self.present.load(Relaxed) == 0 { 0 } else { self.wake_present(mask, exclusive) }
    }

    #[inline(never)]
    fn wake_present(&self, mask: u32, exclusive: u32) -> u32 {
        let mut woken = 0;
        // Who listens again meanwhile is not woken for ever: the rounds are as many as listened.
        let mut budget = None;
        let observed = loop {
            let mut wakers = Wakers::new();
            let (left, observed) = self.with(|inner| {
                let listed = budget.unwrap_or_else(|| inner.nodes.listed());
                let shared = inner.nodes.wake(false, mask, listed, &mut wakers);
                let limit = (exclusive - woken).min(listed - shared);
                let alone = inner.nodes.wake(true, mask, limit, &mut wakers);
                woken += alone;
                (listed - shared - alone, !inner.observers.is_empty())
            });
            let more = wakers.is_full() && left > 0;
            wake_now(wakers);
            if !more {
                break observed;
            }
            budget = Some(left);
        };
        if observed {
            self.notify(mask);
        }
        woken
    }

    /// Passes on a wake-up of one exclusive listener.
    pub(super) fn wake_exclusive(&self, mask: u32) {
        let mut wakers = Wakers::new();
        self.with(|inner| inner.nodes.wake(true, mask, 1, &mut wakers));
        wake_now(wakers);
    }

    fn notify(&self, mask: u32) {
        let mut from = 0;
        loop {
            let next = self.with(|inner| {
                let met = |(_, (_, held)): &(usize, &(Arc<dyn Observer>, u32))| held & mask != 0;
                let (key, (observer, held)) =
                    inner.observers.iter().filter(|(key, _)| *key >= from).find(met)?;
                Some((key, observer.clone(), held & mask))
            });
            let Some((key, observer, events)) = next else { return };
            observer.notify(events);
            from = key + 1;
        }
    }
}

/// Wakes without a lock held. Of one task woken alone the waker is probably a peer that waits for
/// it next.
fn wake_now(wakers: Wakers) {
    if wakers.len() == 1 {
        crate::sched::synchronously(|| wakers.into_iter().for_each(core::task::Waker::wake));
    } else {
        wakers.into_iter().for_each(core::task::Waker::wake);
    }
}

impl Inner {
    pub(super) fn nodes(&mut self) -> &mut Nodes {
        &mut self.nodes
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitQueue({} present)", self.present.load(Relaxed))
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use alloc::{task::Wake, vec::Vec};
    use core::{
        pin::pin,
        sync::atomic::AtomicUsize,
        task::{Context, Poll, Waker},
    };

    const IN: u32 = 1;
    const OUT: u32 = 4;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Relaxed)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    impl Observer for Count {
        fn notify(&self, mask: u32) {
            self.0.fetch_add(usize::try_from(mask).expect("a mask fits a word"), Relaxed);
        }
    }

    fn poll(listener: &mut Listener<'_>, count: &Arc<Count>) -> Poll<u32> {
        let waker = Waker::from(count.clone());
        pin!(listener).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn an_empty_queue_is_small() {
        assert!(size_of::<WaitQueue>() <= 24);
        let queue = WaitQueue::new();
        assert!(!queue.wake_one(IN));
        assert!(queue.inner.lock().is_none());
    }

    #[test]
    fn a_wake_reaches_those_of_its_mask() {
        let (queue, count) = (WaitQueue::new(), Arc::new(Count::default()));
        let mut reader = queue.listen(IN, false);
        let mut writer = queue.listen(OUT, false);
        let mut both = queue.listen(IN | OUT, false);
        for listener in [&mut reader, &mut writer, &mut both] {
            assert!(poll(listener, &count).is_pending());
        }
        queue.wake_all(IN);
        assert_eq!(count.get(), 2);
        assert_eq!(poll(&mut reader, &count), Poll::Ready(IN));
        assert!(poll(&mut writer, &count).is_pending());
        assert!(both.is_woken());
        drop(both);
        queue.wake_all(OUT);
        assert_eq!(poll(&mut writer, &count), Poll::Ready(OUT));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_wake_before_the_first_poll_counts() {
        let (queue, count) = (WaitQueue::new(), Arc::new(Count::default()));
        let mut listener = queue.listen(IN, false);
        queue.wake_all(IN);
        assert_eq!(poll(&mut listener, &count), Poll::Ready(IN));
        assert_eq!(count.get(), 0);
    }

    #[test]
    fn exclusive_listeners_are_woken_one_by_one_in_order() {
        let (queue, count) = (WaitQueue::new(), Arc::new(Count::default()));
        let mut shared = queue.listen(IN, false);
        let mut listeners: Vec<_> = (0..4).map(|_| queue.listen(IN, true)).collect();
        assert!(queue.wake_one(IN));
        assert_eq!(poll(&mut shared, &count), Poll::Ready(IN));
        assert_eq!(poll(&mut listeners[0], &count), Poll::Ready(IN));
        assert!(poll(&mut listeners[1], &count).is_pending());
        assert_eq!(queue.wake_n(2, IN), 2);
        assert!(listeners[1].is_woken() && listeners[2].is_woken() && !listeners[3].is_woken());
        assert_eq!(queue.wake_n(5, IN), 1);
        assert!(!queue.wake_one(IN));
    }

    #[test]
    fn a_dropped_exclusive_wake_is_passed_on() {
        let (queue, count) = (WaitQueue::new(), Arc::new(Count::default()));
        let first = queue.listen(IN, true);
        let mut second = queue.listen(IN, true);
        assert!(poll(&mut second, &count).is_pending());
        assert!(queue.wake_one(IN));
        assert!(!second.is_woken());
        drop(first);
        assert_eq!(count.get(), 1);
        assert_eq!(poll(&mut second, &count), Poll::Ready(IN));
        // It was seen: nothing is passed on.
        let third = queue.listen(IN, true);
        drop(second);
        assert!(!third.is_woken());
    }

    #[test]
    fn more_listeners_than_a_batch_are_all_woken() {
        let (queue, count) = (WaitQueue::new(), Arc::new(Count::default()));
        let mut listeners: Vec<_> = (0..100).map(|n| queue.listen(IN, n % 2 == 0)).collect();
        for listener in &mut listeners {
            assert!(poll(listener, &count).is_pending());
        }
        // Leaving from the middle does not break the lists.
        drop(listeners.remove(50));
        drop(listeners.remove(7));
        queue.wake_all(IN);
        assert_eq!(count.get(), 98);
        assert!(listeners.iter().all(Listener::is_woken));
        drop(listeners);
        assert!(queue.is_empty());
    }

    #[test]
    fn wake_one_of_many_shared_and_exclusive_wakes_one_exclusive() {
        let queue = WaitQueue::new();
        let count = Arc::new(Count::default());
        let mut listeners: Vec<_> = (0..40).map(|n| queue.listen(IN, n >= 20)).collect();
        for listener in &mut listeners {
            assert!(poll(listener, &count).is_pending());
        }
        assert!(queue.wake_one(IN));
        assert_eq!(listeners.iter().filter(|listener| listener.is_woken()).count(), 21);
    }

    #[test]
    fn observers_hear_what_they_asked_for_until_they_leave() {
        let queue = WaitQueue::new();
        let (reader, writer) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let key = queue.observe(reader.clone(), IN);
        let _writer = queue.observe(writer.clone(), OUT);
        queue.wake_all(IN | OUT);
        queue.wake_one(OUT);
        assert_eq!((reader.get(), writer.get()), (1, 8));
        queue.observe_again(&key, OUT);
        queue.wake_all(OUT);
        assert_eq!((reader.get(), writer.get()), (5, 12));
        queue.unobserve(key);
        queue.wake_all(u32::MAX);
        assert_eq!((reader.get(), writer.get()), (5, 16));
        assert_eq!(Arc::strong_count(&reader), 1);
    }
}
