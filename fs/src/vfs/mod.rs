//! The virtual file system: inodes, dentries, mounts, paths, open files, and the rules that all
//! file systems share.

pub(crate) mod attr;
mod attributes;
mod caller;
pub(crate) mod change;
mod dentry;
mod directory;
mod file;
mod inode;
mod mount;
mod mount_flags;
mod mount_table;
mod open;
mod open_flags;
mod path;
mod permission;
mod rename;
mod role;
mod super_block;
mod walk;

pub use attr::{
    DeviceNumber, Kind, Metadata, SetAttributes, SetTime, Statfs, Times, Timespec, mode,
};
pub use caller::{Caller, Capabilities, Credentials, Miss};
pub use dentry::Dentry;
pub(crate) use dentry::{Name, hash_name};
pub use directory::{Directory, Emit, Entry, Make, MakeAttributes, Place, Swap};
pub use file::{Allocate, OpenFile, Whence};
pub use inode::{Inode, NewInode};
pub use mount::Mount;
pub use mount_flags::MountFlags;
pub use mount_table::{Copied, Listed, MountTable, Remount, Submounts, Unmount};
pub use open::{OpenDevice, Opened};
pub use open_flags::{OpenFlags, OpenHow};
pub use path::Path;
pub use permission::Access;
pub use rename::RenameFlags;
pub use role::{Backing, FileNode, MagicLink, OpenNode, Role};
pub use super_block::{FileSystem, SuperBlock};
pub use walk::{LookupFlags, NAME_MAX, PATH_MAX, Walk};
