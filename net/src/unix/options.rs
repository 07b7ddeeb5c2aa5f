//! What setsockopt(2) changes, and who a peer is.

use super::DEFAULT_BUFFER;

/// The least that `SO_SNDBUF` grants, in bytes.
pub const MIN_SEND: usize = 4608;
/// The least that `SO_RCVBUF` grants, in bytes.
pub const MIN_RECEIVE: usize = 2304;
/// The most that either grants (`/proc/sys/net/core/wmem_max`, doubled as Linux does).
pub const MAX_BUFFER: usize = 2 * DEFAULT_BUFFER;

/// Who sent something, or who made a socket: `struct ucred`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The process.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl Credentials {
    /// What a receiver sees of a sender who said nothing.
    pub const NOBODY: Self = Self { pid: 0, uid: 65534, gid: 65534 };
}

/// The options that change how a socket sends or receives.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `SO_SNDBUF`: bytes that this socket may have under way.
    pub send_buffer: usize,
    /// `SO_RCVBUF`: remembered, but senders are what is limited.
    pub receive_buffer: usize,
    /// `SO_PASSCRED`: every message says who sent it.
    pub pass_credentials: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_buffer: DEFAULT_BUFFER,
            receive_buffer: DEFAULT_BUFFER,
            pass_credentials: false,
        }
    }
}
