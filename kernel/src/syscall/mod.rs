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
mod kill;
mod limits;
mod madvise;
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
mod stat;
mod sync;
mod syslog;
mod system;
mod thread;
mod time;
mod timer;
pub(crate) mod trace;
mod xattr;

use core::sync::atomic::{AtomicU64, Ordering};

pub use args::{Args, FromArg, Kind, UserPtr};
pub use futex::FutexWait;
pub(crate) use prctl::DEFAULT_SLACK_NS;
pub use row::{Argument, Handler, IntoOutcome, Outcome, Row, Support};

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
    kill::ROWS,
    limits::ROWS,
    madvise::ROWS,
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
    stat::ROWS,
    sync::ROWS,
    syslog::ROWS,
    system::ROWS,
    thread::ROWS,
    time::ROWS,
    timer::ROWS,
    xattr::ROWS,
];

/// Rows by their numbers.
pub struct Table([Option<&'static Row>; NUMBERS]);

impl core::fmt::Debug for Table {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Table({} calls)", self.0.iter().flatten().count())
    }
}

/// Every call by its number.
static TABLE: Table = Table(by_number(FAMILIES));

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

/// A table without rows, for threads whose calls take the long way, past [`trace::call`].
static NO_ROWS: Table = Table([None; NUMBERS]);

/// What a thread finds its calls in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// They are carried out.
    Plain,
    /// A line is written about each, too.
    Traced,
}

impl Calls {
    /// The table a thread looks its calls up in.
    pub const fn table(self) -> &'static Table {
        match self {
            Self::Plain => &TABLE,
            Self::Traced => &NO_ROWS,
        }
    }
}

impl Table {
    /// The row of call `number`; `None` if it has to be looked at with [`trace::call`].
    pub fn find(&self, number: usize) -> Option<&'static Row> {
        self.0.get(number).copied().flatten()
    }
}

/// The row of call `number`; `None` means `ENOSYS`.
pub fn lookup(number: usize) -> Option<&'static Row> {
    TABLE.find(number)
}

/// Whether nobody has called `number` before; for reporting a call that there is not.
pub fn first_time_unknown(number: usize) -> bool {
    static SEEN: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];
    SEEN.get(number / 64).is_some_and(|word| {
        let bit = 1 << (number % 64);
        word.fetch_or(bit, Ordering::Relaxed) & bit == 0
    })
}

/// All rows in the order of their numbers.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.0.iter().filter_map(|row| *row)
}

#[cfg(test)]
mod tests {
    use super::{lookup, rows};

    /// The calls that programs are known to need, as ranges of numbers.
    const NEEDED: &[(usize, usize)] = &[
        (0, 100),
        (102, 133),
        (135, 135),
        (137, 138),
        (140, 152),
        (157, 158),
        (160, 162),
        (164, 166),
        (169, 171),
        (186, 187),
        (200, 204),
        (213, 213),
        (217, 235),
        (247, 247),
        (253, 255),
        (257, 271),
        (273, 278),
        (280, 297),
        (299, 299),
        (302, 302),
        (306, 307),
        (309, 309),
        (314, 316),
        (318, 319),
        (322, 322),
        (324, 328),
        (332, 332),
        (424, 424),
        (434, 436),
        (439, 439),
        (441, 441),
    ];

    /// Those of them that there are not yet: System V IPC, sockets, mounts, splicing, inotify,
    /// flock, sync and their like. A row for one of them is taken out here.
    const MISSING: &[(usize, usize)] = &[
        (29, 31),
        (40, 55),
        (64, 71),
        (73, 75),
        (103, 103),
        (162, 162),
        (165, 166),
        (187, 187),
        (220, 221),
        (253, 255),
        (275, 278),
        (285, 285),
        (288, 288),
        (294, 294),
        (299, 299),
        (306, 307),
        (326, 326),
    ];

    #[test]
    fn every_needed_call_has_a_row_or_is_known_to_be_missing() {
        let missing = |number| MISSING.iter().any(|(low, high)| (*low..=*high).contains(&number));
        for number in NEEDED.iter().flat_map(|(low, high)| *low..=*high) {
            assert!(lookup(number).is_some() || missing(number), "no row for call {number}");
        }
    }

    #[test]
    fn rows_are_complete() {
        for row in rows() {
            assert!(row.arguments.len() <= 6, "{}", row.name);
            assert_eq!(row.gaps.is_empty(), row.support == super::Support::Full, "{}", row.name);
        }
        assert!(lookup(usize::MAX).is_none());
    }
}
