//! mmap(2), munmap(2), mprotect(2), mremap(2), brk(2), memfd_create(2).

use super::{Outcome, Row, UserPtr, row};
use crate::{
    cred::Capabilities,
    file::{File, Object as FileObject},
    memory::{Backing, MapRequest, Memory, Object, Purpose, RemapRequest, VmaFlags},
    thread::Thread,
};
use abi::{
    Errno, Fd, Result,
    memory::{
        MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, MapFlags, MemfdFlags, Prot, RemapFlags,
    },
};
use alloc::{boxed::Box, sync::Arc};
use core::ops::Range;
use framework::{PAGE_SIZE, Protection, VirtAddr};
use fs::{MountFlags, OpenFlags, ramfs::AllowSealing};
use io::mem::MemDevice;

pub(super) const ROWS: &[Row] = &[
    row!(9 "mmap" (addr: VirtAddr, length: usize, prot: u32, flags: u32, fd: Fd, offset: usize)
        => mmap, Partial, "MAP_HUGETLB finds no huge pages; MAP_SYNC"),
    row!(10 "mprotect" (addr: VirtAddr, len: usize, prot: u32) => mprotect, Full),
    row!(11 "munmap" (addr: VirtAddr, length: usize) => munmap, Full),
    row!(12 "brk" (addr: VirtAddr) => brk, Full),
    row!(25 "mremap" (old_address: VirtAddr, old_size: usize, new_size: usize, flags: u32,
        new_address: VirtAddr) => mremap, Full),
    row!(319 "memfd_create" (name: UserPtr<u8>, flags: u32)
        => memfd_create, Partial, "MFD_HUGETLB"),
];

/// Batches of pages populated before the call becomes one that waits.
const BATCHES_AT_ONCE: usize = 8;

/// Maps memory.
///
/// # Errors
/// Those of [`Memory::map`], and:
/// - `EINVAL`: the offset is misaligned, or neither shared nor private.
/// - `EBADF`: no such file.
/// - `EACCES`: the file is not open for what the mapping needs.
///
/// Source: mmap(2)
fn mmap(
    thread: &Thread,
    at: VirtAddr,
    len: usize,
    prot: u32,
    flags: u32,
    fd: Fd,
    offset: usize,
) -> Result<Outcome<'_>> {
    let flags = MapFlags::from_bits_retain(flags);
    if !offset.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let prot = Prot::from_bits_truncate(prot);
    let backing = if flags.contains(MapFlags::ANONYMOUS) {
        if len == 0 || !matches!(flags.kind(), MAP_SHARED | MAP_PRIVATE) {
            return Err(Errno::EINVAL);
        }
        if flags.contains(MapFlags::HUGETLB) {
            return Err(Errno::ENOMEM);
        }
        None
    } else {
        file_backing(&*thread.files.get(fd)?, prot, flags, offset)?
    };
    let may_lock_all = thread.credentials.has(Capabilities::IPC_LOCK);
    let mapped = thread.memory.map(&MapRequest { at, len, prot, flags, backing, may_lock_all })?;
    let start = mapped.range.start.get();
    if mapped.populate {
        return Ok(populate(thread, mapped.range, Purpose::Mapping, start));
    }
    Ok(Outcome::Done(start))
}

/// What lies behind a mapping of a file; `None` is anonymous memory, which `/dev/zero` gives.
fn file_backing(
    file: &File,
    prot: Prot,
    flags: MapFlags,
    offset: usize,
) -> Result<Option<Backing>> {
    let mode = file.flags();
    if mode.contains(OpenFlags::PATH) {
        return Err(Errno::EBADF);
    }
    let shared = match flags.kind() {
        MAP_SHARED => true,
        MAP_SHARED_VALIDATE if flags.bits() & !KNOWN.bits() != 0 => {
            return Err(Errno::EOPNOTSUPP);
        }
        MAP_SHARED_VALIDATE => true,
        MAP_PRIVATE => false,
        _ => return Err(Errno::EINVAL),
    };
    let writes = prot.contains(Prot::WRITE);
    if !mode.readable() || shared && writes && !mode.writable() {
        return Err(Errno::EACCES);
    }
    let mut maximum = Protection::all();
    maximum.set(Protection::WRITE, !shared || mode.writable());
    if file.path().mount().flags().contains(MountFlags::NO_EXECUTE) {
        if prot.contains(Prot::EXEC) {
            return Err(Errno::EPERM);
        }
        maximum -= Protection::EXECUTE;
    }
    let node = match file.object() {
        FileObject::Memory(MemDevice::Zero) => return Ok(None),
        FileObject::Node(node) => node,
        _ => return Err(Errno::ENODEV),
    };
    let wants = shared && maximum.contains(Protection::WRITE);
    let object = match Object::file(node.path(), node.inode(), wants) {
        // Sealed against writing: it can be mapped for reading still.
        Err(Errno::EPERM) if !writes => {
            maximum -= Protection::WRITE;
            Object::file(node.path(), node.inode(), false)?
        }
        object => object?,
    };
    let offset = (offset / PAGE_SIZE) as u64;
    Ok(Some(Backing { object, offset, maximum, flags: VmaFlags::empty() }))
}

/// Flags that `MAP_SHARED_VALIDATE` knows.
const KNOWN: MapFlags = MapFlags::all().difference(MapFlags::SYNC);

/// Makes a file of memory without a name.
///
/// # Errors
/// - `EINVAL`: unknown flags, both `MFD_EXEC` and `MFD_NOEXEC_SEAL`, or a name over 249 bytes.
/// - `EFAULT`: the name is not readable.
/// - `EMFILE`: no descriptor is free.
///
/// Source: memfd_create(2)
fn memfd_create(thread: &Thread, name: UserPtr<u8>, flags: u32) -> Result<usize> {
    let flags = MemfdFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.contains(MemfdFlags::EXEC | MemfdFlags::NOEXEC_SEAL) {
        return Err(Errno::EINVAL);
    }
    let text = thread.read_string(name, 249).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Errno::EINVAL,
        errno => errno,
    })?;
    let mut name = b"/memfd:".to_vec();
    name.extend_from_slice(&text);
    let sealing = if flags.contains(MemfdFlags::NOEXEC_SEAL) {
        AllowSealing::NoExecute
    } else if flags.contains(MemfdFlags::ALLOW_SEALING) {
        AllowSealing::Yes
    } else {
        AllowSealing::No
    };
    let node = thread.system.memory_files.create(&name, sealing, &thread.caller())?;
    let mut mode = OpenFlags::READ_WRITE | OpenFlags::LARGE_FILE;
    mode.set(OpenFlags::CLOSE_ON_EXEC, flags.contains(MemfdFlags::CLOEXEC));
    let path = node.path().clone();
    thread.install(File::new(FileObject::Node(node), mode, path), mode)
}

/// Makes a mapping's pages present, at once if they are few; failures do not matter to the call,
/// whose result is `result`.
pub(super) fn populate<'a>(
    thread: &Thread,
    mut range: Range<VirtAddr>,
    purpose: Purpose,
    result: usize,
) -> Outcome<'a> {
    for _ in 0..BATCHES_AT_ONCE {
        if range.is_empty() || thread.memory.populate_some(&mut range, purpose).is_err() {
            return Outcome::Done(result);
        }
    }
    let memory = Arc::clone(&thread.memory);
    Outcome::Wait(Box::pin(async move {
        populate_rest(&memory, range, purpose).await;
        Ok(result)
    }))
}

/// Makes pages present until one cannot be, yielding to others in between.
pub(super) async fn populate_rest(memory: &Memory, mut range: Range<VirtAddr>, purpose: Purpose) {
    while !range.is_empty() && memory.populate_some(&mut range, purpose).is_ok() {
        executor::yield_now().await;
    }
}

/// Unmaps memory.
///
/// # Errors
/// Those of [`Memory::unmap`].
///
/// Source: munmap(2)
fn munmap(thread: &Thread, at: VirtAddr, len: usize) -> Result<Outcome<'_>> {
    if thread.memory.is_large(len) && thread.memory.can_unmap(at, len) {
        return Ok(Outcome::Wait(Box::pin(async move {
            thread.memory.release_slowly(at..at + len).await;
            thread.memory.unmap(at, len).map(|()| 0)
        })));
    }
    thread.memory.unmap(at, len).map(|()| Outcome::Done(0))
}

/// Changes the rights of a range.
///
/// # Errors
/// Those of [`Memory::protect`].
///
/// Source: mprotect(2)
fn mprotect(thread: &Thread, at: VirtAddr, len: usize, prot: u32) -> Result<()> {
    thread.memory.protect(at, len, Prot::from_bits_retain(prot))
}

/// Moves the end of the heap and returns it; the old end if it cannot be moved.
///
/// Source: brk(2)
fn brk(thread: &Thread, end: VirtAddr) -> Result<Outcome<'_>> {
    let (end, added) = thread.memory.set_break(end);
    match added {
        Some(range) => Ok(populate(thread, range, Purpose::Mapping, end.get())),
        None => Ok(Outcome::Done(end.get())),
    }
}

/// Resizes or moves a mapping.
///
/// # Errors
/// Those of [`Memory::remap`]; `EINVAL` for unknown flags.
///
/// Source: mremap(2)
fn mremap(
    thread: &Thread,
    at: VirtAddr,
    old_len: usize,
    new_len: usize,
    flags: u32,
    to: VirtAddr,
) -> Result<Outcome<'_>> {
    let flags = RemapFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let may_lock_all = thread.credentials.has(Capabilities::IPC_LOCK);
    let request = RemapRequest { at, old_len, new_len, flags, to, may_lock_all };
    let remapped = thread.memory.remap(&request)?;
    let start = remapped.at.get();
    match remapped.populate {
        Some(range) => Ok(populate(thread, range, Purpose::Mapping, start)),
        None => Ok(Outcome::Done(start)),
    }
}
