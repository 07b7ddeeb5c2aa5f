//! Who wants to know what happens to a file: the points where operations report, for inotify(7).
//!
//! Nothing is watched most of the time, so a report begins with one relaxed load.

mod inotify;

pub use inotify::{Inotify, QUEUE_MAX, Quota, WatchMask};

use crate::{Inode, Path};
use alloc::{sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
};
use spin::Mutex;

/// What happened to a file, with its `IN_*` bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// Read.
    Access = 1,
    /// Written.
    Modify = 2,
    /// Its attributes changed.
    Attributes = 4,
    /// Closed after it was open for writing.
    CloseWrite = 8,
    /// Closed after it was not.
    CloseNoWrite = 0x10,
    /// Opened.
    Open = 0x20,
    /// Moved out of the directory.
    MovedFrom = 0x40,
    /// Moved into the directory.
    MovedTo = 0x80,
    /// Made in the directory.
    Create = 0x100,
    /// Removed from the directory.
    Delete = 0x200,
    /// The watched file itself has lost its last name.
    DeleteSelf = 0x400,
    /// The watched file itself was moved.
    MoveSelf = 0x800,
}

/// The bit that says that the event is about a directory (`IN_ISDIR`).
pub const IS_DIRECTORY: u32 = 0x4000_0000;
/// The watched file is gone (`IN_IGNORED` follows).
pub const IGNORED: u32 = 0x8000;

/// What a watcher is told.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// `IN_*` bits.
    pub mask: u32,
    /// Ties the two halves of a rename together; else 0.
    pub cookie: u32,
    /// The name in the watched directory, if the event is about an entry of it.
    pub name: Option<&'a [u8]>,
}

/// Somebody who watches an inode.
pub trait Watcher: Send + Sync {
    /// The events it wants, as `IN_*` bits.
    fn mask(&self) -> u32;

    /// Takes a report; must neither wait nor take locks of the file system.
    fn notify(&self, report: Report<'_>);
}

static WATCHES: AtomicUsize = AtomicUsize::new(0);

/// The watchers of an inode.
#[derive(Default)]
pub(crate) struct Watches {
    list: Mutex<Vec<Arc<dyn Watcher>>>,
}

impl Watches {
    fn tell(&self, report: Report<'_>) {
        let list: Vec<_> = self.list.lock().clone();
        for watcher in list {
            if watcher.mask() & report.mask & !IS_DIRECTORY != 0 || report.mask & IGNORED != 0 {
                watcher.notify(report);
            }
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        WATCHES.fetch_sub(self.list.lock().len(), Relaxed);
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watches({})", self.list.lock().len())
    }
}

impl Inode {
    /// Adds a watcher.
    pub fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.extra().watches.list.lock().push(watcher);
        WATCHES.fetch_add(1, Relaxed);
    }

    /// Removes a watcher; whether it was there.
    pub fn unwatch(&self, watcher: &Arc<dyn Watcher>) -> bool {
        let Some(extra) = self.extra_if_any() else { return false };
        let mut list = extra.watches.list.lock();
        let before = list.len();
        list.retain(|other| !Arc::ptr_eq(other, watcher));
        let removed = before - list.len();
        WATCHES.fetch_sub(removed, Relaxed);
        removed != 0
    }

    fn tell(&self, mask: u32, cookie: u32, name: Option<&[u8]>) {
        if let Some(extra) = self.extra_if_any() {
            extra.watches.tell(Report { mask, cookie, name });
        }
    }
}

fn directory_bit(inode: &Inode) -> u32 {
    if inode.is_directory() { IS_DIRECTORY } else { 0 }
}

fn nobody_watches() -> bool {
    WATCHES.load(Relaxed) == 0
}

/// Reports an event to those who watch the directory of `path` and, but for events that are only
/// about the entry, to those who watch the file.
pub(crate) fn report(path: &Path, event: Event) {
    if nobody_watches() {
        return;
    }
    let Ok(inode) = path.inode() else { return };
    let mask = event as u32 | directory_bit(inode);
    if let Some(parent) = path.dentry().parent()
        && let Ok(directory) = parent.inode()
    {
        directory.tell(mask, 0, Some(&path.dentry().name()));
    }
    if !matches!(event, Event::Create | Event::Delete) {
        inode.tell(mask, 0, None);
    }
}

/// Reports an event to those who watch the file only.
pub(crate) fn report_inode(inode: &Inode, event: Event) {
    if !nobody_watches() {
        inode.tell(event as u32 | directory_bit(inode), 0, None);
    }
}

/// A name of the file was removed; if it was the last one, nothing more will happen to it.
pub(crate) fn report_removed(inode: &Inode) {
    if nobody_watches() {
        return;
    }
    if inode.links() == 0 || inode.is_directory() {
        inode.tell(Event::DeleteSelf as u32, 0, None);
        inode.tell(IGNORED, 0, None);
        if let Some(extra) = inode.extra_if_any() {
            let gone = core::mem::take(&mut *extra.watches.list.lock());
            WATCHES.fetch_sub(gone.len(), Relaxed);
        }
    }
}

/// A file was moved.
pub(crate) fn report_moved(from: &Path, old: &[u8], to: &Path, new: &[u8], inode: &Inode) {
    static COOKIE: AtomicU32 = AtomicU32::new(1);
    if nobody_watches() {
        return;
    }
    let cookie = COOKIE.fetch_add(1, Relaxed);
    let kind = directory_bit(inode);
    if let Ok(directory) = from.inode() {
        directory.tell(Event::MovedFrom as u32 | kind, cookie, Some(old));
    }
    if let Ok(directory) = to.inode() {
        directory.tell(Event::MovedTo as u32 | kind, cookie, Some(new));
    }
    inode.tell(Event::MoveSelf as u32 | kind, 0, None);
}
