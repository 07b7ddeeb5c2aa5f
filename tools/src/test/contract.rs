//! The framework's contract: both targets must print the same trace.

use anyhow::{Context, Result, bail, ensure};
use std::{path::PathBuf, process::Command, time::Duration};

use super::{Site, report::Report};
use crate::{
    machine::{Kind, exit_status},
    paths,
    session::Session,
};

/// How long the bare image may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What the bare image is built for.
const BARE: &str = "x86_64-unknown-none";

pub(super) fn run(work: &std::path::Path, report: &Report) -> Result<()> {
    report.doing("building the contract tests");
    let mut host = None;
    report.case("contract::libos", || {
        build(&[])?;
        host = Some(on_host()?);
        Ok(())
    });
    let mut image = None;
    report.case("contract::image", || {
        build(&["--target", BARE])?;
        image = Some(paths::target().join(BARE).join("release/jinux-contract"));
        Ok(())
    });
    let (Some(host), Some(image)) = (host, image) else { return Ok(()) };
    for kind in [Kind::Q35, Kind::Microvm] {
        let site = Site::new(&image, kind, 1, work)?;
        report.case(&site.name("contract::bare"), || compare(&host, &on_machine(&site)?));
    }
    Ok(())
}

fn build(target: &[&str]) -> Result<()> {
    let output = Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", "contract"])
        .args(target)
        .current_dir(paths::source())
        .output()
        .context("running cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn on_host() -> Result<Vec<String>> {
    let program: PathBuf = paths::target().join("release/jinux-contract");
    let output = Command::new(&program).output().context("running the contract tests")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(lines(&String::from_utf8_lossy(&output.stdout)))
}

fn on_machine(site: &Site) -> Result<Vec<String>> {
    let log = site.work.join("contract.log");
    let (status, text) = Session::boot(&site.machine, Some(log))?.end(LIMIT)?;
    ensure!(exit_status(status)? == 0, "{text}");
    Ok(lines(&text))
}

/// The lines of a trace; what firmware says before it is left out.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim_end_matches('\r').to_owned());
    lines.skip_while(|line| !line.ends_with("# frames")).skip(1).collect()
}

/// Fails with the first line that differs.
fn compare(host: &[String], machine: &[String]) -> Result<()> {
    ensure!(host.last().is_some_and(|line| line == "end"), "the trace has no end");
    for (number, line) in host.iter().enumerate() {
        let other = machine.get(number).map_or("(nothing)", String::as_str);
        if line != other {
            bail!("line {number}:\n  library OS: {line}\n  bare:       {other}");
        }
    }
    ensure!(machine.len() == host.len(), "the bare machine goes on: {:?}", machine.get(host.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{compare, lines};

    #[test]
    fn a_difference_is_found_wherever_it_is() {
        let trace = |text: &str| lines(&format!("firmware\r\n# frames\r\n{text}\r\nend\r\n"));
        assert!(compare(&trace("a\r\nb"), &trace("a\nb")).is_ok());
        assert!(compare(&trace("a\nb"), &trace("a\nc")).is_err());
        assert!(compare(&trace("a\nb"), &trace("a")).is_err());
        assert!(compare(&trace("a"), &trace("a\nb")).is_err());
        assert!(compare(&[], &[]).is_err());
    }
}
