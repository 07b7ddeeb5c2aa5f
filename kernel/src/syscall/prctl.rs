//! prctl(2), personality(2).

use super::{Row, UserPtr, row};
use crate::{
    cred::{Capabilities, Credentials, Securebits},
    thread::Thread,
};
use abi::{Errno, Result, Signal};
use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;
use framework::VirtAddr;

pub(super) const ROWS: &[Row] = &[
    row!(135 "personality" (persona: u32) => personality, Partial,
        "other domains than Linux; only ADDR_NO_RANDOMIZE has an effect"),
    row!(157 "prctl" (option: i32, a: usize, b: usize, c: usize, d: usize) => prctl, Partial,
        "seccomp, mm, tagged addresses, core scheduling, speculation control"),
];

/// Replaces the execution domain and its flags; returns the old ones.
///
/// # Errors
/// - `EINVAL`: another domain than Linux.
///
/// Source: personality(2)
fn personality(thread: &Thread, persona: u32) -> Result<usize> {
    const QUERY: u32 = u32::MAX;
    const DOMAIN: u32 = 0xff;
    let place = &thread.process().personality;
    if persona == QUERY {
        return Ok(place.load(Relaxed) as usize);
    }
    if persona & DOMAIN != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(place.swap(persona, Relaxed) as usize)
}

mod option {
    pub(super) const SET_PDEATHSIG: i32 = 1;
    pub(super) const GET_PDEATHSIG: i32 = 2;
    pub(super) const GET_DUMPABLE: i32 = 3;
    pub(super) const SET_DUMPABLE: i32 = 4;
    pub(super) const GET_KEEPCAPS: i32 = 7;
    pub(super) const SET_KEEPCAPS: i32 = 8;
    pub(super) const GET_TIMING: i32 = 13;
    pub(super) const SET_TIMING: i32 = 14;
    pub(super) const SET_NAME: i32 = 15;
    pub(super) const GET_NAME: i32 = 16;
    pub(super) const GET_SECCOMP: i32 = 21;
    pub(super) const CAPBSET_READ: i32 = 23;
    pub(super) const CAPBSET_DROP: i32 = 24;
    pub(super) const GET_TSC: i32 = 25;
    pub(super) const GET_SECUREBITS: i32 = 27;
    pub(super) const SET_SECUREBITS: i32 = 28;
    pub(super) const SET_TIMERSLACK: i32 = 29;
    pub(super) const GET_TIMERSLACK: i32 = 30;
    pub(super) const SET_CHILD_SUBREAPER: i32 = 36;
    pub(super) const GET_CHILD_SUBREAPER: i32 = 37;
    pub(super) const SET_NO_NEW_PRIVS: i32 = 38;
    pub(super) const GET_NO_NEW_PRIVS: i32 = 39;
    pub(super) const GET_TID_ADDRESS: i32 = 40;
    pub(super) const SET_THP_DISABLE: i32 = 41;
    pub(super) const GET_THP_DISABLE: i32 = 42;
    pub(super) const CAP_AMBIENT: i32 = 47;
}

/// Reads and changes settings of the thread or its process.
///
/// # Errors
/// - `EINVAL`: an unknown option, or arguments it does not take.
/// - `EPERM`: the caller may not.
/// - `EFAULT`: a pointer is bad.
///
/// Source: prctl(2)
fn prctl(
    thread: &mut Thread,
    option: i32,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
) -> Result<usize> {
    let rest = [b, c, d];
    let store = |thread: &Thread, value: u32| {
        thread.write(UserPtr::new(VirtAddr::new(a)), &value).map(|()| 0)
    };
    match option {
        option::SET_PDEATHSIG | option::GET_PDEATHSIG => parent_death_signal(thread, option, a),
        option::GET_DUMPABLE => Ok(usize::from(thread.process().dumpable.load(Relaxed))),
        option::SET_DUMPABLE => {
            let value = u8::try_from(a).ok().filter(|value| *value <= 1).ok_or(Errno::EINVAL)?;
            thread.process().dumpable.store(value, Relaxed);
            Ok(0)
        }
        option::SET_NAME => {
            let mut name = [0; 16];
            read_name(thread, UserPtr::new(VirtAddr::new(a)), &mut name)?;
            thread.tcb.set_name(&name);
            Ok(0)
        }
        option::GET_NAME => {
            let name = thread.tcb.view.lock().name;
            thread.write(UserPtr::new(VirtAddr::new(a)), &name).map(|()| 0)
        }
        option::GET_SECCOMP | option::GET_TIMING => Ok(0),
        option::GET_THP_DISABLE if a == 0 && b == 0 && rest == [0; 3] => Ok(0),
        option::SET_TIMING => {
            if a == 0 {
                Ok(0)
            } else {
                Err(Errno::EINVAL)
            }
        }
        // Reading the time stamp counter is always allowed.
        option::GET_TSC => store(thread, 1),
        option::SET_TIMERSLACK => {
            let slack = if a == 0 { DEFAULT_SLACK_NS } else { a as u64 };
            thread.tcb.timer_slack_ns.store(slack, Relaxed);
            Ok(0)
        }
        option::GET_TIMERSLACK => {
            usize::try_from(thread.tcb.timer_slack_ns.load(Relaxed)).map_err(|_| Errno::EINVAL)
        }
        option::SET_CHILD_SUBREAPER => {
            thread.process().subreaper.store(a != 0, Relaxed);
            Ok(0)
        }
        option::GET_CHILD_SUBREAPER => {
            let value = thread.process().subreaper.load(Relaxed);
            store(thread, u32::from(value))
        }
        option::SET_NO_NEW_PRIVS if a == 1 && rest == [0; 3] => {
            thread.tcb.no_new_privileges.store(true, Relaxed);
            Ok(0)
        }
        option::GET_NO_NEW_PRIVS if a == 0 && rest == [0; 3] => {
            Ok(usize::from(thread.tcb.no_new_privileges.load(Relaxed)))
        }
        option::GET_TID_ADDRESS => {
            let at = thread.clear_child_tid.map_or(0, |at| at.address().get());
            thread.write(UserPtr::new(VirtAddr::new(a)), &at).map(|()| 0)
        }
        // There are no transparent huge pages to switch off.
        option::SET_THP_DISABLE if rest == [0; 3] => Ok(0),
        _ => capabilities(thread, option, a, b),
    }
}

/// `PR_SET_TIMERSLACK`'s default: 50 us.
pub(crate) const DEFAULT_SLACK_NS: u64 = 50_000;

fn parent_death_signal(thread: &Thread, option: i32, a: usize) -> Result<usize> {
    let place = &thread.tcb.parent_death_signal;
    if option == option::GET_PDEATHSIG {
        let value = i32::from(place.load(Relaxed));
        return thread.write(UserPtr::new(VirtAddr::new(a)), &value).map(|()| 0);
    }
    let number = i32::try_from(a).map_err(|_| Errno::EINVAL)?;
    let number = if number == 0 { 0 } else { Signal::new(number)?.number() };
    place.store(number, Relaxed);
    Ok(0)
}

/// Reads at most 15 bytes up to a NUL.
fn read_name(thread: &Thread, from: UserPtr<u8>, name: &mut [u8; 16]) -> Result<()> {
    for (index, byte) in name.iter_mut().enumerate().take(15) {
        *byte = thread.read(from.nth(index)?)?;
        if *byte == 0 {
            break;
        }
    }
    Ok(())
}

/// The options about capabilities.
fn capabilities(thread: &mut Thread, option: i32, a: usize, b: usize) -> Result<usize> {
    let own = &thread.credentials;
    match option {
        option::GET_KEEPCAPS => Ok(usize::from(own.securebits.contains(Securebits::KEEP_CAPS))),
        option::SET_KEEPCAPS => {
            if own.securebits.contains(Securebits::KEEP_CAPS_LOCKED) {
                return Err(Errno::EPERM);
            }
            let keep = match a {
                0 => false,
                1 => true,
                _ => return Err(Errno::EINVAL),
            };
            replace(thread, |new| new.securebits.set(Securebits::KEEP_CAPS, keep));
            Ok(0)
        }
        option::GET_SECUREBITS => Ok(own.securebits.bits() as usize),
        option::SET_SECUREBITS => set_securebits(thread, a),
        option::CAPBSET_READ => Ok(usize::from(own.bounding.contains(capability(a)?))),
        option::CAPBSET_DROP => {
            let dropped = capability(a)?;
            if !own.has(Capabilities::SETPCAP) {
                return Err(Errno::EPERM);
            }
            replace(thread, |new| new.bounding.remove(dropped));
            Ok(0)
        }
        option::CAP_AMBIENT => ambient(thread, a, b),
        _ => Err(Errno::EINVAL),
    }
}

/// Replaces the credentials by a changed copy.
fn replace(thread: &mut Thread, change: impl FnOnce(&mut Credentials)) {
    let mut new = (*thread.credentials).clone();
    change(&mut new);
    thread.set_credentials(Arc::new(new));
}

/// The capability with this number.
fn capability(number: usize) -> Result<Capabilities> {
    let number = u32::try_from(number).map_err(|_| Errno::EINVAL)?;
    let bits = 1_u64.checked_shl(number).ok_or(Errno::EINVAL)?;
    Capabilities::from_bits(bits).ok_or(Errno::EINVAL)
}

fn set_securebits(thread: &mut Thread, bits: usize) -> Result<usize> {
    /// Each lock is the bit above the one it locks.
    const LOCKS: u32 = 0xaa;
    let old = thread.credentials.securebits.bits();
    let bits = u32::try_from(bits).ok().and_then(Securebits::from_bits).ok_or(Errno::EPERM)?;
    let locked = (old & LOCKS) >> 1;
    let unlocks = old & LOCKS & !bits.bits() != 0;
    let changes_locked = (old ^ bits.bits()) & locked != 0;
    if unlocks || changes_locked || !thread.credentials.has(Capabilities::SETPCAP) {
        return Err(Errno::EPERM);
    }
    replace(thread, |new| new.securebits = bits);
    Ok(0)
}

fn ambient(thread: &mut Thread, operation: usize, number: usize) -> Result<usize> {
    const IS_SET: usize = 1;
    const RAISE: usize = 2;
    const LOWER: usize = 3;
    const CLEAR_ALL: usize = 4;
    if operation == CLEAR_ALL {
        if number != 0 {
            return Err(Errno::EINVAL);
        }
        replace(thread, |new| new.ambient = Capabilities::empty());
        return Ok(0);
    }
    let capability = capability(number)?;
    let own = &thread.credentials;
    match operation {
        IS_SET => return Ok(usize::from(own.ambient.contains(capability))),
        RAISE => {
            let has = own.permitted & own.inheritable;
            let forbidden = own.securebits.contains(Securebits::NO_CAP_AMBIENT_RAISE);
            if !has.contains(capability) || forbidden {
                return Err(Errno::EPERM);
            }
            replace(thread, |new| new.ambient |= capability);
        }
        LOWER => replace(thread, |new| new.ambient.remove(capability)),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::capability;
    use crate::cred::Capabilities;
    use abi::Errno;

    #[test]
    fn capabilities_by_number() {
        assert_eq!(capability(5), Ok(Capabilities::KILL));
        assert_eq!(capability(40), Ok(Capabilities::CHECKPOINT_RESTORE));
        assert_eq!(capability(41), Err(Errno::EINVAL));
        assert_eq!(capability(200), Err(Errno::EINVAL));
    }
}
