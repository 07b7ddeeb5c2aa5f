//! Resource limits (getrlimit(2)).

use abi::{Errno, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `struct rlimit64`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Limit {
    /// What is enforced.
    pub soft: u64,
    /// How far `soft` may be raised.
    pub hard: u64,
}

/// No limit.
pub const INFINITY: u64 = u64::MAX;

/// A resource, by the number of `RLIMIT_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "getrlimit(2) describes them")]
pub enum Resource {
    Cpu,
    FileSize,
    Data,
    Stack,
    Core,
    Rss,
    Processes,
    Files,
    LockedMemory,
    AddressSpace,
    Locks,
    PendingSignals,
    MessageQueue,
    Nice,
    RealtimePriority,
    RealtimeTime,
}

impl Resource {
    const ALL: [Self; 16] = [
        Self::Cpu,
        Self::FileSize,
        Self::Data,
        Self::Stack,
        Self::Core,
        Self::Rss,
        Self::Processes,
        Self::Files,
        Self::LockedMemory,
        Self::AddressSpace,
        Self::Locks,
        Self::PendingSignals,
        Self::MessageQueue,
        Self::Nice,
        Self::RealtimePriority,
        Self::RealtimeTime,
    ];

    /// The resource with this number.
    ///
    /// # Errors
    /// - `EINVAL`: there is none.
    pub fn new(number: u32) -> Result<Self> {
        let index = usize::try_from(number).map_err(|_| Errno::EINVAL)?;
        Self::ALL.get(index).copied().ok_or(Errno::EINVAL)
    }
}

/// The limits of a process.
#[derive(Clone, Copy, Debug)]
pub struct Limits([Limit; 16]);

impl Limits {
    /// What init starts with on Linux; `processes` bounds processes and pending signals.
    pub const fn initial(processes: u64) -> Self {
        const FREE: Limit = Limit { soft: INFINITY, hard: INFINITY };
        let mut limits = [FREE; 16];
        limits[Resource::Stack as usize] = Limit { soft: 8 << 20, hard: INFINITY };
        limits[Resource::Core as usize] = Limit { soft: 0, hard: INFINITY };
        limits[Resource::Processes as usize] = Limit { soft: processes, hard: processes };
        limits[Resource::Files as usize] = Limit { soft: 1024, hard: 4096 };
        limits[Resource::LockedMemory as usize] = Limit { soft: 8 << 20, hard: 8 << 20 };
        limits[Resource::PendingSignals as usize] = Limit { soft: processes, hard: processes };
        limits[Resource::MessageQueue as usize] = Limit { soft: 819_200, hard: 819_200 };
        limits[Resource::Nice as usize] = Limit { soft: 0, hard: 0 };
        limits[Resource::RealtimePriority as usize] = Limit { soft: 0, hard: 0 };
        Self(limits)
    }

    /// The limit of `resource`.
    pub const fn get(&self, resource: Resource) -> Limit {
        self.0[resource as usize]
    }

    /// Raises the soft limit of CPU time, at most to the hard one.
    pub(super) fn raise_cpu(&mut self, soft: u64) {
        let limit = &mut self.0[Resource::Cpu as usize];
        limit.soft = soft.min(limit.hard);
    }

    /// Sets the limit of `resource`; `privileged` may raise the hard limit.
    ///
    /// # Errors
    /// - `EINVAL`: the soft limit is above the hard one.
    /// - `EPERM`: the hard limit would rise.
    pub fn set(&mut self, resource: Resource, limit: Limit, privileged: Privilege) -> Result<()> {
        if limit.soft > limit.hard {
            return Err(Errno::EINVAL);
        }
        let old = self.get(resource);
        if limit.hard > old.hard && privileged == Privilege::None {
            return Err(Errno::EPERM);
        }
        self.0[resource as usize] = limit;
        Ok(())
    }
}

/// How many threads there may be (`/proc/sys/kernel/threads-max`): as many as take an eighth of
/// memory, as on Linux, where one takes 16 KiB; here it is less than four.
pub fn max_threads() -> usize {
    const BYTES_PER_THREAD: usize = 8 * (4 << 10);
    const LEAST: usize = 64;
    let memory = framework::frame::stats().total * framework::PAGE_SIZE;
    (memory / BYTES_PER_THREAD).clamp(LEAST, super::PID_MAX as usize)
}

/// Whether the caller may raise hard limits (`CAP_SYS_RESOURCE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// It may not.
    None,
    /// It may.
    SysResource,
}

#[cfg(test)]
mod tests {
    use super::{INFINITY, Limit, Limits, Privilege, Resource};
    use abi::Errno;

    #[test]
    fn hard_limits_rise_only_with_privilege() {
        let mut limits = Limits::initial(1000);
        let more = Limit { soft: 10, hard: INFINITY };
        assert_eq!(limits.set(Resource::Files, more, Privilege::None), Err(Errno::EPERM));
        assert_eq!(limits.set(Resource::Files, more, Privilege::SysResource), Ok(()));
        assert_eq!(limits.get(Resource::Files), more);
        let bad = Limit { soft: 2, hard: 1 };
        assert_eq!(limits.set(Resource::Files, bad, Privilege::SysResource), Err(Errno::EINVAL));
        assert_eq!(Resource::new(16), Err(Errno::EINVAL));
        assert_eq!(Resource::new(7), Ok(Resource::Files));
    }
}
