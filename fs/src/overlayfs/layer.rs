//! Acting on the layers: each step is an ordinary operation on their file systems, with the rights
//! of who mounted the overlay.

use crate::{
    Caller, DeviceNumber, Errno, Inode, Kind, LookupFlags, Make, Path, RenameFlags, Result, Role,
    SetXattr, Walk, overlayfs::node::mounter,
};
use alloc::vec::Vec;

/// What a layer says of a name.
pub(super) enum Look {
    /// It does not know it.
    Absent,
    /// It says that there is none, whatever is below.
    Whiteout,
    /// This.
    Found(Path),
}

/// The marks of an overlay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    /// A directory that hides what is below.
    Opaque,
    /// A directory with entries whose numbers come from below.
    Impure,
    /// What a file was copied up from.
    Origin,
}

/// Which attributes the marks are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) user: bool,
}

impl Marks {
    const fn name(self, mark: Mark) -> &'static [u8] {
        match (self.user, mark) {
            (false, Mark::Opaque) => b"trusted.overlay.opaque",
            (false, Mark::Impure) => b"trusted.overlay.impure",
            (false, Mark::Origin) => b"trusted.overlay.origin",
            (true, Mark::Opaque) => b"user.overlay.opaque",
            (true, Mark::Impure) => b"user.overlay.impure",
            (true, Mark::Origin) => b"user.overlay.origin",
        }
    }

    /// A mark's value, if the file has it.
    pub(super) fn get(
        self,
        path: &Path,
        mark: Mark,
        caller: &Caller<'_>,
    ) -> Result<Option<Vec<u8>>> {
        match run(caller, path, |walk| path.xattr(self.name(mark), walk.caller)) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn set(
        self,
        path: &Path,
        mark: Mark,
        value: &[u8],
        caller: &Caller<'_>,
    ) -> Result<()> {
        let name = self.name(mark);
        run(caller, path, |walk| path.set_xattr(name, value, SetXattr::Any, walk.caller))
    }

    /// How the names of marks begin.
    pub(super) const fn prefix(self) -> &'static [u8] {
        if self.user { b"user.overlay." } else { b"trusted.overlay." }
    }

    pub(super) fn is_impure(self, path: &Path, caller: &Caller<'_>) -> Result<bool> {
        Ok(self.get(path, Mark::Impure, caller)?.is_some())
    }

    pub(super) fn is_opaque(self, path: &Path, caller: &Caller<'_>) -> Result<bool> {
        Ok(self.get(path, Mark::Opaque, caller)?.is_some_and(|value| value == b"y"))
    }
}

/// Runs an operation on a layer; a miss of its caches becomes one of the overlay.
pub(super) fn run<T>(
    caller: &Caller<'_>,
    base: &Path,
    operation: impl FnOnce(&Walk<'_>) -> Result<T>,
) -> Result<T> {
    run_as(mounter(caller), caller, base, operation)
}

/// The same as somebody else.
pub(super) fn run_as<T>(
    inner: Caller<'_>,
    caller: &Caller<'_>,
    base: &Path,
    operation: impl FnOnce(&Walk<'_>) -> Result<T>,
) -> Result<T> {
    let result = operation(&Walk { caller: &inner, root: base, umask: 0 });
    match (result, inner.take_miss()) {
        (Err(Errno::MISS), Some(miss)) => Err(caller.miss(miss)),
        (result, _) => result,
    }
}

pub(super) fn is_whiteout(inode: &Inode) -> bool {
    let number = DeviceNumber::new(0, 0);
    inode.kind() == Kind::Character && matches!(inode.role(), Role::Device(own) if *own == number)
}

/// Looks a name up in a directory of a layer.
pub(super) fn look(directory: &Path, name: &[u8], caller: &Caller<'_>) -> Result<Look> {
    let found = run(caller, directory, |walk| walk.resolve(directory, name, LookupFlags::empty()));
    match found {
        Ok(path) if is_whiteout(path.inode()?) => Ok(Look::Whiteout),
        Ok(path) => Ok(Look::Found(path)),
        Err(Errno::ENOENT) => Ok(Look::Absent),
        Err(error) => Err(error),
    }
}

/// Finds what is known to be there.
pub(super) fn find(directory: &Path, name: &[u8], caller: &Caller<'_>) -> Result<Path> {
    run(caller, directory, |walk| walk.resolve(directory, name, LookupFlags::empty()))
}

pub(super) fn make_whiteout(directory: &Path, name: &[u8], caller: &Caller<'_>) -> Result<()> {
    let what = Make::Character(DeviceNumber::new(0, 0));
    run(caller, directory, |walk| walk.make(directory, name, what, 0)).map(drop)
}

pub(super) fn unlink(directory: &Path, name: &[u8], caller: &Caller<'_>) -> Result<()> {
    run(caller, directory, |walk| walk.unlink(directory, name))
}

pub(super) fn remove_dir(directory: &Path, name: &[u8], caller: &Caller<'_>) -> Result<()> {
    run(caller, directory, |walk| walk.remove_dir(directory, name))
}

pub(super) fn rename(
    from: (&Path, &[u8]),
    to: (&Path, &[u8]),
    flags: RenameFlags,
    caller: &Caller<'_>,
) -> Result<()> {
    run(caller, from.0, |walk| walk.rename(from, to, flags))
}

/// The names in a directory of a layer, with what the layer says of each; with `.` and `..` left
/// out.
pub(super) fn names(directory: &Path, caller: &Caller<'_>) -> Result<Vec<(Vec<u8>, u64, Kind)>> {
    let inode = directory.inode()?;
    let mut names = Vec::new();
    run(caller, directory, |walk| {
        inode.directory()?.read_dir(inode, 0, walk.caller, &mut |entry| {
            names.push((entry.name.to_vec(), entry.number, entry.kind));
            true
        })
    })?;
    Ok(names)
}

/// Removes the whiteouts that an otherwise empty directory consists of.
pub(super) fn clear(directory: &Path, caller: &Caller<'_>) -> Result<()> {
    for (name, _, kind) in names(directory, caller)? {
        if kind == Kind::Directory {
            return Err(Errno::ENOTEMPTY);
        }
        unlink(directory, &name, caller)?;
    }
    Ok(())
}
