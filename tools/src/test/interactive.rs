//! A user at the console: the shell, its jobs, keys that send signals, full-screen programs.

mod commands;
mod jobs;
mod screen;
mod typing;

use anyhow::{Result, ensure};
use std::path::Path;

use super::{Options, Site, report::Report};
use crate::{
    initramfs::Initramfs,
    machine::{self, Machine},
    session::PATIENCE,
    shell::Shell,
};

/// A scripted visit to the shell.
type Script = fn(&mut Shell) -> Result<()>;

/// Keys as a terminal sends them.
mod key {
    pub(super) const CTRL_C: &str = "\x03";
    pub(super) const CTRL_D: &str = "\x04";
    pub(super) const TAB: &str = "\t";
    pub(super) const CTRL_U: &str = "\x15";
    pub(super) const CTRL_W: &str = "\x17";
    pub(super) const CTRL_Z: &str = "\x1a";
    pub(super) const ESCAPE: &str = "\x1b";
    pub(super) const ENTER: &str = "\r";
    pub(super) const UP: &str = "\x1b[A";
    pub(super) const BACKSPACE: &str = "\x7f";
}

/// The machine of this suite, booted when a script needs it.
struct Booter<'a> {
    machine: Machine,
    work: &'a Path,
    boots: usize,
}

impl Booter<'_> {
    fn boot(&mut self) -> Result<Shell> {
        self.boots += 1;
        let log = self.work.join(format!("interactive.{}.log", self.boots));
        Shell::boot(&self.machine, Some(log))
    }
}

/// Runs the scripts; they share a boot until one fails.
pub(super) fn run(options: &Options, site: &Site, report: &Report) -> Result<()> {
    let machine = site.machine_with("interactive", &Initramfs::with_busybox(None)?)?;
    let mut booter = Booter { machine, work: &site.work, boots: 0 };
    let mut current = None;
    let scripts = [commands::SCRIPTS, typing::SCRIPTS, jobs::SCRIPTS, screen::SCRIPTS];
    for (name, script) in scripts.into_iter().flatten() {
        let name = format!("interactive::{name}");
        if options.selects(&name) {
            report.case(&site.name(&name), || {
                let mut shell = current.take().map_or_else(|| booter.boot(), Ok)?;
                script(&mut shell)?;
                current = Some(shell);
                Ok(())
            });
        }
    }
    for command in ["exit", "poweroff", "reboot"] {
        let name = format!("interactive::{command}");
        if options.selects(&name) {
            report.case(&site.name(&name), || {
                end(current.take().map_or_else(|| booter.boot(), Ok)?, command)
            });
        }
    }
    Ok(())
}

/// A command that ends the machine.
fn end(mut shell: Shell, command: &str) -> Result<()> {
    shell.session.line(command)?;
    let (status, _) = shell.session.end(PATIENCE)?;
    ensure!(machine::exit_status(status)? == 0, "the machine ended with {status}");
    Ok(())
}

/// Runs a command that must succeed and say exactly `text`.
fn says(shell: &mut Shell, command: &str, text: &str) -> Result<()> {
    let output = shell.run(command)?;
    ensure!(
        output.text == text && output.status == 0,
        "{command:?} said {:?} with status {}, not {text:?}",
        output.text,
        output.status
    );
    Ok(())
}

/// Starts a command in the foreground and waits until it says `up`: from then on keys are its own.
fn start(shell: &mut Shell, command: &str) -> Result<()> {
    shell.session.line(&format!("sh -c 'echo up; exec {command}'"))?;
    shell.session.expect("up\r\n").map(|_| ())
}

/// Waits for the prompt; the last command must have ended with `status`.
fn ends_with(shell: &mut Shell, status: u8) -> Result<String> {
    let output = shell.prompt(PATIENCE)?;
    ensure!(output.status == status, "the status is {}, not {status}: {output:?}", output.status);
    Ok(output.text)
}
