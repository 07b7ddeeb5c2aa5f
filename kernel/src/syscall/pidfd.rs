//! Processes and signals as files: pidfd_open(2), pidfd_send_signal(2), signalfd(2).

use super::{Row, UserPtr, row};
use crate::{
    file::{EventFd, File, Object},
    process::{PidFd, Process},
    signal::{self, Info, SignalFd, SignalSet, code},
    thread::Thread,
};
use abi::{Errno, Fd, Pid, Result, Signal};
use alloc::sync::Arc;
use fs::OpenFlags;

pub(super) const ROWS: &[Row] = &[
    row!(282 "signalfd" (fd: Fd, mask: UserPtr<u64>, size: usize) => signalfd, Full),
    row!(289 "signalfd4" (fd: Fd, mask: UserPtr<u64>, size: usize, flags: u32)
        => signalfd4, Full),
    row!(424 "pidfd_send_signal" (fd: Fd, number: i32, info: Option<UserPtr<[u8; Info::SIZE]>>,
        flags: u32) => pidfd_send_signal, Full),
    row!(434 "pidfd_open" (pid: i32, flags: u32) => pidfd_open, Partial, "PIDFD_THREAD"),
];

/// Makes a descriptor of a process.
///
/// # Errors
/// - `EINVAL`: unknown flags, or a number that is not positive.
/// - `ESRCH`: there is no such process.
///
/// Source: pidfd_open(2)
fn pidfd_open(thread: &Thread, pid: i32, flags: u32) -> Result<usize> {
    let flags = OpenFlags::from_bits(flags).filter(|f| OpenFlags::NON_BLOCKING.contains(*f));
    let flags = flags.ok_or(Errno::EINVAL)?;
    let pid = Pid::new(pid).ok_or(Errno::EINVAL)?;
    let pids = &thread.system.pids;
    // The number of a thread that is no process's is no process.
    let none = if pids.thread(pid).is_some() { Errno::EINVAL } else { Errno::ESRCH };
    let process = pids.process(pid).ok_or(none)?;
    let flags = flags | OpenFlags::CLOSE_ON_EXEC | OpenFlags::READ_WRITE;
    thread.install_object(Object::Pid(PidFd::new(process)), "[pidfd]", flags)
}

impl Thread {
    /// Takes a descriptor for a process that is about to be made (`CLONE_PIDFD`), and stores its
    /// number: what can fail, fails before.
    ///
    /// # Errors
    /// - `EMFILE`: too many descriptors.
    /// - `EFAULT`: `at` is not user memory; no descriptor is left open.
    pub fn reserve_pidfd(&self, at: UserPtr<u32>) -> Result<Fd> {
        let flags = OpenFlags::CLOSE_ON_EXEC | OpenFlags::READ_WRITE;
        let nothing = Object::EventFd(EventFd::new(0, false));
        let number = self.install_object(nothing, "[pidfd]", flags)?;
        let fd = Fd(i32::try_from(number).unwrap_or(-1));
        match self.write(at, &fd.0.cast_unsigned()) {
            Ok(()) => Ok(fd),
            Err(errno) => {
                self.give_up_pidfd(fd);
                Err(errno)
            }
        }
    }

    /// The process was not made.
    pub fn give_up_pidfd(&self, fd: Fd) {
        // Another thread may have closed it, which is as good.
        drop(self.files.close(fd));
    }

    /// Makes the descriptor one of `process`.
    pub fn fill_pidfd(&self, fd: Fd, process: &Arc<Process>) {
        let Ok(reserved) = self.files.get(fd) else { return };
        let object = Object::Pid(PidFd::new(Arc::clone(process)));
        let file = File::new(object, reserved.flags(), reserved.path().clone());
        // The number was free a moment ago, so it is below the limit.
        drop(self.files.replace(fd, file, true, u64::MAX));
    }
}

/// Sends a signal to the process behind a descriptor.
///
/// # Errors
/// - `EBADF`: no descriptor of a process.
/// - `EINVAL`: no such signal, flags, or data for another one.
/// - `EPERM`: it may not be signalled.
/// - `ESRCH`: it has been waited for.
///
/// Source: pidfd_send_signal(2)
fn pidfd_send_signal(
    thread: &Thread,
    fd: Fd,
    number: i32,
    info: Option<UserPtr<[u8; Info::SIZE]>>,
    flags: u32,
) -> Result<()> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let file = thread.files.get(fd)?;
    let Object::Pid(pidfd) = file.object() else { return Err(Errno::EBADF) };
    let target = pidfd.process();
    let signal = if number == 0 { None } else { Some(Signal::new(number)?) };
    if thread.system.pids.process(target.pid).is_none_or(|found| !Arc::ptr_eq(&found, target)) {
        return Err(Errno::ESRCH);
    }
    let (own, uid) = (thread.process(), thread.credentials.uid);
    let given = info.map(|info| thread.read(info)).transpose()?;
    signal::may_signal(&thread.credentials, own, target, signal)?;
    let Some(signal) = signal else { return Ok(()) };
    let info = match given {
        None => Info::from_process(signal, code::USER, own.pid.get(), uid),
        Some(bytes) => {
            let info = Info::from_bytes(signal, &bytes);
            if bytes[..4] != number.to_ne_bytes() {
                return Err(Errno::EINVAL);
            }
            if (info.code >= 0 || info.code == code::TKILL) && !Arc::ptr_eq(own, target) {
                return Err(Errno::EPERM);
            }
            info
        }
    };
    signal::post_to_process(target, info)
}

/// Makes a descriptor that reads signals, or changes which ones it reads.
///
/// # Errors
/// - `EBADF`, `EINVAL`: `fd` is neither -1 nor such a descriptor.
///
/// Source: signalfd(2)
fn signalfd(thread: &Thread, fd: Fd, mask: UserPtr<u64>, size: usize) -> Result<usize> {
    signalfd4(thread, fd, mask, size, 0)
}

/// Like signalfd, with flags.
///
/// # Errors
/// As signalfd; `EINVAL` for unknown flags.
///
/// Source: signalfd(2)
fn signalfd4(
    thread: &Thread,
    fd: Fd,
    mask: UserPtr<u64>,
    size: usize,
    flags: u32,
) -> Result<usize> {
    const NEW: Fd = Fd(-1);
    let allowed = OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING;
    let flags = OpenFlags::from_bits(flags).filter(|flags| allowed.contains(*flags));
    let flags = flags.ok_or(Errno::EINVAL)?;
    if size != size_of::<u64>() {
        return Err(Errno::EINVAL);
    }
    let mask = SignalSet::from_bits(thread.read(mask)?);
    if fd == NEW {
        let signals = SignalFd::new(mask, Arc::clone(thread.process()));
        let flags = flags | OpenFlags::READ_WRITE;
        return thread.install_object(Object::Signals(signals), "[signalfd]", flags);
    }
    let file = thread.files.get(fd)?;
    let Object::Signals(signals) = file.object() else { return Err(Errno::EINVAL) };
    signals.set_mask(mask);
    Ok(fd.0.unsigned_abs() as usize)
}
