//! What each user has of things that a user may have only so many of, whatever the number of his
//! processes: queued signals, timers, epoll items, inotify watches.

use super::Uid;
use alloc::{collections::BTreeMap, sync::Arc};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use framework::{PAGE_SIZE, frame};
use fs::notify::Quota;
use spin::Mutex;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Queued real-time signals and POSIX timers (`RLIMIT_SIGPENDING`).
    Signals,
    /// Files that epoll instances watch (`/proc/sys/fs/epoll/max_user_watches`).
    EpollWatches,
}

/// Bytes of kernel memory that a watched file takes, about.
const WATCH_COST: usize = 256;

/// The most files that the epoll instances of a user may watch: a twenty-fifth of memory, as on
/// Linux.
pub fn max_epoll_watches() -> usize {
    frame::stats().total / 25 * (PAGE_SIZE / WATCH_COST)
}

/// The most inotify watches of a user: a hundredth of memory within Linux's bounds, with what a
/// watch and the inode it holds take.
pub fn max_inotify_watches() -> usize {
    const COST: usize = 1024;
    (frame::stats().total / 100 * (PAGE_SIZE / COST)).clamp(8192, 1 << 20)
}

/// The most inotify instances of a user, as on Linux.
pub const MAX_INOTIFY_INSTANCES: usize = 128;

/// A user's counts.
#[derive(Debug)]
struct User {
    counts: [AtomicUsize; 2],
    /// His inotify instances and watches, which file systems count.
    inotify: Arc<Quota>,
}

impl User {
    /// Whether he has anything, or somebody is just about to count something for him.
    fn is_used(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || Arc::strong_count(&self.inotify) > 1
    }
}

/// All users who have something, and some who had.
#[derive(Debug, Default)]
pub struct Users(Mutex<BTreeMap<Uid, Arc<User>>>);

impl Users {
    /// Nobody has anything.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The counts of `uid`; those of nobody's interest go when another user comes.
    fn of(&self, uid: Uid) -> Arc<User> {
        let mut users = self.0.lock();
        if let Some(user) = users.get(&uid) {
            return Arc::clone(user);
        }
        users.retain(|_, user| user.is_used());
        let user = Arc::new(User {
            counts: [const { AtomicUsize::new(0) }; 2],
            inotify: Quota::new(MAX_INOTIFY_INSTANCES, max_inotify_watches()),
        });
        users.insert(uid, Arc::clone(&user));
        user
    }

    /// Counts one more for `uid`, unless he has `most` already.
    pub fn charge(&self, uid: Uid, what: Limited, most: u64) -> Option<Charge> {
        let user = self.of(uid);
        let count = &user.counts[what as usize];
        if count.fetch_add(1, Relaxed) as u64 >= most {
            count.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Charge { user, what })
    }

    /// How many `uid` has.
    pub fn count(&self, uid: Uid, what: Limited) -> usize {
        let users = self.0.lock();
        users.get(&uid).map_or(0, |user| user.counts[what as usize].load(Relaxed))
    }

    /// What `uid` has and may have of inotify.
    pub fn inotify(&self, uid: Uid) -> Arc<Quota> {
        Arc::clone(&self.of(uid).inotify)
    }
}

/// One of what a user has; given back when it is dropped.
#[derive(Debug)]
pub struct Charge {
    user: Arc<User>,
    what: Limited,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.user.counts[self.what as usize].fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Limited, Users};

    #[test]
    fn each_user_has_his_own_count() {
        let users = Users::new();
        let first = users.charge(1, Limited::Signals, 2).unwrap();
        let second = users.charge(1, Limited::Signals, 2).unwrap();
        assert!(users.charge(1, Limited::Signals, 2).is_none());
        assert!(users.charge(1, Limited::EpollWatches, 2).is_some());
        assert!(users.charge(2, Limited::Signals, 2).is_some());
        assert_eq!(users.count(1, Limited::Signals), 2);
        drop(first);
        assert!(users.charge(1, Limited::Signals, 2).is_some());
        drop(second);
        assert_eq!(users.count(1, Limited::Signals), 0);
    }
}
