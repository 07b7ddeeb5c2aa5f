//! What has passed and what has not, shown as it happens.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Counts results, of several machines at once, and prints them; the last line is the sum.
pub(super) struct Report {
    counts: Mutex<Counts>,
    progress: ProgressBar,
    started: Instant,
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: Vec<String>,
}

impl Report {
    pub(super) fn new() -> Self {
        let progress = ProgressBar::new_spinner();
        // The template is a constant that is known to parse; the default only looks different.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(200));
        Self { counts: Mutex::default(), progress, started: Instant::now() }
    }

    /// Numbers stay right whatever a thread that held them did.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what goes on, on a terminal.
    pub(super) fn doing(&self, what: impl Into<String>) {
        let what: String = what.into();
        self.progress.set_message(what.chars().take(100).collect::<String>());
    }

    /// Prints a line, beside the progress shown on a terminal.
    pub(super) fn say(&self, line: &str) {
        self.progress.suspend(|| println!("{line}"));
    }

    /// Runs and counts one test.
    pub(super) fn case(&self, name: &str, test: impl FnOnce() -> Result<()>) -> bool {
        self.doing(name);
        let start = Instant::now();
        let result = test();
        self.result(name, start.elapsed(), result)
    }

    /// Counts one test that has run; says whether it passed.
    pub(super) fn result(&self, name: &str, took: Duration, result: Result<()>) -> bool {
        let seconds = took.as_secs_f32();
        match result {
            Ok(()) => {
                self.say(&format!("ok      {name} ({seconds:.2} s)"));
                self.counts().passed += 1;
                true
            }
            Err(error) => {
                self.say(&format!("FAILED  {name} ({seconds:.2} s)\n{error:#}\n"));
                self.counts().failed.push(name.into());
                false
            }
        }
    }

    /// Counts tests that another runner has run and shown.
    pub(super) fn add(&self, passed: usize, failed: impl IntoIterator<Item = String>) {
        let mut counts = self.counts();
        counts.passed += passed;
        counts.failed.extend(failed);
    }

    /// How many have passed, and the names of those that have not.
    pub(super) fn sums(&self) -> (usize, Vec<String>) {
        self.progress.finish_and_clear();
        let counts = self.counts();
        (counts.passed, counts.failed.clone())
    }

    /// Prints the sum; the status to exit with.
    pub(super) fn finish(&self) -> u8 {
        self.progress.finish_and_clear();
        println!();
        let counts = self.counts();
        for name in &counts.failed {
            println!("failed: {name}");
        }
        println!("{:.0} s", self.started.elapsed().as_secs_f32());
        println!("{} passed, {} failed", counts.passed, counts.failed.len());
        u8::from(!counts.failed.is_empty())
    }
}
