//! `/proc/PID/task` and `/proc/PID/task/TID/children`.

use super::{entry, full, target::Target};
use abi::{Errno, Pid, Result};
use alloc::sync::Arc;
use core::fmt;
use fs::{
    Caller, Kind,
    generated::{Body, Listed, Listing, Node, Tree},
};

struct Threads(Target);

impl Listing for Threads {
    fn find(&self, name: &[u8], _caller: &Caller<'_>) -> Result<Node> {
        let number = entry::parse_number(name).and_then(Pid::new).ok_or(Errno::ENOENT)?;
        let process = self.0.process().map_err(|_| Errno::ENOENT)?;
        let threads = process.live_threads();
        let main_of_zombie = threads.is_empty() && number == process.pid;
        if !main_of_zombie && !threads.iter().any(|thread| thread.tid() == number) {
            return Err(Errno::ENOENT);
        }
        Ok(entry::directory(Target { tid: Some(number), ..self.0 }))
    }

    fn next(&self, position: u64, _caller: &Caller<'_>) -> Result<Option<Listed>> {
        let process = self.0.process()?;
        let threads = process.live_threads();
        let numbers = threads.iter().map(|thread| thread.tid().get());
        let zombie = threads.is_empty().then_some(process.pid.get());
        let next = numbers.chain(zombie).filter(|tid| u64::from(*tid) >= position).min();
        Ok(next.map(|tid| Listed {
            name: entry::number_name(tid),
            kind: Kind::Directory,
            number: u64::from(tid) << 16 | 0xffff,
            position: u64::from(tid),
        }))
    }
}

/// `/proc/PID/task`.
pub(super) fn directory(target: Target) -> Body {
    let target = match target.process() {
        // It may have been asked for by the number of a thread.
        Ok(process) => Target { pid: process.pid, ..target },
        Err(_) => target,
    };
    Body::Directory(Tree::listing(Threads(target)))
}

/// `/proc/PID/task/TID/children`: all children are the main thread's.
pub(super) fn children(
    target: &Target,
    out: &mut dyn fmt::Write,
    _caller: &Caller<'_>,
) -> Result<()> {
    let process = target.process()?;
    if target.number() != process.pid {
        return Ok(());
    }
    let children =
        process.family.lock().children.iter().map(Arc::clone).collect::<alloc::vec::Vec<_>>();
    children.iter().try_for_each(|child| write!(out, "{} ", child.pid.get())).map_err(full)
}
