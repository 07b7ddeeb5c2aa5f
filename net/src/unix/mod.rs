//! Sockets between processes of one machine: unix(7).
//!
//! ```text
//!   Socket ──has──▶ Endpoint { inbox, queue } ◀──sends into── the peer's Socket
//! ```
//! A socket owns its endpoint and knows its peer's; an endpoint knows no other, so nothing here is a circle.
//! What is sent goes straight into the inbox of the receiver, under that inbox's lock and no other.
//!
//! # Locks
//! At most one inbox is locked at a time, and none while a queue wakes or a passed file is dropped.

mod address;
mod bytes;
mod endpoint;
mod inbox;
mod options;
mod receive;
mod send;
mod socket;
mod space;
#[cfg(test)]
mod tests;

pub use address::{Address, MAX_ADDRESS};
pub use inbox::{Ancillary, Received};
pub use options::{Credentials, MAX_BUFFER, MIN_RECEIVE, MIN_SEND, Options};
pub use receive::Receive;
pub use socket::{Kind, Shutdown, Socket};
pub use space::Space;

/// Datagrams that wait in a socket before senders have to (`/proc/sys/net/unix/max_dgram_qlen`).
pub const MAX_DATAGRAMS: usize = 10;

/// The longest queue of connections that listen(2) grants (`/proc/sys/net/core/somaxconn`).
pub const MAX_BACKLOG: u32 = 4096;

/// The size of a new socket's buffers (`/proc/sys/net/core/wmem_default`).
pub const DEFAULT_BUFFER: usize = 212_992;
