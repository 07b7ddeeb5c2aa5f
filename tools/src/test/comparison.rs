//! A suite whose cases run on the host's Linux and in machines, with the same outcome.

use anyhow::Result;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{
    Site,
    cases::{self, Case, Outcome},
    guest::Guest,
    native::Native,
    report::Report,
};

/// Cases, and what they did here: each runs here once, however many machines follow.
pub(super) struct Comparison {
    suite: &'static str,
    cases: Vec<Case>,
    files: Vec<(String, Vec<u8>)>,
    linux: Mutex<Linux>,
}

/// The host's side.
struct Linux {
    native: Native,
    outcomes: BTreeMap<String, Outcome>,
}

impl Comparison {
    /// A suite of these cases, with these files in the directory where a script starts.
    pub(super) fn new(
        suite: &'static str,
        cases: Vec<Case>,
        files: Vec<(String, Vec<u8>)>,
        work: &Path,
    ) -> Result<Self> {
        let native = Native::new(work.join(format!("native-{suite}")), files.clone())?;
        let linux = Mutex::new(Linux { native, outcomes: BTreeMap::new() });
        Ok(Self { suite, cases, files, linux })
    }

    /// Runs the cases in one machine and counts those that do there what they do here.
    pub(super) fn run(&self, site: &Site, report: &Report) -> Result<()> {
        let mut guest = Guest::new(site, self.suite, &self.cases, &self.files)?;
        for case in &self.cases {
            let name = case.name.trim_end_matches(".sh").replace('/', "::");
            report.case(&site.name(&name), || {
                cases::compare(&self.on_linux(case)?, &guest.run(case)?)
            });
        }
        if !self.cases.is_empty() {
            let name = format!("{}::power-off", self.suite);
            report.case(&site.name(&name), || guest.finish());
        }
        Ok(())
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.suite
    }

    /// Its cases.
    pub(super) fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The files in the directory where a script starts.
    pub(super) fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// What a case does on the host's Linux, where it runs once.
    pub(super) fn on_linux(&self, case: &Case) -> Result<Outcome> {
        // A case that panicked here left its directory behind, and the next one says so.
        let mut linux = self.linux.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = linux.outcomes.get(&case.name) {
            return Ok(outcome.clone());
        }
        let outcome = linux.native.run(case)?;
        linux.outcomes.insert(case.name.clone(), outcome.clone());
        Ok(outcome)
    }
}
