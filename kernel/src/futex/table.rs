//! Who waits on which word.

use super::Key;
use abi::{Errno, Result};
use alloc::{sync::Arc, vec::Vec};
use core::{
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};
use spin::{Mutex, MutexGuard};

/// Queues the keys are spread over.
const BUCKETS: usize = 64;

/// The bit set of a waiter, or a wake, that matches all others.
pub const MATCH_ANY: u32 = u32::MAX;

/// Mixes the words of a key; keys come from trusted numbers, so this need not resist attacks
/// better than the length of a queue does.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_ne_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.0 ^= self.0 >> 29;
        }
    }
}

/// One that waits.
#[derive(Debug)]
struct Waiter {
    key: Mutex<Key>,
    bits: u32,
    /// The thread, if the word is a priority-inheritance lock; its number goes into the word.
    owner: Option<u32>,
    woken: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Waiter {
    fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

type Queue = Vec<Arc<Waiter>>;

/// Who waits on which word.
#[derive(Debug)]
pub struct FutexTable {
    buckets: [Mutex<Queue>; BUCKETS],
}

impl FutexTable {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self { buckets: [const { Mutex::new(Vec::new()) }; BUCKETS] }
    }

    fn index(key: &Key) -> usize {
        let hash = BuildHasherDefault::<Mix>::default().hash_one(key);
        usize::try_from(hash % BUCKETS as u64).unwrap_or(0)
    }

    fn bucket(&self, key: &Key) -> MutexGuard<'_, Queue> {
        self.buckets[Self::index(key)].lock()
    }

    /// Queues one that waits on `key` for a wake that shares a bit with `bits`.
    pub fn enqueue(&self, key: Key, bits: u32, owner: Option<u32>) -> Waiting<'_> {
        let waiter = Arc::new(Waiter {
            key: Mutex::new(key.clone()),
            bits,
            owner,
            woken: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        self.bucket(&key).push(Arc::clone(&waiter));
        Waiting { table: self, waiter }
    }

    /// How many wait, on all words together.
    pub fn waiters(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.lock().len()).sum()
    }

    /// Wakes at most `most` of those who wait on `key`, oldest first; returns how many.
    pub fn wake(&self, key: &Key, most: usize, bits: u32) -> usize {
        let mut queue = self.bucket(key);
        let woken = take(&mut queue, key, most, bits);
        drop(queue);
        woken.iter().for_each(|waiter| waiter.wake());
        woken.len()
    }

    /// Takes the oldest waiter on a priority-inheritance lock. `hand_over` is told its thread's
    /// number and whether more wait, and stores the new owner; only then the waiter is woken.
    ///
    /// # Errors
    /// Those of `hand_over`; the queue is as it was. `ENOENT`: nobody waits.
    pub fn wake_owner(
        &self,
        key: &Key,
        hand_over: impl FnOnce(u32, bool) -> Result<()>,
    ) -> Result<()> {
        let mut queue = self.bucket(key);
        let is_owner = |waiter: &&Arc<Waiter>| *waiter.key.lock() == *key;
        let mut waiting = queue.iter().filter(is_owner);
        let first = waiting.next().and_then(|waiter| Some((Arc::clone(waiter), waiter.owner?)));
        let more = waiting.next().is_some();
        let Some((waiter, owner)) = first else { return Err(Errno::ENOENT) };
        hand_over(owner, more)?;
        queue.retain(|other| !Arc::ptr_eq(other, &waiter));
        drop(queue);
        waiter.wake();
        Ok(())
    }

    /// Wakes at most `wake` of those who wait on `from`, and lets at most `move_` more wait on `to`
    /// instead, if `check` agrees under the lock. Returns how many were woken, and how many moved.
    ///
    /// # Errors
    /// Those of `check`; nobody was woken.
    pub fn requeue(
        &self,
        from: &Key,
        to: &Key,
        (wake, move_): (usize, usize),
        check: impl FnOnce() -> Result<()>,
    ) -> Result<(usize, usize)> {
        let (first, second) = (Self::index(from), Self::index(to));
        let mut low = self.buckets[first.min(second)].lock();
        let mut high = (first != second).then(|| self.buckets[first.max(second)].lock());
        check()?;
        let source = match &mut high {
            Some(high) if first > second => &mut **high,
            _ => &mut *low,
        };
        let woken = take(source, from, wake, MATCH_ANY);
        let moved = if from == to { Vec::new() } else { take(source, from, move_, MATCH_ANY) };
        let count = moved.len();
        let target = match &mut high {
            Some(high) if second > first => &mut **high,
            _ => &mut *low,
        };
        for waiter in moved {
            *waiter.key.lock() = to.clone();
            target.push(waiter);
        }
        drop((low, high));
        woken.iter().for_each(|waiter| waiter.wake());
        Ok((woken.len(), count))
    }

    /// How many wait on `key`.
    pub fn count(&self, key: &Key) -> usize {
        self.bucket(key).iter().filter(|waiter| *waiter.key.lock() == *key).count()
    }
}

impl Default for FutexTable {
    fn default() -> Self {
        Self::new()
    }
}

/// Removes at most `most` waiters on `key` that share a bit with `bits`.
fn take(queue: &mut Queue, key: &Key, most: usize, bits: u32) -> Queue {
    let mut left = most;
    queue
        .extract_if(.., |waiter| {
            let hit = left > 0 && waiter.bits & bits != 0 && *waiter.key.lock() == *key;
            left -= usize::from(hit);
            hit
        })
        .collect()
}

/// One's place in a queue; completes once woken.
///
/// # Cancel safety
/// Dropping it leaves the queue. A wake that came before is lost: look at
/// [`was_woken`](Self::was_woken) first.
#[derive(Debug)]
pub struct Waiting<'a> {
    table: &'a FutexTable,
    waiter: Arc<Waiter>,
}

impl Waiting<'_> {
    /// Whether somebody has taken this one out of the queue.
    pub fn was_woken(&self) -> bool {
        self.waiter.woken.load(Ordering::SeqCst)
    }

    fn remove(&self) {
        while !self.was_woken() {
            let key = self.waiter.key.lock().clone();
            let mut queue = self.table.bucket(&key);
            let before = queue.len();
            queue.retain(|other| !Arc::ptr_eq(other, &self.waiter));
            if queue.len() < before {
                return;
            }
            // Moved to another queue meanwhile, or taken and about to be woken.
            drop(queue);
            core::hint::spin_loop();
        }
    }
}

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        *self.waiter.waker.lock() = Some(context.waker().clone());
        // The waker is there before the look: a wake after it uses it.
        if self.was_woken() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::{FutexTable, Key, MATCH_ANY};
    use abi::Errno;

    fn key(at: usize) -> Key {
        Key::Private { space: 1, at }
    }

    #[test]
    fn wakes_are_in_order_and_by_bits() {
        let table = FutexTable::new();
        let a = table.enqueue(key(8), 1, None);
        let b = table.enqueue(key(8), 2, None);
        let c = table.enqueue(key(16), MATCH_ANY, None);
        assert_eq!(table.wake(&key(8), 1, 2), 1);
        assert!(b.was_woken() && !a.was_woken() && !c.was_woken());
        assert_eq!(table.wake(&key(8), 10, MATCH_ANY), 1);
        assert!(a.was_woken() && !c.was_woken());
        drop(c);
        assert_eq!(table.count(&key(16)), 0);
    }

    #[test]
    fn moved_waiters_are_found_at_their_new_place() {
        let table = FutexTable::new();
        for to in 100..180 {
            let waiting: Vec<_> = (0..4).map(|_| table.enqueue(key(4), MATCH_ANY, None)).collect();
            assert_eq!(table.requeue(&key(4), &key(to), (1, 2), || Ok(())), Ok((1, 2)));
            assert!(waiting[0].was_woken());
            assert_eq!(table.count(&key(to)), 2);
            drop(waiting);
            assert_eq!(table.count(&key(to)) + table.count(&key(4)), 0);
        }
    }

    #[test]
    fn a_failed_check_moves_nobody() {
        let table = FutexTable::new();
        let _waiting = table.enqueue(key(4), MATCH_ANY, None);
        let refused = table.requeue(&key(4), &key(8), (1, 1), || Err(Errno::EAGAIN));
        assert_eq!(refused, Err(Errno::EAGAIN));
        assert_eq!(table.count(&key(4)), 1);
    }

    #[test]
    fn the_new_owner_is_stored_before_it_is_woken() {
        let table = FutexTable::new();
        let first = table.enqueue(key(4), MATCH_ANY, Some(7));
        let second = table.enqueue(key(4), MATCH_ANY, Some(8));
        let mut seen = Vec::new();
        for _ in 0..2 {
            table
                .wake_owner(&key(4), |owner, more| {
                    seen.push((owner, more));
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(seen, [(7, true), (8, false)]);
        assert!(first.was_woken() && second.was_woken());
        assert_eq!(table.wake_owner(&key(4), |_, _| Ok(())), Err(Errno::ENOENT));
    }
}
