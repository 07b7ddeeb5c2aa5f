//! What execve(2) does to credentials (capabilities(7), "Transformation during execve").

use super::{Capabilities, Credentials, Securebits};

impl Credentials {
    /// The credentials after executing a file with these set-user-ID and set-group-ID owners.
    ///
    /// Files carry no capabilities of their own; root's programs count as if they had them all.
    pub fn after_exec(&self, set_ids: (Option<u32>, Option<u32>), no_new_privileges: bool) -> Self {
        let mut new = self.clone();
        if !no_new_privileges {
            new.euid = set_ids.0.unwrap_or(new.euid);
            new.egid = set_ids.1.unwrap_or(new.egid);
        }
        (new.suid, new.fsuid) = (new.euid, new.euid);
        (new.sgid, new.fsgid) = (new.egid, new.egid);
        let root_counts = !self.securebits.contains(Securebits::NOROOT);
        let is_root = root_counts && (new.uid == 0 || new.euid == 0);
        let gained = new.euid != self.euid || new.egid != self.egid;
        if gained {
            new.ambient = Capabilities::empty();
        }
        let (from_file, effective) = if is_root {
            (Capabilities::all(), new.euid == 0)
        } else {
            (Capabilities::empty(), false)
        };
        new.permitted = self.inheritable & from_file | from_file & self.bounding | new.ambient;
        new.effective = if effective { new.permitted } else { new.ambient };
        new.securebits.remove(Securebits::KEEP_CAPS);
        new
    }

    /// Whether a program with these credentials must not trust its environment (`AT_SECURE`).
    pub fn is_privileged_over(&self, before: &Self) -> bool {
        self.uid != self.euid
            || self.gid != self.egid
            || self.euid != before.euid
            || self.egid != before.egid
            || self.uid != 0 && !before.permitted.contains(self.permitted)
    }
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, Credentials};

    fn user() -> Credentials {
        Credentials {
            uid: 1000,
            euid: 1000,
            suid: 1000,
            fsuid: 1000,
            permitted: Capabilities::empty(),
            effective: Capabilities::empty(),
            ..(*Credentials::root()).clone()
        }
    }

    #[test]
    fn set_user_id_root_gives_all_capabilities() {
        let after = user().after_exec((Some(0), None), false);
        assert_eq!((after.uid, after.euid, after.suid), (1000, 0, 0));
        assert_eq!(after.effective, Capabilities::all());
        assert!(after.is_privileged_over(&user()));
    }

    #[test]
    fn no_new_privileges_means_none() {
        let after = user().after_exec((Some(0), None), true);
        assert_eq!(after, user());
        assert!(!after.is_privileged_over(&user()));
    }

    #[test]
    fn an_ordinary_user_s_capabilities_go() {
        let before =
            Credentials { permitted: Capabilities::KILL, effective: Capabilities::KILL, ..user() };
        let after = before.after_exec((None, None), false);
        assert!(after.permitted.is_empty() && after.effective.is_empty());
    }
}
