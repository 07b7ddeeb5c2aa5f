//! `/proc/PID/fd` and `/proc/PID/fdinfo`: open files.

use super::{Shown, entry, full, target::Target};
use crate::file::{FdTable, File};
use abi::{Errno, Fd, Result};
use alloc::{sync::Arc, vec::Vec};
use core::fmt;
use fs::{
    Caller, Kind, MagicLink, OpenFlags, Path, Whence,
    generated::{Body, Listed, Listing, Node, Tree},
};

/// Which of the two directories it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Links,
    Infos,
}

struct Descriptors {
    target: Target,
    what: What,
}

/// `/proc/PID/fd`.
pub(super) fn links(target: Target) -> Body {
    Body::Directory(Tree::listing(Descriptors { target, what: What::Links }))
}

/// `/proc/PID/fdinfo`.
pub(super) fn infos(target: Target) -> Body {
    Body::Directory(Tree::listing(Descriptors { target, what: What::Infos }))
}

fn table(target: &Target) -> Option<Arc<FdTable>> {
    let thread = target.thread()?;
    let view = thread.view.lock();
    view.files.clone()
}

fn file(target: &Target, fd: Fd) -> Result<Arc<File>> {
    table(target).ok_or(Errno::ENOENT)?.get(fd).map_err(|_| Errno::ENOENT)
}

fn number(target: &Target, fd: u64, what: What) -> u64 {
    let what = u64::from(what == What::Infos);
    u64::from(target.number().get()) << 32 | (fd + 1) << 17 | what << 16
}

impl Listing for Descriptors {
    fn find(&self, name: &[u8], caller: &Caller<'_>) -> Result<Node> {
        let fd = Fd(entry::parse_number(name).ok_or(Errno::ENOENT)?);
        let target = self.target;
        target.check_access(caller)?;
        let file = file(&target, fd)?;
        let (uid, gid) = target.owner();
        let number = number(&target, u64::from(fd.0.unsigned_abs()), self.what);
        let node = match self.what {
            What::Links => {
                let flags = file.flags();
                // The owner's bits show what it is open for.
                let mut mode = 0o100;
                mode |= if flags.readable() { 0o400 } else { 0 };
                mode |= if flags.writable() { 0o200 } else { 0 };
                Node::new(Body::MagicLink(Arc::new(Link { target, fd }))).mode(mode)
            }
            What::Infos => {
                let shown = move |out: &mut dyn fmt::Write, caller: &Caller<'_>| {
                    target.check_access(caller)?;
                    show(&target, fd, out)
                };
                Node::new(Body::File(Arc::new(Shown(shown)))).mode(0o444)
            }
        };
        Ok(node.owner(uid, gid).number(number))
    }

    fn next(&self, position: u64, caller: &Caller<'_>) -> Result<Option<Listed>> {
        self.target.check_access(caller)?;
        let Some(table) = table(&self.target) else { return Ok(None) };
        let from = usize::try_from(position).unwrap_or(usize::MAX);
        let Some((fd, _)) = table.list(from, 1).pop() else { return Ok(None) };
        let fd = fd.0.unsigned_abs();
        let kind = if self.what == What::Links { Kind::Symlink } else { Kind::Regular };
        Ok(Some(Listed {
            name: entry::number_name(fd),
            kind,
            number: number(&self.target, u64::from(fd), self.what),
            position: u64::from(fd),
        }))
    }
}

struct Link {
    target: Target,
    fd: Fd,
}

impl Link {
    fn place(&self, caller: &Caller<'_>) -> Result<Path> {
        self.target.check_access(caller)?;
        Ok(file(&self.target, self.fd)?.path().clone())
    }
}

impl MagicLink for Link {
    fn text(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        let place = self.place(caller)?;
        let thread = self.target.thread().ok_or(Errno::ENOENT)?;
        let context = thread.view.lock().fs.clone().ok_or(Errno::ENOENT)?;
        Ok(place.display(&context.places().root))
    }

    fn jump(&self, caller: &Caller<'_>) -> Option<Result<Path>> {
        Some(self.place(caller))
    }
}

/// `/proc/PID/fdinfo/FD`.
///
/// Source: proc_pid_fdinfo(5)
fn show(target: &Target, fd: Fd, out: &mut dyn fmt::Write) -> Result<()> {
    let table = table(target).ok_or(Errno::ENOENT)?;
    let file = table.get(fd).map_err(|_| Errno::ENOENT)?;
    let mut flags = file.flags().bits();
    if table.is_close_on_exec(fd).unwrap_or(false) {
        flags |= OpenFlags::CLOSE_ON_EXEC.bits();
    }
    let position = file.seek(0, Whence::Current).unwrap_or(0);
    let path = file.path();
    let number = path.inode().map_or(0, |inode| inode.number());
    write!(out, "pos:\t{position}\nflags:\t0{flags:o}\n")
        .and_then(|()| write!(out, "mnt_id:\t{}\nino:\t{number}\n", path.mount().id()))
        .map_err(full)
}
