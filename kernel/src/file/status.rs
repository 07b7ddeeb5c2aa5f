//! Who is told when a file becomes ready (`F_SETOWN`, `F_SETSIG`).

/// The receiver of a file's signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// What `number` names.
    pub kind: OwnerKind,
    /// A thread, a process or a process group; 0 is nobody.
    pub number: u32,
    /// Who said so: the real and the effective user.
    pub uid: u32,
    /// See `uid`.
    pub euid: u32,
    /// The signal instead of `SIGIO`; 0 is `SIGIO`.
    pub signal: u8,
}

/// What kind of receiver a number names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnerKind {
    /// `F_OWNER_TID`; also of a file that nobody owns.
    #[default]
    Thread,
    /// `F_OWNER_PID`.
    Process,
    /// `F_OWNER_PGRP`.
    Group,
}
