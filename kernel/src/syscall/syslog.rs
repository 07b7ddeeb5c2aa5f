//! syslog(2): the kernel's log.

use super::{Outcome, Row, UserPtr, row};
use crate::{cred::Capabilities, file::LOG, thread::Thread};
use abi::{Errno, Events, Result};
use alloc::{boxed::Box, vec::Vec};
use framework::Sink;

pub(super) const ROWS: &[Row] =
    &[row!(103 "syslog" (action: i32, buffer: UserPtr<u8>, len: i32) => syslog, Full)];

mod action {
    pub(super) const CLOSE: i32 = 0;
    pub(super) const OPEN: i32 = 1;
    pub(super) const READ: i32 = 2;
    pub(super) const READ_ALL: i32 = 3;
    pub(super) const READ_CLEAR: i32 = 4;
    pub(super) const CLEAR: i32 = 5;
    pub(super) const CONSOLE_OFF: i32 = 6;
    pub(super) const CONSOLE_ON: i32 = 7;
    pub(super) const CONSOLE_LEVEL: i32 = 8;
    pub(super) const SIZE_UNREAD: i32 = 9;
    pub(super) const SIZE_BUFFER: i32 = 10;
}

/// The level that only the most urgent records are below.
const QUIET: u8 = 1;
/// The usual level.
const USUAL: u8 = 7;

/// Reads or controls the kernel's log.
///
/// # Errors
/// - `EPERM`: without `CAP_SYSLOG`.
/// - `EINVAL`: unknown action, no buffer, or a level outside 1 to 8.
/// - `EINTR`: a signal came while there was nothing to read.
///
/// Source: syslog(2)
fn syslog(thread: &Thread, action: i32, buffer: UserPtr<u8>, len: i32) -> Result<Outcome<'_>> {
    let for_everybody = matches!(action, action::READ_ALL | action::SIZE_BUFFER);
    let allowed = thread.credentials.has(Capabilities::SYSLOG)
        || thread.credentials.has(Capabilities::SYS_ADMIN);
    if !for_everybody && !allowed {
        return Err(Errno::EPERM);
    }
    let value = match action {
        action::CLOSE | action::OPEN => 0,
        action::READ => return read(thread, buffer, len),
        action::READ_ALL | action::READ_CLEAR => {
            let count = read_all(thread, buffer, checked(buffer, len)?)?;
            if action == action::READ_CLEAR {
                LOG.syslog_clear();
            }
            count
        }
        action::CLEAR => {
            LOG.syslog_clear();
            0
        }
        action::CONSOLE_OFF => set_level(QUIET),
        action::CONSOLE_ON => set_level(USUAL),
        action::CONSOLE_LEVEL => {
            let level = u8::try_from(len).ok().filter(|level| (1..=8).contains(level));
            set_level(level.ok_or(Errno::EINVAL)?)
        }
        action::SIZE_UNREAD => LOG.syslog_unread(),
        action::SIZE_BUFFER => LOG.size(),
        _ => return Err(Errno::EINVAL),
    };
    Ok(Outcome::Done(value))
}

fn set_level(level: u8) -> usize {
    LOG.set_console_level(level);
    0
}

/// The length of a buffer that is there.
fn checked(buffer: UserPtr<u8>, len: i32) -> Result<usize> {
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    if buffer.is_null() { Err(Errno::EINVAL) } else { Ok(len) }
}

/// Copies through a buffer of the kernel, as long as the log at most.
fn read_all(thread: &Thread, buffer: UserPtr<u8>, len: usize) -> Result<usize> {
    let mut text = Vec::new();
    let len = len.min(2 * LOG.size());
    text.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    text.resize(len, 0);
    let count = LOG.syslog_read_all(&mut Sink::kernel(&mut text))?;
    thread.write_slice(buffer, &text[..count])?;
    Ok(count)
}

/// Reads and consumes; waits for the first record.
fn read(thread: &Thread, buffer: UserPtr<u8>, len: i32) -> Result<Outcome<'_>> {
    let len = checked(buffer, len)?;
    if len == 0 {
        return Ok(Outcome::Done(0));
    }
    let attempt = move || {
        let mut text = [0; 1024];
        let most = len.min(text.len());
        let count = LOG.syslog_read(&mut Sink::kernel(&mut text[..most]))?;
        thread.write_slice(buffer, &text[..count])?;
        Ok(count)
    };
    match attempt() {
        Err(Errno::EAGAIN) => {}
        result => return result.map(Outcome::Done),
    }
    Ok(Outcome::Wait(Box::pin(async move {
        let mask = Events::IN.bits();
        let result = thread
            .wait_until(LOG.queue(), mask, || match attempt() {
                Err(Errno::EAGAIN) => None,
                result => Some(result),
            })
            .await;
        result?
    })))
}
