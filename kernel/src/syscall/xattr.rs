//! Extended attributes: getxattr(2), setxattr(2), listxattr(2), removexattr(2).

use super::{Outcome, Row, UserPtr, row};
use crate::thread::Thread;
use abi::{Errno, Fd, Result};
use alloc::vec::Vec;
use fs::{Caller, LookupFlags, Path, SetXattr, XATTR_NAME_MAX, XATTR_SIZE_MAX};

pub(super) const ROWS: &[Row] = &[
    row!(188 "setxattr" (path: UserPtr<u8>, name: UserPtr<u8>, value: UserPtr<u8>, size: usize,
        flags: u32) => setxattr, Full),
    row!(189 "lsetxattr" (path: UserPtr<u8>, name: UserPtr<u8>, value: UserPtr<u8>, size: usize,
        flags: u32) => lsetxattr, Full),
    row!(190 "fsetxattr" (fd: Fd, name: UserPtr<u8>, value: UserPtr<u8>, size: usize,
        flags: u32) => fsetxattr, Full),
    row!(191 "getxattr" (path: UserPtr<u8>, name: UserPtr<u8>, value: UserPtr<u8>, size: usize)
        => getxattr, Full),
    row!(192 "lgetxattr" (path: UserPtr<u8>, name: UserPtr<u8>, value: UserPtr<u8>, size: usize)
        => lgetxattr, Full),
    row!(193 "fgetxattr" (fd: Fd, name: UserPtr<u8>, value: UserPtr<u8>, size: usize)
        => fgetxattr, Full),
    row!(194 "listxattr" (path: UserPtr<u8>, list: UserPtr<u8>, size: usize) => listxattr, Full),
    row!(195 "llistxattr" (path: UserPtr<u8>, list: UserPtr<u8>, size: usize) => llistxattr, Full),
    row!(196 "flistxattr" (fd: Fd, list: UserPtr<u8>, size: usize) => flistxattr, Full),
    row!(197 "removexattr" (path: UserPtr<u8>, name: UserPtr<u8>) => removexattr, Full),
    row!(198 "lremovexattr" (path: UserPtr<u8>, name: UserPtr<u8>) => lremovexattr, Full),
    row!(199 "fremovexattr" (fd: Fd, name: UserPtr<u8>) => fremovexattr, Full),
];

/// The longest list of names.
const LIST_MAX: usize = 65536;

/// Reads a name.
///
/// # Errors
/// - `ERANGE`: empty or too long.
fn read_name(thread: &Thread, name: UserPtr<u8>) -> Result<Vec<u8>> {
    match thread.read_string(name, XATTR_NAME_MAX) {
        Ok(name) if !name.is_empty() => Ok(name),
        Ok(_) | Err(Errno::ENAMETOOLONG) => Err(Errno::ERANGE),
        Err(errno) => Err(errno),
    }
}

/// Runs `operation` on what `path` stands for.
fn at<'a>(
    thread: &'a Thread,
    path: UserPtr<u8>,
    lookup: LookupFlags,
    operation: impl Fn(&Path, &Caller<'_>) -> Result<usize> + Send + 'a,
) -> Result<Outcome<'a>> {
    let path = thread.read_path(path)?;
    thread.walk_then(
        Fd::CWD,
        path,
        move |walk, base, path| walk.resolve(base, path, lookup),
        move |found| thread.on_file(found, operation),
    )
}

/// The place behind a descriptor, which is not a mere place (`O_PATH`).
fn place(thread: &Thread, fd: Fd) -> Result<Path> {
    Ok(thread.files.get_opened(fd)?.path().clone())
}

/// What setxattr(2) stores.
struct Attribute {
    name: Vec<u8>,
    value: Vec<u8>,
    how: SetXattr,
}

impl Attribute {
    /// Reads it from user memory.
    ///
    /// # Errors
    /// - `EINVAL`: unknown flags; `E2BIG`: too large; `ERANGE`: a bad name.
    fn read(
        thread: &Thread,
        name: UserPtr<u8>,
        (value, size): (UserPtr<u8>, usize),
        flags: u32,
    ) -> Result<Self> {
        let how = match flags {
            0 => SetXattr::Any,
            1 => SetXattr::Create,
            2 => SetXattr::Replace,
            3 => SetXattr::Never,
            _ => return Err(Errno::EINVAL),
        };
        let name = read_name(thread, name)?;
        if size > XATTR_SIZE_MAX {
            return Err(Errno::E2BIG);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
        bytes.resize(size, 0);
        thread.read_bytes(value.address(), &mut bytes)?;
        Ok(Self { name, value: bytes, how })
    }

    fn store(&self, path: &Path, caller: &Caller<'_>) -> Result<usize> {
        path.set_xattr(&self.name, &self.value, self.how, caller).map(|()| 0)
    }
}

/// Sets an attribute of a file.
///
/// # Errors
/// - `EEXIST`, `ENODATA`: it is there, or is not, against `flags`.
/// - `EOPNOTSUPP`: the file system keeps no such attributes.
/// - those of the lookup.
///
/// Source: setxattr(2)
fn setxattr(
    thread: &Thread,
    path: UserPtr<u8>,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<Outcome<'_>> {
    let attribute = Attribute::read(thread, name, (value, size), flags)?;
    at(thread, path, LookupFlags::FOLLOW, move |path, caller| attribute.store(path, caller))
}

fn lsetxattr(
    thread: &Thread,
    path: UserPtr<u8>,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<Outcome<'_>> {
    let attribute = Attribute::read(thread, name, (value, size), flags)?;
    at(thread, path, LookupFlags::empty(), move |path, caller| attribute.store(path, caller))
}

fn fsetxattr(
    thread: &Thread,
    fd: Fd,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<Outcome<'_>> {
    let path = place(thread, fd)?;
    let attribute = Attribute::read(thread, name, (value, size), flags)?;
    thread.on_file(path, move |path, caller| attribute.store(path, caller))
}

/// Stores what was found; with a size of 0 only its length is wanted.
fn give(thread: &Thread, found: &[u8], to: UserPtr<u8>, size: usize) -> Result<usize> {
    if size == 0 {
        return Ok(found.len());
    }
    if found.len() > size {
        return Err(Errno::ERANGE);
    }
    thread.write_slice(to, found)?;
    Ok(found.len())
}

/// Stores the value of an attribute.
///
/// # Errors
/// - `ENODATA`: there is none with this name; `ERANGE`: no room.
/// - those of the lookup.
///
/// Source: getxattr(2)
fn getxattr(
    thread: &Thread,
    path: UserPtr<u8>,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
) -> Result<Outcome<'_>> {
    let name = read_name(thread, name)?;
    at(thread, path, LookupFlags::FOLLOW, move |path, caller| {
        get(thread, path, &name, (value, size), caller)
    })
}

fn lgetxattr(
    thread: &Thread,
    path: UserPtr<u8>,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
) -> Result<Outcome<'_>> {
    let name = read_name(thread, name)?;
    at(thread, path, LookupFlags::empty(), move |path, caller| {
        get(thread, path, &name, (value, size), caller)
    })
}

fn fgetxattr(
    thread: &Thread,
    fd: Fd,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
) -> Result<Outcome<'_>> {
    let path = place(thread, fd)?;
    let name = read_name(thread, name)?;
    thread.on_file(path, move |path, caller| get(thread, path, &name, (value, size), caller))
}

fn get(
    thread: &Thread,
    path: &Path,
    name: &[u8],
    (value, size): (UserPtr<u8>, usize),
    caller: &Caller<'_>,
) -> Result<usize> {
    let found = path.xattr(name, caller)?;
    give(thread, &found, value, size.min(XATTR_SIZE_MAX))
}

/// Stores the names of all attributes, each with a NUL.
///
/// # Errors
/// - `ERANGE`: no room; those of the lookup.
///
/// Source: listxattr(2)
fn listxattr(
    thread: &Thread,
    path: UserPtr<u8>,
    list: UserPtr<u8>,
    size: usize,
) -> Result<Outcome<'_>> {
    at(thread, path, LookupFlags::FOLLOW, move |path, caller| {
        names(thread, path, (list, size), caller)
    })
}

fn llistxattr(
    thread: &Thread,
    path: UserPtr<u8>,
    list: UserPtr<u8>,
    size: usize,
) -> Result<Outcome<'_>> {
    at(thread, path, LookupFlags::empty(), move |path, caller| {
        names(thread, path, (list, size), caller)
    })
}

fn flistxattr(thread: &Thread, fd: Fd, list: UserPtr<u8>, size: usize) -> Result<Outcome<'_>> {
    let path = place(thread, fd)?;
    thread.on_file(path, move |path, caller| names(thread, path, (list, size), caller))
}

fn names(
    thread: &Thread,
    path: &Path,
    (list, size): (UserPtr<u8>, usize),
    caller: &Caller<'_>,
) -> Result<usize> {
    let found = path.xattr_names(caller)?;
    give(thread, &found, list, size.min(LIST_MAX))
}

/// Removes an attribute.
///
/// # Errors
/// - `ENODATA`: there is none with this name; those of the lookup.
///
/// Source: removexattr(2)
fn removexattr(thread: &Thread, path: UserPtr<u8>, name: UserPtr<u8>) -> Result<Outcome<'_>> {
    let name = read_name(thread, name)?;
    at(thread, path, LookupFlags::FOLLOW, move |path, caller| remove(path, &name, caller))
}

fn lremovexattr(thread: &Thread, path: UserPtr<u8>, name: UserPtr<u8>) -> Result<Outcome<'_>> {
    let name = read_name(thread, name)?;
    at(thread, path, LookupFlags::empty(), move |path, caller| remove(path, &name, caller))
}

fn fremovexattr(thread: &Thread, fd: Fd, name: UserPtr<u8>) -> Result<Outcome<'_>> {
    let path = place(thread, fd)?;
    let name = read_name(thread, name)?;
    thread.on_file(path, move |path, caller| remove(path, &name, caller))
}

fn remove(path: &Path, name: &[u8], caller: &Caller<'_>) -> Result<usize> {
    path.remove_xattr(name, caller).map(|()| 0)
}
