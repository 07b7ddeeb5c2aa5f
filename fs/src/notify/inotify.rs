//! An inotify instance: its watches and its queue of events.

use crate::{
    Errno, Inode, Result, Sink,
    notify::{IGNORED, Report, Watcher},
};
use abi::Events;
use alloc::{
    collections::VecDeque,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::{
    fmt,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
};
use executor::wait::WaitQueue;
use smallvec::SmallVec;
use spin::Mutex;

/// Events in a queue before the rest is dropped (`/proc/sys/fs/inotify/max_queued_events`).
pub const QUEUE_MAX: usize = 16384;
/// Bytes of an event before its name; names are padded to a multiple of it.
const EVENT_SIZE: usize = 16;
/// Events were dropped.
const OVERFLOW: u32 = 0x4000;

bitflags::bitflags! {
    /// What to watch for: the mask of inotify_add_watch(2). The events are those of
    /// [`Event`](crate::notify::Event).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WatchMask: u32 {
        /// All events.
        const ALL = 0xfff;
        /// `ENOTDIR` unless it is a directory; for the caller.
        const ONLY_DIRECTORY = 0x0100_0000;
        /// Watch a symbolic link itself; for the caller.
        const NO_FOLLOW = 0x0200_0000;
        /// No events of entries that have no name any more.
        const EXCLUDE_UNLINKED = 0x0400_0000;
        /// `EEXIST` if it is watched already.
        const CREATE = 0x1000_0000;
        /// Add to the mask of a watch that is there.
        const ADD = 0x2000_0000;
        /// End after one event.
        const ONE_SHOT = 0x8000_0000;
    }
}

/// An inotify instance.
pub struct Inotify {
    state: Mutex<State>,
    queue: WaitQueue,
    /// For the watches to find it.
    own: Weak<Self>,
    quota: Arc<Quota>,
}

/// What the instances of one user have together, and may have.
#[derive(Debug)]
pub struct Quota {
    instances: AtomicUsize,
    watches: AtomicUsize,
    most_instances: usize,
    most_watches: usize,
}

impl Quota {
    /// At most so many instances with so many watches, and none yet.
    pub fn new(most_instances: usize, most_watches: usize) -> Arc<Self> {
        let (instances, watches) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { instances, watches, most_instances, most_watches })
    }

    /// Counts one more, unless there are `most`.
    fn take(count: &AtomicUsize, most: usize) -> bool {
        let taken = count.fetch_add(1, Relaxed) < most;
        if !taken {
            count.fetch_sub(1, Relaxed);
        }
        taken
    }
}

#[derive(Default)]
struct State {
    watches: Vec<Entry>,
    events: VecDeque<Queued>,
    bytes: usize,
    /// A fault tore the first event: how far the sink was, and how much of the event it had.
    torn: Option<(usize, usize)>,
    last_watch: i32,
}

struct Entry {
    inode: Arc<Inode>,
    watch: Arc<Watch>,
}

#[derive(Clone, PartialEq, Eq)]
struct Queued {
    watch: i32,
    mask: u32,
    cookie: u32,
    name: SmallVec<[u8; 16]>,
}

impl Queued {
    /// Bytes of the name with its NULs.
    fn name_len(&self) -> usize {
        if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(EVENT_SIZE) }
    }

    fn len(&self) -> usize {
        EVENT_SIZE + self.name_len()
    }
}

/// One watch of one instance.
struct Watch {
    number: i32,
    mask: AtomicU32,
    instance: Weak<Inotify>,
}

impl Watcher for Watch {
    fn mask(&self) -> u32 {
        self.mask.load(Relaxed)
    }

    fn notify(&self, report: Report<'_>) {
        let Some(instance) = self.instance.upgrade() else { return };
        if report.mask & IGNORED != 0 {
            instance.forget(self.number);
            return;
        }
        instance.push(self.number, report);
        if self.mask() & WatchMask::ONE_SHOT.bits() != 0 {
            // The number is known, unless somebody was faster.
            let _ = instance.remove(self.number);
        }
    }
}

impl Inotify {
    /// Makes an instance without watches, one of those of `quota`: inotify_init1(2).
    ///
    /// # Errors
    /// - `EMFILE`: there are too many.
    pub fn new(quota: Arc<Quota>) -> Result<Arc<Self>> {
        if !Quota::take(&quota.instances, quota.most_instances) {
            return Err(Errno::EMFILE);
        }
        Ok(Arc::new_cyclic(|own| Self {
            state: Mutex::default(),
            queue: WaitQueue::new(),
            own: Weak::clone(own),
            quota,
        }))
    }

    /// Watches a file, or changes what is watched for; returns the watch's number.
    ///
    /// # Errors
    /// - `EINVAL`: no event in the mask, or flags that exclude each other.
    /// - `EEXIST`: it is watched, with [`WatchMask::CREATE`].
    /// - `ENOSPC`: too many watches.
    ///
    /// Source: inotify_add_watch(2)
    pub fn add(&self, inode: &Arc<Inode>, mask: WatchMask) -> Result<i32> {
        let exclusive = mask.contains(WatchMask::ADD | WatchMask::CREATE);
        if !mask.intersects(WatchMask::ALL) || exclusive {
            return Err(Errno::EINVAL);
        }
        let bits = mask & (WatchMask::ALL | WatchMask::ONE_SHOT | WatchMask::EXCLUDE_UNLINKED);
        let watch = {
            let mut state = self.state.lock();
            let old = state.watches.iter().find(|entry| Arc::ptr_eq(&entry.inode, inode));
            if let Some(Entry { watch, .. }) = old {
                if mask.contains(WatchMask::CREATE) {
                    return Err(Errno::EEXIST);
                }
                if mask.contains(WatchMask::ADD) {
                    watch.mask.fetch_or(bits.bits(), Relaxed);
                } else {
                    watch.mask.store(bits.bits(), Relaxed);
                }
                return Ok(watch.number);
            }
            let number = state.last_watch.checked_add(1).ok_or(Errno::ENOSPC)?;
            if !Quota::take(&self.quota.watches, self.quota.most_watches) {
                return Err(Errno::ENOSPC);
            }
            state.last_watch = number;
            let watch = Arc::new(Watch {
                number: state.last_watch,
                mask: AtomicU32::new(bits.bits()),
                instance: Weak::clone(&self.own),
            });
            let entry = Entry { inode: Arc::clone(inode), watch: Arc::clone(&watch) };
            state.watches.push(entry);
            watch
        };
        let number = watch.number;
        inode.watch(watch);
        Ok(number)
    }

    /// Ends a watch.
    ///
    /// # Errors
    /// - `EINVAL`: there is none of this number.
    ///
    /// Source: inotify_rm_watch(2)
    pub fn remove(&self, number: i32) -> Result<()> {
        let entry = self.forget(number).ok_or(Errno::EINVAL)?;
        let watch: Arc<dyn Watcher> = entry.watch;
        entry.inode.unwatch(&watch);
        Ok(())
    }

    /// Takes a watch out of the list and says so in the queue.
    fn forget(&self, number: i32) -> Option<Entry> {
        let entry = {
            let mut state = self.state.lock();
            let position = state.watches.iter().position(|entry| entry.watch.number == number)?;
            self.quota.watches.fetch_sub(1, Relaxed);
            state.watches.swap_remove(position)
        };
        self.push(number, Report { mask: IGNORED, cookie: 0, name: None });
        Some(entry)
    }

    fn push(&self, watch: i32, report: Report<'_>) {
        let name = SmallVec::from_slice(report.name.unwrap_or_default());
        let queued = Queued { watch, mask: report.mask, cookie: report.cookie, name };
        {
            let mut state = self.state.lock();
            // The same again, right after it, tells nothing new.
            if state.events.back() == Some(&queued) {
                return;
            }
            let full = state.events.len() >= QUEUE_MAX;
            let overflow = Queued { watch: -1, mask: OVERFLOW, cookie: 0, name: SmallVec::new() };
            let queued = if full { overflow } else { queued };
            if state.events.len() > QUEUE_MAX || state.events.try_reserve(1).is_err() {
                return;
            }
            state.bytes += queued.len();
            state.events.push_back(queued);
        }
        self.queue.wake_all((Events::IN | Events::RDNORM).bits());
    }

    /// Reads as many whole events as fit.
    ///
    /// # Errors
    /// - `EAGAIN`: there are none.
    /// - `EINVAL`: there is no room for the first.
    /// - `EFAULT`: the sink says where; an event is lost only when it was read as a whole.
    ///
    /// Source: inotify(7)
    pub fn read(&self, to: &mut Sink<'_>) -> Result<usize> {
        let mut state = self.state.lock();
        if state.events.is_empty() && to.done() == 0 {
            return Err(Errno::EAGAIN);
        }
        let mut bytes = Vec::new();
        // Only the call that was stopped by the fault goes on in the middle of an event.
        let torn = state.torn.take().filter(|torn| torn.0 == to.done());
        let mut skip = torn.map_or(0, |torn| torn.1);
        while let Some(event) = state.events.front() {
            if event.len() - skip > to.remaining() {
                break;
            }
            bytes.clear();
            event.write(&mut bytes);
            let begin = to.done();
            if let Err(fault) = to.write(&bytes[skip..]) {
                state.torn = Some((to.done(), skip + to.done() - begin));
                return Err(fault.into());
            }
            skip = 0;
            state.bytes -= bytes.len();
            state.events.pop_front();
        }
        if to.done() == 0 { Err(Errno::EINVAL) } else { Ok(to.done()) }
    }

    /// Bytes that can be read (`FIONREAD`).
    pub fn len(&self) -> usize {
        self.state.lock().bytes
    }

    /// Whether there is nothing to be read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which events are there now.
    pub fn poll(&self) -> Events {
        if self.is_empty() { Events::empty() } else { Events::IN | Events::RDNORM }
    }

    /// Where to wait for events.
    pub const fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }
}

impl Queued {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.watch.to_le_bytes());
        out.extend_from_slice(&self.mask.to_le_bytes());
        out.extend_from_slice(&self.cookie.to_le_bytes());
        let padded = self.name_len();
        out.extend_from_slice(&u32::try_from(padded).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.name);
        out.resize(EVENT_SIZE + padded, 0);
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        self.quota.instances.fetch_sub(1, Relaxed);
        for entry in self.state.get_mut().watches.drain(..) {
            self.quota.watches.fetch_sub(1, Relaxed);
            let watch: Arc<dyn Watcher> = entry.watch;
            entry.inode.unwatch(&watch);
        }
    }
}

impl fmt::Debug for Inotify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inotify({} watches)", self.state.lock().watches.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Inotify, Quota, WatchMask};
    use crate::{
        Errno, OpenFlags, RenameFlags, Sink,
        testing::{World, put, root_caller},
    };

    /// Reads all events as watch number, mask, and name.
    fn events(inotify: &Inotify) -> Vec<(i32, u32, String)> {
        let mut buffer = vec![0; 8192];
        let Ok(count) = inotify.read(&mut Sink::kernel(&mut buffer)) else { return Vec::new() };
        let mut rest = &buffer[..count];
        let mut found = Vec::new();
        while let Some((header, after)) = rest.split_first_chunk::<16>() {
            let (words, _) = header.as_chunks::<4>();
            let length = u32::from_le_bytes(words[3]) as usize;
            let name = after[..length].split(|byte| *byte == 0).next().unwrap();
            let name = String::from_utf8(name.to_vec()).unwrap();
            found.push((i32::from_le_bytes(words[0]), u32::from_le_bytes(words[1]), name));
            rest = &after[length..];
        }
        found
    }

    #[test]
    fn what_happens_in_a_directory_is_told() {
        let world = World::new();
        world.mkdir("/d");
        let inotify = Inotify::new(Quota::new(10, 10)).unwrap();
        let directory = world.lookup("/d").unwrap();
        let watch = inotify.add(directory.inode().unwrap(), WatchMask::ALL).unwrap();
        let file = world.open("/d/f", OpenFlags::CREATE | OpenFlags::WRITE_ONLY).unwrap();
        put(&file, b"x").unwrap();
        put(&file, b"y").unwrap();
        drop(file);
        let named = |mask, name: &str| (watch, mask, name.to_string());
        assert_eq!(
            events(&inotify),
            [named(0x100, "f"), named(0x20, "f"), named(2, "f"), named(8, "f")]
        );
        let caller = root_caller();
        let walk = world.walk(&caller);
        let names = ((&world.root, &b"/d/f"[..]), (&world.root, &b"/d/g"[..]));
        walk.rename(names.0, names.1, RenameFlags::empty()).unwrap();
        walk.unlink(&world.root, b"/d/g").unwrap();
        assert_eq!(events(&inotify), [named(0x40, "f"), named(0x80, "g"), named(0x200, "g")]);
        world.mkdir("/d/sub");
        walk.remove_dir(&world.root, b"/d/sub").unwrap();
        walk.remove_dir(&world.root, b"/d").unwrap();
        assert_eq!(
            events(&inotify),
            [
                named(0x4000_0100, "sub"),
                named(0x4000_0200, "sub"),
                named(0x400, ""),
                named(0x8000, "")
            ]
        );
        assert_eq!(inotify.remove(watch), Err(Errno::EINVAL));
    }

    #[test]
    fn watches_are_changed_and_removed() {
        let world = World::new();
        world.write("/f", b"");
        let inotify = Inotify::new(Quota::new(10, 10)).unwrap();
        let path = world.lookup("/f").unwrap();
        let inode = path.inode().unwrap();
        let modify = WatchMask::from_bits_retain(2);
        let watch = inotify.add(inode, modify).unwrap();
        assert_eq!(inotify.add(inode, modify | WatchMask::CREATE), Err(Errno::EEXIST));
        assert_eq!(inotify.add(inode, WatchMask::ONE_SHOT), Err(Errno::EINVAL));
        let attributes = WatchMask::from_bits_retain(4) | WatchMask::ADD;
        assert_eq!(inotify.add(inode, attributes), Ok(watch));
        world.write("/f", b"text");
        assert_eq!(events(&inotify), [(watch, 2, String::new())]);
        let mut short = [0; 15];
        assert_eq!(inotify.read(&mut Sink::kernel(&mut short)), Err(Errno::EAGAIN));
        world.write("/f", b"text");
        assert_eq!(inotify.len(), 16);
        assert_eq!(inotify.read(&mut Sink::kernel(&mut short)), Err(Errno::EINVAL));
        inotify.remove(watch).unwrap();
        assert_eq!(events(&inotify).last(), Some(&(watch, 0x8000, String::new())));
        let once = inotify.add(inode, modify | WatchMask::ONE_SHOT).unwrap();
        assert_ne!(once, watch);
        world.write("/f", b"text");
        world.write("/f", b"text");
        assert_eq!(events(&inotify), [(once, 2, String::new()), (once, 0x8000, String::new())]);
    }
}
