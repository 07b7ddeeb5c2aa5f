//! getsockopt(2) and setsockopt(2): socket(7), unix(7).

use super::{UnixFile, address::UNIX};
use crate::{cred::Capabilities, syscall::UserPtr, thread::Thread};
use abi::{Errno, Result, Timeval};
use core::time::Duration;
use framework::VirtAddr;
use net::unix::{Kind, Options};
use zerocopy::IntoBytes;

/// `SOL_SOCKET`.
const SOCKET: i32 = 1;

/// `SO_*`.
mod name {
    pub(super) const DEBUG: i32 = 1;
    pub(super) const REUSE_ADDRESS: i32 = 2;
    pub(super) const TYPE: i32 = 3;
    pub(super) const ERROR: i32 = 4;
    pub(super) const DONT_ROUTE: i32 = 5;
    pub(super) const BROADCAST: i32 = 6;
    pub(super) const SEND_BUFFER: i32 = 7;
    pub(super) const RECEIVE_BUFFER: i32 = 8;
    pub(super) const KEEP_ALIVE: i32 = 9;
    pub(super) const OUT_OF_BAND_INLINE: i32 = 10;
    pub(super) const LINGER: i32 = 13;
    pub(super) const PASS_CREDENTIALS: i32 = 16;
    pub(super) const PEER_CREDENTIALS: i32 = 17;
    pub(super) const RECEIVE_LOW_WATER: i32 = 18;
    pub(super) const SEND_LOW_WATER: i32 = 19;
    pub(super) const RECEIVE_TIMEOUT: i32 = 20;
    pub(super) const SEND_TIMEOUT: i32 = 21;
    pub(super) const ACCEPTS: i32 = 30;
    pub(super) const SEND_BUFFER_FORCE: i32 = 32;
    pub(super) const RECEIVE_BUFFER_FORCE: i32 = 33;
    pub(super) const PROTOCOL: i32 = 38;
    pub(super) const DOMAIN: i32 = 39;
}

/// Options that change nothing here and are only remembered.
const REMEMBERED: [i32; 5] = [
    name::REUSE_ADDRESS,
    name::DONT_ROUTE,
    name::BROADCAST,
    name::KEEP_ALIVE,
    name::OUT_OF_BAND_INLINE,
];

/// Stores an option at `to`, cut to the room that `len` says.
///
/// # Errors
/// - `ENOPROTOOPT`: no such option; `EOPNOTSUPP`: no such level.
/// - `EINVAL`: negative room; `EFAULT`: not user memory.
pub fn get_option(
    thread: &Thread,
    file: &UnixFile,
    (level, option): (i32, i32),
    to: VirtAddr,
    len: UserPtr<i32>,
) -> Result<()> {
    let room = usize::try_from(thread.read(len)?).map_err(|_| Errno::EINVAL)?;
    if level != SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    let socket = file.socket();
    let settings = file.settings();
    let options = socket.options();
    let size = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
    let value = match option {
        name::TYPE => match socket.kind() {
            Kind::Stream => 1,
            Kind::Datagram => 2,
            Kind::SeqPacket => 5,
        },
        name::ERROR => socket.take_error().map_or(0, |errno| i32::from(errno.number())),
        name::SEND_BUFFER => size(options.send_buffer),
        name::RECEIVE_BUFFER => size(options.receive_buffer),
        name::PASS_CREDENTIALS => i32::from(options.pass_credentials),
        name::RECEIVE_LOW_WATER => settings.low_water,
        name::SEND_LOW_WATER => 1,
        name::ACCEPTS => i32::from(socket.is_listening()),
        name::PROTOCOL | name::DEBUG => 0,
        name::DOMAIN => i32::from(UNIX),
        name::LINGER => {
            let (on, seconds) = settings.linger;
            return store(thread, [on, seconds].as_bytes(), room, to, len);
        }
        name::PEER_CREDENTIALS => {
            let nobody = [0, u32::MAX, u32::MAX];
            let peer = socket.peer_credentials().map_or(nobody, |who| [who.pid, who.uid, who.gid]);
            return store(thread, peer.as_bytes(), room, to, len);
        }
        name::RECEIVE_TIMEOUT | name::SEND_TIMEOUT => {
            let timeout = match option {
                name::RECEIVE_TIMEOUT => settings.receive_timeout,
                _ => settings.send_timeout,
            };
            let timeout = timeout.unwrap_or_default();
            let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
            let time = Timeval { tv_sec: seconds, tv_usec: i64::from(timeout.subsec_micros()) };
            return store(thread, time.as_bytes(), room, to, len);
        }
        _ if REMEMBERED.contains(&option) => i32::from(settings.remembered >> option & 1 != 0),
        _ => return Err(Errno::ENOPROTOOPT),
    };
    store(thread, value.as_bytes(), room, to, len)
}

fn store(
    thread: &Thread,
    value: &[u8],
    room: usize,
    to: VirtAddr,
    len: UserPtr<i32>,
) -> Result<()> {
    let stored = value.len().min(room);
    thread.write_bytes(to, &value[..stored])?;
    thread.write(len, &i32::try_from(stored).unwrap_or(i32::MAX))
}

/// Changes an option to the `len` bytes at `from`.
///
/// # Errors
/// - `ENOPROTOOPT`: no such option, or it cannot be changed; `EOPNOTSUPP`: no such level.
/// - `EINVAL`: too few bytes; `EDOM`: a time that is none; `EPERM`: not privileged.
/// - `EFAULT`: not user memory.
pub fn set_option(
    thread: &Thread,
    file: &UnixFile,
    (level, option): (i32, i32),
    from: VirtAddr,
    len: i32,
) -> Result<()> {
    if len < 0 {
        return Err(Errno::EINVAL);
    }
    if level != SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    if len < 4 {
        return Err(Errno::EINVAL);
    }
    let number = thread.read(UserPtr::<i32>::new(from))?;
    let doubled = usize::try_from(number.max(0)).unwrap_or(0).saturating_mul(2);
    let privileged = thread.credentials.has(Capabilities::NET_ADMIN);
    match option {
        name::SEND_BUFFER_FORCE | name::RECEIVE_BUFFER_FORCE if !privileged => Err(Errno::EPERM),
        name::SEND_BUFFER | name::SEND_BUFFER_FORCE => {
            change(file, |options| options.send_buffer = doubled)
        }
        name::RECEIVE_BUFFER | name::RECEIVE_BUFFER_FORCE => {
            change(file, |options| options.receive_buffer = doubled)
        }
        name::PASS_CREDENTIALS => change(file, |options| options.pass_credentials = number != 0),
        name::RECEIVE_LOW_WATER => {
            file.change_settings(|settings| settings.low_water = number.max(1));
            Ok(())
        }
        name::LINGER => {
            if len < 8 {
                return Err(Errno::EINVAL);
            }
            let [on, seconds] = thread.read(UserPtr::<[i32; 2]>::new(from))?;
            file.change_settings(|settings| settings.linger = (i32::from(on != 0), seconds));
            Ok(())
        }
        name::RECEIVE_TIMEOUT | name::SEND_TIMEOUT => {
            if usize::try_from(len).unwrap_or(0) < size_of::<Timeval>() {
                return Err(Errno::EINVAL);
            }
            let timeout = timeout(thread.read(UserPtr::<Timeval>::new(from))?)?;
            file.change_settings(|settings| match option {
                name::RECEIVE_TIMEOUT => settings.receive_timeout = timeout,
                _ => settings.send_timeout = timeout,
            });
            Ok(())
        }
        name::DEBUG if number != 0 && !privileged => Err(Errno::EACCES),
        name::DEBUG => Ok(()),
        _ if REMEMBERED.contains(&option) => {
            let bit = 1 << option;
            file.change_settings(|settings| {
                settings.remembered &= !bit;
                settings.remembered |= if number == 0 { 0 } else { bit };
            });
            Ok(())
        }
        _ => Err(Errno::ENOPROTOOPT),
    }
}

fn change(file: &UnixFile, change: impl FnOnce(&mut Options)) -> Result<()> {
    file.socket().set_options(change);
    Ok(())
}

/// The time of `SO_RCVTIMEO`: none if it is zero or negative (socket(7)).
fn timeout(time: Timeval) -> Result<Option<Duration>> {
    if !(0..1_000_000).contains(&time.tv_usec) {
        return Err(Errno::EDOM);
    }
    if time.tv_sec < 0 || (time.tv_sec, time.tv_usec) == (0, 0) {
        return Ok(None);
    }
    Duration::try_from(time).map(Some)
}
