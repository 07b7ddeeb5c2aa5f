//! What lies behind a mapping that is not private anonymous memory.

use super::Memory;
use abi::{Errno, Result};
use alloc::{
    boxed::Box,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::{any::Any, ops::Range};
use framework::{Frame, PAGE_SIZE};
use fs::{Caller, Credentials, Inode, Mapper, PageCache, PageStore, Path};
use spin::Mutex;

/// Pages that several mappings show.
#[derive(Debug)]
pub struct Object {
    pages: Pages,
    /// The address spaces that may show them.
    users: Mutex<Vec<Weak<Memory>>>,
}

enum Pages {
    /// These, which the kernel made.
    Fixed { name: &'static str, frames: Vec<Frame> },
    /// Zero until written.
    Anonymous(PageCache),
    /// A file's. `writable` ones are counted with the file, whose seals may forbid them.
    File { path: Path, inode: Arc<Inode>, writable: bool },
}

/// What a page is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To be read, or copied.
    Read,
    /// To be written by the mapping.
    Write,
}

/// The objects that show a file, kept with its inode: one for all mappings but the writable
/// shared ones, one for those.
#[derive(Debug, Default)]
struct OfInode([Mutex<Weak<Object>>; 2]);

impl Object {
    fn new(pages: Pages) -> Arc<Self> {
        Arc::new(Self { pages, users: Mutex::default() })
    }

    /// Shared anonymous memory of `len` pages, all zero.
    ///
    /// # Errors
    /// - `ENOMEM`: longer than any memory.
    pub fn anonymous(len: u64) -> Result<Arc<Self>> {
        let size = len.checked_mul(PAGE_SIZE as u64).ok_or(Errno::ENOMEM)?;
        let cache = PageCache::with_size(Box::new(NoStore), size);
        let object = Self::new(Pages::Anonymous(cache));
        object.be_told();
        Ok(object)
    }

    /// Pages the kernel made.
    pub fn fixed(name: &'static str, frames: Vec<Frame>) -> Arc<Self> {
        Self::new(Pages::Fixed { name, frames })
    }

    /// The pages of a regular file; `writable` for shared mappings that may be written.
    ///
    /// # Errors
    /// - `ENODEV`: the file has no pages to map.
    /// - `EPERM`: a seal forbids writable mappings.
    pub fn file(path: &Path, inode: &Arc<Inode>, writable: bool) -> Result<Arc<Self>> {
        // A mapping stays with the file below that is shown now.
        let inode = inode.real();
        let cache = inode.pages().ok_or(Errno::ENODEV)?;
        let objects = of_inode(inode);
        let mut slot = objects.0[usize::from(writable)].lock();
        if let Some(object) = slot.upgrade() {
            return Ok(object);
        }
        if writable {
            cache.add_writable_mapping()?;
        }
        let object = Self::new(Pages::File { path: path.clone(), inode: inode.clone(), writable });
        object.be_told();
        *slot = Arc::downgrade(&object);
        Ok(object)
    }

    /// Has the cache tell of pages that are cut off.
    fn be_told(self: &Arc<Self>) {
        if let Some(cache) = self.cache() {
            let mapper: Arc<dyn Mapper> = self.clone();
            cache.attach(&mapper);
        }
    }

    fn cache(&self) -> Option<&PageCache> {
        match &self.pages {
            Pages::Fixed { .. } => None,
            Pages::Anonymous(cache) => Some(cache),
            Pages::File { inode, .. } => inode.pages(),
        }
    }

    /// Has pages that are cut off the object removed from `memory` too.
    pub(super) fn attach(&self, memory: &Weak<Memory>) {
        if !matches!(self.pages, Pages::Fixed { .. }) {
            let mut users = self.users.lock();
            if !users.iter().any(|user| user.ptr_eq(memory)) {
                forget_dead(&mut users);
                users.push(memory.clone());
            }
        }
    }

    /// Like [`attach`](Self::attach), for an address space that is new.
    pub(super) fn attach_new(&self, memory: &Weak<Memory>) {
        if !matches!(self.pages, Pages::Fixed { .. }) {
            let mut users = self.users.lock();
            forget_dead(&mut users);
            users.push(memory.clone());
        }
    }

    /// A number that two objects share if they show the same pages, while both are held.
    pub fn identity(&self) -> usize {
        match &self.pages {
            Pages::File { inode, .. } => Arc::as_ptr(inode) as usize,
            _ => core::ptr::from_ref(self) as usize,
        }
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<(&Path, &Arc<Inode>)> {
        match &self.pages {
            Pages::File { path, inode, .. } => Some((path, inode)),
            _ => None,
        }
    }

    /// The name in `/proc/PID/maps` if it is no file.
    pub fn name(&self) -> &'static str {
        match &self.pages {
            Pages::Fixed { name, .. } => name,
            _ => "/dev/zero (deleted)",
        }
    }

    /// Whether the file wants to know when a page is first written.
    pub(super) fn notes_writes(&self) -> bool {
        matches!(self.pages, Pages::File { .. })
    }

    /// The page at `index`, which is brought in or made.
    ///
    /// # Errors
    /// - `EFAULT`: past the end.
    /// - `ENOMEM`, `ENOSPC`: no room for it.
    /// - `MISS`: it has to be read from a disk.
    pub fn page(&self, index: u64, usage: Use) -> Result<Frame> {
        let cache = match &self.pages {
            Pages::Fixed { .. } => return self.present(index).ok_or(Errno::EFAULT),
            Pages::Anonymous(cache) => cache,
            Pages::File { inode, .. } => inode.pages().ok_or(Errno::EFAULT)?,
        };
        let caller = Caller::new(Credentials::ROOT, || fs::Timespec::new(0, 0));
        if usage == Use::Read
            && let Some(frame) = cache.get(index, &caller)?
        {
            return Ok(frame);
        }
        cache.get_or_create(index, &caller)
    }

    /// Calls `visit` with the pages of `range` that are at hand.
    pub fn for_each_present(&self, range: Range<u64>, visit: &mut dyn FnMut(u64, &Frame)) {
        match &self.pages {
            Pages::Fixed { frames, .. } => {
                for index in range {
                    let frame = usize::try_from(index).ok().and_then(|index| frames.get(index));
                    if let Some(frame) = frame {
                        visit(index, frame);
                    }
                }
            }
            _ => {
                if let Some(cache) = self.cache() {
                    cache.for_each_cached(range, visit);
                }
            }
        }
    }

    /// The page at `index` if it is at hand.
    pub fn present(&self, index: u64) -> Option<Frame> {
        let mut found = None;
        self.for_each_present(index..index + 1, &mut |_, frame| found = Some(frame.clone()));
        found
    }

    /// Copies from `offset` on; returns how many bytes, fewer only at the end.
    ///
    /// # Errors
    /// - `MISS`: a page has to be read from a disk.
    pub fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        let Some(cache) = self.cache() else { return Ok(0) };
        let left = cache.size().saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let inside = usize::try_from(at % PAGE_SIZE as u64).unwrap_or(0);
            let piece = (PAGE_SIZE - inside).min(len - done);
            let frame = self.page(at / PAGE_SIZE as u64, Use::Read)?;
            frame.read(inside, &mut to[done..done + piece]);
            done += piece;
        }
        Ok(done)
    }

    /// Drops pages for everybody: `MADV_REMOVE`.
    ///
    /// # Errors
    /// - `EOPNOTSUPP`: the object cannot have holes.
    /// - `EPERM`: a seal forbids it.
    pub fn punch(&self, pages: Range<u64>) -> Result<()> {
        let cache = self.cache().ok_or(Errno::EOPNOTSUPP)?;
        let page = PAGE_SIZE as u64;
        let bytes = pages.start.saturating_mul(page)..pages.end.saturating_mul(page);
        let caller = Caller::new(Credentials::ROOT, || fs::Timespec::new(0, 0));
        cache.punch(bytes, &caller)
    }
}

/// The objects kept with an inode.
fn of_inode(inode: &Arc<Inode>) -> Arc<OfInode> {
    let kept = inode.attachment().and_then(|kept| Arc::downcast::<OfInode>(kept).ok());
    kept.unwrap_or_else(|| {
        // Two at once may each make one: both work, they only do not share.
        let objects = Arc::new(OfInode::default());
        let kept: Arc<dyn Any + Send + Sync> = objects.clone();
        inode.attach(Some(kept));
        objects
    })
}

/// Makes room by dropping address spaces that are gone, when the list would grow.
fn forget_dead(users: &mut Vec<Weak<Memory>>) {
    if users.len() == users.capacity() {
        users.retain(|user| user.strong_count() > 0);
    }
}

impl Mapper for Object {
    fn unmap(&self, pages: Range<u64>) {
        let users: Vec<_> = self.users.lock().iter().filter_map(Weak::upgrade).collect();
        for user in users {
            user.unmap_object(self, &pages);
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Pages::File { inode, writable: true, .. } = &self.pages
            && let Some(cache) = inode.pages()
        {
            cache.remove_writable_mapping();
        }
    }
}

impl core::fmt::Debug for Pages {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Fixed { name, .. } => f.write_str(name),
            Self::Anonymous(_) => f.write_str("anonymous"),
            Self::File { inode, .. } => write!(f, "inode {}", inode.number()),
        }
    }
}

/// Shared anonymous memory goes nowhere and comes from nowhere.
struct NoStore;

impl PageStore for NoStore {
    fn reserve(&self, _index: u64, _caller: &Caller<'_>) -> fs::Result<()> {
        Ok(())
    }

    fn release(&self, _pages: Range<u64>, _count: u64) {}
}
