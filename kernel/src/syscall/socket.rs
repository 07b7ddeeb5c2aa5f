//! Sockets: socket(2), bind(2), listen(2), accept(2), connect(2) and their like.

use super::{Outcome, Row, UserPtr, row};
use crate::{
    socket::{self, Accepting, Connecting, Flags, Given, UnixFile, UnixSocket},
    thread::Thread,
};
use abi::{Errno, Fd, Result};
use alloc::sync::Arc;
use framework::VirtAddr;
use fs::{Make, OpenFlags};
use net::unix::{Address, Kind, Shutdown};

pub(super) const ROWS: &[Row] = &[
    row!(41 "socket" (family: i32, kind: u32, protocol: i32) => socket, Partial,
        "families other than AF_UNIX"),
    row!(42 "connect" (fd: Fd, address: VirtAddr, len: u32) => connect, Full),
    row!(43 "accept" (fd: Fd, address: VirtAddr, len: UserPtr<i32>) => accept, Full),
    row!(48 "shutdown" (fd: Fd, how: i32) => shutdown, Full),
    row!(49 "bind" (fd: Fd, address: VirtAddr, len: u32) => bind, Full),
    row!(50 "listen" (fd: Fd, backlog: i32) => listen, Full),
    row!(51 "getsockname" (fd: Fd, address: VirtAddr, len: UserPtr<i32>) => getsockname, Full),
    row!(52 "getpeername" (fd: Fd, address: VirtAddr, len: UserPtr<i32>) => getpeername, Full),
    row!(53 "socketpair" (family: i32, kind: u32, protocol: i32, fds: UserPtr<[i32; 2]>)
        => socketpair, Full),
    row!(54 "setsockopt" (fd: Fd, level: i32, name: i32, value: VirtAddr, len: i32)
        => setsockopt, Partial, "SO_PEEK_OFF, SO_TIMESTAMP, SO_MARK, filters"),
    row!(55 "getsockopt" (fd: Fd, level: i32, name: i32, value: VirtAddr, len: UserPtr<i32>)
        => getsockopt, Partial, "SO_PEERGROUPS, SO_PEERPIDFD, SO_PEEK_OFF"),
    row!(288 "accept4" (fd: Fd, address: VirtAddr, len: UserPtr<i32>, flags: u32)
        => accept4, Full),
];

const UNIX: i32 = 1;
/// The part of a type that is no flag.
const TYPE: u32 = 0xf;

/// The kind and the flags of a new socket.
fn parse(family: i32, kind: u32, protocol: i32) -> Result<(Kind, OpenFlags)> {
    let flags = OpenFlags::from_bits_retain(kind & !TYPE);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(Errno::EINVAL);
    }
    if !(0..46).contains(&family) {
        return Err(Errno::EAFNOSUPPORT);
    }
    let number = i32::try_from(kind & TYPE).map_err(|_| Errno::EINVAL)?;
    if number > 10 {
        return Err(Errno::EINVAL);
    }
    if family != UNIX {
        return Err(Errno::EAFNOSUPPORT);
    }
    if protocol != 0 && protocol != UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    Ok((socket::kind_of(number)?, flags))
}

/// Makes a socket.
///
/// # Errors
/// - `EAFNOSUPPORT`: no such family; `ESOCKTNOSUPPORT`, `EPROTONOSUPPORT`: not in this family.
/// - `EINVAL`: unknown flags; `EMFILE`: no descriptor is free.
///
/// Source: socket(2)
fn socket(thread: &Thread, family: i32, kind: u32, protocol: i32) -> Result<usize> {
    let (kind, flags) = parse(family, kind, protocol)?;
    thread.install(UnixFile::open(thread, UnixSocket::new(kind), flags), flags)
}

/// Makes two sockets that are each other's peer.
///
/// # Errors
/// As [`socket`]; `EFAULT`: `fds` is not user memory; no descriptor is left open.
///
/// Source: socketpair(2)
fn socketpair(
    thread: &Thread,
    family: i32,
    kind: u32,
    protocol: i32,
    fds: UserPtr<[i32; 2]>,
) -> Result<()> {
    let (kind, flags) = parse(family, kind, protocol)?;
    let pair = UnixSocket::pair(kind, socket::who(thread));
    let mut numbers = [-1; 2];
    let open = || {
        for (number, socket) in numbers.iter_mut().zip(pair) {
            let fd = thread.install(UnixFile::open(thread, socket, flags), flags)?;
            *number = i32::try_from(fd).unwrap_or(-1);
        }
        Ok(())
    };
    let result = open().and_then(|()| thread.write(fds, &numbers));
    if result.is_err() {
        for number in numbers.into_iter().filter(|number| *number >= 0) {
            // Another thread may have closed it meanwhile, which is as good.
            let _ = thread.files.close(Fd(number));
        }
    }
    result
}

/// Gives a socket a name.
///
/// # Errors
/// - `EINVAL`: a bad address, or it has a name; `EADDRINUSE`: the name is taken.
/// - those of mknod(2).
///
/// Source: bind(2), unix(7)
fn bind(thread: &Thread, fd: Fd, address: VirtAddr, len: u32) -> Result<Outcome<'_>> {
    let file = thread.socket_file(fd)?;
    let Given::Unix(address) = thread.read_address(address, len)? else {
        return Err(Errno::EINVAL);
    };
    let own = socket::of(&file)?.socket();
    match address {
        Address::Unnamed => match own.address() {
            Address::Unnamed => thread.system.unix_names.bind(own, None),
            // As on Linux, choosing a name for what has one changes nothing.
            _ => Ok(()),
        },
        Address::Abstract(name) => thread.system.unix_names.bind(own, Some(&name)),
        Address::Path(path) => {
            if own.address() != Address::Unnamed {
                return Err(Errno::EINVAL);
            }
            return bind_path(thread, file, path.into_vec());
        }
    }
    .map(|()| Outcome::Done(0))
}

fn bind_path(
    thread: &Thread,
    file: Arc<crate::file::File>,
    path: alloc::vec::Vec<u8>,
) -> Result<Outcome<'_>> {
    let given = path.clone();
    let made = thread.walk_then(
        Fd::CWD,
        path,
        |walk, base, path| walk.make(base, path, Make::Socket, 0o777),
        move |place| {
            socket::of(&file)?.bind(&given, place)?;
            Ok(Outcome::Done(0))
        },
    );
    made.map_err(in_use)
}

/// Linux's name for a taken name.
fn in_use(errno: Errno) -> Errno {
    if errno == Errno::EEXIST { Errno::EADDRINUSE } else { errno }
}

/// Lets a socket accept connections.
///
/// # Errors
/// As [`net::unix::Socket::listen`].
///
/// Source: listen(2)
fn listen(thread: &Thread, fd: Fd, backlog: i32) -> Result<()> {
    let file = thread.socket_file(fd)?;
    socket::of(&file)?.socket().listen(backlog.cast_unsigned(), socket::who(thread))
}

/// Connects a socket.
///
/// # Errors
/// - `EINVAL`: a bad address.
/// - those of [`net::unix::Socket::connect`] and of the path.
///
/// Source: connect(2), unix(7)
fn connect(thread: &Thread, fd: Fd, address: VirtAddr, len: u32) -> Result<Outcome<'_>> {
    let file = thread.socket_file(fd)?;
    let own = socket::of(&file)?;
    match thread.read_address(address, len)? {
        Given::Unspecified if own.socket().kind() == Kind::Datagram => {
            own.socket().disconnect();
            Ok(Outcome::Done(0))
        }
        Given::Unspecified => Err(Errno::EINVAL),
        Given::Unix(address) => {
            let timeout = own.settings().send_timeout;
            thread.find_socket(address, move |to| {
                let flags = Flags::empty();
                socket::attempt(thread, file, flags, timeout, Connecting(to))
            })
        }
    }
}

fn accept(thread: &Thread, fd: Fd, address: VirtAddr, len: UserPtr<i32>) -> Result<Outcome<'_>> {
    accept4(thread, fd, address, len, 0)
}

/// Takes a connection that waits, and stores the peer's name.
///
/// # Errors
/// - `EINVAL`: unknown flags, or it does not listen.
/// - `EAGAIN`: none waits, and it is non-blocking.
/// - those of [`net::unix::Socket::accept`].
///
/// Source: accept(2)
fn accept4(
    thread: &Thread,
    fd: Fd,
    address: VirtAddr,
    len: UserPtr<i32>,
    flags: u32,
) -> Result<Outcome<'_>> {
    let flags = OpenFlags::from_bits_retain(flags);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let file = thread.socket_file(fd)?;
    let timeout = socket::of(&file)?.settings().receive_timeout;
    let name = (address.get() != 0).then_some((address, len));
    socket::attempt(thread, file, Flags::empty(), timeout, Accepting { name, flags })
}

/// Ends directions of a connection.
///
/// # Errors
/// - `EINVAL`: `how` is none of the three.
///
/// Source: shutdown(2)
fn shutdown(thread: &Thread, fd: Fd, how: i32) -> Result<()> {
    let which = match how {
        0 => Shutdown { receive: true, send: false },
        1 => Shutdown { receive: false, send: true },
        2 => Shutdown { receive: true, send: true },
        _ => return Err(Errno::EINVAL),
    };
    let file = thread.socket_file(fd)?;
    socket::of(&file)?.socket().shut_down(which);
    Ok(())
}

fn getsockname(thread: &Thread, fd: Fd, address: VirtAddr, len: UserPtr<i32>) -> Result<()> {
    let file = thread.socket_file(fd)?;
    thread.write_address(&socket::of(&file)?.socket().address(), address, len)
}

fn getpeername(thread: &Thread, fd: Fd, address: VirtAddr, len: UserPtr<i32>) -> Result<()> {
    let file = thread.socket_file(fd)?;
    thread.write_address(&socket::of(&file)?.socket().peer_address()?, address, len)
}

fn setsockopt(
    thread: &Thread,
    fd: Fd,
    level: i32,
    name: i32,
    value: VirtAddr,
    len: i32,
) -> Result<()> {
    let file = thread.socket_file(fd)?;
    socket::set_option(thread, socket::of(&file)?, (level, name), value, len)
}

fn getsockopt(
    thread: &Thread,
    fd: Fd,
    level: i32,
    name: i32,
    value: VirtAddr,
    len: UserPtr<i32>,
) -> Result<()> {
    let file = thread.socket_file(fd)?;
    socket::get_option(thread, socket::of(&file)?, (level, name), value, len)
}
