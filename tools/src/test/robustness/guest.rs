//! Programs that take all there is, in a machine with little; afterwards it has all of it again.

use anyhow::{Context, Result, ensure};
use std::{path::Path, time::Instant};

use super::{Options, PANIC, Report, Site};
use crate::{
    initramfs::Initramfs, machine::Machine, paths, session::PATIENCE, shell::Shell, test::programs,
};

type Script = fn(&mut Shell) -> Result<()>;

/// Each has a machine of its own.
const SCRIPTS: &[(&str, Script)] = &[
    ("memory-hog", memory_hog),
    ("full-root", full_root),
    ("bomb-of-a-user", bomb_of_a_user),
    ("bomb-of-root", bomb_of_root),
    ("bomb-is-killed", bomb_is_killed),
    ("bomb-of-shells", bomb_of_shells),
    ("gates", gates),
];

/// The programs of `kernel/tests/robustness`.
const PROGRAMS: &[&str] = &["bomb", "gates", "hog"];

/// How much less memory may be free after a bomb: what the kernel keeps for the next processes.
const KEPT_KIB: u64 = 4096;

/// Runs the scripts on one machine.
pub(super) fn run(options: &Options, site: &Site, work: &Path, report: &Report) -> Result<()> {
    let mut image = Initramfs::with_busybox(None)?;
    for name in PROGRAMS {
        let source = paths::source().join(format!("kernel/tests/robustness/{name}.c"));
        let program = programs::compile(&source, &work.join("robustness-bin").join(name))?;
        image.file(&format!("bin/{name}"), 0o755, program);
    }
    let machine = site.machine_with("robustness", &image)?;
    let machine = Machine { memory: "96M".into(), ..machine };
    for (name, script) in SCRIPTS {
        let name = format!("robustness::guest/{name}");
        if options.selects(&name) {
            let log = site.work.join(format!("{}.log", name.replace(['/', ':'], "-")));
            report.case(&site.name(&name), || {
                let mut shell = Shell::boot(&machine, Some(log))?;
                let before = free_memory(&mut shell)?.context("the free memory")?;
                script(&mut shell)?;
                recovers(&mut shell, before)
            });
        }
    }
    Ok(())
}

/// The memory that is free, in KiB; nothing while there is none to start a program with.
fn free_memory(shell: &mut Shell) -> Result<Option<u64>> {
    let output = shell.run("awk '/MemFree/ { print $2 }' /proc/meminfo")?;
    Ok(output.text.trim().parse().ok())
}

/// The machine is as it was: its memory is free again, and programs run.
fn recovers(shell: &mut Shell, before: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = free_memory(shell)?;
        if now.is_some_and(|now| now + KEPT_KIB >= before) {
            break;
        }
        ensure!(Instant::now() < deadline, "{now:?} KiB are free, where {before} were");
    }
    let output = shell.run("seq 100 | tail -n 1")?;
    ensure!(output.text == "100\n", "{output:?}");
    Ok(())
}

/// More than there is: refused where it is asked for at once, the end of the program where not.
fn memory_hog(shell: &mut Shell) -> Result<()> {
    let output = shell.run("hog")?;
    ensure!(output.text.contains("four times the memory: Out of memory"), "{output:?}");
    ensure!(output.text.contains("out of memory: killed"), "{output:?}");
    ensure!(output.text.contains("(hog)") && output.status == 137, "{output:?}");
    Ok(())
}

/// Files in memory take what there is, and no more.
fn full_root(shell: &mut Shell) -> Result<()> {
    let output = shell.run("dd if=/dev/zero of=/full bs=64k 2>&1; rm /full")?;
    ensure!(output.text.contains("No space left on device"), "{output:?}");
    ensure!(!output.text.contains(PANIC), "{output:?}");
    Ok(())
}

/// The limit holds, and nobody else notices.
fn bomb_of_a_user(shell: &mut Shell) -> Result<()> {
    let output = shell.run("su -s /bin/sh nobody -c 'ulimit -u 50; bomb 2'")?;
    ensure!(output.text == "refused\n" && output.status == 0, "{output:?}");
    Ok(())
}

/// No limit holds: memory runs out, and then the bomb is refused or killed, and nothing else is.
fn bomb_of_root(shell: &mut Shell) -> Result<()> {
    let output = shell.run("bomb 3")?;
    let killed = output.text.contains("(bomb)") && output.text.ends_with("Killed\n");
    ensure!(output.text == "refused\n" || killed, "{output:?}");
    Ok(())
}

/// The shell comes through beside a bomb, without a process of its own.
fn bomb_is_killed(shell: &mut Shell) -> Result<()> {
    shell.run("bomb 1000 & sleep 0.3")?;
    // Builtin, so it needs no fork; the whole job is a process group.
    shell.run("kill -9 %1")?;
    shell.run("wait").map(|_| ())
}

/// The well-known line. Its shells give up when they cannot fork.
fn bomb_of_shells(shell: &mut Shell) -> Result<()> {
    shell.run("bomb() { bomb | bomb & }; bomb 2>/dev/null & usleep 500000")?;
    // All of it is one process group, and a signal to a group misses no child being made.
    shell.run("kill -9 -$!").map(|_| ())
}

/// Ways into the kernel that are none here.
fn gates(shell: &mut Shell) -> Result<()> {
    let output = shell.run("gates")?;
    ensure!(output.text == "ok\n" && output.status == 0, "{output:?}");
    Ok(())
}
