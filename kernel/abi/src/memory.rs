//! Flags and constants of the memory calls: mmap(2), mremap(2), madvise(2), mlock(2), msync(2).

use linux_raw_sys::general as raw;

bitflags::bitflags! {
    /// What mmap and mprotect allow (`PROT_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Prot: u32 {
        /// Loads.
        const READ = raw::PROT_READ;
        /// Stores.
        const WRITE = raw::PROT_WRITE;
        /// Instruction fetches.
        const EXEC = raw::PROT_EXEC;
        /// Atomic operations; has no effect.
        const SEM = raw::PROT_SEM;
        /// mprotect: down to the start of a mapping that grows down.
        const GROWSDOWN = raw::PROT_GROWSDOWN;
        /// mprotect: up to the end of a mapping that grows up.
        const GROWSUP = raw::PROT_GROWSUP;
    }

    /// How mmap maps (`MAP_*`); the lowest four bits are a number, see [`MapFlags::kind`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MapFlags: u32 {
        /// The bits of the kind.
        const TYPE = raw::MAP_TYPE;
        /// Exactly at the address given, in place of what is there.
        const FIXED = raw::MAP_FIXED;
        /// No file.
        const ANONYMOUS = raw::MAP_ANONYMOUS;
        /// In the lowest 2 GiB.
        const LOW_2G = raw::MAP_32BIT;
        /// Grows down towards a fault below it.
        const GROWSDOWN = raw::MAP_GROWSDOWN;
        /// Ignored.
        const DENYWRITE = raw::MAP_DENYWRITE;
        /// Ignored.
        const EXECUTABLE = raw::MAP_EXECUTABLE;
        /// Locked in memory as by mlock.
        const LOCKED = raw::MAP_LOCKED;
        /// Not counted as committed.
        const NORESERVE = raw::MAP_NORESERVE;
        /// All pages made present.
        const POPULATE = raw::MAP_POPULATE;
        /// Weakens `POPULATE`.
        const NONBLOCK = raw::MAP_NONBLOCK;
        /// For a stack; has no effect.
        const STACK = raw::MAP_STACK;
        /// Of huge pages.
        const HUGETLB = raw::MAP_HUGETLB;
        /// Synchronous faults (DAX).
        const SYNC = raw::MAP_SYNC;
        /// As `FIXED`, but fails when something is there.
        const FIXED_NOREPLACE = raw::MAP_FIXED_NOREPLACE;
        /// Not zeroed (no-MMU only).
        const UNINITIALIZED = raw::MAP_UNINITIALIZED;
        /// Above 4 GiB.
        const ABOVE4G = raw::MAP_ABOVE4G;
    }

    /// What memfd_create makes (`MFD_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MemfdFlags: u32 {
        /// Close on execve.
        const CLOEXEC = raw::MFD_CLOEXEC;
        /// Seals may be added.
        const ALLOW_SEALING = raw::MFD_ALLOW_SEALING;
        /// Not executable, and sealed so.
        const NOEXEC_SEAL = raw::MFD_NOEXEC_SEAL;
        /// Executable.
        const EXEC = raw::MFD_EXEC;
    }

    /// How mremap moves (`MREMAP_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RemapFlags: u32 {
        /// To another address if it must.
        const MAYMOVE = raw::MREMAP_MAYMOVE;
        /// To exactly the new address given.
        const FIXED = raw::MREMAP_FIXED;
        /// Leaving an empty mapping behind.
        const DONTUNMAP = raw::MREMAP_DONTUNMAP;
    }

    /// What msync does (`MS_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SyncFlags: u32 {
        /// Starts the writing.
        const ASYNC = raw::MS_ASYNC;
        /// Drops other cached copies; fails on locked memory.
        const INVALIDATE = raw::MS_INVALIDATE;
        /// Waits until all is written.
        const SYNC = raw::MS_SYNC;
    }

    /// What mlockall locks (`MCL_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LockAllFlags: u32 {
        /// What is mapped now.
        const CURRENT = raw::MCL_CURRENT;
        /// What will be mapped.
        const FUTURE = raw::MCL_FUTURE;
        /// Each page once it is touched.
        const ONFAULT = raw::MCL_ONFAULT;
    }
}

impl MapFlags {
    /// The kind: [`MAP_SHARED`], [`MAP_PRIVATE`] or [`MAP_SHARED_VALIDATE`], or a bad one.
    pub const fn kind(self) -> u32 {
        self.bits() & raw::MAP_TYPE
    }
}

pub use raw::{
    MADV_COLD, MADV_COLLAPSE, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK,
    MADV_DONTNEED, MADV_DONTNEED_LOCKED, MADV_FREE, MADV_HUGEPAGE, MADV_HWPOISON, MADV_KEEPONFORK,
    MADV_MERGEABLE, MADV_NOHUGEPAGE, MADV_NORMAL, MADV_PAGEOUT, MADV_POPULATE_READ,
    MADV_POPULATE_WRITE, MADV_RANDOM, MADV_REMOVE, MADV_SEQUENTIAL, MADV_SOFT_OFFLINE,
    MADV_UNMERGEABLE, MADV_WILLNEED, MADV_WIPEONFORK, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE,
    MLOCK_ONFAULT,
};

/// `si_code` of SIGSEGV: nothing is mapped there.
pub const SEGV_MAPERR: i32 = 1;
/// `si_code` of SIGSEGV: the mapping does not allow it.
pub const SEGV_ACCERR: i32 = 2;
/// `si_code` of SIGBUS: nothing behind the mapping (past the end of the file).
pub const BUS_ADRERR: i32 = 2;

/// Entries of the auxiliary vector (getauxval(3)).
pub mod auxv {
    pub use linux_raw_sys::auxvec::{
        AT_BASE, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_EXECFN, AT_FLAGS, AT_GID, AT_HWCAP,
        AT_HWCAP2, AT_MINSIGSTKSZ, AT_NULL, AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PLATFORM,
        AT_RANDOM, AT_SECURE, AT_SYSINFO_EHDR, AT_UID,
    };
}
