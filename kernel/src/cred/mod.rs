//! Credentials: user and group numbers, capabilities.
//!
//! A value, shared by `Arc` and replaced as a whole: who holds one sees a consistent state.

mod capability;
mod exec;
mod user;

use alloc::{sync::Arc, vec::Vec};

pub use capability::{Capabilities, Securebits};
pub use user::{
    Charge, Limited, MAX_INOTIFY_INSTANCES, Users, max_epoll_watches, max_inotify_watches,
};

/// A user's number.
pub type Uid = u32;
/// A group's number.
pub type Gid = u32;

/// Who a thread is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The real user.
    pub uid: Uid,
    /// The effective user.
    pub euid: Uid,
    /// The saved user.
    pub suid: Uid,
    /// The user for file access.
    pub fsuid: Uid,
    /// The real group.
    pub gid: Gid,
    /// The effective group.
    pub egid: Gid,
    /// The saved group.
    pub sgid: Gid,
    /// The group for file access.
    pub fsgid: Gid,
    /// Supplementary groups, sorted.
    pub groups: Vec<Gid>,
    /// Capabilities that may be made effective.
    pub permitted: Capabilities,
    /// Capabilities that checks look at.
    pub effective: Capabilities,
    /// Capabilities that an executable file may keep.
    pub inheritable: Capabilities,
    /// Capabilities that survive execve of an ordinary file.
    pub ambient: Capabilities,
    /// The limit of what execve can give.
    pub bounding: Capabilities,
    /// How capabilities follow user numbers.
    pub securebits: Securebits,
}

impl Credentials {
    /// The superuser with every capability.
    pub fn root() -> Arc<Self> {
        Arc::new(Self {
            uid: 0,
            euid: 0,
            suid: 0,
            fsuid: 0,
            gid: 0,
            egid: 0,
            sgid: 0,
            fsgid: 0,
            groups: Vec::new(),
            permitted: Capabilities::all(),
            effective: Capabilities::all(),
            inheritable: Capabilities::empty(),
            ambient: Capabilities::empty(),
            bounding: Capabilities::all(),
            securebits: Securebits::empty(),
        })
    }

    /// Whether all of `capabilities` are effective.
    pub fn has(&self, capabilities: Capabilities) -> bool {
        self.effective.contains(capabilities)
    }

    /// Whether the group for file access or a supplementary group is `gid`.
    pub fn is_in_group(&self, gid: Gid) -> bool {
        self.fsgid == gid || self.groups.binary_search(&gid).is_ok()
    }
}
