//! Record locks (fcntl(2), `F_SETLK`) and whole-file locks (flock(2)).

use super::{FdTable, File};
use crate::{
    syscall::{Outcome, UserPtr},
    thread::Thread,
};
use abi::{Errno, Result, file::Flock};
use alloc::{boxed::Box, sync::Arc};
use fs::{
    Whence,
    locks::{END, Owner, Record, Sharing},
};

const READ_LOCK: i16 = 0;
const WRITE_LOCK: i16 = 1;
const UNLOCK: i16 = 2;

/// What a lock command asks for.
struct Range {
    start: u64,
    last: u64,
    kind: i16,
}

impl FdTable {
    /// Who owns the record locks of those who share this table.
    fn lock_owner(&self) -> Owner {
        Owner::Process((&raw const *self).addr() as u64)
    }

    /// A descriptor of `file` was closed, or the table ends: its record locks on it are gone.
    pub(super) fn release_locks(&self, file: &File) {
        if let Ok(node) = file.node()
            && let Some(locks) = node.inode().locks_if_any()
        {
            locks.release(self.lock_owner());
        }
    }
}

impl Thread {
    /// Who owns this process's record locks: its descriptor table.
    fn lock_owner(&self) -> Owner {
        self.files.lock_owner()
    }

    /// A descriptor of `file` was closed: the process's record locks on it are gone.
    pub fn release_locks(&self, file: &File) {
        self.files.release_locks(file);
    }

    /// `F_GETLK`: stores the first lock that is in the way, or `F_UNLCK`.
    ///
    /// # Errors
    /// - `EINVAL`: a bad range or type.
    pub fn query_lock(&self, file: &File, at: UserPtr<Flock>, ofd: bool) -> Result<usize> {
        let mut flock = self.read(at)?;
        let range = range(file, &flock)?;
        if range.kind == UNLOCK || (ofd && flock.l_pid != 0) {
            return Err(Errno::EINVAL);
        }
        let wanted = self.record(file, &range, ofd)?;
        match file.node()?.inode().locks().conflict(&wanted) {
            None => flock.l_type = UNLOCK,
            Some(found) => {
                flock.l_type =
                    if found.sharing == Sharing::Shared { READ_LOCK } else { WRITE_LOCK };
                flock.l_whence = 0;
                flock.l_start = found.start.cast_signed();
                flock.l_len = if found.last == END {
                    0
                } else {
                    (found.last - found.start + 1).cast_signed()
                };
                flock.l_pid = found.pid;
            }
        }
        self.write(at, &flock)?;
        Ok(0)
    }

    /// `F_SETLK`, `F_SETLKW` and their `F_OFD_*` forms.
    ///
    /// # Errors
    /// - `EAGAIN`: somebody else's lock, if the call may not wait.
    /// - `EBADF`: a write lock on a file not open for writing, and so on.
    /// - `EDEADLK`: waiting would never end.
    /// - `EINTR`: a signal came first.
    pub fn set_lock(
        &self,
        file: Arc<File>,
        at: UserPtr<Flock>,
        wait: bool,
        ofd: bool,
    ) -> Result<Outcome<'_>> {
        let flock = self.read(at)?;
        let range = range(&file, &flock)?;
        if ofd && flock.l_pid != 0 {
            return Err(Errno::EINVAL);
        }
        let locks = file.node()?.inode().locks();
        if range.kind == UNLOCK {
            let owner = self.record_owner(&file, ofd)?;
            return locks.unlock(owner, range.start, range.last).map(|()| Outcome::Done(0));
        }
        if range.kind == READ_LOCK {
            file.check_readable()?;
        } else {
            file.check_writable()?;
        }
        let wanted = self.record(&file, &range, ofd)?;
        match locks.lock(wanted) {
            Err(Errno::EAGAIN) if wait => {}
            result => return result.map(|()| Outcome::Done(0)),
        }
        Ok(Outcome::Wait(Box::pin(async move {
            let locks = file.node()?.inode().locks();
            loop {
                let listener = locks.wait_queue().listen(u32::MAX, false);
                // Held over the wait, so that a circle of waiters is seen.
                let waiting = locks.begin_wait(&wanted)?;
                match locks.lock(wanted) {
                    Err(Errno::EAGAIN) => drop(self.wait(listener).await?),
                    result => return result.map(|()| 0),
                }
                drop(waiting);
            }
        })))
    }

    /// flock(2) on an open file.
    ///
    /// # Errors
    /// - `EAGAIN`: somebody else's lock, if the call may not wait.
    /// - `EINVAL`: unknown operation.
    /// - `EINTR`: a signal came first.
    pub fn lock_file(&self, file: Arc<File>, operation: u32) -> Result<Outcome<'_>> {
        const SHARED: u32 = 1;
        const EXCLUSIVE: u32 = 2;
        const NO_WAIT: u32 = 4;
        const UNLOCK: u32 = 8;
        /// Mandatory locks, which Linux no longer has: it does nothing and says so.
        const MANDATORY: u32 = 32;
        if operation & MANDATORY != 0 {
            return Ok(Outcome::Done(0));
        }
        let node = file.node().map_err(|_| Errno::EBADF)?;
        let locks = node.inode().locks();
        let sharing = match operation & !NO_WAIT {
            SHARED => Sharing::Shared,
            EXCLUSIVE => Sharing::Exclusive,
            UNLOCK => {
                locks.unlock_file(node.id());
                return Ok(Outcome::Done(0));
            }
            _ => return Err(Errno::EINVAL),
        };
        match locks.lock_file(node.id(), sharing) {
            Err(Errno::EAGAIN) if operation & NO_WAIT == 0 => {}
            result => return result.map(|()| Outcome::Done(0)),
        }
        Ok(Outcome::Wait(Box::pin(async move {
            let node = file.node()?;
            let locks = node.inode().locks();
            loop {
                let listener = locks.wait_queue().listen(u32::MAX, false);
                match locks.lock_file(node.id(), sharing) {
                    Err(Errno::EAGAIN) => drop(self.wait(listener).await?),
                    result => return result.map(|()| 0),
                }
            }
        })))
    }

    fn record_owner(&self, file: &File, ofd: bool) -> Result<Owner> {
        Ok(if ofd { Owner::File(file.node()?.id()) } else { self.lock_owner() })
    }

    fn record(&self, file: &File, range: &Range, ofd: bool) -> Result<Record> {
        let sharing = if range.kind == READ_LOCK { Sharing::Shared } else { Sharing::Exclusive };
        let pid = if ofd { -1 } else { self.process().pid.as_i32() };
        let owner = self.record_owner(file, ofd)?;
        Ok(Record { owner, start: range.start, last: range.last, sharing, pid })
    }
}

/// The bytes and the type that a structure names.
fn range(file: &File, flock: &Flock) -> Result<Range> {
    let kind = flock.l_type;
    if !(READ_LOCK..=UNLOCK).contains(&kind) {
        return Err(Errno::EINVAL);
    }
    let base = match flock.l_whence {
        0 => 0,
        1 => file.seek(0, Whence::Current).map_err(|_| Errno::EINVAL)?.cast_signed(),
        2 => file.node()?.inode().size().cast_signed(),
        _ => return Err(Errno::EINVAL),
    };
    let start = base.checked_add(flock.l_start).ok_or(Errno::EOVERFLOW)?;
    let (start, last) = match flock.l_len {
        0 => (start, END.cast_signed()),
        len @ 1.. => (start, start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?),
        // A negative length is the bytes before the start.
        len => (start.checked_add(len).ok_or(Errno::EINVAL)?, start - 1),
    };
    let positive = |at: i64| u64::try_from(at).map_err(|_| Errno::EINVAL);
    Ok(Range { start: positive(start)?, last: positive(last)?, kind })
}
