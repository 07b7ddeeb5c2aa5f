//! Device nodes: from a number to an open file.

use super::{File, Object};
use crate::{thread::Thread, tty::Control};
use abi::{Errno, Result};
use alloc::{sync::Arc, vec::Vec};
use fs::{Kind, OpenDevice, OpenFlags, pipe::PipeEnd};
use io::{
    mem::MemDevice,
    tty::{OpenAs, Tty, pty::PtyTable},
};

/// The devices of a system.
#[derive(Default)]
pub struct Devices {
    /// Serial lines by their number.
    serial: spin::RwLock<Vec<Arc<Tty>>>,
    /// Pseudo-terminals.
    pub ptys: PtyTable,
}

/// Major numbers (`Documentation/admin-guide/devices.txt`).
mod major {
    pub(super) const MEMORY: u32 = 1;
    pub(super) const TTY: u32 = 4;
    pub(super) const TTY_AUX: u32 = 5;
    pub(super) const PTY_FIRST: u32 = 136;
    pub(super) const PTY_LAST: u32 = 143;
}

/// The first minor number of serial lines.
const FIRST_SERIAL: u32 = 64;

impl Devices {
    /// Makes serial line `ttySn` known, n being how many there were.
    pub fn add_serial(&self, tty: Arc<Tty>) {
        self.serial.write().push(tty);
    }

    /// The serial line `n`.
    pub fn serial(&self, n: u32) -> Option<Arc<Tty>> {
        self.serial.read().get(n as usize).cloned()
    }

    /// The terminal behind `/dev/console`.
    pub fn console(&self) -> Option<Arc<Tty>> {
        self.serial(0)
    }
}

impl core::fmt::Debug for Devices {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Devices({} serial lines)", self.serial.read().len())
    }
}

/// Opens the device of a node.
///
/// # Errors
/// - `ENXIO`: there is no such device.
/// - those of the device.
pub fn open_device(thread: &Thread, node: OpenDevice) -> Result<Arc<File>> {
    if node.kind != Kind::Character {
        return Err(Errno::ENXIO);
    }
    let devices = &thread.system.devices;
    let (major, minor) = (node.number.major, node.number.minor);
    let object = match (major, minor) {
        (major::MEMORY, minor) => Object::Memory(MemDevice::from_minor(minor).ok_or(Errno::ENXIO)?),
        (major::TTY, minor @ FIRST_SERIAL..) => {
            let tty = devices.serial(minor - FIRST_SERIAL).ok_or(Errno::ENXIO)?;
            open_tty(thread, &tty, OpenAs::Anyone, node.flags)?
        }
        (major::TTY_AUX, 0) => {
            let tty = thread.controlling_tty().ok_or(Errno::ENXIO)?;
            open_tty(thread, &tty, OpenAs::Anyone, node.flags | OpenFlags::NO_CONTROLLING_TTY)?
        }
        (major::TTY_AUX, 1) => {
            let tty = devices.console().ok_or(Errno::ENODEV)?;
            // The console never becomes a controlling terminal by being opened.
            let flags = node.flags | OpenFlags::NO_CONTROLLING_TTY;
            open_tty(thread, &tty, OpenAs::Console, flags)?
        }
        (major::TTY_AUX, 2) => Object::PtyMaster(devices.ptys.open(|_| Control::new())?),
        (major @ major::PTY_FIRST..=major::PTY_LAST, minor) => {
            let number = (major - major::PTY_FIRST) * 256 + minor;
            let tty = devices.ptys.get(number).ok_or(Errno::EIO)?;
            open_tty(thread, &tty, OpenAs::Anyone, node.flags)?
        }
        _ => return Err(Errno::ENXIO),
    };
    Ok(File::new(object, node.flags, node.path))
}

/// Opens a terminal, which becomes the controlling one of a session leader that has none.
fn open_tty(thread: &Thread, tty: &Arc<Tty>, who: OpenAs, flags: OpenFlags) -> Result<Object> {
    let open = tty.open(who)?;
    if !flags.contains(OpenFlags::NO_CONTROLLING_TTY) && flags.readable() {
        thread.adopt_tty(tty);
    }
    Ok(Object::Tty(open))
}

/// The file of a pipe's end.
pub fn of_pipe(end: PipeEnd) -> Arc<File> {
    let (flags, path) = (end.flags(), end.path().clone());
    File::new(Object::Pipe(end), flags, path)
}
