//! From a path to a program: permissions, `#!` lines, the interpreter.

use super::Program;
use crate::{
    memory::elf::{Arguments, Executable},
    process::Resource,
    thread::Thread,
};
use abi::{Errno, Result};
use alloc::{sync::Arc, vec::Vec};
use framework::PAGE_SIZE;
use fs::{Access, Caller, Inode, Kind, LookupFlags, MountFlags, Path, Walk, mode};

/// How many `#!` lines are followed (`BINPRM_MAX_RECURSION` and the first file).
const MAX_SCRIPTS: usize = 5;
/// Bytes of a file that are looked at for a `#!` line.
const LINE_MAX: usize = 256;

/// A file that may be executed.
struct Found {
    path: Path,
    inode: Arc<Inode>,
}

/// Where a search begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// What a relative path starts from.
    pub base: Path,
    /// The path; empty for the base itself, with `EMPTY_PATH`.
    pub path: Vec<u8>,
    /// How it is looked up.
    pub flags: LookupFlags,
    /// What the program is told it was called by.
    pub file_name: Vec<u8>,
}

/// Finds and reads a program. Follows `#!` lines, whose interpreters' paths and arguments go in
/// front of `arguments`.
///
/// # Errors
/// - `EACCES`: no regular file, not executable, or on a `noexec` mount.
/// - `ENOEXEC`: no program.
/// - `ELOOP`: too many `#!` lines.
/// - those of [`Walk::resolve`] and [`Executable::open`].
///
/// Source: execve(2)
pub async fn find(thread: &Thread, start: Start, mut arguments: Arguments) -> Result<Program> {
    let mut found = resolve(thread, &start.base, &start.path, start.flags).await?;
    let mut name = start.file_name.clone();
    for _ in 0..MAX_SCRIPTS {
        let mut head = [0; LINE_MAX];
        let len = attempt(thread, |caller| read_at(&found, 0, &mut head, caller)).await?;
        let Some(line) = parse_script(&head[..len])? else {
            return load(thread, found, arguments, start.file_name).await;
        };
        let interpreter = line.interpreter.to_vec();
        let mut strings = alloc::vec![&interpreter[..]];
        strings.extend(line.argument);
        strings.push(&name);
        arguments.replace_first(&strings)?;
        let cwd = thread.fs.places().cwd;
        found = resolve(thread, &cwd, &interpreter, LookupFlags::FOLLOW).await?;
        name = interpreter;
    }
    Err(Errno::ELOOP)
}

/// Empty arguments under the process's limit.
pub fn no_arguments(thread: &Thread) -> Arguments {
    Arguments::new(thread.process().limit(Resource::Stack))
}

/// Reads the headers of the program and of its interpreter.
async fn load(
    thread: &Thread,
    found: Found,
    arguments: Arguments,
    file_name: Vec<u8>,
) -> Result<Program> {
    let executable = read_image(thread, &found).await?;
    let interpreter = match &executable.image.interpreter {
        None => None,
        Some(path) => {
            let cwd = thread.fs.places().cwd;
            let found = resolve(thread, &cwd, path, LookupFlags::FOLLOW).await?;
            Some(read_image(thread, &found).await?)
        }
    };
    let set_ids = set_ids(&found);
    Ok(Program { executable, interpreter, arguments, file_name, set_ids })
}

async fn read_image(thread: &Thread, found: &Found) -> Result<Executable> {
    attempt(thread, |caller| {
        // The headers are in the first page of every program there is; it comes from the disk here.
        found.inode.pages().ok_or(Errno::EACCES)?.get(0, caller)?;
        Executable::open(&found.path, &found.inode)
    })
    .await
}

/// Runs `operation` again after each miss of a cache.
async fn attempt<T>(
    thread: &Thread,
    mut operation: impl FnMut(&Caller<'_>) -> Result<T>,
) -> Result<T> {
    loop {
        let miss = {
            let caller = thread.caller();
            match operation(&caller) {
                Err(Errno::MISS) => caller.take_miss().ok_or(Errno::EIO)?,
                result => return result,
            }
        };
        miss.await?;
    }
}

/// Finds a file and checks that it may be executed.
async fn resolve(thread: &Thread, base: &Path, path: &[u8], flags: LookupFlags) -> Result<Found> {
    attempt(thread, |caller| {
        let places = thread.fs.places();
        let walk = Walk { caller, root: &places.root, umask: places.umask };
        let path = walk.resolve(base, path, flags)?;
        let inode = Arc::clone(path.inode()?);
        if inode.kind() == Kind::Symlink {
            return Err(Errno::ELOOP);
        }
        let no_exec = path.mount().flags().contains(MountFlags::NO_EXECUTE);
        if inode.kind() != Kind::Regular || no_exec {
            return Err(Errno::EACCES);
        }
        path.permit(Access::EXECUTE, caller)?;
        Ok(Found { path, inode })
    })
    .await
}

/// Reads bytes of a file; fewer only at the end.
fn read_at(found: &Found, offset: u64, to: &mut [u8], caller: &Caller<'_>) -> Result<usize> {
    let cache = found.inode.pages().ok_or(Errno::EACCES)?;
    let left = usize::try_from(cache.size().saturating_sub(offset)).unwrap_or(usize::MAX);
    let len = to.len().min(left);
    let (mut at, mut rest) = (offset, &mut to[..len]);
    while !rest.is_empty() {
        let start = usize::try_from(at % PAGE_SIZE as u64).map_err(|_| Errno::EIO)?;
        let (piece, more) = rest.split_at_mut(rest.len().min(PAGE_SIZE - start));
        match cache.get(at / PAGE_SIZE as u64, caller)? {
            Some(frame) => frame.read(start, piece),
            None => piece.fill(0),
        }
        at += piece.len() as u64;
        rest = more;
    }
    Ok(len)
}

/// Owner and group a set-user-ID or set-group-ID file gives, unless its mount forbids it.
fn set_ids(found: &Found) -> (Option<u32>, Option<u32>) {
    if found.path.mount().flags().contains(MountFlags::NO_SUID) {
        return (None, None);
    }
    let bits = found.inode.mode();
    let group = mode::SET_GID | mode::GROUP_EXECUTE;
    (
        (bits & mode::SET_UID != 0).then(|| found.inode.uid()),
        // Without group execution the bit once meant mandatory locking.
        (bits & group == group).then(|| found.inode.gid()),
    )
}

/// A `#!` line.
#[derive(Debug, PartialEq, Eq)]
struct Script<'a> {
    interpreter: &'a [u8],
    /// What follows it: one argument, spaces included.
    argument: Option<&'a [u8]>,
}

/// Reads the `#!` line at the start of a file, if there is one.
///
/// # Errors
/// - `ENOEXEC`: it names no interpreter, or its name does not end in what was read.
fn parse_script(head: &[u8]) -> Result<Option<Script<'_>>> {
    let Some(rest) = head.strip_prefix(b"#!") else { return Ok(None) };
    let end = rest.iter().position(|byte| *byte == b'\n' || *byte == 0);
    let line = rest[..end.unwrap_or(rest.len())].trim_ascii();
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let split = line.iter().position(is_blank);
    if line.is_empty() || split.is_none() && end.is_none() && head.len() == LINE_MAX {
        return Err(Errno::ENOEXEC);
    }
    let (interpreter, argument) = match split {
        None => (line, None),
        Some(at) => (&line[..at], Some(line[at..].trim_ascii())),
    };
    Ok(Some(Script { interpreter, argument }))
}

#[cfg(test)]
mod tests {
    use super::{LINE_MAX, Script, parse_script};
    use abi::Errno;

    #[test]
    fn lines_split_into_interpreter_and_one_argument() {
        let of = |head| parse_script(head).unwrap();
        assert_eq!(of(b"\x7fELF"), None);
        let plain = Script { interpreter: b"/bin/sh", argument: None };
        assert_eq!(of(b"#!/bin/sh\necho"), Some(plain));
        let with = Script { interpreter: b"/usr/bin/env", argument: Some(b"python3 -u") };
        assert_eq!(of(b"#! \t/usr/bin/env  python3 -u \n"), Some(with));
        assert_eq!(parse_script(b"#!\n"), Err(Errno::ENOEXEC));
    }

    #[test]
    fn a_name_that_is_cut_off_is_refused() {
        let mut head = [b'x'; LINE_MAX];
        head[..2].copy_from_slice(b"#!");
        assert_eq!(parse_script(&head), Err(Errno::ENOEXEC));
        head[100] = b' ';
        assert!(parse_script(&head).unwrap().is_some());
    }
}
