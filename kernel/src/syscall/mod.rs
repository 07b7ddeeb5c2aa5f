//! The system call table as data: number, name, arguments, handler, support, gaps.
//!
//! One file for each family of man pages; each has its `ROWS`, and [`TABLE`] is made of them when
//! the kernel is compiled. A row reads `row!(39 "getpid" () => process::getpid, Full)`.

mod args;
mod clone;
mod cred;
mod descriptor;
mod directory;
mod epoll;
mod execve;
mod exit;
mod futex;
mod group;
mod identity;
mod inotify;
mod ioctl;
mod ioprio;
mod kill;
mod limits;
mod madvise;
mod message;
mod mlock;
mod mmap;
mod mount;
mod open;
#[cfg(test)]
mod page;
mod path;
mod pidfd;
mod poll;
mod prctl;
mod read;
mod row;
mod sched;
mod sendfile;
mod sigaction;
mod socket;
mod stat;
mod sync;
mod syslog;
mod system;
mod thread;
mod time;
mod timer;
pub(crate) mod trace;
mod xattr;

use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

pub use args::{FromArg, Kind, UserPtr, argument};
pub use futex::FutexWait;
pub(crate) use prctl::DEFAULT_SLACK_NS;
pub use row::{Answer, Argument, Handler, Outcome, Row, Support, Wait, fail};

pub(crate) use read::segments;
pub(crate) use row::row;

/// One more than the highest number a row may have.
const NUMBERS: usize = 512;

/// The rows, family by family.
const FAMILIES: &[&[Row]] = &[
    clone::ROWS,
    cred::ROWS,
    descriptor::ROWS,
    directory::ROWS,
    epoll::ROWS,
    execve::ROWS,
    exit::ROWS,
    futex::ROWS,
    group::ROWS,
    identity::ROWS,
    inotify::ROWS,
    ioctl::ROWS,
    ioprio::ROWS,
    kill::ROWS,
    limits::ROWS,
    madvise::ROWS,
    message::ROWS,
    mlock::ROWS,
    mmap::ROWS,
    mount::ROWS,
    open::ROWS,
    path::ROWS,
    pidfd::ROWS,
    poll::ROWS,
    prctl::ROWS,
    read::ROWS,
    sched::ROWS,
    sendfile::ROWS,
    sigaction::ROWS,
    socket::ROWS,
    stat::ROWS,
    sync::ROWS,
    syslog::ROWS,
    system::ROWS,
    thread::ROWS,
    time::ROWS,
    timer::ROWS,
    xattr::ROWS,
];

/// Every row by its number.
static ROWS: [Option<&Row>; NUMBERS] = by_number(FAMILIES);

const fn by_number(families: &'static [&'static [Row]]) -> [Option<&'static Row>; NUMBERS] {
    let mut table: [Option<&Row>; NUMBERS] = [None; NUMBERS];
    let mut family = 0;
    while family < families.len() {
        let rows = families[family];
        let mut index = 0;
        while index < rows.len() {
            let number = rows[index].number as usize;
            assert!(table[number].is_none(), "two rows have the same number");
            table[number] = Some(&rows[index]);
            index += 1;
        }
        family += 1;
    }
    table
}

/// What carries out each call, by its number.
pub struct Table([Handler; NUMBERS]);

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

/// The functions of the rows.
static PLAIN: Table = {
    let mut table: [Handler; NUMBERS] = [trace::unknown; NUMBERS];
    let mut number = 0;
    while number < NUMBERS {
        if let Some(row) = ROWS[number] {
            table[number] = row.handler;
        }
        number += 1;
    }
    Table(table)
};

/// Each call takes the long way.
static TRACED: Table = Table([trace::call; NUMBERS]);

/// How a thread's calls are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Just so.
    Plain,
    /// A line is written about each, too.
    Traced,
}

impl Calls {
    /// The table a thread looks its calls up in.
    pub const fn table(self) -> &'static Table {
        match self {
            Self::Plain => &PLAIN,
            Self::Traced => &TRACED,
        }
    }
}

impl Table {
    /// What carries out call `number`.
    #[inline]
    pub fn find(&self, number: usize) -> Handler {
        self.0.get(number).copied().unwrap_or(trace::unknown)
    }
}

/// The row of call `number`; `None` means `ENOSYS`.
pub fn lookup(number: usize) -> Option<&'static Row> {
    ROWS.get(number).copied().flatten()
}

/// Whether nobody has called `number` before; for reporting a call that there is not.
fn first_time_unknown(number: usize) -> bool {
    static SEEN: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];
    SEEN.get(number / 64).is_some_and(|word| {
        let bit = 1 << (number % 64);
        word.fetch_or(bit, Ordering::Relaxed) & bit == 0
    })
}

/// All rows in the order of their numbers.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter_map(|row| *row)
}

#[cfg(test)]
mod tests {
    use super::{lookup, rows};

    #[test]
    fn rows_are_complete() {
        for row in rows() {
            assert!(row.arguments.len() <= 6, "{}", row.name);
            assert_eq!(row.gaps.is_empty(), row.support == super::Support::Full, "{}", row.name);
        }
        assert!(lookup(usize::MAX).is_none());
    }
}
