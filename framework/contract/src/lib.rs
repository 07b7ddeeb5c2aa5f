//! What the framework promises to what is above it, as a trace that both targets must print.
//!
//! Each case uses the public interface and says what it saw, in values that depend on nothing but
//! the promise. The trace of the library OS and that of the bare machine are compared line by line
//! (`jinux test --suite contract`); here, the tests check what can be said of a trace by itself.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod copies;
mod frames;
mod programs;
mod spaces;
mod time;

use core::fmt;

/// Where a case tells what it saw, a line at a time.
pub type Say<'a> = dyn FnMut(fmt::Arguments<'_>) + 'a;

/// A part of the promise.
type Case = (&'static str, fn(&mut Say<'_>));

const CASES: &[Case] = &[
    ("frames", frames::run),
    ("spaces", spaces::run),
    ("copies", copies::run),
    ("programs", programs::run),
    ("time", time::run),
];

/// Runs every case. The first line of each is its name, the last line of all is `end`.
pub fn run(say: &mut Say<'_>) {
    for (name, case) in CASES {
        say(format_args!("# {name}"));
        case(say);
    }
    say(format_args!("end"));
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    fn trace() -> Vec<String> {
        let mut lines = Vec::new();
        super::run(&mut |line| lines.push(format!("{line}")));
        lines
    }

    #[test]
    fn the_trace_is_whole_and_always_the_same() {
        let first = trace();
        assert_eq!(first.last().map(String::as_str), Some("end"));
        assert!(first.len() > 60, "{} lines", first.len());
        assert_eq!(first, trace());
    }
}
