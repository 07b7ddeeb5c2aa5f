//! The page cache of a file: its bytes in memory, by page.
//!
//! Reading, writing and mapping all go through it, so they agree. A page that is not there is
//! brought by the [`PageStore`]; for a file system in memory that is a hole, which costs nothing
//! until it is written.
//!
//! ```text
//!   read, write ──copy──▶ Frame ◀──map── memory map
//!                           ▲
//!                       PageCache ──load, reserve──▶ PageStore
//! ```
//!
//! Invariants: no page lies wholly beyond the size, except for the time of a write that extends
//! it; bytes of the last page beyond the size are zero unless a program wrote them by a mapping.
//! Lock order: `writing`, then `pages`.

mod copy;
mod radix;
mod store;

pub(crate) use copy::Start;
pub use store::{Mapper, Others, PageStore};

use crate::{Caller, Errno, Result, pages::radix::Radix};
use alloc::{
    boxed::Box,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::{
    fmt,
    ops::Range,
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use framework::{Frame, PAGE_SIZE};
use smallvec::SmallVec;
use spin::{Mutex, MutexGuard};

/// Bytes in a page, as a file offset.
pub(crate) const PAGE: u64 = PAGE_SIZE as u64;
/// The largest size of a file.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// The bytes of a file in memory.
pub struct PageCache {
    size: AtomicU64,
    pages: Mutex<Pages>,
    /// Held while the size or the contents change by system calls.
    writing: Mutex<()>,
    store: Box<dyn PageStore>,
    mappers: Mutex<Vec<Weak<dyn Mapper>>>,
    writable_mappings: AtomicU32,
    seals: AtomicU32,
}

#[derive(Default)]
struct Pages {
    tree: Radix,
    count: u64,
}

/// Pages in all caches.
static CACHED: AtomicU64 = AtomicU64::new(0);

/// How many pages all files have in memory together.
pub fn cached_pages() -> usize {
    usize::try_from(CACHED.load(Relaxed)).unwrap_or(usize::MAX)
}

bitflags::bitflags! {
    /// What may no longer be done to a file: fcntl(2), `F_ADD_SEALS`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Seals: u32 {
        /// Add seals.
        const SEAL = 1;
        /// Make it smaller.
        const SHRINK = 2;
        /// Make it larger.
        const GROW = 4;
        /// Change its contents.
        const WRITE = 8;
        /// Change its contents, but by shared mappings that are already there.
        const FUTURE_WRITE = 16;
        /// Change its execute bits.
        const EXECUTE = 32;
    }
}

/// Seals are not available on this file: `F_GET_SEALS` is `EINVAL`.
const NO_SEALS: u32 = 1 << 31;

impl PageCache {
    /// An empty file.
    pub fn new(store: Box<dyn PageStore>) -> Self {
        Self {
            size: AtomicU64::new(0),
            pages: Mutex::default(),
            writing: Mutex::new(()),
            store,
            mappers: Mutex::new(Vec::new()),
            writable_mappings: AtomicU32::new(0),
            seals: AtomicU32::new(NO_SEALS),
        }
    }

    /// A file of this size whose pages are not yet in memory.
    pub fn with_size(store: Box<dyn PageStore>, size: u64) -> Self {
        let cache = Self::new(store);
        cache.size.store(size, Relaxed);
        cache
    }

    /// Bytes in the file.
    pub fn size(&self) -> u64 {
        self.size.load(Acquire)
    }

    /// Blocks of 512 bytes in memory.
    pub fn blocks(&self) -> u64 {
        self.pages.lock().count * (PAGE / 512)
    }

    /// The page store.
    pub fn store(&self) -> &dyn PageStore {
        &*self.store
    }

    /// The page at `index`; `None` is a hole, or beyond the end.
    ///
    /// # Errors
    /// - `MISS`: it has to be read from a disk.
    pub fn get(&self, index: u64, caller: &Caller<'_>) -> Result<Option<Frame>> {
        if let Some(frame) = self.pages.lock().tree.get(index) {
            return Ok(Some(frame.clone()));
        }
        self.load(index, caller)
    }

    #[cold]
    fn load(&self, index: u64, caller: &Caller<'_>) -> Result<Option<Frame>> {
        let mut others: SmallVec<[(u64, Frame); 16]> = SmallVec::new();
        let loaded =
            self.store.load(index, caller, &mut |index, frame| others.push((index, frame)))?;
        let end = self.size().div_ceil(PAGE);
        let mut pages = self.pages.lock();
        for (index, frame) in others {
            if index < end && pages.tree.get(index).is_none() {
                pages.add(index, frame);
            }
        }
        let Some(frame) = loaded else { return Ok(None) };
        if let Some(frame) = pages.tree.get(index) {
            return Ok(Some(frame.clone()));
        }
        pages.add(index, frame.clone());
        Ok(Some(frame))
    }

    /// The file behind the store was changed by others, and no page in memory is true any more.
    /// `renew` saves what has to be and returns the new size; no write goes on meanwhile.
    pub(crate) fn forget(&self, renew: impl FnOnce() -> u64) {
        let _writing = self.lock_writing();
        self.size.store(renew(), Release);
        self.cut(0..u64::MAX);
    }

    /// Lets go of the pages of a range that nobody maps or uses just now and that the store can
    /// bring again; returns how many stay.
    pub(crate) fn evict(&self, range: Range<u64>) -> usize {
        let mut removed: SmallVec<[Frame; 16]> = SmallVec::new();
        let mut left = 0;
        let mut pages = self.pages.lock();
        for index in range {
            match pages.tree.get(index).map(Frame::references) {
                // Only the cache has it, and nobody else can come to have it now.
                Some(1) => removed.extend(pages.tree.remove(index..index + 1)),
                Some(_) => left += 1,
                None => {}
            }
        }
        pages.count -= removed.len() as u64;
        CACHED.fetch_sub(removed.len() as u64, Relaxed);
        left
    }

    /// Calls `visit` with the pages of a range that are in memory, under the cache's lock.
    pub fn for_each_cached(&self, range: Range<u64>, visit: &mut dyn FnMut(u64, &Frame)) {
        let pages = self.pages.lock();
        for index in range {
            if let Some(frame) = pages.tree.get(index) {
                visit(index, frame);
            }
        }
    }

    /// The page at `index`, made if it is a hole; for mappings, which end at the size.
    ///
    /// # Errors
    /// - `EFAULT`: it is wholly beyond the end (a `SIGBUS` above).
    /// - `ENOSPC`, `ENOMEM`: there is no room for it.
    pub fn get_or_create(&self, index: u64, caller: &Caller<'_>) -> Result<Frame> {
        let frame = self.obtain(index, caller, |cache| index < cache.size().div_ceil(PAGE))?;
        self.store.dirtied(index);
        Ok(frame)
    }

    /// The page at `index`, made if it is a hole and `allowed` (asked under the lock).
    fn obtain(
        &self,
        index: u64,
        caller: &Caller<'_>,
        allowed: impl FnOnce(&Self) -> bool,
    ) -> Result<Frame> {
        if let Some(frame) = self.get(index, caller)? {
            return Ok(frame);
        }
        self.store.reserve(index, caller)?;
        let made = Frame::zeroed().map_err(Errno::from).and_then(|frame| {
            let mut pages = self.pages.lock();
            if let Some(other) = pages.tree.get(index) {
                return Ok((other.clone(), false));
            }
            if !allowed(self) {
                return Err(Errno::EFAULT);
            }
            pages.add(index, frame.clone());
            Ok((frame, true))
        });
        if !matches!(made, Ok((_, true))) {
            self.store.release(index..index + 1, 1);
        }
        Ok(made?.0)
    }

    /// Keeps everybody else from changing size or contents by system calls.
    pub(crate) fn lock_writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock()
    }

    /// Sets the size; under [`lock_writing`](Self::lock_writing), permission checked.
    fn set_size(&self, size: u64) {
        self.size.store(size, Release);
        self.store.resized(size);
    }

    /// Makes the file `size` bytes long: ftruncate(2).
    ///
    /// # Errors
    /// - `EPERM`: a seal forbids it.
    /// - `EFBIG`: no file can be as large.
    /// - `MISS`: the last page has to be read first.
    pub fn truncate(&self, size: u64, caller: &Caller<'_>) -> Result<()> {
        if size > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        let _writing = self.lock_writing();
        let old = self.size();
        self.check_seals(if size < old { Seals::SHRINK } else { Seals::GROW }, size != old)?;
        if size < old {
            self.zero_part(size..size.next_multiple_of(PAGE).min(old), caller)?;
            self.set_size(size);
            self.cut(size.div_ceil(PAGE)..u64::MAX);
        } else if size > old {
            self.set_size(size);
        }
        Ok(())
    }

    /// Takes the pages of a range out, of the cache and of all mappings.
    fn cut(&self, range: Range<u64>) {
        let mut mappers = self.mappers.lock();
        mappers.retain(|mapper| mapper.strong_count() != 0);
        let users: Vec<_> = mappers.iter().filter_map(Weak::upgrade).collect();
        drop(mappers);
        let removed = {
            let mut pages = self.pages.lock();
            let removed = pages.tree.remove(range.clone());
            pages.count -= removed.len() as u64;
            CACHED.fetch_sub(removed.len() as u64, Relaxed);
            removed
        };
        for user in &users {
            user.unmap(range.clone());
        }
        if !removed.is_empty() {
            self.store.release(range, removed.len() as u64);
        }
    }

    /// Zeroes a range that lies in one page, unless that is a hole.
    fn zero_part(&self, bytes: Range<u64>, caller: &Caller<'_>) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let index = bytes.start / PAGE;
        if let Some(frame) = self.get(index, caller)? {
            let length = copy::within(bytes.end - bytes.start);
            frame.fill(copy::within(bytes.start % PAGE), length, 0);
            self.store.dirtied(index);
        }
        Ok(())
    }

    /// Makes a hole of `bytes`, whose end does not count for the size: `FALLOC_FL_PUNCH_HOLE`.
    ///
    /// # Errors
    /// - `EPERM`: a seal forbids it.
    /// - `MISS`: a page has to be read first.
    pub fn punch(&self, bytes: Range<u64>, caller: &Caller<'_>) -> Result<()> {
        let _writing = self.lock_writing();
        self.check_seals(Seals::WRITE | Seals::FUTURE_WRITE, true)?;
        let whole = bytes.start.div_ceil(PAGE)..bytes.end / PAGE;
        if whole.start > whole.end {
            return self.zero_part(bytes, caller);
        }
        self.zero_part(bytes.start..whole.start * PAGE, caller)?;
        self.zero_part(whole.end * PAGE..bytes.end, caller)?;
        if !whole.is_empty() {
            self.cut(whole);
        }
        Ok(())
    }

    /// Makes pages for all holes of `bytes` and grows the file to its end if asked: fallocate(2).
    ///
    /// # Errors
    /// - `ENOSPC`: there is no room; what was made stays.
    pub fn allocate(&self, bytes: Range<u64>, grow: Grow, caller: &Caller<'_>) -> Result<()> {
        if bytes.end > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        let _writing = self.lock_writing();
        let grows = grow == Grow::Yes && bytes.end > self.size();
        self.check_seals(Seals::GROW, grows)?;
        for index in bytes.start / PAGE..bytes.end.div_ceil(PAGE) {
            self.obtain(index, caller, |_| true)?;
        }
        if grows {
            self.set_size(bytes.end);
        }
        Ok(())
    }

    /// The first byte of data at or after `offset` (`SEEK_DATA`); `None` if none follows.
    pub fn next_data(&self, offset: u64) -> Option<u64> {
        let first = self.pages.lock().tree.next(offset / PAGE)?;
        let found = offset.max(first * PAGE);
        (found < self.size()).then_some(found)
    }

    /// The first byte of a hole at or after `offset` (`SEEK_HOLE`); the end is one.
    pub fn next_hole(&self, offset: u64) -> u64 {
        let pages = self.pages.lock();
        let size = self.size();
        let mut index = offset / PAGE;
        while index * PAGE < size && pages.tree.get(index).is_some() {
            index += 1;
        }
        offset.max(index * PAGE).min(size)
    }

    /// Tells `mapper` from now on when pages are cut off.
    pub fn attach(&self, mapper: &Arc<dyn Mapper>) {
        let mut mappers = self.mappers.lock();
        mappers.retain(|other| other.strong_count() != 0);
        mappers.push(Arc::downgrade(mapper));
    }

    /// Counts a shared mapping through which a program may write.
    ///
    /// # Errors
    /// - `EPERM`: a seal forbids it.
    pub fn add_writable_mapping(&self) -> Result<()> {
        let _writing = self.lock_writing();
        self.check_seals(Seals::WRITE | Seals::FUTURE_WRITE, true)?;
        self.writable_mappings.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Counts one more of a mapping that is already there (fork, split).
    pub fn keep_writable_mapping(&self) {
        self.writable_mappings.fetch_add(1, Relaxed);
    }

    /// Takes one writable mapping back.
    pub fn remove_writable_mapping(&self) {
        self.writable_mappings.fetch_sub(1, Relaxed);
    }

    /// The file can be sealed: a memfd with `MFD_ALLOW_SEALING`; without, it starts sealed
    /// against seals.
    pub fn make_sealable(&self, initial: Seals) {
        self.seals.store(initial.bits(), Relaxed);
    }

    /// Its seals.
    ///
    /// # Errors
    /// - `EINVAL`: files of its kind have none.
    pub fn seals(&self) -> Result<Seals> {
        let bits = self.seals.load(Relaxed);
        if bits == NO_SEALS { Err(Errno::EINVAL) } else { Ok(Seals::from_bits_truncate(bits)) }
    }

    /// Adds seals.
    ///
    /// # Errors
    /// - `EINVAL`: files of its kind have none.
    /// - `EPERM`: it is sealed against that.
    /// - `EBUSY`: a program may write through a mapping.
    pub fn add_seals(&self, seals: Seals) -> Result<()> {
        let _writing = self.lock_writing();
        let old = self.seals()?;
        if old.contains(Seals::SEAL) {
            return Err(Errno::EPERM);
        }
        let mapped = self.writable_mappings.load(Relaxed) != 0;
        if seals.contains(Seals::WRITE) && !old.contains(Seals::WRITE) && mapped {
            return Err(Errno::EBUSY);
        }
        let mut all = old | seals;
        if seals.contains(Seals::EXECUTE) {
            all |= Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::FUTURE_WRITE;
        }
        self.seals.store(all.bits(), Relaxed);
        Ok(())
    }

    fn check_seals(&self, forbidden: Seals, applies: bool) -> Result<()> {
        let sealed = self.seals().is_ok_and(|seals| seals.intersects(forbidden));
        if applies && sealed { Err(Errno::EPERM) } else { Ok(()) }
    }
}

/// Whether fallocate moves the end of the file (`FALLOC_FL_KEEP_SIZE` does not).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grow {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl Pages {
    fn add(&mut self, index: u64, frame: Frame) {
        self.tree.insert(index, frame);
        self.count += 1;
        CACHED.fetch_add(1, Relaxed);
    }
}

impl Drop for PageCache {
    fn drop(&mut self) {
        let count = self.pages.lock().count;
        if count != 0 {
            CACHED.fetch_sub(count, Relaxed);
            self.store.release(0..u64::MAX, count);
        }
    }
}

impl fmt::Debug for PageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageCache({} bytes)", self.size())
    }
}
