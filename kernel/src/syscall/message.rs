//! Messages of sockets: send(2), recv(2) and their like.

use super::{Outcome, Row, UserPtr, row};
use crate::{
    file::{File, Segments},
    socket::{self, Flags, Given, Header, Receiving, Report, Sending},
    thread::Thread,
};
use abi::{Errno, Fd, Result, Timespec};
use alloc::{boxed::Box, sync::Arc};
use core::time::Duration;
use framework::VirtAddr;
use net::unix::{Ancillary, Kind};
use smallvec::smallvec;

pub(super) const ROWS: &[Row] = &[
    row!(44 "sendto" (fd: Fd, data: VirtAddr, len: usize, flags: u32, address: VirtAddr,
        address_len: u32) => sendto, Partial, "MSG_OOB"),
    row!(45 "recvfrom" (fd: Fd, data: VirtAddr, len: usize, flags: u32, address: VirtAddr,
        address_len: UserPtr<i32>) => recvfrom, Partial, "MSG_OOB"),
    row!(46 "sendmsg" (fd: Fd, message: UserPtr<Header>, flags: u32) => sendmsg, Partial,
        "MSG_OOB"),
    row!(47 "recvmsg" (fd: Fd, message: UserPtr<Header>, flags: u32) => recvmsg, Partial,
        "MSG_OOB"),
    row!(299 "recvmmsg" (fd: Fd, messages: VirtAddr, count: u32, flags: u32,
        timeout: Option<UserPtr<Timespec>>) => recvmmsg, Partial, "MSG_OOB"),
    row!(307 "sendmmsg" (fd: Fd, messages: VirtAddr, count: u32, flags: u32) => sendmmsg,
        Partial, "MSG_OOB"),
];

/// Bytes of `struct mmsghdr`.
const MULTIPLE: usize = size_of::<Header>() + 8;
/// The most messages of one call (`UIO_MAXIOV`).
const MOST: u32 = 1024;

/// One part of user memory.
fn one_segment(data: VirtAddr, len: usize) -> Result<Segments> {
    let len = len.min(0x7fff_f000);
    if !data.is_user_range(len) {
        return Err(Errno::EFAULT);
    }
    Ok(if len == 0 { smallvec![] } else { smallvec![(data, len)] })
}

fn sendto(
    thread: &Thread,
    fd: Fd,
    data: VirtAddr,
    len: usize,
    flags: u32,
    address: VirtAddr,
    address_len: u32,
) -> Result<Outcome<'_>> {
    let file = thread.socket_file(fd)?;
    let name = (address.get() != 0).then_some((address, address_len));
    let segments = one_segment(data, len)?;
    let flags = Flags::from_bits_retain(flags);
    send(
        thread,
        file,
        name,
        flags,
        Sending { segments, to: None, ancillary: Ancillary::default(), flags, sent: 0 },
    )
}

/// Sends a message with ancillary data.
///
/// # Errors
/// - those of [`net::unix::Socket::send`] and [`socket::Control::read`].
///
/// Source: sendmsg(2)
fn sendmsg(thread: &Thread, fd: Fd, message: UserPtr<Header>, flags: u32) -> Result<Outcome<'_>> {
    let file = thread.socket_file(fd)?;
    send_header(thread, file, message, Flags::from_bits_retain(flags))
}

fn send_header(
    thread: &Thread,
    file: Arc<File>,
    message: UserPtr<Header>,
    flags: Flags,
) -> Result<Outcome<'_>> {
    let header = thread.read(message)?;
    let segments = header.segments(thread)?;
    let ancillary = match header.control() {
        Some(control) => control.read(thread)?,
        None => Ancillary::default(),
    };
    let name = header.name()?.filter(|(_, len)| *len != 0);
    let sending = Sending { segments, to: None, ancillary, flags, sent: 0 };
    send(thread, file, name, flags, sending)
}

fn send<'a>(
    thread: &'a Thread,
    file: Arc<File>,
    name: Option<(VirtAddr, u32)>,
    flags: Flags,
    mut sending: Sending,
) -> Result<Outcome<'a>> {
    if flags.contains(Flags::OUT_OF_BAND) {
        return Err(Errno::EOPNOTSUPP);
    }
    let own = socket::of(&file)?;
    let timeout = own.settings().send_timeout;
    let name = match name {
        None => None,
        Some((at, len)) => Some(thread.read_address(at, len)?),
    };
    match name {
        None => socket::attempt(thread, file, flags, timeout, sending),
        Some(_) if own.socket().kind() == Kind::Stream => {
            let connected = own.socket().is_connected();
            Err(if connected { Errno::EISCONN } else { Errno::EOPNOTSUPP })
        }
        // A connected packet stream ignores the destination.
        Some(_) if own.socket().kind() == Kind::SeqPacket => {
            socket::attempt(thread, file, flags, timeout, sending)
        }
        Some(Given::Unspecified) => Err(Errno::EINVAL),
        Some(Given::Unix(address)) => thread.find_socket(address, move |to| {
            sending.to = Some(to);
            socket::attempt(thread, file, flags, timeout, sending)
        }),
    }
}

fn recvfrom(
    thread: &Thread,
    fd: Fd,
    data: VirtAddr,
    len: usize,
    flags: u32,
    address: VirtAddr,
    address_len: UserPtr<i32>,
) -> Result<Outcome<'_>> {
    let file = thread.socket_file(fd)?;
    let segments = one_segment(data, len)?;
    let report = Report::Name((address.get() != 0).then_some((address, address_len)));
    receive(thread, file, segments, report, Flags::from_bits_retain(flags))
}

/// Receives a message with its ancillary data.
///
/// # Errors
/// - those of [`net::unix::Socket::receive`].
///
/// Source: recvmsg(2)
fn recvmsg(thread: &Thread, fd: Fd, message: UserPtr<Header>, flags: u32) -> Result<Outcome<'_>> {
    let file = thread.socket_file(fd)?;
    receive_header(thread, file, message, Flags::from_bits_retain(flags))
}

fn receive_header(
    thread: &Thread,
    file: Arc<File>,
    message: UserPtr<Header>,
    flags: Flags,
) -> Result<Outcome<'_>> {
    let header = thread.read(message)?;
    header.name()?;
    let segments = header.segments(thread)?;
    receive(thread, file, segments, Report::Header(message, header), flags)
}

fn receive(
    thread: &Thread,
    file: Arc<File>,
    segments: Segments,
    report: Report,
    flags: Flags,
) -> Result<Outcome<'_>> {
    if flags.contains(Flags::OUT_OF_BAND) {
        return Err(Errno::EOPNOTSUPP);
    }
    let timeout = socket::of(&file)?.settings().receive_timeout;
    socket::attempt(thread, file, flags, timeout, Receiving::new(segments, report, flags))
}

/// Sends several messages; returns how many.
///
/// # Errors
/// Those of [`sendmsg`], if the first one fails.
///
/// Source: sendmmsg(2)
fn sendmmsg(
    thread: &Thread,
    fd: Fd,
    messages: VirtAddr,
    count: u32,
    flags: u32,
) -> Result<Outcome<'_>> {
    let file = thread.socket_file(fd)?;
    let flags = Flags::from_bits_retain(flags);
    Ok(Outcome::Wait(Box::pin(async move {
        let mut sent = 0;
        for index in 0..count.min(MOST) {
            let result = async {
                let message = nth(messages, index)?;
                let len = send_header(thread, Arc::clone(&file), message, flags)?.finish().await?;
                store_len(thread, message, len)
            };
            match Box::pin(result).await {
                Err(errno) if sent == 0 => return Err(errno),
                Err(_) => break,
                Ok(()) => sent += 1,
            }
        }
        Ok(sent)
    })))
}

/// Receives several messages; returns how many. The time is looked at after each of them.
///
/// # Errors
/// Those of [`recvmsg`], if the first one fails.
///
/// Source: recvmmsg(2)
fn recvmmsg(
    thread: &Thread,
    fd: Fd,
    messages: VirtAddr,
    count: u32,
    flags: u32,
    timeout: Option<UserPtr<Timespec>>,
) -> Result<Outcome<'_>> {
    let file = thread.socket_file(fd)?;
    let mut flags = Flags::from_bits_retain(flags);
    let until = match timeout {
        None => None,
        Some(at) => {
            let timeout = Duration::try_from(thread.read(at)?)?;
            Some(framework::time::now().saturating_add(timeout))
        }
    };
    Ok(Outcome::Wait(Box::pin(async move {
        let mut received = 0;
        for index in 0..count.min(MOST) {
            let result = async {
                let message = nth(messages, index)?;
                let outcome = receive_header(thread, Arc::clone(&file), message, flags)?;
                store_len(thread, message, outcome.finish().await?)
            };
            match Box::pin(result).await {
                Err(errno) if received == 0 => return Err(errno),
                Err(_) => break,
                Ok(()) => received += 1,
            }
            if flags.contains(Flags::WAIT_FOR_ONE) {
                flags |= Flags::DONT_WAIT;
            }
            if until.is_some_and(|until| framework::time::now() >= until) {
                break;
            }
        }
        Ok(received)
    })))
}

/// The header of the message number `index`.
fn nth(messages: VirtAddr, index: u32) -> Result<UserPtr<Header>> {
    let offset = usize::try_from(index).unwrap_or(usize::MAX).checked_mul(MULTIPLE);
    UserPtr::<Header>::new(messages).byte_offset(offset.ok_or(Errno::EFAULT)?)
}

fn store_len(thread: &Thread, message: UserPtr<Header>, len: usize) -> Result<()> {
    let to = message.byte_offset::<u32>(size_of::<Header>())?;
    thread.write(to, &u32::try_from(len).unwrap_or(u32::MAX))
}
