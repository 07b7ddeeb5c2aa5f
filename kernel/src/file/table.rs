//! The descriptor table: small numbers for open files.
//!
//! Shared by threads made with `CLONE_FILES`, copied by fork. A lookup takes the read half of a
//! spin lock and counts one reference; allocation finds the lowest free number by a bitmap of words,
//! so it does not scan slots.

use super::File;
use abi::{Errno, Fd, Result};
use alloc::{sync::Arc, vec::Vec};
use arrayvec::ArrayVec;
use fs::OpenFlags;
use spin::RwLock;

/// The largest table whatever the limit says (`/proc/sys/fs/nr_open`).
pub const MAX_FDS: u32 = 1 << 20;

/// A process's open files.
#[derive(Debug)]
pub struct FdTable {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Vec<Option<Slot>>,
    /// One bit a slot, set while taken.
    taken: Vec<u64>,
    /// No word below this index has a clear bit.
    first_free_word: usize,
    open: usize,
}

#[derive(Clone, Debug)]
struct Slot {
    file: Arc<File>,
    close_on_exec: bool,
}

impl Default for FdTable {
    fn default() -> Self {
        Self::new()
    }
}

impl FdTable {
    /// An empty table.
    pub fn new() -> Self {
        Self { inner: RwLock::new(Inner::default()) }
    }

    /// The file behind `fd`.
    ///
    /// # Errors
    /// - `EBADF`: nothing is open there.
    #[inline]
    pub fn get(&self, fd: Fd) -> Result<Arc<File>> {
        let index = fd.index().ok_or(Errno::EBADF)?;
        match self.inner.read().slots.get(index) {
            Some(Some(slot)) => Ok(Arc::clone(&slot.file)),
            _ => Err(Errno::EBADF),
        }
    }

    /// Like [`get`](Self::get), for calls that do something with the file itself.
    ///
    /// # Errors
    /// - `EBADF`: nothing is open there, or a mere place (`O_PATH`).
    #[inline]
    pub fn get_opened(&self, fd: Fd) -> Result<Arc<File>> {
        let file = self.get(fd)?;
        if file.flags().contains(OpenFlags::PATH) { Err(Errno::EBADF) } else { Ok(file) }
    }

    /// Opens `file` at the lowest free number from `from` on and below `limit` (`RLIMIT_NOFILE`).
    ///
    /// # Errors
    /// - `EMFILE`: there is none.
    /// - `ENOMEM`: the table cannot grow.
    pub fn open_from(
        &self,
        file: Arc<File>,
        from: u32,
        close_on_exec: bool,
        limit: u64,
    ) -> Result<Fd> {
        let limit = u32::try_from(limit).unwrap_or(MAX_FDS).min(MAX_FDS);
        let mut inner = self.inner.write();
        let number = inner.lowest_free(from);
        if number >= limit {
            return Err(Errno::EMFILE);
        }
        let fd = Fd(number.cast_signed());
        inner.reserve(number as usize)?;
        inner.put(number as usize, Slot { file, close_on_exec });
        Ok(fd)
    }

    /// Whether a file can be opened now: for calls that take something away before they have one.
    ///
    /// # Errors
    /// - `EMFILE`: no number below `limit` is free.
    pub fn check_room(&self, limit: u64) -> Result<()> {
        let limit = u32::try_from(limit).unwrap_or(MAX_FDS).min(MAX_FDS);
        if self.inner.write().lowest_free(0) < limit { Ok(()) } else { Err(Errno::EMFILE) }
    }

    /// Opens `file` at the lowest free number.
    ///
    /// # Errors
    /// As [`open_from`](Self::open_from).
    pub fn open(&self, file: Arc<File>, close_on_exec: bool, limit: u64) -> Result<Fd> {
        self.open_from(file, 0, close_on_exec, limit)
    }

    /// Puts `file` at `fd`, returning the file that was there (dup2(2)). It must be closed outside
    /// the table's lock, which the caller does by dropping it.
    ///
    /// # Errors
    /// - `EBADF`: `fd` is not below `limit`.
    /// - `ENOMEM`: the table cannot grow.
    pub fn replace(
        &self,
        fd: Fd,
        file: Arc<File>,
        close_on_exec: bool,
        limit: u64,
    ) -> Result<Option<Arc<File>>> {
        let index = fd.index().ok_or(Errno::EBADF)?;
        if index as u64 >= limit.min(u64::from(MAX_FDS)) {
            return Err(Errno::EBADF);
        }
        let mut inner = self.inner.write();
        inner.reserve(index)?;
        let old = inner.take(index).map(|slot| slot.file);
        inner.put(index, Slot { file, close_on_exec });
        Ok(old)
    }

    /// Takes the file out of `fd`.
    ///
    /// # Errors
    /// - `EBADF`: nothing is open there.
    pub fn close(&self, fd: Fd) -> Result<Arc<File>> {
        let index = fd.index().ok_or(Errno::EBADF)?;
        self.inner.write().take(index).map(|slot| slot.file).ok_or(Errno::EBADF)
    }

    /// Takes out the files of `first..=last`, at most 64 at a time so that the lock is held
    /// shortly; an empty answer means there are no more.
    pub fn close_some(&self, first: u32, last: u32) -> Vec<Arc<File>> {
        let mut inner = self.inner.write();
        let end = (last as usize).saturating_add(1).min(inner.slots.len());
        let open = (first as usize..end).filter(|index| inner.slots[*index].is_some());
        let indices: ArrayVec<usize, 64> = open.take(64).collect();
        indices.into_iter().filter_map(|fd| inner.take(fd)).map(|slot| slot.file).collect()
    }

    /// Takes out the files marked close-on-exec.
    pub fn close_on_exec(&self) -> Vec<Arc<File>> {
        let mut inner = self.inner.write();
        let marked = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.close_on_exec);
        let indices: Vec<usize> = (0..)
            .zip(&inner.slots)
            .filter(|(_, slot)| marked(slot))
            .map(|(index, _)| index)
            .collect();
        indices.into_iter().filter_map(|fd| inner.take(fd)).map(|slot| slot.file).collect()
    }

    /// Whether `fd` is marked close-on-exec.
    ///
    /// # Errors
    /// - `EBADF`: nothing is open there.
    pub fn is_close_on_exec(&self, fd: Fd) -> Result<bool> {
        let inner = self.inner.read();
        let index = fd.index().ok_or(Errno::EBADF)?;
        let slot = inner.slots.get(index).and_then(Option::as_ref).ok_or(Errno::EBADF)?;
        Ok(slot.close_on_exec)
    }

    /// Marks `fd` close-on-exec, or not.
    ///
    /// # Errors
    /// - `EBADF`: nothing is open there.
    pub fn set_close_on_exec(&self, fd: Fd, value: bool) -> Result<()> {
        let mut inner = self.inner.write();
        let index = fd.index().ok_or(Errno::EBADF)?;
        let slot = inner.slots.get_mut(index).and_then(Option::as_mut).ok_or(Errno::EBADF)?;
        slot.close_on_exec = value;
        Ok(())
    }

    /// Marks all of `first..=last` close-on-exec.
    pub fn set_range_close_on_exec(&self, first: u32, last: u32) {
        let mut inner = self.inner.write();
        let end = (last as usize).saturating_add(1).min(inner.slots.len());
        for slot in
            inner.slots.get_mut(first as usize..end).unwrap_or_default().iter_mut().flatten()
        {
            slot.close_on_exec = true;
        }
    }

    /// A copy, as fork makes it: the same open files at the same numbers.
    ///
    /// # Errors
    /// - `ENOMEM`: no memory for the copy.
    pub fn duplicate(&self) -> Result<Arc<Self>> {
        let inner = self.inner.read();
        let mut copy =
            Inner { first_free_word: inner.first_free_word, open: inner.open, ..Inner::default() };
        copy.slots.try_reserve_exact(inner.slots.len()).map_err(|_| Errno::ENOMEM)?;
        copy.taken.try_reserve_exact(inner.taken.len()).map_err(|_| Errno::ENOMEM)?;
        copy.slots.extend_from_slice(&inner.slots);
        copy.taken.extend_from_slice(&inner.taken);
        Ok(Arc::new(Self { inner: RwLock::new(copy) }))
    }

    /// The open descriptors in ascending order with their files, from `from` on, at most `most`.
    pub fn list(&self, from: usize, most: usize) -> Vec<(Fd, Arc<File>)> {
        let inner = self.inner.read();
        (0..)
            .zip(&inner.slots)
            .skip(from)
            .filter_map(|(number, slot)| Some((Fd(number), slot.as_ref()?.file.clone())))
            .take(most)
            .collect()
    }

    /// How many slots the table has room for (`FDSize` in `/proc/PID/status`).
    pub fn size(&self) -> usize {
        self.inner.read().slots.len()
    }

    /// How many descriptors are open.
    pub fn open_count(&self) -> usize {
        self.inner.read().open
    }
}

/// A process that ends without closing its files gives its record locks back all the same.
impl Drop for FdTable {
    fn drop(&mut self) {
        for slot in core::mem::take(&mut self.inner.get_mut().slots).into_iter().flatten() {
            self.release_locks(&slot.file);
        }
    }
}

impl Inner {
    fn lowest_free(&mut self, from: u32) -> u32 {
        while self.taken.get(self.first_free_word).is_some_and(|word| *word == u64::MAX) {
            self.first_free_word += 1;
        }
        let from_word = from as usize / 64;
        let mut index = self.first_free_word.max(from_word);
        loop {
            let mut word = self.taken.get(index).copied().unwrap_or(0);
            if index == from_word {
                word |= (1 << (from % 64)) - 1;
            }
            if word != u64::MAX {
                let bit = word.trailing_ones();
                return u32::try_from(index * 64).unwrap_or(MAX_FDS).saturating_add(bit);
            }
            index += 1;
        }
    }

    /// Makes room for slot `index`, in powers of two from 16 on.
    fn reserve(&mut self, index: usize) -> Result<()> {
        let need = index + 1;
        if need <= self.slots.len() {
            return Ok(());
        }
        let size = need.next_power_of_two().max(16);
        let words = size.div_ceil(64);
        self.slots.try_reserve_exact(size - self.slots.len()).map_err(|_| Errno::ENOMEM)?;
        self.taken.try_reserve_exact(words - self.taken.len()).map_err(|_| Errno::ENOMEM)?;
        self.slots.resize(size, None);
        self.taken.resize(words, 0);
        Ok(())
    }

    fn put(&mut self, index: usize, slot: Slot) {
        self.slots[index] = Some(slot);
        self.taken[index / 64] |= 1 << (index % 64);
        self.open += 1;
    }

    fn take(&mut self, index: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(index)?.take()?;
        self.taken[index / 64] &= !(1 << (index % 64));
        self.first_free_word = self.first_free_word.min(index / 64);
        self.open -= 1;
        Some(slot)
    }
}
