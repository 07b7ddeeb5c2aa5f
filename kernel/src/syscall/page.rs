//! `docs/system-calls.md`: the table as a page, and the test that keeps the two equal.
//!
//! After a change of the table: `UPDATE=1 cargo test -p kernel system_call_page`.

use super::{Kind, Row, Support, lookup, rows};
use alloc::{format, string::String};
use core::fmt::Write;
use std::{env, fs, path::PathBuf};
use syscalls::Sysno;

/// Numbers that Linux keeps for calls it does not have: they answer `ENOSYS` there, too.
const ABSENT_ON_LINUX: &[usize] =
    &[134, 156, 174, 177, 178, 180, 181, 182, 183, 184, 185, 205, 211, 214, 215, 236];

const HEAD: &str = "\
# System calls

Made from the rows of `kernel/src/syscall`; a test of the kernel keeps the two equal. A call without a
row answers `ENOSYS`.

";

fn page() -> String {
    let mut page = String::from(HEAD);
    let full = rows().filter(|row| row.support == Support::Full).count();
    let _ = writeln!(
        page,
        "{} calls have a row; {full} of them lack nothing known, the others what the last column says.\n",
        rows().count()
    );
    page += "| number | call | what is missing |\n|---:|---|---|\n";
    for row in rows() {
        let _ = writeln!(page, "| {} | `{}` | {} |", row.number, signature(row), row.gaps);
    }
    page += "\n## Without a row\n\n";
    let absent = Sysno::iter()
        .filter(|call| lookup(call.id().cast_unsigned() as usize).is_none())
        .filter(|call| !ABSENT_ON_LINUX.contains(&(call.id().cast_unsigned() as usize)));
    let names: alloc::vec::Vec<_> = absent.map(|call| format!("`{}`", call.name())).collect();
    page += &names.join(", ");
    page += ".\n";
    page
}

fn signature(row: &Row) -> String {
    let arguments: alloc::vec::Vec<_> = row
        .arguments
        .iter()
        .map(|argument| match argument.kind {
            Kind::Pointer | Kind::Bytes => format!("*{}", argument.name),
            _ => String::from(argument.name),
        })
        .collect();
    format!("{}({})", row.name, arguments.join(", "))
}

#[test]
fn system_call_page_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/system-calls.md");
    let page = page();
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).expect("docs is a directory of the tree");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/system-calls.md is out of date: UPDATE=1 cargo test -p kernel");
}

#[test]
fn rows_have_the_names_that_linux_gives_the_numbers() {
    for row in rows() {
        let call = Sysno::new(usize::from(row.number)).expect("Linux has the number");
        assert_eq!(call.name(), row.name);
    }
}
