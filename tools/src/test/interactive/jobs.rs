//! Job control: keys that interrupt, stop and quit; foreground and background.

use anyhow::{Result, ensure};
use std::time::Instant;

use super::{Script, ends_with, key, says, start};
use crate::{session::PATIENCE, shell::Shell};

pub(super) const SCRIPTS: &[(&str, Script)] = &[
    ("interrupt", interrupt),
    ("interrupt-pipeline", interrupt_pipeline),
    ("interrupt-busy-loop", interrupt_busy_loop),
    ("interrupt-loop", interrupt_loop),
    ("interrupt-caught", interrupt_caught),
    ("stop-and-foreground", stop_and_foreground),
    ("stop-and-background", stop_and_background),
    ("background-read-stops", background_read_stops),
    ("jobs-end-unseen", jobs_end_unseen),
];

fn interrupt(shell: &mut Shell) -> Result<()> {
    start(shell, "sleep 1000")?;
    shell.session.send(key::CTRL_C)?;
    ends_with(shell, 130)?;
    says(shell, "echo still here", "still here\n")
}

fn interrupt_pipeline(shell: &mut Shell) -> Result<()> {
    start(shell, "yes | cat >/dev/null")?;
    shell.session.send(key::CTRL_C)?;
    ends_with(shell, 130)?;
    says(shell, "ps | grep -c '[y]es'; true", "0\n")
}

fn interrupt_busy_loop(shell: &mut Shell) -> Result<()> {
    start(shell, "sh -c \"while :; do :; done\"")?;
    shell.session.send(key::CTRL_C)?;
    ends_with(shell, 130).map(|_| ())
}

fn interrupt_loop(shell: &mut Shell) -> Result<()> {
    shell.session.line("while :; do echo tick; sleep 0.1; done")?;
    shell.session.expect("tick\r\ntick\r\ntick\r\n")?;
    shell.session.send(key::CTRL_C)?;
    ends_with(shell, 130).map(|_| ())
}

fn interrupt_caught(shell: &mut Shell) -> Result<()> {
    start(
        shell,
        "sh -c \"trap \\\"echo caught; exit 5\\\" INT; echo set; while :; do sleep 0.1; done\"",
    )?;
    shell.session.expect("set\r\n")?;
    shell.session.send(key::CTRL_C)?;
    shell.session.expect("caught\r\n")?;
    ends_with(shell, 5).map(|_| ())
}

fn stop_and_foreground(shell: &mut Shell) -> Result<()> {
    start(shell, "cat")?;
    shell.session.send("before\r")?;
    shell.session.expect("before\r\nbefore\r\n")?;
    shell.session.send(key::CTRL_Z)?;
    let text = ends_with(shell, 148)?;
    ensure!(text.contains("Stopped"), "{text:?}");
    let output = shell.run("jobs")?;
    ensure!(output.text.contains("Stopped") && output.text.contains("cat"), "{output:?}");
    shell.session.line("fg")?;
    shell.session.expect("cat\"\r\n")?;
    shell.session.send("after\r")?;
    shell.session.expect("after\r\nafter\r\n")?;
    shell.session.send(key::CTRL_D)?;
    ends_with(shell, 0)?;
    says(shell, "jobs", "")
}

fn stop_and_background(shell: &mut Shell) -> Result<()> {
    start(shell, "sleep 1000")?;
    shell.session.send(key::CTRL_Z)?;
    ends_with(shell, 148)?;
    let output = shell.run("bg; jobs")?;
    ensure!(output.text.contains("Running"), "{output:?}");
    let output = shell.run("kill %1; wait %1")?;
    ensure!(output.status == 143, "{output:?}");
    says(shell, "jobs", "")
}

fn background_read_stops(shell: &mut Shell) -> Result<()> {
    shell.run("cat &")?;
    let deadline = Instant::now() + PATIENCE;
    while !shell.run("jobs")?.text.contains("Stopped") {
        ensure!(Instant::now() < deadline, "it reads what the shell should");
    }
    shell.run("kill -9 %1")?;
    while !shell.run("jobs")?.text.is_empty() {
        ensure!(Instant::now() < deadline, "it is not killed");
    }
    Ok(())
}

fn jobs_end_unseen(shell: &mut Shell) -> Result<()> {
    shell.run("usleep 50000 &")?;
    let output = shell.run("while kill -0 $! 2>/dev/null; do usleep 10000; done; jobs")?;
    ensure!(!output.text.contains("Running"), "{output:?}");
    let output =
        shell.run("sleep 1000 & sleep 1000 & jobs | grep -c sleep; kill -9 %1 %2; wait")?;
    ensure!(output.text.contains("2\n"), "{output:?}");
    Ok(())
}
