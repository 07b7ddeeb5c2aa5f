//! ioctl(2): the requests every file knows, and those of terminals (ioctl_tty(2)).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    file::{File, Object},
    thread::Thread,
    tty::{Control, Steal},
};
use abi::{Errno, Events, Fd, Pid, Result};
use alloc::{boxed::Box, sync::Arc};
use fs::OpenFlags;
use io::tty::{Flow, Flush, ModemLines, Open, SetWhen, Termios, WindowSize, pty::Master};

pub(super) const ROWS: &[Row] =
    &[row!(16 "ioctl" (fd: Fd, request: u32, argument: usize) => ioctl, Partial,
        "requests of devices that do not exist are ENOTTY")];

/// Requests of all files.
mod any {
    pub(super) const FIONREAD: u32 = 0x541b;
    pub(super) const FIONBIO: u32 = 0x5421;
    pub(super) const FIONCLEX: u32 = 0x5450;
    pub(super) const FIOCLEX: u32 = 0x5451;
    pub(super) const FIOASYNC: u32 = 0x5452;
    pub(super) const FIOQSIZE: u32 = 0x5460;
}

/// Requests of terminals.
mod request {
    pub(super) const TCGETS: u32 = 0x5401;
    pub(super) const TCSETS: u32 = 0x5402;
    pub(super) const TCSETSF: u32 = 0x5404;
    pub(super) const TCGETA: u32 = 0x5405;
    pub(super) const TCSETA: u32 = 0x5406;
    pub(super) const TCSETAF: u32 = 0x5408;
    pub(super) const TCSBRK: u32 = 0x5409;
    pub(super) const TCXONC: u32 = 0x540a;
    pub(super) const TCFLSH: u32 = 0x540b;
    pub(super) const TIOCEXCL: u32 = 0x540c;
    pub(super) const TIOCNXCL: u32 = 0x540d;
    pub(super) const TIOCSCTTY: u32 = 0x540e;
    pub(super) const TIOCGPGRP: u32 = 0x540f;
    pub(super) const TIOCSPGRP: u32 = 0x5410;
    pub(super) const TIOCOUTQ: u32 = 0x5411;
    pub(super) const TIOCSTI: u32 = 0x5412;
    pub(super) const TIOCGWINSZ: u32 = 0x5413;
    pub(super) const TIOCSWINSZ: u32 = 0x5414;
    pub(super) const TIOCMGET: u32 = 0x5415;
    pub(super) const TIOCMBIS: u32 = 0x5416;
    pub(super) const TIOCMBIC: u32 = 0x5417;
    pub(super) const TIOCMSET: u32 = 0x5418;
    pub(super) const TIOCNOTTY: u32 = 0x5422;
    pub(super) const TIOCPKT: u32 = 0x5420;
    pub(super) const TCSBRKP: u32 = 0x5425;
    pub(super) const TIOCGETD: u32 = 0x5424;
    pub(super) const TIOCSBRK: u32 = 0x5427;
    pub(super) const TIOCCBRK: u32 = 0x5428;
    pub(super) const TIOCGSID: u32 = 0x5429;
    pub(super) const TCGETS2: u32 = 0x802c_542a;
    pub(super) const TCSETS2: u32 = 0x402c_542b;
    pub(super) const TCSETSW2: u32 = 0x402c_542c;
    pub(super) const TCSETSF2: u32 = 0x402c_542d;
    pub(super) const TIOCGEXCL: u32 = 0x8004_5440;
    pub(super) const TIOCGPTN: u32 = 0x8004_5430;
    pub(super) const TIOCSPTLCK: u32 = 0x4004_5431;
    pub(super) const TIOCGPKT: u32 = 0x8004_5438;
    pub(super) const TIOCGPTLCK: u32 = 0x8004_5439;
    pub(super) const TIOCGPTPEER: u32 = 0x5441;
    pub(super) const TIOCSIG: u32 = 0x4004_5436;
}

/// Does `request` to the file behind `fd`.
///
/// # Errors
/// - `EBADF`: `fd` is not open.
/// - `ENOTTY`: the file does not know the request.
///
/// Source: ioctl(2), ioctl_tty(2)
fn ioctl(thread: &Thread, fd: Fd, request: u32, argument: usize) -> Result<Outcome<'_>> {
    let file = thread.files.get_opened(fd)?;
    match request {
        any::FIOCLEX => thread.files.set_close_on_exec(fd, true)?,
        any::FIONCLEX => thread.files.set_close_on_exec(fd, false)?,
        any::FIONBIO => set_flag(thread, fd, &file, OpenFlags::NON_BLOCKING, argument)?,
        any::FIOASYNC => set_flag(thread, fd, &file, OpenFlags::ASYNC, argument)?,
        _ => return of_object(thread, file, request, argument),
    }
    Ok(Outcome::Done(0))
}

fn of_object(
    thread: &Thread,
    file: Arc<File>,
    request: u32,
    argument: usize,
) -> Result<Outcome<'_>> {
    match file.object() {
        Object::Tty(open) => match tty(thread, open, request, argument) {
            Err(Errno::EAGAIN) => {
                Ok(Outcome::Wait(Box::pin(drained(thread, file, request, argument))))
            }
            result => result.map(Outcome::Done),
        },
        Object::PtyMaster(master) if request == request::TIOCGPTPEER => {
            let flags = u32::try_from(argument).map_err(|_| Errno::EINVAL)?;
            let flags = OpenFlags::from_bits_retain(flags);
            thread.open_pty_peer(master, flags).map(Outcome::Done)
        }
        Object::PtyMaster(master) => {
            pty_master(thread, master, request, argument).map(Outcome::Done)
        }
        Object::Socket(socket) if request == any::FIONREAD => {
            store(thread, argument, socket.socket().readable_bytes()).map(Outcome::Done)
        }
        Object::Socket(socket) if request == request::TIOCOUTQ => {
            store(thread, argument, socket.socket().unreceived_bytes()).map(Outcome::Done)
        }
        Object::Pipe(end) if request == any::FIONREAD => {
            store(thread, argument, end.pipe().len()).map(Outcome::Done)
        }
        Object::Node(node) => {
            let size = node.inode().size();
            match request {
                any::FIONREAD if node.pages().is_some() => {
                    let at = node.seek(0, fs::Whence::Current)?;
                    let left = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
                    store(thread, argument, left).map(Outcome::Done)
                }
                any::FIOQSIZE if node.pages().is_some() || node.inode().is_directory() => {
                    thread.write(UserPtr::from_raw(argument), &size).map(|()| Outcome::Done(0))
                }
                _ => Err(Errno::ENOTTY),
            }
        }
        _ => Err(Errno::ENOTTY),
    }
}

/// A request that waits until output is sent.
async fn drained(thread: &Thread, file: Arc<File>, request: u32, argument: usize) -> Result<usize> {
    let Object::Tty(open) = file.object() else { return Err(Errno::ENOTTY) };
    loop {
        let listener = open.queue().listen(Events::OUT.bits(), false);
        match tty(thread, open, request, argument) {
            Err(Errno::EAGAIN) => thread.wait(listener).await?,
            result => return result,
        };
    }
}

fn set_flag(
    thread: &Thread,
    fd: Fd,
    file: &Arc<File>,
    flag: OpenFlags,
    argument: usize,
) -> Result<()> {
    let on: i32 = thread.read(UserPtr::from_raw(argument))?;
    let mut flags = file.flags();
    flags.set(flag, on != 0);
    file.set_flags(flags, &thread.caller())?;
    file.update_notice(thread, fd);
    Ok(())
}

/// Stores a number as an int.
fn store(thread: &Thread, argument: usize, value: usize) -> Result<usize> {
    let value = i32::try_from(value).unwrap_or(i32::MAX);
    thread.write(UserPtr::from_raw(argument), &value).map(|()| 0)
}

fn tty(thread: &Thread, open: &Open, request: u32, argument: usize) -> Result<usize> {
    if let Some(when) = set_when(request) {
        let termios = match request {
            request::TCSETS2 | request::TCSETSW2 | request::TCSETSF2 => {
                Termios::from_bytes2(&thread.read(UserPtr::from_raw(argument))?)
            }
            request::TCSETA..=request::TCSETAF => {
                open.termios()?.with_termio(&thread.read(UserPtr::from_raw(argument))?)
            }
            _ => open.termios()?.with_bytes(&thread.read(UserPtr::from_raw(argument))?),
        };
        return open.set_termios(thread, when, &termios).map(|()| 0);
    }
    let bytes = UserPtr::<u8>::from_raw(argument);
    match request {
        request::TCGETS => {
            thread.write_slice(bytes, &open.termios()?.to_bytes()[..Termios::SIZE])?;
        }
        request::TCGETS2 => thread.write_slice(bytes, &open.termios()?.to_bytes())?,
        request::TCGETA => thread.write_slice(bytes, &open.termios()?.to_termio())?,
        request::TIOCGWINSZ => thread.write_slice(bytes, &open.window_size()?.to_bytes())?,
        request::TIOCSWINSZ => {
            let size = WindowSize::from_bytes(thread.read(UserPtr::from_raw(argument))?);
            open.set_window_size(size)?;
        }
        request::TCSBRK | request::TCSBRKP => open.drain(thread)?,
        request::TIOCSBRK => open.set_break(thread, true)?,
        request::TIOCCBRK => open.set_break(thread, false)?,
        request::TCXONC => open.control_flow(thread, flow(argument)?)?,
        request::TCFLSH => open.flush(thread, flush(argument)?)?,
        request::TIOCEXCL => open.set_exclusive(true)?,
        request::TIOCNXCL => open.set_exclusive(false)?,
        request::TIOCGEXCL => return store(thread, argument, usize::from(open.is_exclusive()?)),
        // There is one line discipline, number 0.
        request::TIOCGETD => return store(thread, argument, 0),
        request::TIOCOUTQ => return store(thread, argument, open.unsent_bytes()?),
        any::FIONREAD => return store(thread, argument, open.readable_bytes()?),
        request::TIOCMGET => return store(thread, argument, open.modem_lines()?.bits() as usize),
        request::TIOCMSET | request::TIOCMBIS | request::TIOCMBIC => {
            let lines = ModemLines::from_bits_truncate(thread.read(UserPtr::from_raw(argument))?);
            match request {
                request::TIOCMBIS => open.change_modem_lines(lines, ModemLines::empty())?,
                request::TIOCMBIC => open.change_modem_lines(ModemLines::empty(), lines)?,
                _ => open.change_modem_lines(lines, ModemLines::all() - lines)?,
            }
        }
        request::TIOCSTI => {
            let byte: u8 = thread.read(bytes)?;
            let own = thread.controlling_tty().is_some_and(|own| Arc::ptr_eq(&own, open.tty()));
            if !own && !thread.caller().capable(fs::Capabilities::SYS_ADMIN) {
                return Err(Errno::EPERM);
            }
            open.inject(byte)?;
        }
        _ => return session(thread, open, request, argument),
    }
    Ok(0)
}

/// When a setting takes effect; `None` if the request sets none.
const fn set_when(request: u32) -> Option<SetWhen> {
    let offset = match request {
        request::TCSETS..=request::TCSETSF => request - request::TCSETS,
        request::TCSETA..=request::TCSETAF => request - request::TCSETA,
        request::TCSETS2..=request::TCSETSF2 => request - request::TCSETS2,
        _ => return None,
    };
    Some(match offset {
        0 => SetWhen::Now,
        1 => SetWhen::Drain,
        _ => SetWhen::Flush,
    })
}

fn flow(argument: usize) -> Result<Flow> {
    Ok(match argument {
        0 => Flow::StopOutput,
        1 => Flow::StartOutput,
        2 => Flow::StopInput,
        3 => Flow::StartInput,
        _ => return Err(Errno::EINVAL),
    })
}

fn flush(argument: usize) -> Result<Flush> {
    Ok(match argument {
        0 => Flush::Input,
        1 => Flush::Output,
        2 => Flush::Both,
        _ => return Err(Errno::EINVAL),
    })
}

/// Requests about the session that the terminal controls.
fn session(thread: &Thread, open: &Open, request: u32, argument: usize) -> Result<usize> {
    if open.is_hung_up() && request != request::TIOCSPGRP {
        return Err(Errno::EIO);
    }
    let tty = open.tty();
    let control = Control::of(tty).ok_or(Errno::ENOTTY)?;
    let own = thread.controlling_tty().is_some_and(|own| Arc::ptr_eq(&own, tty));
    match request {
        request::TIOCSCTTY => {
            let steal = if argument == 1 { Steal::Yes } else { Steal::No };
            thread.set_controlling_tty(tty, steal).map(|()| 0)
        }
        request::TIOCNOTTY => thread.drop_controlling_tty(tty).map(|()| 0),
        request::TIOCGPGRP if own => {
            let group = control.foreground().map_or(0, |group| group.pid.as_usize());
            store(thread, argument, group)
        }
        request::TIOCGSID if own => {
            store(thread, argument, thread.process().session().pid.as_usize())
        }
        request::TIOCSPGRP => {
            if !own {
                return Err(Errno::ENOTTY);
            }
            open.check_may_change(thread)?;
            let number: i32 = thread.read(UserPtr::from_raw(argument))?;
            let number = Pid::new(number).ok_or(Errno::EINVAL)?;
            let group = thread.system.pids.lock().group(number).ok_or(Errno::ESRCH)?;
            if group.session.pid != thread.process().session().pid {
                return Err(Errno::EPERM);
            }
            control.set_foreground(&group);
            Ok(0)
        }
        _ => Err(Errno::ENOTTY),
    }
}

fn pty_master(thread: &Thread, master: &Master, request: u32, argument: usize) -> Result<usize> {
    let flag = || -> Result<bool> { Ok(thread.read::<i32>(UserPtr::from_raw(argument))? != 0) };
    match request {
        request::TIOCGPTN => store(thread, argument, master.number() as usize),
        request::TIOCSPTLCK => {
            master.set_locked(flag()?);
            Ok(0)
        }
        request::TIOCGPTLCK => store(thread, argument, usize::from(master.is_locked())),
        request::TIOCPKT => {
            master.set_packet_mode(flag()?);
            Ok(0)
        }
        request::TIOCGPKT => store(thread, argument, usize::from(master.is_packet_mode())),
        request::TIOCSIG => {
            let number = u32::try_from(argument).map_err(|_| Errno::EINVAL)?;
            master.signal(number).map(|()| 0)
        }
        any::FIONREAD => store(thread, argument, master.readable_bytes()),
        request::TCFLSH => {
            master.flush(flush(argument)?);
            Ok(0)
        }
        request::TCXONC => master.control_flow(flow(argument)?).map(|()| 0),
        request::TCGETS => {
            let bytes = master.tty().termios().to_bytes();
            thread.write_slice(UserPtr::from_raw(argument), &bytes[..Termios::SIZE]).map(|()| 0)
        }
        request::TCSETS..=request::TCSETSF => {
            let bytes = thread.read(UserPtr::from_raw(argument))?;
            let termios = master.tty().termios().with_bytes(&bytes);
            master.tty().set_termios(SetWhen::Now, &termios).map(|()| 0)
        }
        request::TIOCGWINSZ => {
            let size = master.tty().window_size().to_bytes();
            thread.write_slice(UserPtr::from_raw(argument), &size).map(|()| 0)
        }
        request::TIOCSWINSZ => {
            let size = WindowSize::from_bytes(thread.read(UserPtr::from_raw(argument))?);
            master.tty().set_window_size(size);
            Ok(0)
        }
        request::TIOCGPGRP => {
            let group = Control::of(master.tty()).and_then(|control| control.foreground());
            store(thread, argument, group.map_or(0, |group| group.pid.as_usize()))
        }
        request::TIOCGSID => {
            let session = Control::of(master.tty()).and_then(|control| control.session());
            store(thread, argument, session.ok_or(Errno::ENOTTY)?.pid.as_usize())
        }
        request::TIOCGETD => store(thread, argument, 0),
        _ => Err(Errno::ENOTTY),
    }
}
