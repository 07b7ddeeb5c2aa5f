//! dup(2), dup2(2), dup3(2), fcntl(2), pipe(2), eventfd(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    file::{self, EventFd, File, Object, Owner, OwnerKind},
    thread::Thread,
};
use abi::{
    Errno, Fd, Pid, Result,
    file::{FileOwner, Flock},
};
use fs::{
    OpenFlags,
    pipe::{Pipe, Privileged},
};

pub(super) const ROWS: &[Row] = &[
    row!(22 "pipe" (fds: UserPtr<[i32; 2]>) => pipe, Full),
    row!(32 "dup" (fd: Fd) => dup, Full),
    row!(33 "dup2" (old: Fd, new: Fd) => dup2, Full),
    row!(72 "fcntl" (fd: Fd, command: u32, argument: usize) => fcntl, Partial,
        "F_NOTIFY and leases are EINVAL"),
    row!(284 "eventfd" (count: u32) => eventfd, Full),
    row!(290 "eventfd2" (count: u32, flags: u32) => eventfd2, Full),
    row!(292 "dup3" (old: Fd, new: Fd, flags: u32) => dup3, Full),
    row!(293 "pipe2" (fds: UserPtr<[i32; 2]>, flags: u32) => pipe2, Full),
];

/// The lowest free descriptor for the file of `fd`.
///
/// # Errors
/// - `EBADF`: `fd` is not open.
/// - `EMFILE`: no descriptor is free.
///
/// Source: dup(2)
fn dup(thread: &Thread, fd: Fd) -> Result<usize> {
    let file = thread.files.get(fd)?;
    thread.install(file, OpenFlags::empty())
}

fn dup2(thread: &Thread, old: Fd, new: Fd) -> Result<usize> {
    if old == new {
        thread.files.get(old)?;
        return Ok(number(new));
    }
    duplicate(thread, old, new, OpenFlags::empty())
}

fn dup3(thread: &Thread, old: Fd, new: Fd, flags: u32) -> Result<usize> {
    let flags = OpenFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if old == new || !OpenFlags::CLOSE_ON_EXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    duplicate(thread, old, new, flags)
}

/// Makes `new` refer to the file of `old`, closing what it referred to.
fn duplicate(thread: &Thread, old: Fd, new: Fd, flags: OpenFlags) -> Result<usize> {
    let file = thread.files.get(old)?;
    let close_on_exec = flags.contains(OpenFlags::CLOSE_ON_EXEC);
    let limit = thread.process().descriptor_limit();
    if let Some(closed) = thread.files.replace(new, file, close_on_exec, limit)? {
        thread.release_locks(&closed);
    }
    Ok(number(new))
}

fn number(fd: Fd) -> usize {
    fd.0.unsigned_abs() as usize
}

mod command {
    pub(super) const DUPFD: u32 = 0;
    pub(super) const GETFD: u32 = 1;
    pub(super) const SETFD: u32 = 2;
    pub(super) const GETFL: u32 = 3;
    pub(super) const SETFL: u32 = 4;
    pub(super) const GETLK: u32 = 5;
    pub(super) const SETLK: u32 = 6;
    pub(super) const SETLKW: u32 = 7;
    pub(super) const SETOWN: u32 = 8;
    pub(super) const GETOWN: u32 = 9;
    pub(super) const SETSIG: u32 = 10;
    pub(super) const GETSIG: u32 = 11;
    pub(super) const SETOWN_EX: u32 = 15;
    pub(super) const GETOWN_EX: u32 = 16;
    pub(super) const OFD_GETLK: u32 = 36;
    pub(super) const OFD_SETLK: u32 = 37;
    pub(super) const OFD_SETLKW: u32 = 38;
    pub(super) const DUPFD_CLOEXEC: u32 = 1030;
    pub(super) const GETLEASE: u32 = 1025;
    pub(super) const SETPIPE_SZ: u32 = 1031;
    pub(super) const GETPIPE_SZ: u32 = 1032;
    pub(super) const ADD_SEALS: u32 = 1033;
    pub(super) const GET_SEALS: u32 = 1034;
}

/// `F_UNLCK`.
const UNLOCKED: usize = 2;

/// Does `command` to the descriptor or its file.
///
/// # Errors
/// - `EBADF`: `fd` is not open.
/// - `EINVAL`: unknown command, or an argument it does not take.
///
/// Source: fcntl(2)
fn fcntl(thread: &Thread, fd: Fd, command: u32, argument: usize) -> Result<Outcome<'_>> {
    let file = thread.files.get(fd)?;
    if file.flags().contains(OpenFlags::PATH) {
        let allowed = [
            command::DUPFD,
            command::DUPFD_CLOEXEC,
            command::GETFD,
            command::SETFD,
            command::GETFL,
        ];
        if !allowed.contains(&command) {
            return Err(Errno::EBADF);
        }
    }
    let value = match command {
        command::DUPFD => duplicate_from(thread, fd, argument, false)?,
        command::DUPFD_CLOEXEC => duplicate_from(thread, fd, argument, true)?,
        command::GETFD => usize::from(thread.files.is_close_on_exec(fd)?),
        command::SETFD => {
            thread.files.set_close_on_exec(fd, argument & 1 != 0)?;
            0
        }
        command::GETFL => file.flags().bits() as usize,
        command::SETFL => {
            let flags = u32::try_from(argument & 0xffff_ffff).map_err(|_| Errno::EINVAL)?;
            file.set_flags(OpenFlags::from_bits_truncate(flags), &thread.caller())?;
            file.update_notice(thread, fd);
            0
        }
        command::GETLK | command::OFD_GETLK => {
            let ofd = command == command::OFD_GETLK;
            thread.query_lock(&file, UserPtr::<Flock>::from_raw(argument), ofd)?
        }
        command::SETLK | command::SETLKW | command::OFD_SETLK | command::OFD_SETLKW => {
            let wait = matches!(command, command::SETLKW | command::OFD_SETLKW);
            let ofd = matches!(command, command::OFD_SETLK | command::OFD_SETLKW);
            return thread.set_lock(file, UserPtr::<Flock>::from_raw(argument), wait, ofd);
        }
        command::SETPIPE_SZ | command::GETPIPE_SZ => pipe_size(&file, command, argument, thread)?,
        // Nobody can take a lease, so nobody has one.
        command::GETLEASE => UNLOCKED,
        command::ADD_SEALS | command::GET_SEALS => seals(&file, command, argument)?,
        _ => owner(thread, &file, command, argument)?,
    };
    Ok(Outcome::Done(value))
}

fn duplicate_from(thread: &Thread, fd: Fd, from: usize, close_on_exec: bool) -> Result<usize> {
    let file = thread.files.get(fd)?;
    let limit = thread.process().descriptor_limit();
    // The argument is an int: a negative one is above every limit.
    let from = u32::try_from(from & 0xffff_ffff).map_err(|_| Errno::EINVAL)?;
    if u64::from(from) >= limit {
        return Err(Errno::EINVAL);
    }
    thread.files.open_from(file, from, close_on_exec, limit).map(number)
}

fn pipe_size(file: &File, command: u32, argument: usize, thread: &Thread) -> Result<usize> {
    let Object::Pipe(end) = file.object() else { return Err(Errno::EBADF) };
    if command == command::GETPIPE_SZ {
        return Ok(end.pipe().size());
    }
    let size = argument & 0xffff_ffff;
    let privileged = thread.caller().capable(fs::Capabilities::SYS_RESOURCE);
    end.pipe().set_size(size, if privileged { Privileged::Yes } else { Privileged::No })
}

fn seals(file: &File, command: u32, argument: usize) -> Result<usize> {
    if command == command::ADD_SEALS {
        file.check_writable().map_err(|_| Errno::EPERM)?;
    }
    let pages = file.node()?.pages().ok_or(Errno::EINVAL)?;
    if command == command::GET_SEALS {
        return pages.seals().map(|seals| seals.bits() as usize);
    }
    let seals = u32::try_from(argument).ok().and_then(fs::Seals::from_bits).ok_or(Errno::EINVAL)?;
    pages.add_seals(seals).map(|()| 0)
}

/// Makes somebody who is there, or nobody, the file's owner.
fn own(thread: &Thread, file: &File, kind: OwnerKind, number: u32) -> Result<usize> {
    if let Some(pid) = Pid::new(number.cast_signed()) {
        let pids = &thread.system.pids;
        let found = match kind {
            OwnerKind::Thread => pids.thread(pid).is_some(),
            OwnerKind::Process => pids.process(pid).is_some(),
            OwnerKind::Group => pids.group(pid).is_some(),
        };
        if !found {
            return Err(Errno::ESRCH);
        }
    }
    file.set_owner(kind, number, &thread.credentials);
    Ok(0)
}

/// Who gets signals about the file.
fn owner(thread: &Thread, file: &File, command: u32, argument: usize) -> Result<usize> {
    match command {
        command::SETOWN => {
            let number =
                u32::try_from(argument & 0xffff_ffff).map_err(|_| Errno::EINVAL)?.cast_signed();
            let kind = if number < 0 { OwnerKind::Group } else { OwnerKind::Process };
            if number == i32::MIN {
                return Err(Errno::EINVAL);
            }
            own(thread, file, kind, number.unsigned_abs())
        }
        command::GETOWN => {
            let Owner { kind, number, .. } = file.owner();
            let number = number as usize;
            Ok(if kind == OwnerKind::Group { number.wrapping_neg() } else { number })
        }
        command::SETOWN_EX => {
            let owner = thread.read(UserPtr::<FileOwner>::from_raw(argument))?;
            let kind = match owner.kind {
                0 => OwnerKind::Thread,
                1 => OwnerKind::Process,
                2 => OwnerKind::Group,
                _ => return Err(Errno::EINVAL),
            };
            own(thread, file, kind, u32::try_from(owner.pid).map_err(|_| Errno::ESRCH)?)
        }
        command::GETOWN_EX => {
            let Owner { kind, number, .. } = file.owner();
            let owner = FileOwner { kind: kind as i32, pid: number.cast_signed() };
            thread.write(UserPtr::from_raw(argument), &owner).map(|()| 0)
        }
        command::SETSIG => {
            let signal = u8::try_from(argument).ok().filter(|signal| *signal <= 64);
            file.set_owner_signal(signal.ok_or(Errno::EINVAL)?);
            Ok(0)
        }
        command::GETSIG => Ok(usize::from(file.owner().signal)),
        _ => Err(Errno::EINVAL),
    }
}

fn pipe(thread: &Thread, fds: UserPtr<[i32; 2]>) -> Result<usize> {
    pipe2(thread, fds, 0)
}

/// Makes a pipe and stores the descriptors of its reading and its writing end.
///
/// # Errors
/// - `EINVAL`: unknown flags.
/// - `EMFILE`: fewer than two descriptors are free.
/// - `EFAULT`: `fds` is not user memory; no descriptor is left open.
///
/// Source: pipe(2)
fn pipe2(thread: &Thread, fds: UserPtr<[i32; 2]>, flags: u32) -> Result<usize> {
    let allowed = OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING | OpenFlags::DIRECT;
    let flags = OpenFlags::from_bits(flags)
        .filter(|flags| allowed.contains(*flags))
        .ok_or(Errno::EINVAL)?;
    let (reader, writer) = Pipe::pair(&thread.system.pipes, flags, &thread.caller());
    let read = thread.install(file::of_pipe(reader), flags)?;
    let write = match thread.install(file::of_pipe(writer), flags) {
        Ok(write) => write,
        Err(errno) => {
            close_again(thread, read);
            return Err(errno);
        }
    };
    let numbers = [read, write].map(|fd| i32::try_from(fd).unwrap_or(i32::MAX));
    if let Err(errno) = thread.write(fds, &numbers) {
        close_again(thread, read);
        close_again(thread, write);
        return Err(errno);
    }
    Ok(0)
}

fn close_again(thread: &Thread, fd: usize) {
    // Another thread may have closed it meanwhile, which is as good.
    let _ = thread.files.close(Fd(i32::try_from(fd).unwrap_or(-1)));
}

fn eventfd(thread: &Thread, count: u32) -> Result<usize> {
    eventfd2(thread, count, 0)
}

/// Makes a counter that starts at `count`.
///
/// # Errors
/// - `EINVAL`: unknown flags.
///
/// Source: eventfd(2)
fn eventfd2(thread: &Thread, count: u32, flags: u32) -> Result<usize> {
    const SEMAPHORE: u32 = 1;
    let allowed = OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING;
    let rest = OpenFlags::from_bits(flags & !SEMAPHORE).filter(|rest| allowed.contains(*rest));
    let rest = rest.ok_or(Errno::EINVAL)?;
    let event = EventFd::new(u64::from(count), flags & SEMAPHORE != 0);
    thread.install_object(Object::EventFd(event), "[eventfd]", rest | OpenFlags::READ_WRITE)
}
