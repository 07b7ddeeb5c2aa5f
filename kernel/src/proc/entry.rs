//! The files of a process: one row for each, made when it is looked up.

use super::{
    Shown, arguments, descriptor, link, maps, mounts, sched, settings, stat, status,
    target::Target, thread_list,
};
use abi::{Errno, Result};
use alloc::{sync::Arc, vec::Vec};
use core::fmt;
use fs::{
    Caller, Kind,
    generated::{Body, Listed, Listing, Node, Tree},
};

/// Writes a file.
type Show = fn(&Target, &mut dyn fmt::Write, &Caller<'_>) -> Result<()>;

/// What makes the file of a row.
enum Make {
    /// Text for everybody.
    Text(Show),
    /// Text for those who may look into the process.
    Private(Show),
    /// Anything else.
    Body(Kind, fn(Target) -> Body),
}

/// Where a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    /// `/proc/PID` and `/proc/PID/task/TID`.
    Both,
    /// `/proc/PID` alone.
    Process,
    /// `/proc/PID/task/TID` alone.
    Thread,
}

struct Row {
    name: &'static str,
    mode: u32,
    place: In,
    make: Make,
}

const fn row(name: &'static str, mode: u32, make: Make) -> Row {
    Row { name, mode, place: In::Both, make }
}

const TABLE: &[Row] = &[
    Row {
        place: In::Process,
        ..row("task", 0o555, Make::Body(Kind::Directory, thread_list::directory))
    },
    row("fd", 0o500, Make::Body(Kind::Directory, descriptor::links)),
    row("fdinfo", 0o555, Make::Body(Kind::Directory, descriptor::infos)),
    row("environ", 0o400, Make::Body(Kind::Regular, arguments::environment)),
    row("auxv", 0o400, Make::Body(Kind::Regular, arguments::auxiliary)),
    row("status", 0o444, Make::Text(status::show)),
    row("personality", 0o400, Make::Private(settings::personality)),
    row("limits", 0o444, Make::Text(settings::limits)),
    row("sched", 0o644, Make::Text(sched::show)),
    row("comm", 0o644, Make::Body(Kind::Regular, arguments::name)),
    row("cmdline", 0o444, Make::Body(Kind::Regular, arguments::command_line)),
    row("stat", 0o444, Make::Text(stat::show)),
    row("statm", 0o444, Make::Text(stat::show_memory)),
    row("maps", 0o444, Make::Private(maps::show)),
    row("mem", 0o600, Make::Body(Kind::Regular, maps::memory_file)),
    row("cwd", 0o777, Make::Body(Kind::Symlink, link::working_directory)),
    row("root", 0o777, Make::Body(Kind::Symlink, link::root)),
    row("exe", 0o777, Make::Body(Kind::Symlink, link::program)),
    row("mounts", 0o444, Make::Text(mounts::mounts)),
    row("mountinfo", 0o444, Make::Text(mounts::mountinfo)),
    Row { place: In::Process, ..row("mountstats", 0o400, Make::Text(mounts::mountstats)) },
    row("smaps", 0o444, Make::Private(maps::show_sizes)),
    Row { place: In::Process, ..row("smaps_rollup", 0o444, Make::Private(maps::show_sums)) },
    row("cgroup", 0o444, Make::Text(settings::control_group)),
    row("wchan", 0o444, Make::Text(sched::wait_channel)),
    row("oom_score", 0o444, Make::Text(settings::oom_score)),
    row("oom_score_adj", 0o644, Make::Body(Kind::Regular, settings::oom_score_adjustment)),
    Row { place: In::Thread, ..row("children", 0o444, Make::Text(thread_list::children)) },
];

/// The directory of a process or thread.
pub(super) struct Files(pub(super) Target);

/// Inode numbers: the process's number, then the row's.
fn number(target: &Target, index: usize) -> u64 {
    (u64::from(target.number().get()) << 16) | (index as u64 + 1)
}

impl Files {
    fn is_here(&self, row: &Row) -> bool {
        match row.place {
            In::Both => true,
            In::Process => self.0.tid.is_none(),
            In::Thread => self.0.tid.is_some(),
        }
    }
}

impl Listing for Files {
    fn find(&self, name: &[u8], _caller: &Caller<'_>) -> Result<Node> {
        let target = self.0;
        let found = TABLE.iter().position(|row| row.name.as_bytes() == name && self.is_here(row));
        let index = found.ok_or(Errno::ENOENT)?;
        // A directory that is held open may be of a process that is gone.
        target.process().map_err(|_| Errno::ENOENT)?;
        let row = &TABLE[index];
        let body = match row.make {
            Make::Text(show) => text(target, show),
            Make::Private(show) => {
                Body::File(Arc::new(Shown(move |out: &mut dyn fmt::Write, caller: &Caller<'_>| {
                    target.check_access(caller)?;
                    show(&target, out, caller)
                })))
            }
            Make::Body(_, make) => make(target),
        };
        let (uid, gid) = target.owner();
        Ok(Node::new(body).mode(row.mode).owner(uid, gid).number(number(&target, index)))
    }

    fn next(&self, position: u64, _caller: &Caller<'_>) -> Result<Option<Listed>> {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let rows = TABLE.iter().enumerate().skip(start);
        let Some((index, row)) = rows.into_iter().find(|(_, row)| self.is_here(row)) else {
            return Ok(None);
        };
        let kind = match row.make {
            Make::Body(kind, _) => kind,
            _ => Kind::Regular,
        };
        let number = number(&self.0, index);
        Ok(Some(Listed { name: row.name.into(), kind, number, position: index as u64 }))
    }
}

/// A file of text about `target`.
pub(super) fn text(target: Target, show: Show) -> Body {
    let shown = move |out: &mut dyn fmt::Write, caller: &Caller<'_>| show(&target, out, caller);
    Body::File(Arc::new(Shown(shown)))
}

/// The directory of a process or thread.
pub(super) fn directory(target: Target) -> Node {
    let (uid, gid) = match target.credentials() {
        Ok(credentials) => (credentials.euid, credentials.egid),
        Err(_) => (0, 0),
    };
    let number = u64::from(target.number().get()) << 16 | 0xffff;
    Node::new(Body::Directory(Tree::listing(Files(target)))).owner(uid, gid).number(number)
}

/// A directory's name as a number, written as Linux accepts it: no sign, no leading zero.
pub(super) fn parse_number(name: &[u8]) -> Option<i32> {
    let canonical = name == b"0" || name.first().is_some_and(|byte| matches!(byte, b'1'..=b'9'));
    let digits = name.iter().all(u8::is_ascii_digit);
    if canonical && digits { core::str::from_utf8(name).ok()?.parse().ok() } else { None }
}

/// A number as a directory's name.
pub(super) fn number_name(number: u32) -> Vec<u8> {
    alloc::format!("{number}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::parse_number;

    #[test]
    fn numbers_have_one_name() {
        assert_eq!(parse_number(b"0"), Some(0));
        assert_eq!(parse_number(b"42"), Some(42));
        for bad in [&b""[..], b"042", b"+1", b"-1", b"1a", b"99999999999"] {
            assert_eq!(parse_number(bad), None, "{bad:?}");
        }
    }
}
