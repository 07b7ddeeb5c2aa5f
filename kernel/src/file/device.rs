//! Device nodes: from a number to an open file.

use super::{File, LOG, Object};
use crate::{cred::Capabilities, thread::Thread, tty::Control};
use abi::{Errno, Result};
use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use core::{fmt, ops::Deref};
use fs::{
    Caller, DeviceNumber, Kind, LookupFlags, Make, OpenDevice, OpenFlags, Path, Walk,
    device::{self, Node, Pts},
    pipe::PipeEnd,
};
use io::{
    mem::MemDevice,
    tty::{
        OpenAs, Tty,
        pty::{Master, PtyTable},
    },
};

/// The devices of a system.
#[derive(Default)]
pub struct Devices {
    /// Serial lines by their number.
    serial: spin::RwLock<Vec<Arc<Tty>>>,
    /// Pseudo-terminals.
    pub ptys: PtyTable,
    /// The `/dev/pts` they appear in, once it has been mounted.
    pts: spin::Mutex<Option<Arc<Pts>>>,
}

/// Major numbers (`Documentation/admin-guide/devices.txt`).
mod major {
    pub(super) const MEMORY: u32 = 1;
    pub(super) const TTY: u32 = 4;
    pub(super) const TTY_AUX: u32 = 5;
    pub(super) const PTY_FIRST: u32 = 136;
    pub(super) const PTY_LAST: u32 = 143;
}

/// The minor number of `/dev/kmsg`.
const KMSG: u32 = 11;

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

    /// The `/dev/pts`, which is one however often it is mounted; the first mount's options count.
    ///
    /// # Errors
    /// - `EINVAL`: bad options.
    pub fn pts(&self, options: &[u8], caller: &Caller<'_>) -> Result<Arc<Pts>> {
        let mut pts = self.pts.lock();
        let made = Arc::new(Pts::new(options, caller)?);
        Ok(Arc::clone(pts.get_or_insert(made)))
    }

    /// Makes the nodes of the devices there are, beside those that every system has.
    ///
    /// # Errors
    /// Those of [`device::populate`].
    pub fn populate(&self, root: &Path, caller: &Caller<'_>) -> Result<()> {
        for number in 0..self.serial.read().len() {
            let name = format!("ttyS{number}");
            let minor = FIRST_SERIAL + u32::try_from(number).map_err(|_| Errno::EINVAL)?;
            let what = Make::Character(DeviceNumber::new(major::TTY, minor));
            device::populate(root, &[Node { name: &name, mode: 0o660, what }], caller)?;
        }
        Ok(())
    }

    /// Writes `/proc/devices`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_list(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str("Character devices:\n  1 mem\n")?;
        if !self.serial.read().is_empty() {
            out.write_str("  4 ttyS\n")?;
        }
        out.write_str("  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n")?;
        out.write_str("128 ptm\n136 pts\n\nBlock devices:\n")
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
        (major::MEMORY, KMSG) => open_kmsg(&node, thread)?,
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
        (major::TTY_AUX, 2) => Object::PtyMaster(open_master(thread)?),
        (major @ major::PTY_FIRST..=major::PTY_LAST, minor) => {
            let number = (major - major::PTY_FIRST) * 256 + minor;
            let tty = devices.ptys.get(number).ok_or(Errno::EIO)?;
            open_tty(thread, &tty, OpenAs::Anyone, node.flags)?
        }
        _ => return Err(Errno::ENXIO),
    };
    Ok(File::new(object, node.flags, node.path))
}

/// Opens the kernel's log.
///
/// # Errors
/// - `EPERM`: to read it without `CAP_SYSLOG`.
fn open_kmsg(node: &OpenDevice, thread: &Thread) -> Result<Object> {
    if node.flags.readable() && !thread.credentials.has(Capabilities::SYSLOG) {
        return Err(Errno::EPERM);
    }
    Ok(Object::Kmsg(Box::new(LOG.open())))
}

/// Makes a pseudo-terminal, whose other side appears in `/dev/pts`.
fn open_master(thread: &Thread) -> Result<PtyMaster> {
    let devices = &thread.system.devices;
    let master = devices.ptys.open(|_| Control::new())?;
    let pts = devices.pts.lock().clone();
    if let Some(pts) = &pts {
        pts.add(master.number(), &thread.caller())?;
    }
    Ok(PtyMaster { master, pts })
}

impl Thread {
    /// Opens the other side of a pseudo-terminal, wherever its node is (`TIOCGPTPEER`).
    ///
    /// # Errors
    /// - `EIO`: it is locked, or `/dev/pts` has never been mounted.
    pub fn open_pty_peer(&self, master: &PtyMaster, flags: OpenFlags) -> Result<usize> {
        let caller = self.caller();
        let root = master.pts().ok_or(Errno::EIO)?;
        let walk = Walk { caller: &caller, root, umask: 0 };
        let name = format!("{}", master.number());
        let path = walk.resolve(root, name.as_bytes(), LookupFlags::empty())?;
        let open = master.open_peer(OpenAs::Anyone)?;
        if !flags.contains(OpenFlags::NO_CONTROLLING_TTY) && flags.readable() {
            self.adopt_tty(master.tty());
        }
        let close_on_exec = flags & OpenFlags::CLOSE_ON_EXEC;
        self.install(File::new(Object::Tty(open), flags, path), close_on_exec)
    }
}

/// The master side of a pseudo-terminal; the other side's node goes when it is closed.
#[derive(Debug)]
pub struct PtyMaster {
    master: Master,
    pts: Option<Arc<Pts>>,
}

impl PtyMaster {
    /// Where the other side's node is, if `/dev/pts` has been mounted.
    pub fn pts(&self) -> Option<&Path> {
        self.pts.as_ref().map(|pts| pts.root())
    }
}

impl Deref for PtyMaster {
    type Target = Master;

    fn deref(&self) -> &Master {
        &self.master
    }
}

impl Drop for PtyMaster {
    fn drop(&mut self) {
        if let Some(pts) = &self.pts {
            let kernel = Caller::new(fs::Credentials::ROOT, crate::time::realtime_coarse);
            // Somebody may have removed it.
            let _ = pts.remove(self.master.number(), &kernel);
        }
    }
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
