//! Opening: open(2), openat2(2).

use crate::{
    Access, Capabilities, Dentry, DeviceNumber, Errno, Inode, Kind, LookupFlags, Make, MountFlags,
    OpenFile, OpenFlags, OpenHow, Path, Result, Role, Walk,
    notify::{self, Event},
    pipe::PipeEnd,
    vfs::{
        dentry::Name,
        permission,
        walk::{Last, Steps},
    },
};
use alloc::sync::Arc;

/// What open(2) made.
#[derive(Debug)]
pub enum Opened {
    /// A regular file, a directory, or a mere place (`O_PATH`).
    File(OpenFile),
    /// A FIFO. Unless it is non-blocking, wait until [`PipeEnd::opened`].
    Fifo(PipeEnd),
    /// A device, which the crate above finds by its number.
    Device(OpenDevice),
}

/// A device node that was opened with permission.
#[derive(Debug)]
pub struct OpenDevice {
    /// The node's path.
    pub path: Path,
    /// Character or block.
    pub kind: Kind,
    /// The number of the device.
    pub number: DeviceNumber,
    /// The flags of open(2).
    pub flags: OpenFlags,
}

/// Whether the file was made by this open, which needs no permission on the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existed {
    Yes,
    No,
}

impl Walk<'_> {
    /// Opens a file, making it if the flags say so.
    ///
    /// # Errors
    /// Those of [`resolve`](Walk::resolve), and:
    /// - `EACCES`: the permission bits do not allow it, or a device on a `nodev` mount.
    /// - `EEXIST`: it is there, with `O_CREAT | O_EXCL`.
    /// - `EISDIR`: writing a directory.
    /// - `ELOOP`: a symbolic link, with `O_NOFOLLOW`.
    /// - `ENOTDIR`: no directory, with `O_DIRECTORY`.
    /// - `ENXIO`: a socket, or a FIFO without reader for non-blocking writing.
    /// - `EPERM`: `O_NOATIME` by somebody who is not the owner.
    /// - `EROFS`: writing on a read-only mount.
    /// - `ETXTBSY`: writing a program that runs.
    ///
    /// Source: open(2)
    pub fn open(&self, base: &Path, path: &[u8], how: &OpenHow) -> Result<Opened> {
        let mut flags = how.flags;
        if flags.contains(OpenFlags::PATH) {
            let kept = OpenFlags::DIRECTORY | OpenFlags::NO_FOLLOW | OpenFlags::PATH;
            flags &= kept | OpenFlags::CLOSE_ON_EXEC;
        }
        if flags.contains(OpenFlags::NAMELESS) {
            return self.open_nameless(base, path, how);
        }
        if flags.contains(OpenFlags::CREATE | OpenFlags::DIRECTORY) {
            return Err(Errno::EINVAL);
        }
        let mut steps = self.steps(base, path, how.resolve - LookupFlags::EMPTY_PATH)?;
        let create = flags.contains(OpenFlags::CREATE);
        loop {
            match steps.advance()? {
                Last::Jumped => break,
                Last::Here | Last::Root | Last::Above if create => {
                    let exclusive = flags.contains(OpenFlags::EXCLUSIVE);
                    return Err(if exclusive { Errno::EEXIST } else { Errno::EISDIR });
                }
                Last::Here | Last::Root => break,
                Last::Above => {
                    steps.up()?;
                    break;
                }
                Last::Name(_, true) if create => return Err(Errno::EISDIR),
                Last::Name(name, slash) => {
                    let child = steps.child(&name)?;
                    if child.is_negative() {
                        if !create {
                            return Err(Errno::ENOENT);
                        }
                        match self.create(&steps, &name, how)? {
                            Some(made) => return self.open_at(made, flags, Existed::No),
                            // Somebody else was faster.
                            None => {
                                let child = steps.child(&name)?;
                                if self.step(&mut steps, child, flags, slash)? {
                                    break;
                                }
                                continue;
                            }
                        }
                    }
                    if self.step(&mut steps, child, flags, slash)? {
                        break;
                    }
                }
            }
        }
        self.open_at(steps.finish(false)?, flags, Existed::Yes)
    }

    /// Goes to the last component of an open; `false` if a symbolic link has to be followed first.
    fn step(
        &self,
        steps: &mut Steps<'_>,
        child: Arc<Dentry>,
        flags: OpenFlags,
        slash: bool,
    ) -> Result<bool> {
        if flags.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE) {
            return Err(Errno::EEXIST);
        }
        let follow = slash || !flags.contains(OpenFlags::NO_FOLLOW);
        let arrived = steps.enter(child, follow)?;
        if arrived && slash {
            steps.at.inode()?.directory()?;
        }
        Ok(arrived)
    }

    /// Makes a regular file; `None` if it is there by now.
    fn create(&self, steps: &Steps<'_>, name: &Name, how: &OpenHow) -> Result<Option<Path>> {
        let parent = &steps.at;
        if parent.mount().read_only() {
            return Err(Errno::EROFS);
        }
        let directory = parent.inode()?;
        let made = {
            let _change = directory.super_block().change.lock();
            if !parent.dentry().lookup_locked(name, self.caller)?.is_negative() {
                return Ok(None);
            }
            permission::may_make(parent.mount(), parent.dentry(), self.caller)?;
            let attributes = self.make_attributes(directory, Make::Regular, how.mode);
            let operations = directory.directory()?;
            let inode = operations.make(directory, name, Make::Regular, attributes, self.caller)?;
            parent.dentry().instantiate(name, inode)
        };
        let path = Path::new(Arc::clone(parent.mount()), made);
        notify::report(&path, Event::Create);
        Ok(Some(path))
    }

    fn open_nameless(&self, base: &Path, path: &[u8], how: &OpenHow) -> Result<Opened> {
        if !how.flags.writable() {
            return Err(Errno::EINVAL);
        }
        let follow = LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
        let parent = self.resolve(base, path, how.resolve | follow)?;
        parent.permit(Access::WRITE | Access::EXECUTE, self.caller)?;
        let directory = parent.inode()?;
        let attributes = self.make_attributes(directory, Make::Regular, how.mode);
        let made = {
            let _change = directory.super_block().change.lock();
            directory.directory()?.make_nameless(directory, attributes, self.caller)?
        };
        made.set_linkable(!how.flags.contains(OpenFlags::EXCLUSIVE));
        let name = alloc::format!("#{}", made.number());
        let dentry = Dentry::nameless(name.as_bytes(), made);
        let path = Path::new(Arc::clone(parent.mount()), dentry);
        let flags = how.flags - OpenFlags::TEMPORARY;
        self.open_at(path, flags, Existed::No)
    }

    /// Opens a file whose place is known: what is behind a descriptor in `/proc/PID/fd`.
    pub fn open_path(&self, path: Path, flags: OpenFlags) -> Result<Opened> {
        self.open_at(path, flags, Existed::Yes)
    }

    fn open_at(&self, path: Path, flags: OpenFlags, existed: Existed) -> Result<Opened> {
        let inode = Arc::clone(path.inode()?);
        if flags.contains(OpenFlags::DIRECTORY) {
            inode.directory()?;
        }
        if flags.contains(OpenFlags::PATH) {
            return Ok(Opened::File(OpenFile::place(path, inode, flags)));
        }
        if existed == Existed::Yes {
            self.may_open(&path, &inode, flags)?;
        }
        let kept = flags
            - OpenFlags::CREATE
            - OpenFlags::EXCLUSIVE
            - OpenFlags::TRUNCATE
            - OpenFlags::NO_CONTROLLING_TTY
            - OpenFlags::CLOSE_ON_EXEC;
        match inode.role() {
            Role::Fifo(_) => {
                let pipe = inode.fifo().ok_or(Errno::ENXIO)?;
                Ok(Opened::Fifo(PipeEnd::open_fifo(pipe, path, kept)?))
            }
            Role::Device(number) => {
                let (kind, number) = (inode.kind(), *number);
                let flags = flags - OpenFlags::CLOSE_ON_EXEC;
                Ok(Opened::Device(OpenDevice { path, kind, number, flags }))
            }
            Role::Object => Err(Errno::ENXIO),
            _ => {
                let truncate = existed == Existed::Yes && flags.contains(OpenFlags::TRUNCATE);
                if inode.kind() == Kind::Regular {
                    let file_system = inode.super_block().file_system();
                    file_system.opening(&inode, flags, self.caller)?;
                }
                let file = OpenFile::open(path, inode, kept, self.caller)?;
                if truncate && file.inode().kind() == Kind::Regular {
                    file.truncate_on_open(self.caller)?;
                }
                notify::report(file.path(), Event::Open);
                Ok(Opened::File(file))
            }
        }
    }

    fn may_open(&self, path: &Path, inode: &Inode, flags: OpenFlags) -> Result<()> {
        let mut access = match flags.bits() & 3 {
            0 => Access::READ,
            1 => Access::WRITE,
            _ => Access::READ | Access::WRITE,
        };
        if flags.contains(OpenFlags::TRUNCATE) {
            access |= Access::WRITE;
        }
        match inode.kind() {
            Kind::Symlink => return Err(Errno::ELOOP),
            Kind::Directory
                if access.contains(Access::WRITE) || flags.contains(OpenFlags::CREATE) =>
            {
                return Err(Errno::EISDIR);
            }
            Kind::Character | Kind::Block
                if path.mount().flags().contains(MountFlags::NO_DEVICES) =>
            {
                return Err(Errno::EACCES);
            }
            _ => {}
        }
        path.permit(access, self.caller)?;
        let quiet = flags.contains(OpenFlags::NO_ACCESS_TIME);
        if quiet && !inode.owned_by(self.caller) && !self.caller.capable(Capabilities::FOWNER) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }
}
