//! `jinux test`: every check and every test of the tree, counted in one last line.

mod busybox;
mod cases;
mod comparison;
mod contract;
mod faults;
mod guest;
mod host;
mod interactive;
mod library_os;
mod native;
mod programs;
mod report;
mod robustness;
mod simulation;
mod site;

use anyhow::{Context, Result};
use clap::ValueEnum;
use std::{
    collections::VecDeque,
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

use crate::{machine::Kind, paths, stress};
use comparison::Comparison;
use report::Report;
use site::Site;

/// What can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Formatting and lints.
    Check,
    /// The tests of every crate on the host, `tidy` among them.
    Host,
    /// The promises of `framework`, on the library OS and in the machine.
    Contract,
    /// A program of storms on the library OS, simulated with many seeds.
    Simulation,
    /// Faults of the kernel itself: each must be caught and reported.
    Faults,
    /// The test programs, here on Linux and in the machine.
    Programs,
    /// The table of busybox commands, here on Linux and in the machine.
    Busybox,
    /// The interactive shell: job control, editors, signals from the keyboard.
    Interactive,
    /// Storms on four CPUs, which must leave nothing behind.
    Stress,
    /// Programs and busybox commands on the library OS; a part of `host` too.
    Libos,
    /// Bad input, and programs that try to bring the machine down.
    Robustness,
}

/// The suites that boot machines, the longest first, since two machines run at a time.
const IN_MACHINES: &[Suite] =
    &[Suite::Robustness, Suite::Programs, Suite::Interactive, Suite::Busybox];

/// The machines that each of them runs on.
const MACHINES: &[(Kind, u32)] =
    &[(Kind::Q35, 4), (Kind::Microvm, 4), (Kind::Q35, 1), (Kind::Microvm, 1)];

/// The CPUs and the length of the storms.
const STRESS_CPUS: u32 = 4;
const STRESS_SECONDS: u32 = 15;

/// How many machines run at a time.
const AT_A_TIME: usize = 2;

/// What to run, and with which kernel.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The suites; none means all.
    pub suites: Vec<Suite>,
    /// Only the cases of the machine's suites whose name contains this.
    pub filter: Option<String>,
    /// Another kernel than the one of this tree, to check the tests themselves.
    pub kernel: Option<PathBuf>,
    /// Only this machine, not all that are planned.
    pub machine: Option<Kind>,
    /// Only a machine with so many CPUs.
    pub smp: Option<u32>,
}

impl Options {
    fn wants(&self, suite: Suite) -> bool {
        self.suites.is_empty() || self.suites.contains(&suite)
    }

    fn selects(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }

    /// The suites that boot machines and are wanted, and where each runs: on every machine, or on
    /// the one that was asked for.
    fn plan(&self) -> VecDeque<(Suite, Kind, u32)> {
        let one = [(self.machine.unwrap_or_default(), self.smp.unwrap_or(1))];
        let machines = if self.machine.is_some() || self.smp.is_some() { &one } else { MACHINES };
        let wanted = IN_MACHINES.iter().filter(|suite| self.wants(**suite));
        let mut plan: VecDeque<_> = wanted
            .flat_map(|suite| machines.iter().map(|(kind, smp)| (*suite, *kind, *smp)))
            .collect();
        // By name only, until a file that cannot be made once in many runs is understood.
        if self.suites.contains(&Suite::Stress) && self.selects("stress") {
            let (kind, smp) = (self.machine.unwrap_or_default(), self.smp.unwrap_or(STRESS_CPUS));
            plan.push_back((Suite::Stress, kind, smp));
        }
        plan
    }
}

/// Runs the tests; the status to exit with is 0 if all passed.
///
/// # Errors
/// Something other than a test failed: a program to run the tests with is missing.
pub fn run(options: &Options) -> Result<u8> {
    let report = Report::new();
    if options.wants(Suite::Check) {
        host::check(&report);
    }
    if options.wants(Suite::Host) {
        host::tests(&report);
    }
    if options.suites.contains(&Suite::Libos) {
        let jinux = env::current_exe().context("finding this command")?;
        library_os::run(options, &jinux, &work_directory()?, &report)?;
    }
    if options.wants(Suite::Contract) {
        contract::run(&work_directory()?, &report)?;
    }
    if options.wants(Suite::Simulation) {
        let jinux = env::current_exe().context("finding this command")?;
        simulation::run(&jinux, &work_directory()?, &report)?;
    }
    if options.wants(Suite::Faults) {
        faults::run(options, &work_directory()?, &report)?;
    }
    let plan = options.plan();
    if !plan.is_empty() {
        in_machines(options, plan, &report)?;
    }
    Ok(report.finish())
}

/// Runs the cases of the library OS whose name contains `filter`, with `jinux` as the command that
/// knows `run`; returns how many passed, and the names of those that did not.
///
/// # Errors
/// As for [`run`].
pub fn on_library_os(jinux: &Path, filter: Option<String>) -> Result<(usize, Vec<String>)> {
    let report = Report::new();
    let options = Options { filter, ..Options::default() };
    let work = work_directory()?.join("cargo");
    fs::create_dir_all(&work).with_context(|| format!("creating {}", work.display()))?;
    library_os::run(&options, jinux, &work, &report)?;
    Ok(report.sums())
}

/// The suites that need the kernel's image.
fn in_machines(
    options: &Options,
    plan: VecDeque<(Suite, Kind, u32)>,
    report: &Report,
) -> Result<()> {
    let kernel = match &options.kernel {
        Some(kernel) => kernel.clone(),
        None if host::build(report) => paths::kernel(),
        None => return Ok(()),
    };
    let work = work_directory()?;
    let needs = |wanted| plan.iter().any(|(suite, ..)| *suite == wanted);
    let suites = Suites {
        options,
        work: &work,
        programs: needs(Suite::Programs)
            .then(|| programs::prepare(options, &work, report))
            .transpose()?,
        busybox: needs(Suite::Busybox).then(|| busybox::prepare(options, &work)).transpose()?,
    };
    let queue = Mutex::new(plan);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let worker = || -> Result<()> {
        while let Some((suite, kind, smp)) = next() {
            suites.run(suite, &Site::new(&kernel, kind, smp, &work)?, report)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// What the suites of the machine share between machines.
struct Suites<'a> {
    options: &'a Options,
    work: &'a Path,
    programs: Option<Comparison>,
    busybox: Option<Comparison>,
}

impl Suites<'_> {
    fn run(&self, suite: Suite, site: &Site, report: &Report) -> Result<()> {
        match (suite, &self.programs, &self.busybox) {
            (Suite::Programs, Some(programs), _) => programs.run(site, report),
            (Suite::Busybox, _, Some(busybox)) => busybox.run(site, report),
            (Suite::Interactive, ..) => interactive::run(self.options, site, report),
            (Suite::Robustness, ..) => robustness::run(self.options, site, self.work, report),
            (Suite::Stress, ..) => {
                report.case(&site.name("stress"), || {
                    stress::run(&site.machine, &site.work, STRESS_SECONDS).map(drop)
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Where images, binaries and logs of the tests go.
fn work_directory() -> Result<PathBuf> {
    let work = paths::target().join("test");
    fs::create_dir_all(&work).with_context(|| format!("creating {}", work.display()))?;
    Ok(work)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Options, Suite};

    #[test]
    fn a_plan_covers_every_machine_and_a_choice_narrows_it() {
        let all = Options::default().plan();
        for kind in [Kind::Q35, Kind::Microvm] {
            for smp in [1, 4] {
                for suite in super::IN_MACHINES {
                    assert!(all.contains(&(*suite, kind, smp)));
                }
            }
        }
        let suites = vec![Suite::Busybox, Suite::Check];
        let one = Options { suites, smp: Some(3), ..Options::default() };
        assert_eq!(one.plan(), [(Suite::Busybox, Kind::Q35, 3)]);
        let none = Options { suites: vec![Suite::Host], ..Options::default() };
        assert!(none.plan().is_empty());
    }
}
