//! The line as it is typed: the shell's editor, and the terminal's own.

use anyhow::{Result, ensure};

use super::{Script, ends_with, key, says, start};
use crate::{session::PATIENCE, shell::Shell};

pub(super) const SCRIPTS: &[(&str, Script)] = &[
    ("edit-line", edit_line),
    ("history", history),
    ("complete-name", complete_name),
    ("cancel-line", cancel_line),
    ("terminal-edits", terminal_edits),
    ("no-echo", no_echo),
];

/// Sends a line as keys and returns the output that follows it.
fn typed(shell: &mut Shell, keys: &str) -> Result<String> {
    shell.session.send(keys)?;
    shell.session.send(key::ENTER)?;
    shell.session.expect("\r\n")?;
    Ok(shell.prompt(PATIENCE)?.text)
}

fn edit_line(shell: &mut Shell) -> Result<()> {
    let text = typed(shell, &format!("echo helpo{0}{0}lo", key::BACKSPACE))?;
    ensure!(text == "hello\n", "{text:?}");
    let text = typed(shell, &format!("echo wrong{}right", key::CTRL_W))?;
    ensure!(text == "right\n", "{text:?}");
    let text = typed(shell, &format!("rm -rf /nothing{}echo kept", key::CTRL_U))?;
    ensure!(text == "kept\n", "{text:?}");
    Ok(())
}

fn history(shell: &mut Shell) -> Result<()> {
    says(shell, "echo remembered", "remembered\n")?;
    let text = typed(shell, key::UP)?;
    ensure!(text == "remembered\n", "{text:?}");
    Ok(())
}

fn complete_name(shell: &mut Shell) -> Result<()> {
    says(shell, "echo contents >unmistakable", "")?;
    let text = typed(shell, &format!("cat unmis{}", key::TAB))?;
    ensure!(text == "contents\n", "{text:?}");
    says(shell, "rm unmistakable", "")
}

fn cancel_line(shell: &mut Shell) -> Result<()> {
    shell.session.send("echo never run")?;
    shell.session.expect("never run")?;
    shell.session.send(key::CTRL_C)?;
    let output = shell.prompt(PATIENCE)?;
    ensure!(output.text.trim() == "^C" || output.text.trim().is_empty(), "{output:?}");
    says(shell, "echo next", "next\n")
}

fn terminal_edits(shell: &mut Shell) -> Result<()> {
    start(shell, "cat >typed")?;
    shell.session.send(format!("helpo{0}{0}lo\r", key::BACKSPACE))?;
    shell.session.send(format!("junk{}kept\r", key::CTRL_U))?;
    shell.session.send(format!("two words{}\r", key::CTRL_W))?;
    shell.session.send(key::CTRL_D)?;
    ends_with(shell, 0)?;
    says(shell, "cat typed; rm typed", "hello\nkept\ntwo \n")
}

fn no_echo(shell: &mut Shell) -> Result<()> {
    shell.session.line("stty -echo; echo ready; read word; stty echo; echo \"<$word>\"")?;
    shell.session.expect("ready\r\n")?;
    shell.session.send("secret\r")?;
    let before = shell.session.expect("<secret>")?;
    ensure!(!before.contains("secret"), "it was echoed: {before:?}");
    ends_with(shell, 0).map(|_| ())
}
