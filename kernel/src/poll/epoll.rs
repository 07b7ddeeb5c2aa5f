//! epoll(7): a set of files, and a list of those that became ready.
//!
//! ```text
//!   file's queue ──wake(mask)──▶ Item::notify ──▶ ready list (once) ──▶ wake one waiter
//!   epoll_wait: take the list, ask each file again, report, put level-triggered ones back
//! ```
//! A wake-up costs the files that changed, not the files watched. An item holds its file weakly:
//! closing the last descriptor takes it out. Lock order: items, then ready; no lock is held while
//! a file is asked for its events.

use crate::{
    count::EpollItems,
    cred::{Charge, Limited, max_epoll_watches},
    file::File,
    thread::Thread,
};
use abi::{Errno, Events, Fd, Result};
use alloc::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use executor::wait::{Observer, ObserverKey, WaitQueue};
use framework::count::Counted;
use spin::Mutex;

bitflags::bitflags! {
    /// How an item behaves (`epoll_event.events`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EpollFlags: u32 {
        /// Wake only one of several epoll instances that watch the file.
        const EXCLUSIVE = 1 << 28;
        /// Keep the system awake; has no meaning here.
        const WAKE_UP = 1 << 29;
        /// Report once, until changed.
        const ONE_SHOT = 1 << 30;
        /// Report only new events.
        const EDGE = 1 << 31;
    }
}

/// What a program wants to know about a file.
#[derive(Clone, Copy, Debug)]
pub struct Interest {
    /// Events of interest.
    pub events: Events,
    /// How they are reported.
    pub flags: EpollFlags,
    /// What is reported with them.
    pub data: u64,
}

/// How deep epoll instances may watch each other.
const MAX_NESTING: usize = 5;

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll {
    items: Mutex<BTreeMap<Key, Arc<Item>>>,
    shared: Arc<Shared>,
}

/// A file is watched once for each descriptor.
type Key = (Fd, usize);

/// What items keep of their instance.
#[derive(Debug, Default)]
struct Shared {
    ready: Mutex<VecDeque<Arc<Item>>>,
    queue: WaitQueue,
}

struct Item {
    /// A wake-up has only a reference, and listing takes a count.
    me: Weak<Item>,
    file: Weak<File>,
    key: Key,
    /// Changed by `EPOLL_CTL_MOD` only.
    events: AtomicU32,
    flags: AtomicU32,
    data: AtomicU64,
    /// On the ready list.
    listed: AtomicBool,
    /// A one-shot item that has been reported.
    disarmed: AtomicBool,
    /// Taken out of the instance.
    removed: AtomicBool,
    shared: Weak<Shared>,
    observer: Mutex<Option<ObserverKey>>,
    _counted: Counted<EpollItems>,
    _charge: Charge,
}

impl Epoll {
    /// An instance that watches nothing.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { items: Mutex::new(BTreeMap::new()), shared: Arc::new(Shared::default()) })
    }

    /// `EPOLL_CTL_ADD`.
    ///
    /// # Errors
    /// - `EEXIST`: it is watched already.
    /// - `EPERM`: the file has no events that change.
    /// - `ENOSPC`: the user watches too many.
    /// - `ELOOP`: instances would watch each other in a circle, or too deep.
    pub fn add(
        self: &Arc<Self>,
        thread: &Thread,
        fd: Fd,
        file: &Arc<File>,
        interest: Interest,
    ) -> Result<()> {
        let queue = file.queue().ok_or(Errno::EPERM)?;
        if let Some(other) = file.as_epoll() {
            other.check_nesting(self, MAX_NESTING - 1)?;
        }
        let key = (fd, Arc::as_ptr(file).addr());
        let most = max_epoll_watches() as u64;
        let charge = thread
            .system
            .users
            .charge(thread.credentials.uid, Limited::EpollWatches, most)
            .ok_or(Errno::ENOSPC)?;
        let item = Arc::new_cyclic(|me| Item {
            me: Weak::clone(me),
            file: Arc::downgrade(file),
            key,
            events: AtomicU32::new(interest.events.bits()),
            flags: AtomicU32::new(interest.flags.bits()),
            data: AtomicU64::new(interest.data),
            listed: AtomicBool::new(false),
            disarmed: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            shared: Arc::downgrade(&self.shared),
            observer: Mutex::new(None),
            _counted: Counted::new(),
            _charge: charge,
        });
        {
            let mut items = self.items.lock();
            // Descriptors are reused: what watched a file that is gone is no obstacle.
            items.retain(|(old, _), item| *old != fd || item.file.strong_count() > 0);
            if items.contains_key(&key) {
                return Err(Errno::EEXIST);
            }
            items.insert(key, Arc::clone(&item));
        }
        // Register first, then look: an event in between is not lost.
        let observer = queue.observe(Arc::clone(&item) as Arc<dyn Observer>, u32::MAX);
        *item.observer.lock() = Some(observer);
        item.check(thread, file);
        Ok(())
    }

    /// `EPOLL_CTL_MOD`.
    ///
    /// # Errors
    /// - `ENOENT`: it is not watched.
    pub fn modify(
        &self,
        thread: &Thread,
        fd: Fd,
        file: &Arc<File>,
        interest: Interest,
    ) -> Result<()> {
        let key = (fd, Arc::as_ptr(file).addr());
        let item = self.items.lock().get(&key).cloned().ok_or(Errno::ENOENT)?;
        if interest.flags.contains(EpollFlags::EXCLUSIVE)
            || item.flags().contains(EpollFlags::EXCLUSIVE)
        {
            return Err(Errno::EINVAL);
        }
        item.data.store(interest.data, Ordering::Relaxed);
        item.flags.store(interest.flags.bits(), Ordering::Relaxed);
        item.events.store(interest.events.bits(), Ordering::SeqCst);
        item.disarmed.store(false, Ordering::SeqCst);
        item.check(thread, file);
        Ok(())
    }

    /// `EPOLL_CTL_DEL`.
    ///
    /// # Errors
    /// - `ENOENT`: it is not watched.
    pub fn remove(&self, fd: Fd, file: &Arc<File>) -> Result<()> {
        let key = (fd, Arc::as_ptr(file).addr());
        let item = self.items.lock().remove(&key).ok_or(Errno::ENOENT)?;
        item.detach(file);
        Ok(())
    }

    /// Gives at most `most` ready items to `report`, asking each file again; returns how many. An
    /// item whose report fails is as if it had not been asked for.
    ///
    /// # Errors
    /// Those of `report`, if the first one fails.
    pub fn take(
        &self,
        thread: &Thread,
        most: usize,
        report: &mut dyn FnMut(usize, Events, u64) -> Result<()>,
    ) -> Result<usize> {
        let mut found = 0;
        let mut result = Ok(());
        let mut again = VecDeque::new();
        // Bounded by what is listed now: level-triggered items go back only at the end.
        let listed = self.shared.ready.lock().len();
        for _ in 0..listed {
            if found == most {
                break;
            }
            let Some(item) = self.shared.ready.lock().pop_front() else { break };
            // Cleared before the file is asked: an event from here on lists it again.
            item.listed.store(false, Ordering::SeqCst);
            let Some(file) = item.live_file() else {
                self.forget(&item);
                continue;
            };
            let events = item.ready(thread, &file);
            if events.is_empty() {
                continue;
            }
            result = report(found, events, item.data.load(Ordering::Relaxed));
            if result.is_err() {
                item.list_first(&self.shared);
                break;
            }
            found += 1;
            let flags = item.flags();
            if flags.contains(EpollFlags::ONE_SHOT) {
                item.disarmed.store(true, Ordering::SeqCst);
            } else if !flags.contains(EpollFlags::EDGE) {
                again.push_back(item);
            }
        }
        for item in again {
            item.list(&self.shared);
        }
        if found == 0 { result.map(|()| 0) } else { Ok(found) }
    }

    /// Whether an item is ready, for those who watch this instance. Those that were listed and are
    /// ready no longer leave the list.
    pub fn events(&self, thread: &Thread) -> Events {
        let listed = self.shared.ready.lock().len();
        for _ in 0..listed {
            let Some(item) = self.shared.ready.lock().pop_front() else { break };
            item.listed.store(false, Ordering::SeqCst);
            let ready = item.live_file().is_some_and(|file| !item.ready(thread, &file).is_empty());
            if ready {
                item.list_first(&self.shared);
                return Events::IN | Events::RDNORM;
            }
        }
        Events::empty()
    }

    /// Who waits for ready items.
    pub fn queue(&self) -> &WaitQueue {
        &self.shared.queue
    }

    /// The watched descriptors with their interest, for `/proc/PID/fdinfo`.
    pub fn interests(&self) -> Vec<(Fd, Interest)> {
        let items = self.items.lock();
        let live = items.values().filter(|item| item.file.strong_count() > 0);
        live.map(|item| (item.key.0, item.interest())).collect()
    }

    fn forget(&self, item: &Item) {
        let mut items = self.items.lock();
        if items.get(&item.key).is_some_and(|held| core::ptr::eq(&raw const **held, item)) {
            items.remove(&item.key);
        }
    }

    /// Whether `root` can be reached from here within `depth` steps.
    fn check_nesting(&self, root: &Self, depth: usize) -> Result<()> {
        if core::ptr::eq(self, root) || depth == 0 {
            return Err(Errno::ELOOP);
        }
        let files: Vec<Arc<File>> =
            self.items.lock().values().filter_map(|item| item.file.upgrade()).collect();
        files
            .iter()
            .filter_map(|file| file.as_epoll())
            .try_for_each(|inner| inner.check_nesting(root, depth - 1))
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        for item in self.items.get_mut().values() {
            if let Some(file) = item.file.upgrade() {
                item.detach(&file);
            }
        }
    }
}

impl Item {
    fn flags(&self) -> EpollFlags {
        EpollFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    fn wanted(&self) -> Events {
        Events::from_bits_retain(self.events.load(Ordering::SeqCst)) | super::ALWAYS
    }

    fn interest(&self) -> Interest {
        let events = Events::from_bits_retain(self.events.load(Ordering::Relaxed));
        Interest { events, flags: self.flags(), data: self.data.load(Ordering::Relaxed) }
    }

    fn live_file(&self) -> Option<Arc<File>> {
        if self.removed.load(Ordering::SeqCst) { None } else { self.file.upgrade() }
    }

    /// The events to report now.
    fn ready(&self, thread: &Thread, file: &File) -> Events {
        if self.disarmed.load(Ordering::SeqCst) {
            return Events::empty();
        }
        file.events(thread) & self.wanted()
    }

    /// Lists the item if the file is ready.
    fn check(self: &Arc<Self>, thread: &Thread, file: &File) {
        if !self.ready(thread, file).is_empty()
            && let Some(shared) = self.shared.upgrade()
        {
            self.list(&shared);
            shared.queue.wake_one(Events::IN.bits());
        }
    }

    fn list(self: &Arc<Self>, shared: &Shared) {
        if !self.listed.swap(true, Ordering::SeqCst) {
            shared.ready.lock().push_back(Arc::clone(self));
        }
    }

    /// Lists it before all others.
    fn list_first(self: &Arc<Self>, shared: &Shared) {
        if !self.listed.swap(true, Ordering::SeqCst) {
            shared.ready.lock().push_front(Arc::clone(self));
        }
    }

    fn detach(&self, file: &File) {
        self.removed.store(true, Ordering::SeqCst);
        let observer = self.observer.lock().take();
        if let (Some(queue), Some(observer)) = (file.queue(), observer) {
            queue.unobserve(observer);
        }
    }
}

impl Observer for Item {
    fn notify(&self, mask: u32) {
        let events = Events::from_bits_retain(mask);
        if !events.intersects(self.wanted()) || self.disarmed.load(Ordering::SeqCst) {
            return;
        }
        let (Some(shared), Some(me)) = (self.shared.upgrade(), self.me.upgrade()) else { return };
        me.list(&shared);
        shared.queue.wake_one(Events::IN.bits());
    }
}

impl core::fmt::Debug for Item {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Item({:?}, {:?})", self.key.0, self.interest())
    }
}
