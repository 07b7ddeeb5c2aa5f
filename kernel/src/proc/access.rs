//! Who may look into another process: the check of ptrace(2), for reading.

use super::target::Target;
use abi::{Errno, Result};
use core::sync::atomic::Ordering;
use fs::{Caller, Capabilities};

/// `CAP_SYS_PTRACE`, which file systems do not name.
const SYS_PTRACE: Capabilities = Capabilities::from_bits_retain(1 << 19);
/// `SUID_DUMP_USER`: others of the same user may look.
const DUMPABLE: u8 = 1;

impl Target {
    /// Checks `PTRACE_MODE_READ_FSCREDS`.
    ///
    /// # Errors
    /// - `EACCES`: the caller is another user, or the process has rights the caller has not.
    /// - `ESRCH`: it is gone.
    ///
    /// Source: ptrace(2), "Ptrace access mode checking"
    pub(super) fn check_access(&self, caller: &Caller<'_>) -> Result<()> {
        let process = self.process()?;
        if caller.process == process.pid.get() || caller.capable(SYS_PTRACE) {
            return Ok(());
        }
        let own = &caller.credentials;
        let other = self.credentials()?;
        let same_user = [other.uid, other.euid, other.suid].iter().all(|uid| *uid == own.uid)
            && [other.gid, other.egid, other.sgid].iter().all(|gid| *gid == own.gid);
        let dumpable = process.dumpable.load(Ordering::Relaxed) == DUMPABLE;
        let weaker = own.capabilities.bits() & other.permitted.bits() == other.permitted.bits();
        if same_user && dumpable && weaker { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Whether the caller may see what is not for everybody.
    pub(super) fn is_open_to(&self, caller: &Caller<'_>) -> bool {
        self.check_access(caller).is_ok()
    }

    /// Owner and group of the files about it: root's once others must not look into it.
    pub(super) fn owner(&self) -> (u32, u32) {
        let Ok(process) = self.process() else { return (0, 0) };
        if process.dumpable.load(Ordering::Relaxed) != DUMPABLE {
            return (0, 0);
        }
        self.credentials().map_or((0, 0), |credentials| (credentials.euid, credentials.egid))
    }
}
