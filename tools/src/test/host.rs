//! What runs on the host: formatting, lints, the crates' own tests, and the build of the image.

use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::report::Report;
use crate::paths;

/// The bare target.
const BARE: &[&str] = &["-p", "jinux-image", "--target", "x86_64-unknown-none"];
/// Every crate but the image, which builds for the bare target only.
const HOSTED: &[&str] = &["--workspace", "--exclude", "jinux-image"];
/// Lints are errors here.
const DENY: &[&str] = &["--", "-D", "warnings"];

/// Formatting and lints.
pub(super) fn check(report: &Report) {
    cargo_case(report, "check::format", &["fmt", "--all", "--check"]);
    let hosted = [&["clippy", "--locked"], HOSTED, &["--all-targets"], DENY].concat();
    cargo_case(report, "check::lints", &hosted);
    let bare = [&["clippy", "--locked"], BARE, DENY].concat();
    cargo_case(report, "check::lints-bare", &bare);
}

/// Builds the kernel's image; says whether there is one.
pub(super) fn build(report: &Report) -> bool {
    report.doing("building the kernel");
    report.case("build::image", || {
        let output = Command::new("make")
            .arg("build")
            .current_dir(paths::source())
            .output()
            .context("running make")?;
        if !output.status.success() {
            bail!("make build:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    })
}

/// The tests of the crates.
pub(super) fn tests(report: &Report) {
    let mut results = Results::default();
    let arguments = [&["test", "--locked", "--no-fail-fast"], HOSTED].concat();
    let ended = cargo(report, &arguments, |line| {
        results.read(line);
        !line.ends_with("... ok") && !line.is_empty() && !line.starts_with("running ")
    });
    let compiled = match ended {
        Ok(true) => true,
        Ok(false) => !results.failed.is_empty(),
        Err(_) => false,
    };
    if !compiled {
        results.failed.push("host::cargo-test".into());
    }
    report.add(results.passed, results.failed);
}

/// The counts in the output of `cargo test`.
#[derive(Debug, Default)]
struct Results {
    passed: usize,
    failed: Vec<String>,
}

impl Results {
    /// Reads one line: `test result: ok. 3 passed; ...` counts, `test NAME ... FAILED` names.
    fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let passed = result.split_once(". ").and_then(|(_, counts)| counts.split(' ').next());
            self.passed += passed.and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failed.push(format!("host::{name}"));
        }
    }
}

/// One cargo command that must succeed, shown in full only when it does not.
fn cargo_case(report: &Report, name: &str, arguments: &[&str]) {
    report.doing(name);
    let start = std::time::Instant::now();
    let mut output = String::new();
    let ended = cargo(report, arguments, |line| {
        output.push_str(line);
        output.push('\n');
        false
    });
    let result = ended.and_then(|success| if success { Ok(()) } else { bail!("{output}") });
    report.result(name, start.elapsed(), result);
}

/// Runs cargo; `show` sees each line it says and decides whether the user does. True if it
/// succeeded.
fn cargo(report: &Report, arguments: &[&str], mut show: impl FnMut(&str) -> bool) -> Result<bool> {
    // One pipe for both outputs keeps their order.
    let mut child = Command::new("sh")
        .args(["-c", "exec cargo \"$@\" 2>&1", "cargo"])
        .args(arguments)
        .current_dir(paths::source())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("running cargo")?;
    let output = child.stdout.take().context("cargo's output is a pipe")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("reading from cargo")?).into_owned();
        let line = line.trim_end();
        report.doing(line.trim_start());
        if show(line) {
            report.say(line);
        }
    }
    Ok(child.wait().context("waiting for cargo")?.success())
}

#[cfg(test)]
mod tests {
    use super::Results;

    #[test]
    fn failures_of_cargo_test_are_counted_by_name() {
        let mut results = Results::default();
        for line in [
            "running 3 tests",
            "test a::works ... ok",
            "test a::breaks ... FAILED",
            "test b - doc (line 3) ... ok",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "test result: ok. 40 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        ] {
            results.read(line);
        }
        assert_eq!(results.passed, 42);
        assert_eq!(results.failed, ["host::a::breaks"]);
    }
}
