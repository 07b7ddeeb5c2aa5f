//! execve(2), execveat(2).

use super::{Row, UserPtr, row};
use crate::{
    memory::elf::Arguments,
    thread::{self, Start, Thread},
};
use abi::{Errno, Fd, Result};
use alloc::{boxed::Box, format, vec::Vec};
use framework::VirtAddr;
use fs::{LookupFlags, Path};
use futures_util::future::BoxFuture;

pub(super) const ROWS: &[Row] = &[
    row!(async 59 "execve" (path: UserPtr<u8>, argv: Option<UserPtr<usize>>,
        envp: Option<UserPtr<usize>>) => execve, Full),
    row!(async 322 "execveat" (dir: Fd, path: UserPtr<u8>, argv: Option<UserPtr<usize>>,
        envp: Option<UserPtr<usize>>, flags: u32) => execveat, Full),
];

/// The longest single string of an argument, its NUL included (`MAX_ARG_STRLEN`).
const STRING_MAX: usize = 128 << 10;

/// Replaces the program of the process.
///
/// # Errors
/// Those of [`thread::find`] and [`thread::exec`], and:
/// - `EFAULT`: a pointer is bad.
/// - `E2BIG`: too many or too long strings.
///
/// Source: execve(2)
fn execve(
    thread: &mut Thread,
    path: UserPtr<u8>,
    argv: Option<UserPtr<usize>>,
    envp: Option<UserPtr<usize>>,
) -> BoxFuture<'_, Result<usize>> {
    Box::pin(async move {
        let path = thread.read_path(path)?;
        let base = thread.fs.places().cwd;
        let file_name = path.clone();
        let start = Start { base, path, flags: LookupFlags::FOLLOW, file_name };
        replace_program(thread, start, argv, envp).await
    })
}

/// Like execve, with a path relative to a directory, or the file behind a descriptor.
///
/// # Errors
/// As execve, and:
/// - `EINVAL`: unknown flags.
/// - `EBADF`, `ENOTDIR`: `dir` is no directory and the path is relative.
///
/// Source: execveat(2)
fn execveat(
    thread: &mut Thread,
    dir: Fd,
    path: UserPtr<u8>,
    argv: Option<UserPtr<usize>>,
    envp: Option<UserPtr<usize>>,
    flags: u32,
) -> BoxFuture<'_, Result<usize>> {
    Box::pin(async move {
        let start = start_at(thread, dir, path, flags)?;
        replace_program(thread, start, argv, envp).await
    })
}

fn start_at(thread: &Thread, dir: Fd, path: UserPtr<u8>, flags: u32) -> Result<Start> {
    const NO_FOLLOW: u32 = 0x100;
    const EMPTY_PATH: u32 = 0x1000;
    if flags & !(NO_FOLLOW | EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = thread.read_path(path)?;
    let base =
        if path.first() == Some(&b'/') { thread.fs.places().cwd } else { base(thread, dir)? };
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & NO_FOLLOW == 0);
    lookup.set(LookupFlags::EMPTY_PATH, flags & EMPTY_PATH != 0);
    let file_name = if path.first() == Some(&b'/') || dir == Fd::CWD {
        path.clone()
    } else if path.is_empty() {
        format!("/dev/fd/{}", dir.0).into_bytes()
    } else {
        let mut name = format!("/dev/fd/{}/", dir.0).into_bytes();
        name.extend_from_slice(&path);
        name
    };
    Ok(Start { base, path, flags: lookup, file_name })
}

fn base(thread: &Thread, dir: Fd) -> Result<Path> {
    if dir == Fd::CWD {
        return Ok(thread.fs.places().cwd);
    }
    Ok(thread.files.get(dir)?.path().clone())
}

async fn replace_program(
    thread: &mut Thread,
    start: Start,
    argv: Option<UserPtr<usize>>,
    envp: Option<UserPtr<usize>>,
) -> Result<usize> {
    let mut arguments = thread::no_arguments(thread);
    each_string(thread, argv, &mut arguments, Arguments::push_argument)?;
    each_string(thread, envp, &mut arguments, Arguments::push_environment)?;
    let program = thread::find(thread, start, arguments).await?;
    thread::exec(thread, &program).await
}

/// Calls `push` with each string of a list that ends with a null pointer; a null list is empty.
fn each_string(
    thread: &Thread,
    list: Option<UserPtr<usize>>,
    arguments: &mut Arguments,
    push: fn(&mut Arguments, &[u8]) -> Result<()>,
) -> Result<()> {
    let Some(list) = list else { return Ok(()) };
    for index in 0.. {
        let address = thread.read(list.nth(index)?)?;
        if address == 0 {
            break;
        }
        let string = read_string(thread, address)?;
        push(arguments, &string)?;
    }
    Ok(())
}

fn read_string(thread: &Thread, address: usize) -> Result<Vec<u8>> {
    let at = UserPtr::new(VirtAddr::new(address));
    thread.read_string(at, STRING_MAX - 1).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Errno::E2BIG,
        other => other,
    })
}
