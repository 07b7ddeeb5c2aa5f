//! open(2), openat(2), openat2(2), creat(2), close(2), close_range(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    count::Files,
    cred::Capabilities,
    file::{self, File, Object},
    thread::Thread,
};
use abi::{Errno, Fd, Result, file::OpenHow as RawOpenHow};
use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use framework::count::Kind;
use fs::{LookupFlags, OpenFlags, OpenHow, Opened};

pub(super) const ROWS: &[Row] = &[
    row!(2 "open" (path: UserPtr<u8>, flags: u32, mode: u32) => open, Full),
    row!(3 "close" (fd: Fd) => close, Full),
    row!(85 "creat" (path: UserPtr<u8>, mode: u32) => creat, Full),
    row!(257 "openat" (dir: Fd, path: UserPtr<u8>, flags: u32, mode: u32) => openat, Full),
    row!(436 "close_range" (first: u32, last: u32, flags: u32) => close_range, Full),
    row!(437 "openat2" (dir: Fd, path: UserPtr<u8>, how: UserPtr<RawOpenHow>, size: usize) => openat2, Full),
];

fn open(thread: &Thread, path: UserPtr<u8>, flags: u32, mode: u32) -> Result<Outcome<'_>> {
    openat(thread, Fd::CWD, path, flags, mode)
}

fn creat(thread: &Thread, path: UserPtr<u8>, mode: u32) -> Result<Outcome<'_>> {
    let flags = OpenFlags::CREATE | OpenFlags::WRITE_ONLY | OpenFlags::TRUNCATE;
    openat(thread, Fd::CWD, path, flags.bits(), mode)
}

/// Opens the file at `path`, relative to `dir`; returns its descriptor.
///
/// # Errors
/// Those of [`fs::Walk::open`], and:
/// - `EMFILE`: no free descriptor below `RLIMIT_NOFILE`.
/// - `ENXIO`, `ENODEV`: no such device.
/// - `EINTR`: a signal came while waiting for a FIFO's other end.
///
/// Source: open(2)
fn openat(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    flags: u32,
    mode: u32,
) -> Result<Outcome<'_>> {
    let path = thread.read_path(path)?;
    // What open does not know it ignores; openat2 refuses it.
    let flags = OpenFlags::from_bits_truncate(flags);
    let how = OpenHow { flags, mode: mode & 0o7777, resolve: LookupFlags::empty() };
    open_path(thread, dir, path, how)
}

/// Like openat(2), refusing what it does not know and with limits to the walk.
///
/// # Errors
/// - `EINVAL`: unknown flags, or a mode without `O_CREAT`.
/// - `E2BIG`: a larger structure with something in the unknown part.
///
/// Source: openat2(2)
fn openat2(
    thread: &Thread,
    dir: Fd,
    path: UserPtr<u8>,
    how: UserPtr<RawOpenHow>,
    size: usize,
) -> Result<Outcome<'_>> {
    const KNOWN: usize = size_of::<RawOpenHow>();
    if size < KNOWN {
        return Err(Errno::EINVAL);
    }
    if size > framework::PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    let rest = thread.read_slice(how.byte_offset::<u8>(KNOWN)?, size - KNOWN)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG);
    }
    let raw = thread.read(how)?;
    let flags =
        u32::try_from(raw.flags).ok().and_then(OpenFlags::from_bits).ok_or(Errno::EINVAL)?;
    let creates = flags.intersects(OpenFlags::CREATE | OpenFlags::NAMELESS);
    let mode = u32::try_from(raw.mode).map_err(|_| Errno::EINVAL)?;
    if mode & !0o7777 != 0 || (mode != 0 && !creates) {
        return Err(Errno::EINVAL);
    }
    let path = thread.read_path(path)?;
    open_path(thread, dir, path, OpenHow { flags, mode, resolve: resolve_flags(raw.resolve)? })
}

fn resolve_flags(raw: u64) -> Result<LookupFlags> {
    let known = [
        (0x01, LookupFlags::NO_XDEV),
        (0x02, LookupFlags::NO_MAGIC_LINKS),
        (0x04, LookupFlags::NO_SYMLINKS | LookupFlags::NO_MAGIC_LINKS),
        (0x08, LookupFlags::BENEATH | LookupFlags::NO_MAGIC_LINKS),
        (0x10, LookupFlags::IN_ROOT | LookupFlags::NO_MAGIC_LINKS),
    ];
    if raw & !0x1f != 0 || raw & 0x18 == 0x18 {
        return Err(Errno::EINVAL);
    }
    Ok(known.iter().filter(|(bit, _)| raw & bit != 0).map(|(_, flag)| *flag).collect())
}

fn open_path(thread: &Thread, dir: Fd, path: Vec<u8>, how: OpenHow) -> Result<Outcome<'_>> {
    thread.walk_then(
        dir,
        path,
        move |walk, base, path| walk.open(base, path, &how),
        move |opened| install(thread, opened, how.flags),
    )
}

/// Gives what was opened a descriptor; a FIFO may have to wait for its other end first.
fn install(thread: &Thread, opened: Opened, flags: OpenFlags) -> Result<Outcome<'_>> {
    match opened {
        Opened::File(file) => {
            let path = file.path().clone();
            thread.install(File::new(Object::Node(file), flags, path), flags).map(Outcome::Done)
        }
        Opened::Device(device) => {
            let file = file::open_device(thread, device)?;
            thread.install(file, flags).map(Outcome::Done)
        }
        Opened::Fifo(end) => {
            if end.opened().is_ok() {
                return thread.install(file::of_pipe(end), flags).map(Outcome::Done);
            }
            Ok(Outcome::Wait(Box::pin(async move {
                let met = || end.opened().ok();
                thread.wait_until(end.wait_queue(), u32::MAX, met).await?;
                thread.install(file::of_pipe(end), flags)
            })))
        }
    }
}

impl Thread {
    /// Gives `file` the lowest free descriptor; close-on-exec by the flags.
    ///
    /// # Errors
    /// - `EMFILE`: none is free below `RLIMIT_NOFILE`.
    /// - `ENFILE`: so many files are open in the system that only its administrator may open more.
    pub fn install(&self, file: Arc<File>, flags: OpenFlags) -> Result<usize> {
        if Files::live().count() > file::max_files()
            && !self.credentials.has(Capabilities::SYS_ADMIN)
        {
            return Err(Errno::ENFILE);
        }
        let close_on_exec = flags.contains(OpenFlags::CLOSE_ON_EXEC);
        let fd = self.files.open(file, close_on_exec, self.process().descriptor_limit())?;
        Ok(fd.0.unsigned_abs() as usize)
    }

    /// Gives an object without a place in the tree a file and a descriptor; `name` is what
    /// `/proc/PID/fd` shows after `anon_inode:`.
    ///
    /// # Errors
    /// As [`install`](Self::install).
    pub fn install_object(&self, object: Object, name: &str, flags: OpenFlags) -> Result<usize> {
        let name = format!("anon_inode:{name}");
        let role = fs::Role::Object;
        let kind = (fs::Kind::Regular, 0o600);
        let path = self.system.anonymous.make_named(name.as_bytes(), kind, role, &self.caller());
        self.install(File::new(object, flags, path), flags)
    }
}

/// Closes a descriptor; the file goes with its last one.
///
/// # Errors
/// - `EBADF`: `fd` is not open.
///
/// Source: close(2)
fn close(thread: &Thread, fd: Fd) -> Result<()> {
    let file = thread.files.close(fd)?;
    thread.release_locks(&file);
    Ok(())
}

/// Closes `first..=last`, or marks them close-on-exec.
///
/// # Errors
/// - `EINVAL`: `first` is above `last`, or unknown flags.
///
/// Source: close_range(2)
fn close_range(thread: &Thread, first: u32, last: u32, flags: u32) -> Result<()> {
    const UNSHARE: u32 = 2;
    const CLOSE_ON_EXEC: u32 = 4;
    if first > last || flags & !(UNSHARE | CLOSE_ON_EXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & UNSHARE != 0 && Arc::strong_count(&thread.files) > 1 {
        // The thread would need a table of its own.
        return Err(Errno::EINVAL);
    }
    if flags & CLOSE_ON_EXEC != 0 {
        thread.files.set_range_close_on_exec(first, last);
        return Ok(());
    }
    loop {
        let closed = thread.files.close_some(first, last);
        if closed.is_empty() {
            return Ok(());
        }
        closed.iter().for_each(|file| thread.release_locks(file));
    }
}
