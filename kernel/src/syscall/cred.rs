//! Credentials: setuid(2) and its family, getgroups(2), capget(2).

use super::{Row, UserPtr, row};
use crate::{
    cred::{Capabilities, Credentials, Securebits},
    thread::Thread,
};
use abi::{Errno, Pid, Result};
use alloc::sync::Arc;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

pub(super) const ROWS: &[Row] = &[
    row!(105 "setuid" (uid: u32) => setuid, Full),
    row!(106 "setgid" (gid: u32) => setgid, Full),
    row!(113 "setreuid" (real: u32, effective: u32) => setreuid, Full),
    row!(114 "setregid" (real: u32, effective: u32) => setregid, Full),
    row!(115 "getgroups" (size: i32, list: UserPtr<u32>) => getgroups, Full),
    row!(116 "setgroups" (size: i32, list: UserPtr<u32>) => setgroups, Full),
    row!(117 "setresuid" (real: u32, effective: u32, saved: u32) => setresuid, Full),
    row!(118 "getresuid" (real: UserPtr<u32>, effective: UserPtr<u32>, saved: UserPtr<u32>)
        => getresuid, Full),
    row!(119 "setresgid" (real: u32, effective: u32, saved: u32) => setresgid, Full),
    row!(120 "getresgid" (real: UserPtr<u32>, effective: UserPtr<u32>, saved: UserPtr<u32>)
        => getresgid, Full),
    row!(122 "setfsuid" (uid: u32) => setfsuid, Full),
    row!(123 "setfsgid" (gid: u32) => setfsgid, Full),
    row!(125 "capget" (header: UserPtr<CapHeader>, data: Option<UserPtr<[CapData; 2]>>)
        => capget, Full),
    row!(126 "capset" (header: UserPtr<CapHeader>, data: UserPtr<[CapData; 2]>)
        => capset, Full),
];

/// An argument that leaves an id as it is.
const UNCHANGED: u32 = u32::MAX;
/// The most supplementary groups.
const GROUPS_MAX: usize = 65536;

/// Replaces the credentials by a changed copy.
fn update(thread: &mut Thread, change: impl FnOnce(&mut Credentials)) {
    let old = Arc::clone(&thread.credentials);
    let mut new = (*old).clone();
    change(&mut new);
    adjust_capabilities(&old, &mut new);
    if new.euid != old.euid || new.egid != old.egid {
        thread.process().dumpable.store(0, core::sync::atomic::Ordering::Relaxed);
    }
    thread.set_credentials(Arc::new(new));
}

/// What a change of user ids does to capabilities (capabilities(7)).
fn adjust_capabilities(old: &Credentials, new: &mut Credentials) {
    if new.securebits.contains(Securebits::NO_SETUID_FIXUP) {
        return;
    }
    let was_root = [old.uid, old.euid, old.suid].contains(&0);
    let is_root = [new.uid, new.euid, new.suid].contains(&0);
    if was_root && !is_root {
        if !new.securebits.contains(Securebits::KEEP_CAPS) {
            new.permitted = Capabilities::empty();
            new.effective = Capabilities::empty();
        }
        new.ambient = Capabilities::empty();
    }
    if old.euid == 0 && new.euid != 0 {
        new.effective = Capabilities::empty();
    } else if old.euid != 0 && new.euid == 0 {
        new.effective = new.permitted;
    }
    let for_files = Capabilities::CHOWN
        | Capabilities::DAC_OVERRIDE
        | Capabilities::DAC_READ_SEARCH
        | Capabilities::FOWNER
        | Capabilities::FSETID
        | Capabilities::LINUX_IMMUTABLE
        | Capabilities::MKNOD
        | Capabilities::MAC_OVERRIDE;
    if old.fsuid == 0 && new.fsuid != 0 {
        new.effective.remove(for_files);
    } else if old.fsuid != 0 && new.fsuid == 0 {
        new.effective |= for_files & new.permitted;
    }
}

/// Sets the effective user; all three with `CAP_SETUID`.
///
/// # Errors
/// - `EPERM`: neither the real nor the saved user, without the capability.
/// - `EINVAL`: no user.
///
/// Source: setuid(2)
fn setuid(thread: &mut Thread, uid: u32) -> Result<()> {
    let own = &thread.credentials;
    if uid == UNCHANGED {
        return Err(Errno::EINVAL);
    }
    let all = own.has(Capabilities::SETUID);
    if !all && uid != own.uid && uid != own.suid {
        return Err(Errno::EPERM);
    }
    update(thread, |new| {
        if all {
            (new.uid, new.suid) = (uid, uid);
        }
        (new.euid, new.fsuid) = (uid, uid);
    });
    Ok(())
}

/// Sets the effective group; all three with `CAP_SETGID`.
///
/// # Errors
/// As setuid.
///
/// Source: setgid(2)
fn setgid(thread: &mut Thread, gid: u32) -> Result<()> {
    let own = &thread.credentials;
    if gid == UNCHANGED {
        return Err(Errno::EINVAL);
    }
    let all = own.has(Capabilities::SETGID);
    if !all && gid != own.gid && gid != own.sgid {
        return Err(Errno::EPERM);
    }
    update(thread, |new| {
        if all {
            (new.gid, new.sgid) = (gid, gid);
        }
        (new.egid, new.fsgid) = (gid, gid);
    });
    Ok(())
}

/// Real, effective and saved id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    real: u32,
    effective: u32,
    saved: u32,
}

impl Ids {
    const fn contains(&self, id: u32) -> bool {
        id == self.real || id == self.effective || id == self.saved
    }

    /// What setreuid makes of them.
    fn with_two(self, real: u32, effective: u32, privileged: bool) -> Result<Self> {
        let mut new = self;
        if real != UNCHANGED {
            if !privileged && real != self.real && real != self.effective {
                return Err(Errno::EPERM);
            }
            new.real = real;
        }
        if effective != UNCHANGED {
            if !privileged && !self.contains(effective) {
                return Err(Errno::EPERM);
            }
            new.effective = effective;
        }
        if real != UNCHANGED || effective != UNCHANGED && effective != self.real {
            new.saved = new.effective;
        }
        Ok(new)
    }

    /// What setresuid makes of them.
    fn with_three(self, wanted: Self, privileged: bool) -> Result<Self> {
        let ids = [wanted.real, wanted.effective, wanted.saved];
        if !privileged && ids.iter().any(|id| *id != UNCHANGED && !self.contains(*id)) {
            return Err(Errno::EPERM);
        }
        let choose = |new: u32, old: u32| if new == UNCHANGED { old } else { new };
        Ok(Self {
            real: choose(wanted.real, self.real),
            effective: choose(wanted.effective, self.effective),
            saved: choose(wanted.saved, self.saved),
        })
    }
}

fn users(own: &Credentials) -> Ids {
    Ids { real: own.uid, effective: own.euid, saved: own.suid }
}

fn groups(own: &Credentials) -> Ids {
    Ids { real: own.gid, effective: own.egid, saved: own.sgid }
}

fn set_users(thread: &mut Thread, ids: Ids) {
    update(thread, |new| {
        (new.uid, new.euid, new.suid) = (ids.real, ids.effective, ids.saved);
        new.fsuid = ids.effective;
    });
}

fn set_groups(thread: &mut Thread, ids: Ids) {
    update(thread, |new| {
        (new.gid, new.egid, new.sgid) = (ids.real, ids.effective, ids.saved);
        new.fsgid = ids.effective;
    });
}

/// Sets the real and the effective user.
///
/// # Errors
/// - `EPERM`: others than its own, without `CAP_SETUID`.
///
/// Source: setreuid(2)
fn setreuid(thread: &mut Thread, real: u32, effective: u32) -> Result<()> {
    let privileged = thread.credentials.has(Capabilities::SETUID);
    let ids = users(&thread.credentials).with_two(real, effective, privileged)?;
    set_users(thread, ids);
    Ok(())
}

/// Sets the real and the effective group.
///
/// # Errors
/// As setreuid.
///
/// Source: setregid(2)
fn setregid(thread: &mut Thread, real: u32, effective: u32) -> Result<()> {
    let privileged = thread.credentials.has(Capabilities::SETGID);
    let ids = groups(&thread.credentials).with_two(real, effective, privileged)?;
    set_groups(thread, ids);
    Ok(())
}

/// Sets the three users.
///
/// # Errors
/// - `EPERM`: others than its own, without `CAP_SETUID`.
///
/// Source: setresuid(2)
fn setresuid(thread: &mut Thread, real: u32, effective: u32, saved: u32) -> Result<()> {
    let privileged = thread.credentials.has(Capabilities::SETUID);
    let ids = users(&thread.credentials).with_three(Ids { real, effective, saved }, privileged)?;
    set_users(thread, ids);
    Ok(())
}

/// Sets the three groups.
///
/// # Errors
/// As setresuid.
///
/// Source: setresgid(2)
fn setresgid(thread: &mut Thread, real: u32, effective: u32, saved: u32) -> Result<()> {
    let privileged = thread.credentials.has(Capabilities::SETGID);
    let ids = groups(&thread.credentials).with_three(Ids { real, effective, saved }, privileged)?;
    set_groups(thread, ids);
    Ok(())
}

/// Stores the three users.
///
/// Source: getresuid(2)
fn getresuid(
    thread: &Thread,
    real: UserPtr<u32>,
    effective: UserPtr<u32>,
    saved: UserPtr<u32>,
) -> Result<()> {
    let own = &thread.credentials;
    thread.write(real, &own.uid)?;
    thread.write(effective, &own.euid)?;
    thread.write(saved, &own.suid)
}

/// Stores the three groups.
///
/// Source: getresgid(2)
fn getresgid(
    thread: &Thread,
    real: UserPtr<u32>,
    effective: UserPtr<u32>,
    saved: UserPtr<u32>,
) -> Result<()> {
    let own = &thread.credentials;
    thread.write(real, &own.gid)?;
    thread.write(effective, &own.egid)?;
    thread.write(saved, &own.sgid)
}

/// Sets the user for file access, if that is allowed; returns the one before either way.
///
/// Source: setfsuid(2)
fn setfsuid(thread: &mut Thread, uid: u32) -> usize {
    let own = &thread.credentials;
    let before = own.fsuid;
    let allowed = users(own).contains(uid) || uid == before || own.has(Capabilities::SETUID);
    if allowed && uid != UNCHANGED {
        update(thread, |new| new.fsuid = uid);
    }
    before as usize
}

/// Sets the group for file access, if that is allowed; returns the one before either way.
///
/// Source: setfsgid(2)
fn setfsgid(thread: &mut Thread, gid: u32) -> usize {
    let own = &thread.credentials;
    let before = own.fsgid;
    let allowed = groups(own).contains(gid) || gid == before || own.has(Capabilities::SETGID);
    if allowed && gid != UNCHANGED {
        update(thread, |new| new.fsgid = gid);
    }
    before as usize
}

/// Stores the supplementary groups; returns how many there are.
///
/// # Errors
/// - `EINVAL`: there are more than `size`, which is not 0.
///
/// Source: getgroups(2)
fn getgroups(thread: &Thread, size: i32, list: UserPtr<u32>) -> Result<usize> {
    let own = &thread.credentials.groups;
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    if size != 0 {
        if own.len() > size {
            return Err(Errno::EINVAL);
        }
        thread.write_slice(list, own)?;
    }
    Ok(own.len())
}

/// Replaces the supplementary groups.
///
/// # Errors
/// - `EPERM`: without `CAP_SETGID`.
/// - `EINVAL`: more than 65536.
///
/// Source: setgroups(2)
fn setgroups(thread: &mut Thread, size: i32, list: UserPtr<u32>) -> Result<()> {
    if !thread.credentials.has(Capabilities::SETGID) {
        return Err(Errno::EPERM);
    }
    let size = usize::try_from(size).ok().filter(|size| *size <= GROUPS_MAX);
    let mut groups = thread.read_slice(list, size.ok_or(Errno::EINVAL)?)?;
    groups.sort_unstable();
    update(thread, |new| new.groups = groups);
    Ok(())
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`: one half of the three sets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_1: u32 = 0x1998_0330;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_3: u32 = 0x2008_0522;

/// How many halves a version has; an unknown one is told the newest.
fn halves(thread: &Thread, at: UserPtr<CapHeader>, header: CapHeader) -> Result<usize> {
    match header.version {
        VERSION_1 => Ok(1),
        VERSION_2 | VERSION_3 => Ok(2),
        _ => {
            thread.write(at, &CapHeader { version: VERSION_3, ..header })?;
            Err(Errno::EINVAL)
        }
    }
}

fn half(set: Capabilities, index: usize) -> u32 {
    u32::try_from(set.bits() >> (32 * index) & 0xffff_ffff).unwrap_or(0)
}

/// Stores the capabilities of a thread.
///
/// # Errors
/// - `EINVAL`: an unknown version; the newest is stored.
/// - `ESRCH`: there is no such thread.
///
/// Source: capget(2)
fn capget(
    thread: &Thread,
    at: UserPtr<CapHeader>,
    data: Option<UserPtr<[CapData; 2]>>,
) -> Result<()> {
    let header = thread.read(at)?;
    let halves = match halves(thread, at, header) {
        Ok(halves) => halves,
        // A null pointer only asks for the version.
        Err(errno) => return if data.is_none() { Ok(()) } else { Err(errno) },
    };
    let of = match header.pid {
        0 => Arc::clone(&thread.credentials),
        pid => {
            if pid < 0 {
                return Err(Errno::EINVAL);
            }
            let pid = Pid::new(pid).ok_or(Errno::EINVAL)?;
            let target = thread.system.pids.thread(pid).ok_or(Errno::ESRCH)?;
            let view = target.view.lock();
            Arc::clone(&view.credentials)
        }
    };
    let Some(data) = data else { return Ok(()) };
    let data = data.cast::<CapData>();
    for index in 0..halves {
        let sets = CapData {
            effective: half(of.effective, index),
            permitted: half(of.permitted, index),
            inheritable: half(of.inheritable, index),
        };
        thread.write(data.nth(index)?, &sets)?;
    }
    Ok(())
}

/// Sets the caller's capabilities.
///
/// # Errors
/// - `EPERM`: more than it may have, or another thread.
/// - `EINVAL`: an unknown version.
///
/// Source: capset(2)
fn capset(thread: &mut Thread, at: UserPtr<CapHeader>, data: UserPtr<[CapData; 2]>) -> Result<()> {
    let header = thread.read(at)?;
    let halves = halves(thread, at, header)?;
    if header.pid != 0 && header.pid != thread.tid().as_i32() {
        return Err(Errno::EPERM);
    }
    let mut sets = [CapData::new_zeroed(); 2];
    for (index, half) in sets.iter_mut().enumerate().take(halves) {
        *half = thread.read(data.cast::<CapData>().nth(index)?)?;
    }
    let join = |of: fn(&CapData) -> u32| {
        let bits = u64::from(of(&sets[0])) | u64::from(of(&sets[1])) << 32;
        Capabilities::from_bits_truncate(bits)
    };
    let (effective, permitted) = (join(|half| half.effective), join(|half| half.permitted));
    let inheritable = join(|half| half.inheritable);
    let own = &thread.credentials;
    let may_inherit = if own.has(Capabilities::SETPCAP) {
        own.inheritable | own.bounding
    } else {
        (own.inheritable | own.permitted) & (own.inheritable | own.bounding)
    };
    if !may_inherit.contains(inheritable)
        || !own.permitted.contains(permitted)
        || !permitted.contains(effective)
    {
        return Err(Errno::EPERM);
    }
    update(thread, |new| {
        (new.effective, new.permitted, new.inheritable) = (effective, permitted, inheritable);
        new.ambient &= permitted & inheritable;
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Ids, UNCHANGED, adjust_capabilities};
    use crate::cred::{Capabilities, Credentials};
    use abi::Errno;

    #[test]
    fn dropping_root_drops_capabilities() {
        let root = Credentials::root();
        let mut new = Credentials { uid: 1, euid: 1, suid: 1, fsuid: 1, ..(*root).clone() };
        adjust_capabilities(&root, &mut new);
        assert!(new.permitted.is_empty() && new.effective.is_empty());
        let mut only_effective = Credentials { euid: 1, fsuid: 1, ..(*root).clone() };
        adjust_capabilities(&root, &mut only_effective);
        assert_eq!(only_effective.permitted, Capabilities::all());
        assert!(only_effective.effective.is_empty());
    }

    #[test]
    fn ids_move_as_on_linux() {
        let ids = Ids { real: 1, effective: 2, saved: 3 };
        assert_eq!(ids.with_two(2, 1, false), Ok(Ids { real: 2, effective: 1, saved: 1 }));
        assert_eq!(ids.with_two(3, UNCHANGED, false), Err(Errno::EPERM));
        let only_effective = ids.with_two(UNCHANGED, 1, false).unwrap();
        assert_eq!(only_effective, Ids { real: 1, effective: 1, saved: 3 });
        let wanted = Ids { real: UNCHANGED, effective: 3, saved: UNCHANGED };
        assert_eq!(ids.with_three(wanted, false), Ok(Ids { effective: 3, ..ids }));
    }
}
