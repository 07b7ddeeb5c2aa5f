//! System calls that take the long way: those that there are not, and those that are traced.
//!
//! A line is written to the machine's console when a call is done, as strace(1) shows it, from what
//! the table knows of the arguments:
//!
//! ```text
//!   [7] openat(dir=AT_FDCWD, path="/etc/passwd", flags=0x8000, mode=0) = 3
//!   [7] read(fd=3, buf=0x7f00f010, count=4096) = EFAULT
//! ```

use super::{Calls, FromArg, Kind, Row, Wait, argument, fail, lookup};
use crate::thread::{Thread, Work};
use abi::Errno;
use alloc::{boxed::Box, format, string::String};
use core::fmt::Write;
use framework::{VirtAddr, console};

/// How much of a string is shown.
const STRING_MAX: usize = 48;
/// Arguments that are strings, if they are addresses of bytes.
const STRINGS: &[&str] =
    &["path", "name", "old", "new", "target", "source", "kind", "new_root", "put_old"];

/// Carries out the call that `thread` makes, and writes its line.
pub(super) fn call(thread: &mut Thread) -> Wait<'_> {
    let Some(row) = lookup(thread.context.regs().rax.get()) else { return unknown(thread) };
    Some(Box::pin(async move {
        let mut line = format!("[{}] ", thread.tid().get());
        // A line in memory takes everything.
        let _ = describe(thread, row, &mut line);
        let waited = match (row.handler)(thread) {
            Some(wait) => Some(wait.await),
            None => None,
        };
        let result = waited.unwrap_or_else(|| Ok(thread.context.regs().rax.get()));
        let ends = thread.tcb.work().contains(Work::EXIT);
        let _ = match result.map(|value| (value, Errno::from_return_value(value))) {
            _ if ends => writeln!(line, " = ?"),
            Err(errno) | Ok((_, Some(errno))) => writeln!(line, " = {errno:?}"),
            Ok((value, _)) if value > 1 << 24 => writeln!(line, " = {value:#x}"),
            Ok((value, _)) => writeln!(line, " = {value}"),
        };
        console::write(line.as_bytes());
        result
    }))
}

/// A call that there is not. Each number is reported once.
#[cold]
pub(super) fn unknown(thread: &mut Thread) -> Wait<'_> {
    let number = thread.context.regs().rax.get();
    if thread.system.calls() == Calls::Traced {
        let tid = thread.tid().get();
        console::write(format!("[{tid}] syscall_{number}() = ENOSYS\n").as_bytes());
    }
    if super::first_time_unknown(number) {
        log::debug!("{}: no system call {number}", thread.tcb.name());
    }
    fail(thread, Errno::ENOSYS)
}

/// Writes the name and the arguments.
fn describe(thread: &Thread, row: &Row, out: &mut String) -> core::fmt::Result {
    write!(out, "{}(", row.name)?;
    for (index, parameter) in row.arguments.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(out, "{separator}{}=", parameter.name)?;
        let raw = argument(thread, index);
        let is_text = parameter.kind == Kind::Bytes && STRINGS.contains(&parameter.name);
        let written = parameter.kind == Kind::Bytes && row.name.contains("write");
        if raw != 0 && (is_text || written) {
            let len = if written { argument(thread, index + 1) } else { usize::MAX };
            text(thread, VirtAddr::new(raw), len, out)?;
        } else {
            value(parameter.kind, raw, out)?;
        }
    }
    out.write_char(')')
}

fn value(kind: Kind, raw: usize, out: &mut String) -> core::fmt::Result {
    match (kind, i32::from_arg(raw)) {
        (Kind::Fd, Ok(-100)) => out.write_str("AT_FDCWD"),
        (Kind::Fd, Ok(fd)) => write!(out, "{fd}"),
        (Kind::Signed, Ok(low)) if raw >> 32 == 0 => write!(out, "{low}"),
        (Kind::Signed, _) => write!(out, "{}", raw.cast_signed()),
        (Kind::Pointer | Kind::Bytes, _) if raw == 0 => out.write_str("NULL"),
        (Kind::Unsigned, _) if raw < 4096 || raw.is_power_of_two() => write!(out, "{raw}"),
        _ => write!(out, "{raw:#x}"),
    }
}

/// Writes a string of the program, or its address if it is not in memory.
fn text(thread: &Thread, at: VirtAddr, len: usize, out: &mut String) -> core::fmt::Result {
    let mut bytes = [0; STRING_MAX];
    let space = thread.memory.space();
    let found = match len {
        usize::MAX => match space.read_cstr(at, &mut bytes) {
            Ok(Some(len)) => Some((len, false)),
            Ok(None) => Some((STRING_MAX, true)),
            Err(_) => None,
        },
        _ => {
            let shown = len.min(STRING_MAX);
            space.read(at, &mut bytes[..shown]).is_ok().then_some((shown, shown < len))
        }
    };
    match found {
        None => write!(out, "{:#x}", at.get()),
        Some((len, more)) => {
            let dots = if more { "..." } else { "" };
            write!(out, "\"{}\"{dots}", bytes[..len].escape_ascii())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::value;
    use crate::syscall::Kind;

    fn shown(kind: Kind, raw: usize) -> alloc::string::String {
        let mut out = alloc::string::String::new();
        value(kind, raw, &mut out).unwrap();
        out
    }

    #[test]
    fn arguments_are_shown_by_their_type() {
        assert_eq!(shown(Kind::Fd, 0xffff_ff9c), "AT_FDCWD");
        assert_eq!(shown(Kind::Fd, 3), "3");
        assert_eq!(shown(Kind::Signed, 0xffff_ffff), "-1");
        assert_eq!(shown(Kind::Signed, usize::MAX), "-1");
        assert_eq!(shown(Kind::Unsigned, 0x8_8000), "0x88000");
        assert_eq!(shown(Kind::Unsigned, 4096), "4096");
        assert_eq!(shown(Kind::Pointer, 0), "NULL");
        assert_eq!(shown(Kind::Bytes, 0x1000), "0x1000");
    }
}
