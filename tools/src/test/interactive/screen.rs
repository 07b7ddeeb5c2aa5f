//! Full-screen programs: they take the terminal over and give it back.

use anyhow::Result;

use super::{Script, ends_with, key, says};
use crate::shell::Shell;

pub(super) const SCRIPTS: &[(&str, Script)] =
    &[("vi-new-file", vi_new_file), ("vi-edits", vi_edits), ("top", top), ("more", more)];

/// Escape alone: what followed at once would be taken for the rest of a key's sequence.
fn leave_insert_mode(shell: &mut Shell, file: &str) -> Result<()> {
    shell.session.expect(&format!("I {file} [Modified]"))?;
    shell.session.send(key::ESCAPE)?;
    shell.session.expect(&format!("- {file} [Modified]")).map(|_| ())
}

fn vi_new_file(shell: &mut Shell) -> Result<()> {
    says(shell, "stty cols 80", "")?;
    shell.session.line("vi poem")?;
    shell.session.expect("~")?; // the empty lines of the screen
    shell.session.send("iThe fog comes\ron little cat feet.")?;
    leave_insert_mode(shell, "poem")?;
    shell.session.send(":wq\r")?;
    ends_with(shell, 0)?;
    says(shell, "stty cols 999; cat poem", "The fog comes\non little cat feet.\n")
}

fn vi_edits(shell: &mut Shell) -> Result<()> {
    says(shell, "seq 9 >lines; stty cols 80", "")?;
    shell.session.line("vi lines")?;
    shell.session.expect("9")?;
    // Delete two lines, change a word, go to the end and append, search and join.
    shell.session.send("2jdd")?;
    shell.session.expect("Delete 1 lines")?;
    shell.session.send("cwfour")?;
    leave_insert_mode(shell, "lines")?;
    shell.session.send("Goten")?;
    leave_insert_mode(shell, "lines")?;
    shell.session.send("/7\rJ")?;
    shell.session.send(":%s/8/eight/\r:x\r")?;
    ends_with(shell, 0)?;
    says(shell, "stty cols 999; paste -s -d, lines; rm lines", "1,2,four,5,6,7 eight,9,ten\n")
}

fn top(shell: &mut Shell) -> Result<()> {
    shell.session.line("top -d 1")?;
    for _ in 0..2 {
        shell.session.expect("Mem:")?;
        shell.session.expect("CPU:")?;
        shell.session.expect("Load average:")?;
        shell.session.expect("top")?;
    }
    shell.session.send("q")?;
    ends_with(shell, 0)?;
    says(shell, "echo sane", "sane\n")
}

fn more(shell: &mut Shell) -> Result<()> {
    shell.session.line("seq 100 | more")?;
    shell.session.expect("20\r\n")?;
    shell.session.expect("--More--")?;
    shell.session.send(" ")?;
    shell.session.expect("40\r\n")?;
    shell.session.expect("--More--")?;
    shell.session.send("q")?;
    ends_with(shell, 0)?;
    says(shell, "echo sane", "sane\n")
}
