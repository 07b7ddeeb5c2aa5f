//! A user at the console: the shell, its jobs, keys that send signals, full-screen programs.

use anyhow::{Context, Result, ensure};
use std::{fs, path::Path};

use super::{Options, report::Report};
use crate::{
    initramfs::Initramfs,
    machine::{self, Machine},
    session::PATIENCE,
    shell::Shell,
};

/// A scripted visit to the shell.
type Script = fn(&mut Shell) -> Result<()>;

/// Every script, in order; they share a boot until one fails.
const SCRIPTS: &[(&str, Script)] = &[("status", status)];

/// Runs the scripts.
pub(super) fn run(
    options: &Options,
    machine: &Machine,
    work: &Path,
    report: &mut Report,
) -> Result<()> {
    let initrd = work.join("interactive.cpio");
    fs::write(&initrd, Initramfs::with_busybox(None)?.to_bytes()?)
        .with_context(|| format!("writing {}", initrd.display()))?;
    let machine = Machine { initrd: Some(initrd), ..machine.clone() };
    let mut boots = 0;
    let mut current = None;
    for (name, script) in SCRIPTS {
        let name = format!("interactive::{name}");
        if !options.selects(&name) {
            continue;
        }
        report.case(&name, || {
            let mut shell = match current.take() {
                Some(shell) => shell,
                None => {
                    boots += 1;
                    Shell::boot(&machine, Some(work.join(format!("interactive.{boots}.log"))))?
                }
            };
            script(&mut shell)?;
            current = Some(shell);
            Ok(())
        });
    }
    if let Some(shell) = current {
        report.case("interactive::end-of-shell-powers-off", || end(shell));
    }
    Ok(())
}

/// The end of the shell is the end of the machine.
fn end(mut shell: Shell) -> Result<()> {
    shell.session.line("exit")?;
    let (status, _) = shell.session.end(PATIENCE)?;
    ensure!(machine::exit_status(status)? == 0, "the machine ended with {status}");
    Ok(())
}

fn status(shell: &mut Shell) -> Result<()> {
    let output = shell.run("echo hello; false")?;
    ensure!(output.text == "hello\n" && output.status == 1, "{output:?}");
    Ok(())
}
