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
mod ioctl;
mod kill;
mod limits;
mod madvise;
mod mlock;
mod mmap;
mod mount;
mod open;
mod path;
mod pidfd;
mod poll;
mod prctl;
mod read;
mod row;
mod sched;
mod sigaction;
mod stat;
mod syslog;
mod system;
mod thread;
mod time;
mod timer;

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
    descriptor::ROWS,
    directory::ROWS,
    epoll::ROWS,
    cred::ROWS,
    execve::ROWS,
    exit::ROWS,
    futex::ROWS,
    group::ROWS,
    identity::ROWS,
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
    read::ROWS,
    prctl::ROWS,
    sched::ROWS,
    sigaction::ROWS,
    stat::ROWS,
    syslog::ROWS,
    system::ROWS,
    thread::ROWS,
    time::ROWS,
    timer::ROWS,
];

/// Every call by its number.
static TABLE: [Option<&Row>; NUMBERS] = by_number(FAMILIES);

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

/// The row of call `number`; `None` means `ENOSYS`.
pub fn lookup(number: usize) -> Option<&'static Row> {
    TABLE.get(number).copied().flatten()
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
    TABLE.iter().filter_map(|row| *row)
}
