//! Seeds of simulation: a program of storms, under `jinux run --sim SEED`.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use super::{programs, report::Report};
use crate::{initramfs::Initramfs, paths};

/// How many seeds are tried.
const SEEDS: u64 = 500;
/// How many of them are tried twice.
const AGAIN: u64 = 10;
/// How many seeds make one case, so that the list of cases stays short.
const IN_A_CASE: u64 = 50;

pub(super) fn run(jinux: &Path, work: &Path, report: &Report) -> Result<()> {
    let source = paths::source().join("kernel/tests/simulation/storms.c");
    let binary = work.join("simulation/storms");
    let mut image = Initramfs::default();
    image.directory("tmp", 0o1777);
    image.file("storms", 0o755, programs::compile(&source, &binary)?);
    let initrd = work.join("simulation.cpio");
    fs::write(&initrd, image.to_bytes()?)
        .with_context(|| format!("writing {}", initrd.display()))?;
    let next = AtomicU64::new(0);
    let worker = || {
        loop {
            let first = next.fetch_add(IN_A_CASE, Ordering::Relaxed);
            if first >= SEEDS {
                return;
            }
            let seeds = first..first + IN_A_CASE;
            let start = Instant::now();
            let result = seeds.clone().try_for_each(|seed| try_seed(jinux, &initrd, seed));
            let name = format!("simulation::seeds-{}-to-{}", seeds.start, seeds.end - 1);
            report.result(&name, start.elapsed(), result);
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (0..workers).for_each(|_| drop(scope.spawn(worker)));
    });
    Ok(())
}

fn try_seed(jinux: &Path, initrd: &Path, seed: u64) -> Result<()> {
    let first = simulate(jinux, initrd, seed)?;
    if seed < AGAIN && simulate(jinux, initrd, seed)? != first {
        bail!("seed {seed} did something else the second time");
    }
    Ok(())
}

/// Runs one seed; returns the line with its hash.
fn simulate(jinux: &Path, initrd: &Path, seed: u64) -> Result<String> {
    let Output { status, stdout, stderr } = Command::new(jinux)
        .args(["run", "--workdir", "/tmp", "--sim", &seed.to_string(), "--initrd"])
        .arg(initrd)
        .args(["--", "/storms"])
        .stdin(Stdio::null())
        .output()
        .context("running jinux")?;
    let (said, reported) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if !status.success() {
        let image = initrd.display();
        bail!(
            "{status}\n{said}{reported}jinux run --workdir /tmp --sim {seed} --initrd {image} -- /storms"
        );
    }
    let hash = reported.lines().find(|line| line.contains("hash"));
    hash.map(str::to_owned).with_context(|| format!("no hash:\n{reported}"))
}
