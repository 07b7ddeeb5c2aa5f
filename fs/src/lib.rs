//! Files: the virtual file system and the file systems under it.
//!
//! ```text
//!   Walk (a caller with a root) ──path──▶ Path = Mount + Dentry ──▶ Inode ──role──▶ file system
//!     │ open                                        cache              │
//!     ▼                                                                ▼
//!   OpenFile ── read, write, seek, list ─────────────────────────▶ PageCache
//! ```
//!
//! Every operation is a plain function that tries: it answers at once, or `EAGAIN` where it has to
//! wait for another program, or `MISS` where a disk has to be read first.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod anonymous;
pub mod count;
pub mod cpio;
pub mod device;
pub mod generated;
pub mod hostfs;
pub mod locks;
pub mod notify;
pub mod overlayfs;
mod pages;
pub mod pipe;
pub mod ramfs;
#[cfg(test)]
mod testing;
mod vfs;
mod xattr;

pub use abi::{Errno, Result};
pub use anonymous::AnonymousFs;
pub use framework::{Sink, Source};
pub use pages::{Grow, Mapper, Others, PageCache, PageStore, SIZE_MAX, Seals, cached_pages};
pub use vfs::{
    Access, Allocate, Backing, Caller, Capabilities, Copied, Credentials, Dentry, DeviceNumber,
    Directory, Emit, Entry, FileNode, FileSystem, Inode, Kind, Listed, LookupFlags, MagicLink,
    Make, MakeAttributes, Metadata, Miss, Mount, MountFlags, MountTable, NAME_MAX, NewInode,
    OpenDevice, OpenFile, OpenFlags, OpenHow, OpenNode, Opened, PATH_MAX, Path, Place, Remount,
    RenameFlags, Role, SetAttributes, SetTime, Statfs, Submounts, SuperBlock, Swap, Times,
    Timespec, Unmount, Walk, Whence, mode,
};
pub use xattr::{SetXattr, XATTR_NAME_MAX, XATTR_SIZE_MAX};
