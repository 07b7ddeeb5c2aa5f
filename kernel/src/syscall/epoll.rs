//! epoll_create(2), epoll_ctl(2), epoll_wait(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    file::{File, Object},
    poll::{Epoll, EpollFlags, Interest},
    thread::{Restart, Thread},
};
use abi::{Errno, Events, Fd, Result, Timespec, file::EpollEvent};
use alloc::{boxed::Box, sync::Arc};
use core::time::Duration;
use executor::{Either, select, sleep_until};
use framework::{Instant, time};
use fs::OpenFlags;

pub(super) const ROWS: &[Row] = &[
    row!(213 "epoll_create" (size: i32) => epoll_create, Full),
    row!(232 "epoll_wait" (epfd: Fd, events: UserPtr<EpollEvent>, most: i32, timeout: i32)
        => epoll_wait, Full),
    row!(233 "epoll_ctl" (epfd: Fd, operation: u32, fd: Fd, event: UserPtr<EpollEvent>)
        => epoll_ctl, Full),
    row!(281 "epoll_pwait" (epfd: Fd, events: UserPtr<EpollEvent>, most: i32, timeout: i32,
        mask: Option<UserPtr<u64>>, size: usize) => epoll_pwait, Full),
    row!(291 "epoll_create1" (flags: u32) => epoll_create1, Full),
    row!(441 "epoll_pwait2" (epfd: Fd, events: UserPtr<EpollEvent>, most: i32,
        timeout: Option<UserPtr<Timespec>>, mask: Option<UserPtr<u64>>, size: usize)
        => epoll_pwait2, Full),
];

fn epoll_create(thread: &Thread, size: i32) -> Result<usize> {
    if size <= 0 {
        return Err(Errno::EINVAL);
    }
    epoll_create1(thread, 0)
}

/// Makes an epoll instance.
///
/// # Errors
/// - `EINVAL`: unknown flags.
///
/// Source: epoll_create(2)
fn epoll_create1(thread: &Thread, flags: u32) -> Result<usize> {
    let flags = OpenFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !OpenFlags::CLOSE_ON_EXEC.contains(flags) {
        return Err(Errno::EINVAL);
    }
    thread.install_object(Object::Epoll(Epoll::new()), "[eventpoll]", flags | OpenFlags::READ_WRITE)
}

fn instance(file: &File) -> Result<&Arc<Epoll>> {
    file.as_epoll().ok_or(Errno::EINVAL)
}

/// Adds, changes or removes what an instance watches.
///
/// # Errors
/// - `EBADF`: a descriptor is not open.
/// - `EPERM`: the file cannot be watched.
/// - `EEXIST`, `ENOENT`: it is watched, or not.
/// - `EINVAL`: no epoll instance, itself, or bad events.
/// - `ELOOP`: instances in a circle.
///
/// Source: epoll_ctl(2)
fn epoll_ctl(
    thread: &Thread,
    epfd: Fd,
    operation: u32,
    fd: Fd,
    event: UserPtr<EpollEvent>,
) -> Result<()> {
    const ADD: u32 = 1;
    const DELETE: u32 = 2;
    const MODIFY: u32 = 3;
    // What may be asked for together with EPOLLEXCLUSIVE.
    const EXCLUSIVE_BITS: u32 = EpollFlags::EXCLUSIVE.bits()
        | EpollFlags::WAKE_UP.bits()
        | EpollFlags::EDGE.bits()
        | Events::IN.bits()
        | Events::OUT.bits()
        | Events::ERR.bits()
        | Events::HUP.bits();
    let event = if operation == DELETE { EpollEvent::default() } else { thread.read(event)? };
    let epoll_file = thread.files.get_opened(epfd)?;
    let file = thread.files.get_opened(fd)?;
    if file.queue().is_none() {
        return Err(Errno::EPERM);
    }
    let epoll = instance(&epoll_file)?;
    if Arc::ptr_eq(&epoll_file, &file) {
        return Err(Errno::EINVAL);
    }
    let interest = Interest {
        events: Events::from_bits_truncate(event.events),
        flags: EpollFlags::from_bits_truncate(event.events),
        data: event.data,
    };
    match operation {
        ADD => {
            if interest.flags.contains(EpollFlags::EXCLUSIVE)
                && (file.as_epoll().is_some() || event.events & !EXCLUSIVE_BITS != 0)
            {
                return Err(Errno::EINVAL);
            }
            epoll.add(thread, fd, &file, interest)
        }
        DELETE => epoll.remove(fd, &file),
        MODIFY => epoll.modify(thread, fd, &file, interest),
        _ => Err(Errno::EINVAL),
    }
}

fn epoll_wait(
    thread: &Thread,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    most: i32,
    timeout: i32,
) -> Result<Outcome<'_>> {
    epoll_pwait(thread, epfd, events, most, timeout, None, 8)
}

fn epoll_pwait(
    thread: &Thread,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    most: i32,
    timeout: i32,
    mask: Option<UserPtr<u64>>,
    size: usize,
) -> Result<Outcome<'_>> {
    thread.replace_mask(mask, size)?;
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    wait(thread, epfd, events, most, timeout)
}

fn epoll_pwait2(
    thread: &Thread,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    most: i32,
    timeout: Option<UserPtr<Timespec>>,
    mask: Option<UserPtr<u64>>,
    size: usize,
) -> Result<Outcome<'_>> {
    let timeout = match timeout {
        None => None,
        Some(timeout) => Some(Duration::try_from(thread.read(timeout)?)?),
    };
    thread.replace_mask(mask, size)?;
    wait(thread, epfd, events, most, timeout)
}

/// Stores at most `most` ready events; waits for the first one. Without a timeout it waits for
/// ever.
///
/// # Errors
/// - `EINVAL`: `most` is not positive, or no epoll instance.
/// - `EFAULT`: `events` is not user memory.
/// - `EINTR`: a signal was caught.
///
/// Source: epoll_wait(2)
fn wait(
    thread: &Thread,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    most: i32,
    timeout: Option<Duration>,
) -> Result<Outcome<'_>> {
    let most = usize::try_from(most).ok().filter(|most| *most > 0).ok_or(Errno::EINVAL)?;
    if most > i32::MAX as usize / size_of::<EpollEvent>() {
        return Err(Errno::EINVAL);
    }
    let file = thread.files.get_opened(epfd)?;
    let found = take(thread, instance(&file)?, events, most)?;
    if found > 0 || timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Ok(Outcome::Done(found));
    }
    let deadline = timeout.map(|timeout| time::now().saturating_add(timeout));
    Ok(Outcome::Wait(Box::pin(wait_until(thread, file, events, most, deadline))))
}

async fn wait_until(
    thread: &Thread,
    file: Arc<File>,
    events: UserPtr<EpollEvent>,
    most: usize,
    deadline: Option<Instant>,
) -> Result<usize> {
    let epoll = instance(&file)?;
    loop {
        // Exclusive: one event wakes one of several threads that wait on one instance.
        let listener = epoll.queue().listen(Events::IN.bits(), true);
        let found = take(thread, epoll, events, most)?;
        if found > 0 {
            return Ok(found);
        }
        let waited = match deadline {
            None => thread.wait_restartable(listener, Restart::None).await.map(|_| true),
            Some(at) => thread
                .wait_restartable(select(listener, sleep_until(at)), Restart::None)
                .await
                .map(|first| matches!(first, Either::First(_))),
        };
        // Never restarted, not even after a stop; the mask is the call's until the handler runs.
        if !waited? {
            return take(thread, epoll, events, most);
        }
    }
}

fn take(thread: &Thread, epoll: &Epoll, to: UserPtr<EpollEvent>, most: usize) -> Result<usize> {
    epoll.take(thread, most, &mut |index, events, data| {
        thread.write(to.nth(index)?, &EpollEvent { events: events.bits(), data })
    })
}
