//! The machine: uname(2), sethostname(2), sysinfo(2), reboot(2), getrandom(2).

use super::{Row, UserPtr, row};
use crate::{cred::Capabilities, thread::Thread};
use abi::{Errno, Result};
use framework::{PAGE_SIZE, frame, power};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) const ROWS: &[Row] = &[
    row!(63 "uname" (buffer: UserPtr<Utsname>) => uname, Full),
    row!(99 "sysinfo" (info: UserPtr<Sysinfo>) => sysinfo, Full),
    row!(169 "reboot" (magic: u32, magic2: u32, command: u32, arg: usize) => reboot, Partial,
        "LINUX_REBOOT_CMD_KEXEC, suspend"),
    row!(170 "sethostname" (name: UserPtr<u8>, len: i32) => sethostname, Full),
    row!(171 "setdomainname" (name: UserPtr<u8>, len: i32) => setdomainname, Full),
    row!(318 "getrandom" (buffer: UserPtr<u8>, len: usize, flags: u32) => getrandom, Full),
];

/// `struct new_utsname`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
struct Utsname {
    sysname: [u8; 65],
    nodename: [u8; 65],
    release: [u8; 65],
    version: [u8; 65],
    machine: [u8; 65],
    domainname: [u8; 65],
}

/// The longest host name.
const NAME_MAX: usize = 64;

/// A string in a field of a [`Utsname`].
fn field(text: &[u8]) -> [u8; 65] {
    let mut field = [0; 65];
    let len = text.len().min(NAME_MAX);
    field[..len].copy_from_slice(&text[..len]);
    field
}

/// Stores the names of system and machine.
///
/// Source: uname(2)
fn uname(thread: &Thread, buffer: UserPtr<Utsname>) -> Result<()> {
    let names = {
        let uts = thread.system.uts.read();
        Utsname {
            sysname: field(crate::system::SYSNAME.as_bytes()),
            nodename: field(&uts.nodename),
            release: field(crate::system::RELEASE.as_bytes()),
            version: field(crate::system::VERSION.as_bytes()),
            machine: field(b"x86_64"),
            domainname: field(&uts.domainname),
        }
    };
    thread.write(buffer, &names)
}

fn read_name(thread: &Thread, name: UserPtr<u8>, len: i32) -> Result<alloc::vec::Vec<u8>> {
    if !thread.credentials.has(Capabilities::SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    if len > NAME_MAX {
        return Err(Errno::EINVAL);
    }
    thread.read_slice(name, len)
}

/// Sets the host's name.
///
/// # Errors
/// - `EPERM`: without `CAP_SYS_ADMIN`.
/// - `EINVAL`: longer than 64 bytes.
///
/// Source: sethostname(2)
fn sethostname(thread: &Thread, name: UserPtr<u8>, len: i32) -> Result<()> {
    let name = read_name(thread, name, len)?;
    thread.system.uts.write().nodename = name;
    Ok(())
}

/// Sets the NIS domain's name.
///
/// # Errors
/// As sethostname.
///
/// Source: setdomainname(2)
fn setdomainname(thread: &Thread, name: UserPtr<u8>, len: i32) -> Result<()> {
    let name = read_name(thread, name, len)?;
    thread.system.uts.write().domainname = name;
    Ok(())
}

/// `struct sysinfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
struct Sysinfo {
    uptime: i64,
    loads: [u64; 3],
    total_memory: u64,
    free_memory: u64,
    shared_memory: u64,
    buffers: u64,
    total_swap: u64,
    free_swap: u64,
    processes: u16,
    pad: u16,
    pad2: u32,
    total_high: u64,
    free_high: u64,
    unit: u32,
    pad3: u32,
}

/// Stores uptime, load and memory.
///
/// Source: sysinfo(2)
fn sysinfo(thread: &Thread, info: UserPtr<Sysinfo>) -> Result<()> {
    let memory = frame::stats();
    let bytes = |frames: usize| (frames * PAGE_SIZE) as u64;
    let found = Sysinfo {
        // Linux rounds up.
        uptime: i64::try_from(framework::time::now().as_nanos().div_ceil(1_000_000_000))
            .unwrap_or(i64::MAX),
        loads: thread.system.load.averages(),
        total_memory: bytes(memory.total),
        free_memory: bytes(memory.free),
        processes: u16::try_from(thread.system.pids.lock().counts().threads).unwrap_or(u16::MAX),
        unit: 1,
        ..Sysinfo::default()
    };
    thread.write(info, &found)
}

/// Switches the machine off, or starts it again.
///
/// # Errors
/// - `EPERM`: without `CAP_SYS_BOOT`.
/// - `EINVAL`: the magic numbers or the command are unknown.
///
/// Source: reboot(2)
fn reboot(thread: &Thread, magic: u32, magic2: u32, command: u32, _arg: usize) -> Result<()> {
    const MAGIC: u32 = 0xfee1_dead;
    const MAGIC2: [u32; 4] = [672_274_793, 85_072_278, 369_367_448, 537_993_216];
    const RESTART: u32 = 0x0123_4567;
    const RESTART2: u32 = 0xa1b2_c3d4;
    const HALT: u32 = 0xcdef_0123;
    const POWER_OFF: u32 = 0x4321_fedc;
    const CAD_ON: u32 = 0x89ab_cdef;
    const CAD_OFF: u32 = 0;
    if !thread.credentials.has(Capabilities::SYS_BOOT) {
        return Err(Errno::EPERM);
    }
    if magic != MAGIC || !MAGIC2.contains(&magic2) {
        return Err(Errno::EINVAL);
    }
    match command {
        RESTART | RESTART2 => {
            thread.system.last_words();
            power::reboot()
        }
        HALT | POWER_OFF => {
            thread.system.last_words();
            power::off(0)
        }
        // There is no keyboard whose Ctrl-Alt-Del could do anything.
        CAD_ON | CAD_OFF => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Fills a buffer with random bytes; returns how many.
///
/// # Errors
/// - `EINVAL`: unknown flags.
/// - `EFAULT`: the buffer is not user memory.
///
/// Source: getrandom(2)
fn getrandom(thread: &Thread, buffer: UserPtr<u8>, len: usize, flags: u32) -> Result<usize> {
    const NONBLOCK: u32 = 1;
    const RANDOM: u32 = 2;
    const INSECURE: u32 = 4;
    let both = RANDOM | INSECURE;
    if flags & !(NONBLOCK | both) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    // What one call gives at most, so that it ends.
    const MOST: usize = 1 << 20;
    let len = len.min(MOST);
    let mut done = 0;
    let mut chunk = [0; 256];
    while done < len {
        let count = chunk.len().min(len - done);
        thread.system.random.fill(&mut chunk[..count]);
        let at = buffer.byte_offset::<u8>(done)?.address();
        // A page at a time: what fits before one that is not there counts.
        let count = count.min(framework::PAGE_SIZE - at.page_offset());
        match thread.write_bytes(at, &chunk[..count]) {
            Ok(()) => done += count,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::{Sysinfo, Utsname};

    #[test]
    fn layouts_are_linux_s() {
        assert_eq!(size_of::<Utsname>(), 390);
        assert_eq!(size_of::<Sysinfo>(), 112);
    }
}
