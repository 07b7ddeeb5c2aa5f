//! The host's calls that the machine is made of, each behind a safe or nearly safe function.

use core::{ffi::CStr, ptr, time::Duration};
use std::{
    fs::File,
    io::{Error, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// Ends the machine because the host does not let it do what it needs: one line says what.
#[cold]
pub(super) fn refuse(what: &str, error: &Error) -> ! {
    // There is no better place to say it, and nobody to tell if it fails.
    let _ = writeln!(std::io::stderr(), "jinux: the host does not permit {what}: {error}");
    super::power::off(crate::host::FAILED)
}

/// A file of memory; `executable` if its pages are to be run.
pub(super) fn memory_file(name: &CStr, executable: bool) -> Result<File, Error> {
    /// Linux 6.3 wants to be told; older hosts do not know the flag, and need not.
    const EXEC: libc::c_uint = 0x10;
    let create = |flags| {
        // SAFETY: the name ends with a NUL.
        let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
        // SAFETY: the descriptor is new, and ours.
        (fd >= 0).then(|| File::from(unsafe { OwnedFd::from_raw_fd(fd) })).ok_or_else(last)
    };
    let flags = libc::MFD_CLOEXEC;
    let with = if executable { create(flags | EXEC) } else { create(flags) };
    with.or_else(|error| {
        if error.raw_os_error() == Some(libc::EINVAL) { create(flags) } else { Err(error) }
    })
}

/// The error of the call just made.
pub(super) fn last() -> Error {
    Error::last_os_error()
}

/// Maps `len` bytes of memory of this process, of `file` if given and shared with it, else private;
/// never unmapped.
pub(super) fn map(file: Option<&File>, len: usize) -> Result<*mut u8, Error> {
    let kind =
        if file.is_some() { libc::MAP_SHARED } else { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS };
    let fd = file.map_or(-1, AsRawFd::as_raw_fd);
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = kind | libc::MAP_NORESERVE;
    // SAFETY: the host chooses an address where nothing is.
    let at = unsafe { libc::mmap(ptr::null_mut(), len, rights, flags, fd, 0) };
    if at == libc::MAP_FAILED { Err(last()) } else { Ok(at.cast()) }
}

/// Waits until the word is no longer `value`, a wake-up comes or the time is over.
pub(super) fn futex_wait(word: &core::sync::atomic::AtomicU32, value: u32, timeout: Duration) {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let (op, timeout) = (libc::FUTEX_WAIT, &raw const timeout);
    // SAFETY: the word and the time are read only.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, value, timeout) };
}

/// Wakes who waits for a change of the word.
pub(super) fn futex_wake(word: &core::sync::atomic::AtomicU32) {
    // SAFETY: the call only looks for who waits at the address.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

/// A child process, by a handle that no other process ever gets.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: libc::pid_t,
    handle: OwnedFd,
}

impl Child {
    /// A child of this process that nobody else reaps.
    pub(super) fn new(pid: libc::pid_t) -> Result<Self, Error> {
        // SAFETY: the call touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = RawFd::try_from(fd).unwrap_or(-1);
        if fd < 0 {
            return Err(last());
        }
        // SAFETY: the descriptor is new, and ours.
        Ok(Self { pid, handle: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// What it ended with, if it has: a status, or minus a signal.
    pub(super) fn status(&self) -> Option<i32> {
        let info = self.wait(libc::WNOHANG | libc::WNOWAIT)?;
        // SAFETY: `waitid` has filled it in.
        let status = unsafe { info.si_status() };
        Some(if info.si_code == libc::CLD_EXITED { status } else { -status })
    }

    fn wait(&self, flags: libc::c_int) -> Option<libc::siginfo_t> {
        // SAFETY: the structure is plain data.
        let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
        let id =
            libc::id_t::try_from(self.handle.as_raw_fd()).expect("descriptors are not negative");
        // SAFETY: the structure is ours.
        let result =
            unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, libc::WEXITED | flags) };
        // SAFETY: `waitid` has filled it in, with 0 if the child lives.
        let ended = result != 0 || unsafe { info.si_pid() } != 0;
        ended.then_some(info)
    }

    /// Whether the child has ended; it is not reaped.
    pub(super) fn is_dead(&self) -> bool {
        self.wait(libc::WNOHANG | libc::WNOWAIT).is_some()
    }

    /// Ends the child; it is reaped when this is dropped.
    pub(super) fn kill(&self) {
        let (fd, none) = (self.handle.as_raw_fd(), ptr::null_mut::<libc::siginfo_t>());
        // SAFETY: the call reads no memory of ours.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, none, 0) };
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = self.wait(0);
    }
}
