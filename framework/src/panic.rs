//! What a panic prints: the message, a symbolised backtrace, and what the kernel adds.

use core::fmt;

/// Sets what is printed after the backtrace (a list of tasks); it must take no lock it may find
/// held.
pub fn set_report(report: fn(&mut dyn fmt::Write)) {
    crate::machine::panic::set_report(report);
}
