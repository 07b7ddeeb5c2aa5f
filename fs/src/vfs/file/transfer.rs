//! Reading and writing open files.

use super::OpenFile;
use crate::{
    Caller, Errno, OpenFlags, Result, Sink, Source,
    notify::{self, Event},
    pages::{SIZE_MAX, Start},
};

impl OpenFile {
    /// Reads at the offset and moves it.
    ///
    /// # Errors
    /// - `EBADF`: not open for reading.
    /// - `EISDIR`: a directory.
    /// - `EFAULT`: the sink says where; the offset has moved up to there.
    ///
    /// Source: read(2)
    pub fn read(&self, to: &mut Sink<'_>, caller: &Caller<'_>) -> Result<usize> {
        let mut offset = self.offset.lock();
        let before = to.done();
        let result = self.read_from(*offset, to, caller);
        *offset += (to.done() - before) as u64;
        result?;
        Ok(to.done())
    }

    /// Reads at `offset`, which is that of the first byte of the sink.
    ///
    /// # Errors
    /// As [`read`](Self::read), and:
    /// - `ESPIPE`: the file has no offsets.
    ///
    /// Source: pread(2)
    pub fn read_at(&self, offset: u64, to: &mut Sink<'_>, caller: &Caller<'_>) -> Result<usize> {
        self.seekable()?;
        let offset = offset.checked_add(to.done() as u64).ok_or(Errno::EINVAL)?;
        self.read_from(offset, to, caller)?;
        Ok(to.done())
    }

    fn read_from(&self, offset: u64, to: &mut Sink<'_>, caller: &Caller<'_>) -> Result<()> {
        self.readable()?;
        if let Some(pages) = self.inode.pages() {
            pages.read_at(offset, to, caller)?;
            if !self.flags().contains(OpenFlags::NO_ACCESS_TIME) {
                self.path.touch_accessed(caller);
            }
            notify::report(&self.path, Event::Access);
            return Ok(());
        }
        match &self.node {
            Some(node) => node.read(offset, to, caller).map(drop),
            None if self.inode.is_directory() => Err(Errno::EISDIR),
            None => Err(Errno::EINVAL),
        }
    }

    /// Writes at the offset and moves it, or at the end with `O_APPEND`.
    ///
    /// # Errors
    /// - `EBADF`: not open for writing.
    /// - `EFBIG`: beyond a limit of the file or the caller.
    /// - `ENOSPC`: no room.
    /// - `EPERM`: sealed.
    /// - `EFAULT`: the source says where; the offset has moved up to there.
    ///
    /// Source: write(2)
    pub fn write(&self, from: &mut Source<'_>, caller: &Caller<'_>) -> Result<usize> {
        let mut offset = self.offset.lock();
        let before = from.done();
        let result = self.write_to(*offset, from, caller);
        *offset = match result {
            Ok(after) => after,
            Err(_) => *offset + (from.done() - before) as u64,
        };
        match result {
            // What was written before an error of a second try counts.
            Err(Errno::ENOSPC | Errno::EFBIG | Errno::EPERM) if before > 0 => Ok(before),
            Err(error) => Err(error),
            Ok(_) => Ok(from.done()),
        }
    }

    /// Writes at `offset`, which is that of the first byte of the source; at the end with
    /// `O_APPEND`, as Linux does.
    ///
    /// # Errors
    /// As [`write`](Self::write), and:
    /// - `ESPIPE`: the file has no offsets.
    ///
    /// Source: pwrite(2)
    pub fn write_at(
        &self,
        offset: u64,
        from: &mut Source<'_>,
        caller: &Caller<'_>,
    ) -> Result<usize> {
        self.seekable()?;
        let before = from.done();
        let offset = offset.checked_add(before as u64).ok_or(Errno::EINVAL)?;
        match self.write_to(offset, from, caller) {
            Err(Errno::ENOSPC | Errno::EFBIG | Errno::EPERM) if before > 0 => Ok(before),
            Err(error) => Err(error),
            Ok(_) => Ok(from.done()),
        }
    }

    /// Writes and returns the offset after the last byte.
    fn write_to(&self, offset: u64, from: &mut Source<'_>, caller: &Caller<'_>) -> Result<u64> {
        self.writable()?;
        if let Some(pages) = self.inode.pages() {
            let append = self.flags().contains(OpenFlags::APPEND);
            let start = if append { Start::End } else { Start::At(offset) };
            if from.remaining() == 0 {
                return Ok(offset);
            }
            let end = offset.saturating_add(from.remaining() as u64);
            if !append && end > SIZE_MAX {
                return Err(Errno::EINVAL);
            }
            let before = from.done();
            let result = pages.write_from(start, from, caller);
            if from.done() != before {
                self.inode.drop_privileges(caller);
                self.inode.touch_modified(caller);
                notify::report(&self.path, Event::Modify);
            }
            return result;
        }
        match &self.node {
            Some(node) => {
                let count = node.write(offset, from, caller)?;
                notify::report(&self.path, Event::Modify);
                Ok(offset + count as u64)
            }
            None => Err(Errno::EINVAL),
        }
    }
}
