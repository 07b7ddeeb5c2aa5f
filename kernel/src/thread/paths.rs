//! A thread as the caller of file systems: credentials, clock, root and working directory.

use super::Thread;
use crate::{
    syscall::{Outcome, UserPtr},
    time,
};
use abi::{Errno, Fd, Result, Signal};
use alloc::{boxed::Box, vec::Vec};
use fs::{Caller, Capabilities, Credentials, Miss, Path, Walk};

/// Where a relative path starts.
#[derive(Clone, Debug)]
enum Base {
    Cwd,
    Place(Path),
}

impl Thread {
    /// The thread as file systems see it.
    #[inline]
    pub fn caller(&self) -> Caller<'_> {
        self.unlimited_caller().with_size_limit(self.process().file_size_limit())
    }

    /// The same for what cannot make a file larger, so that the limits need not be asked.
    pub fn unlimited_caller(&self) -> Caller<'_> {
        let credentials = Credentials {
            uid: self.credentials.fsuid,
            gid: self.credentials.fsgid,
            groups: &self.credentials.groups,
            capabilities: Capabilities::from_bits_retain(self.credentials.effective.bits()),
        };
        Caller::new(credentials, time::realtime_coarse)
            .of_thread(self.process().pid.get(), self.tid().get())
    }

    /// The thread with its real user and group instead of the effective ones, as access(2) wants.
    pub fn real_caller(&self) -> Caller<'_> {
        let own = &self.credentials;
        let capabilities = if own.uid == 0 { own.permitted } else { Default::default() };
        let credentials = Credentials {
            uid: own.uid,
            gid: own.gid,
            groups: &own.groups,
            capabilities: Capabilities::from_bits_retain(capabilities.bits()),
        };
        Caller::new(credentials, time::realtime_coarse)
            .of_thread(self.process().pid.get(), self.tid().get())
    }

    /// Sends the signal that goes with a failed write: `SIGPIPE` for `EPIPE`, `SIGXFSZ` for
    /// `EFBIG`.
    pub fn signal_transfer_error(&self, errno: Errno) {
        match errno {
            Errno::EPIPE => self.send_self(Signal::PIPE),
            Errno::EFBIG => self.send_self(Signal::XFSZ),
            _ => {}
        }
    }

    /// Runs `operation` on a path relative to `dir`, again after each miss of the cache.
    ///
    /// # Errors
    /// - `EBADF`, `ENOTDIR`: the path is relative and `dir` is no open directory.
    /// - those of the operation.
    pub fn at_path<'a, F>(&'a self, dir: Fd, path: UserPtr<u8>, operation: F) -> Result<Outcome<'a>>
    where
        F: Fn(&Walk<'_>, &Path, &[u8]) -> Result<usize> + Send + 'a,
    {
        let path = self.read_path(path)?;
        self.walk_then(dir, path, operation, |value| Ok(Outcome::Done(value)))
    }

    /// Finds a directory that the thread may search and hands it to `then`.
    ///
    /// # Errors
    /// Those of [`fs::Walk::resolve_directory`] and of `then`.
    pub fn at_directory<'a>(
        &'a self,
        path: UserPtr<u8>,
        then: impl FnOnce(Path) -> Result<()> + Send + 'a,
    ) -> Result<Outcome<'a>> {
        let path = self.read_path(path)?;
        self.walk_then(
            Fd::CWD,
            path,
            |walk, base, path| walk.resolve_directory(base, path),
            |place| then(place).map(|()| Outcome::Done(0)),
        )
    }

    /// Runs `operation` on a path relative to `dir`, again after each miss of the cache; then hands
    /// what it found to `then`. While `operation` runs, root and working directory do not change,
    /// so only `then` may change them.
    ///
    /// # Errors
    /// As for [`at_path`](Self::at_path).
    pub fn walk_then<'a, T, F, G>(
        &'a self,
        dir: Fd,
        path: Vec<u8>,
        operation: F,
        then: G,
    ) -> Result<Outcome<'a>>
    where
        T: Send + 'a,
        F: Fn(&Walk<'_>, &Path, &[u8]) -> Result<T> + Send + 'a,
        G: FnOnce(T) -> Result<Outcome<'a>> + Send + 'a,
    {
        let base = if path.first() == Some(&b'/') { Base::Cwd } else { self.base(dir)? };
        match self.try_walk(&base, &path, &operation) {
            Ok(found) => then(found?),
            Err(miss) => Ok(Outcome::Wait(Box::pin(async move {
                let mut miss = miss;
                loop {
                    miss.await?;
                    match self.try_walk(&base, &path, &operation) {
                        Ok(found) => return then(found?)?.finish().await,
                        Err(more) => miss = more,
                    }
                }
            }))),
        }
    }

    fn try_walk<T, F>(&self, base: &Base, path: &[u8], operation: &F) -> Result<Result<T>, Miss>
    where
        F: Fn(&Walk<'_>, &Path, &[u8]) -> Result<T>,
    {
        let caller = self.caller();
        let result = self.fs.with(|places| {
            let walk = Walk { caller: &caller, root: &places.root, umask: places.umask };
            match base {
                Base::Cwd => operation(&walk, &places.cwd, path),
                Base::Place(place) => operation(&walk, place, path),
            }
        });
        match (result, caller.take_miss()) {
            (Err(Errno::MISS), Some(miss)) => Err(miss),
            (result, _) => Ok(result),
        }
    }

    /// Runs `operation` on a file that is known, again after each miss of the cache.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn on_file<'a, F>(&'a self, file: Path, operation: F) -> Result<Outcome<'a>>
    where
        F: Fn(&Path, &Caller<'_>) -> Result<usize> + Send + 'a,
    {
        let attempt = move |thread: &Self| {
            let caller = thread.caller();
            match (operation(&file, &caller), caller.take_miss()) {
                (Err(Errno::MISS), Some(miss)) => Err(miss),
                (result, _) => Ok(result),
            }
        };
        match attempt(self) {
            Ok(result) => result.map(Outcome::Done),
            Err(miss) => Ok(Outcome::Wait(Box::pin(async move {
                let mut miss = miss;
                loop {
                    miss.await?;
                    match attempt(self) {
                        Ok(result) => return result,
                        Err(more) => miss = more,
                    }
                }
            }))),
        }
    }

    fn base(&self, dir: Fd) -> Result<Base> {
        if dir == Fd::CWD {
            return Ok(Base::Cwd);
        }
        Ok(Base::Place(self.files.get(dir)?.path().clone()))
    }

    /// The place that a directory descriptor (or `AT_FDCWD`) stands for.
    ///
    /// # Errors
    /// As for [`at_path`](Self::at_path).
    pub fn place(&self, dir: Fd) -> Result<Path> {
        match self.base(dir)? {
            Base::Cwd => Ok(self.fs.places().cwd),
            Base::Place(place) => Ok(place),
        }
    }

    /// Where `path` starts: the root's place does not matter for an absolute one.
    ///
    /// # Errors
    /// As for [`at_path`](Self::at_path).
    pub fn place_for(&self, dir: Fd, path: &[u8]) -> Result<Path> {
        if path.first() == Some(&b'/') { self.place(Fd::CWD) } else { self.place(dir) }
    }

    /// Whether the string at `path` is empty.
    ///
    /// # Errors
    /// - `EFAULT`: it is not user memory.
    pub fn is_empty_path(&self, path: UserPtr<u8>) -> Result<bool> {
        Ok(self.read(path)? == 0)
    }
}
