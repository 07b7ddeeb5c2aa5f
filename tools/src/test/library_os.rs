//! Cases on the library OS: each is a `jinux run` of its own, so that one that hangs or ends the
//! machine harms no other.

use anyhow::{Context, Result, bail};
use rustix::{
    io::Errno,
    process::{self, Pid, Signal, WaitOptions, kill_process_group},
};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Options, busybox,
    cases::{self, Case, Outcome},
    comparison::Comparison,
    guest, programs,
    report::Report,
};

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How soon after the end of the cases nothing of them may be left.
const CLEAN: Duration = Duration::from_secs(2);

/// What runs each case: the environment and the directory are those that it has on Linux.
const SCRIPT: &str = "cd /case/dir; cp /test/files/* .; umask 022; sh \"$0\"; exit $?";
const PROGRAM: &str = "cd /case/dir; umask 022; \"$0\"; exit $?";

/// Cases that tell something else here, and why.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "programs::cpu-time",
        "the host's ticks find a program that makes calls where it hands them over, in user mode",
    ),
    ("programs::proc-system", "a process of the host has no interrupts to count"),
    ("programs::faults", "not right yet: a jump into the kernel's half of memory does not end"),
    ("programs::registers", "not right yet: steps through a signal's handler do not end"),
];

/// Runs the programs and the busybox commands with `jinux`, a command that knows `run`.
pub(super) fn run(options: &Options, jinux: &Path, work: &Path, report: &Report) -> Result<()> {
    process::set_child_subreaper(Some(process::getpid())).context("adopting orphans")?;
    let suites = [programs::prepare(options, work, report)?, busybox::prepare(options, work)?];
    for suite in &suites {
        run_suite(suite, jinux, work, report)?;
    }
    report.case("library-os::nothing-is-left", nothing_is_left);
    Ok(())
}

fn run_suite(suite: &Comparison, jinux: &Path, work: &Path, report: &Report) -> Result<()> {
    let mut image = guest::image(suite.cases(), suite.files())?;
    image.directory("case/dir", 0o755);
    let initrd = work.join(format!("library-os-{}.cpio", suite.name()));
    fs::write(&initrd, image.to_bytes()?)
        .with_context(|| format!("writing {}", initrd.display()))?;
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(case) = suite.cases().get(next.fetch_add(1, Ordering::Relaxed)) {
            let name = case.name.trim_end_matches(".sh").replace('/', "::");
            if OTHERWISE.iter().any(|(other, _)| *other == name) {
                continue;
            }
            let start = Instant::now();
            let result = one(suite, case, jinux, &initrd);
            report.result(&format!("library-os::{name}"), start.elapsed(), result);
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (0..workers).for_each(|_| drop(scope.spawn(worker)));
    });
    Ok(())
}

fn one(suite: &Comparison, case: &Case, jinux: &Path, initrd: &PathBuf) -> Result<()> {
    let linux = suite.on_linux(case)?;
    let script = if case.name.ends_with(".sh") { SCRIPT } else { PROGRAM };
    let mut command = Command::new(jinux);
    command.args(["run", "--initrd"]).arg(initrd);
    command.args(["--", "env", "-i", "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root"]);
    command.args(["sh", "-c", script]).arg(format!("/test/{}", case.name));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).spawn().context("running jinux")?;
    let group =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process number")?;
    let output = wait(child, group)?;
    let status = output.status.code().and_then(|code| u8::try_from(code).ok());
    let outcome = Outcome {
        output: output.stdout,
        error: output.stderr,
        status: status.with_context(|| format!("jinux was ended: {}", output.status))?,
    };
    cases::compare(&linux, &outcome)
}

fn wait(child: Child, group: Pid) -> Result<Output> {
    let (sender, result) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match result.recv_timeout(LIMIT) {
        Ok(output) => output.context("waiting for jinux"),
        Err(_) => {
            // It has just been seen not to end by itself.
            let _ = kill_process_group(group, Signal::KILL);
            bail!("it did not end in {LIMIT:?}")
        }
    }
}

/// Waits until no process that a case left behind is there any more. They became children of this
/// one, the only ones it has now.
fn nothing_is_left() -> Result<()> {
    let deadline = Instant::now() + CLEAN;
    loop {
        match process::wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            Ok(None) => bail!("processes are left behind"),
            Err(error) => return Err(error).context("waiting for processes left behind"),
        }
    }
}
