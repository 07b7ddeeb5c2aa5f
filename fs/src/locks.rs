//! Advisory locks: flock(2), and records of fcntl(2) (`F_SETLK`, `F_OFD_SETLK`).
//!
//! A conflict is `EAGAIN`; who wants to wait does so on [`FileLocks::wait_queue`] and tries again.
//! While it waits for a record it keeps a [`Waiting`], by which a circle of waiting processes is
//! found.

use crate::{Errno, Result};
use alloc::vec::Vec;
use executor::wait::WaitQueue;
use spin::Mutex;

/// The last byte a record can cover: "to the end of the file".
pub const END: u64 = i64::MAX as u64;

/// Who holds a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process, by the number of its descriptor table.
    Process(u64),
    /// An open file, by [`OpenFile::id`](crate::OpenFile::id).
    File(u64),
}

/// Whether others may hold the lock too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Others may: a read lock.
    Shared,
    /// Nobody else may: a write lock.
    Exclusive,
}

/// A locked range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it.
    pub owner: Owner,
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub last: u64,
    /// Whether others may hold it too.
    pub sharing: Sharing,
    /// What `F_GETLK` tells: the process, or -1.
    pub pid: i32,
}

impl Record {
    fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    fn conflicts(&self, other: &Self) -> bool {
        let exclusive = [self.sharing, other.sharing].contains(&Sharing::Exclusive);
        self.owner != other.owner && exclusive && self.overlaps(other)
    }

    /// Whether the two can be one.
    fn joins(&self, other: &Self) -> bool {
        let touches = |a: &Self, b: &Self| a.last.checked_add(1) == Some(b.start);
        let adjacent = self.overlaps(other) || touches(self, other) || touches(other, self);
        self.owner == other.owner && self.sharing == other.sharing && adjacent
    }
}

/// The locks on a file.
#[derive(Default)]
pub struct FileLocks {
    held: Mutex<Held>,
    queue: WaitQueue,
}

#[derive(Default)]
struct Held {
    whole: Vec<(u64, Sharing)>,
    records: Vec<Record>,
}

/// Records an inode may have, so that a program cannot fill the memory.
const RECORDS_MAX: usize = 16384;

impl FileLocks {
    /// Where to wait until locks are released.
    pub const fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Locks the file for an open file, in place of the lock it has: flock(2).
    ///
    /// # Errors
    /// - `EAGAIN`: somebody else's lock; as on Linux, the old one is gone by then.
    pub fn lock_file(&self, file: u64, sharing: Sharing) -> Result<()> {
        let (result, released) = {
            let mut held = self.held.lock();
            let before = held.whole.len();
            if held.whole.contains(&(file, sharing)) {
                return Ok(());
            }
            held.whole.retain(|lock| lock.0 != file);
            let released = held.whole.len() != before;
            let exclusive = |lock: &(u64, Sharing)| {
                sharing == Sharing::Exclusive || lock.1 == Sharing::Exclusive
            };
            if held.whole.iter().any(exclusive) {
                (Err(Errno::EAGAIN), released)
            } else {
                held.whole.push((file, sharing));
                (Ok(()), released)
            }
        };
        if released {
            self.queue.wake_all(u32::MAX);
        }
        result
    }

    /// Releases the lock of flock(2) and the records of an open file.
    pub fn release_file(&self, file: u64) {
        self.unlock_file(file);
        self.release(Owner::File(file));
    }

    /// Releases the lock of flock(2) (`LOCK_UN`).
    pub fn unlock_file(&self, file: u64) {
        let released = {
            let mut held = self.held.lock();
            let before = held.whole.len();
            held.whole.retain(|lock| lock.0 != file);
            held.whole.len() != before
        };
        if released {
            self.queue.wake_all(u32::MAX);
        }
    }

    /// Locks a range, in place of what the owner holds there.
    ///
    /// # Errors
    /// - `EAGAIN`: somebody else's lock.
    /// - `ENOLCK`: too many.
    pub fn lock(&self, new: Record) -> Result<()> {
        let released = {
            let mut held = self.held.lock();
            if held.records.iter().any(|record| record.conflicts(&new)) {
                return Err(Errno::EAGAIN);
            }
            if held.records.len() + 2 > RECORDS_MAX {
                return Err(Errno::ENOLCK);
            }
            // A write lock that becomes a read lock lets others in.
            let released = cut(&mut held.records, &new);
            join(&mut held.records, new);
            released
        };
        if released {
            self.queue.wake_all(u32::MAX);
        }
        Ok(())
    }

    /// Unlocks a range (`F_UNLCK`).
    pub fn unlock(&self, owner: Owner, start: u64, last: u64) -> Result<()> {
        let range = Record { owner, start, last, sharing: Sharing::Shared, pid: 0 };
        let released = {
            let mut held = self.held.lock();
            if held.records.len() + 1 > RECORDS_MAX {
                return Err(Errno::ENOLCK);
            }
            cut(&mut held.records, &range)
        };
        if released {
            self.queue.wake_all(u32::MAX);
        }
        Ok(())
    }

    /// Releases all records of an owner: a process does when it closes any descriptor of the file.
    pub fn release(&self, owner: Owner) {
        let released = {
            let mut held = self.held.lock();
            let before = held.records.len();
            held.records.retain(|record| record.owner != owner);
            held.records.len() != before
        };
        if released {
            self.queue.wake_all(u32::MAX);
        }
    }

    /// The first record that keeps `wanted` from being locked: `F_GETLK`.
    pub fn conflict(&self, wanted: &Record) -> Option<Record> {
        let held = self.held.lock();
        let first = held.records.iter().filter(|record| record.conflicts(wanted));
        first.min_by_key(|record| record.start).copied()
    }

    /// Every record, for `/proc/locks`.
    pub fn records(&self) -> Vec<Record> {
        self.held.lock().records.clone()
    }

    /// Announces that `wanted` is going to be waited for; `None` if nothing is in the way now.
    ///
    /// # Errors
    /// - `EDEADLK`: whoever is in the way waits, directly or not, for the owner of `wanted`.
    pub fn begin_wait(&self, wanted: &Record) -> Result<Option<Waiting>> {
        let Some(blocker) = self.conflict(wanted) else { return Ok(None) };
        let waiter = wanted.owner;
        let mut waits = WAITS.lock();
        let mut at = blocker.owner;
        // Open files may be shared, so only processes can be known to wait for each other.
        let detect = matches!(waiter, Owner::Process(_));
        for _ in 0..waits.len() {
            let Some(next) = waits.iter().find(|wait| wait.0 == at) else { break };
            if detect && next.1 == waiter {
                return Err(Errno::EDEADLK);
            }
            at = next.1;
        }
        waits.push((waiter, blocker.owner));
        Ok(Some(Waiting { waiter, blocker: blocker.owner }))
    }
}

/// Who waits for whom, over all files of all file systems: a circle may lead through any of them.
static WAITS: Mutex<Vec<(Owner, Owner)>> = Mutex::new(Vec::new());

/// That an owner waits for another; ends when dropped.
#[derive(Debug)]
#[must_use = "the wait ends when this is dropped"]
pub struct Waiting {
    waiter: Owner,
    blocker: Owner,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waits = WAITS.lock();
        let mine = (self.waiter, self.blocker);
        if let Some(position) = waits.iter().position(|wait| *wait == mine) {
            waits.swap_remove(position);
        }
    }
}

/// Takes the range of `range` out of what its owner holds; whether there was anything.
fn cut(records: &mut Vec<Record>, range: &Record) -> bool {
    let mut rest = Vec::new();
    let before = records.len();
    records.retain(|record| {
        if record.owner != range.owner || !record.overlaps(range) {
            return true;
        }
        if record.start < range.start {
            rest.push(Record { last: range.start - 1, ..*record });
        }
        if record.last > range.last {
            rest.push(Record { start: range.last + 1, ..*record });
        }
        false
    });
    let cut = records.len() != before;
    records.extend(rest);
    cut
}

/// Adds a record and makes one of those that touch.
fn join(records: &mut Vec<Record>, mut new: Record) {
    records.retain(|record| {
        let joins = record.joins(&new);
        if joins {
            new.start = new.start.min(record.start);
            new.last = new.last.max(record.last);
        }
        !joins
    });
    records.push(new);
}

#[cfg(test)]
mod tests {
    use super::{END, Errno, FileLocks, Owner, Record, Sharing};

    fn record(process: u64, start: u64, last: u64, sharing: Sharing) -> Record {
        Record { owner: Owner::Process(process), start, last, sharing, pid: 1 }
    }

    #[test]
    fn records_split_and_join() {
        let locks = FileLocks::default();
        locks.lock(record(1, 0, 99, Sharing::Exclusive)).unwrap();
        locks.unlock(Owner::Process(1), 40, 59).unwrap();
        assert_eq!(locks.records().len(), 2);
        assert_eq!(locks.lock(record(2, 30, 45, Sharing::Shared)), Err(Errno::EAGAIN));
        locks.lock(record(2, 40, 59, Sharing::Shared)).unwrap();
        locks.release(Owner::Process(2));
        locks.lock(record(1, 40, 59, Sharing::Exclusive)).unwrap();
        assert_eq!(locks.records(), [record(1, 0, 99, Sharing::Exclusive)]);
        let seen = locks.conflict(&record(2, 99, END, Sharing::Shared)).unwrap();
        assert_eq!((seen.start, seen.last), (0, 99));
        assert!(locks.conflict(&record(2, 100, END, Sharing::Exclusive)).is_none());
    }

    #[test]
    fn a_circle_of_waits_is_a_deadlock() {
        let (a, b) = (FileLocks::default(), FileLocks::default());
        a.lock(record(11, 0, END, Sharing::Exclusive)).unwrap();
        b.lock(record(12, 0, END, Sharing::Exclusive)).unwrap();
        let waiting = b.begin_wait(&record(11, 0, 0, Sharing::Shared)).unwrap();
        assert!(waiting.is_some());
        let error = a.begin_wait(&record(12, 5, 5, Sharing::Exclusive)).unwrap_err();
        assert_eq!(error, Errno::EDEADLK);
        drop(waiting);
        assert!(a.begin_wait(&record(12, 5, 5, Sharing::Exclusive)).unwrap().is_some());
    }

    #[test]
    fn flock_is_shared_or_exclusive() {
        let locks = FileLocks::default();
        locks.lock_file(1, Sharing::Shared).unwrap();
        locks.lock_file(2, Sharing::Shared).unwrap();
        assert_eq!(locks.lock_file(3, Sharing::Exclusive), Err(Errno::EAGAIN));
        locks.release_file(1);
        locks.lock_file(2, Sharing::Exclusive).unwrap();
        assert_eq!(locks.lock_file(1, Sharing::Shared), Err(Errno::EAGAIN));
        locks.unlock_file(2);
        locks.lock_file(1, Sharing::Shared).unwrap();
    }
}
