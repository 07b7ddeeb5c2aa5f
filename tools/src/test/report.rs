//! What has passed and what has not, shown as it happens.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Counts results and prints them; the last line is the sum.
pub(super) struct Report {
    passed: usize,
    failed: Vec<String>,
    progress: ProgressBar,
    started: Instant,
}

impl Report {
    pub(super) fn new() -> Self {
        let progress = ProgressBar::new_spinner();
        // The template is a constant that is known to parse; the default only looks different.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(200));
        Self { passed: 0, failed: vec![], progress, started: Instant::now() }
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
    pub(super) fn case(&mut self, name: &str, test: impl FnOnce() -> Result<()>) -> bool {
        self.doing(name);
        let start = Instant::now();
        let result = test();
        self.result(name, start.elapsed(), result)
    }

    /// Counts one test that has run; says whether it passed.
    pub(super) fn result(&mut self, name: &str, took: Duration, result: Result<()>) -> bool {
        let seconds = took.as_secs_f32();
        match result {
            Ok(()) => {
                self.say(&format!("ok      {name} ({seconds:.2} s)"));
                self.passed += 1;
                true
            }
            Err(error) => {
                self.say(&format!("FAILED  {name} ({seconds:.2} s)\n{error:#}\n"));
                self.failed.push(name.into());
                false
            }
        }
    }

    /// Counts tests that another runner has run and shown.
    pub(super) fn add(&mut self, passed: usize, failed: impl IntoIterator<Item = String>) {
        self.passed += passed;
        self.failed.extend(failed);
    }

    /// Prints the sum; the status to exit with.
    pub(super) fn finish(self) -> u8 {
        self.progress.finish_and_clear();
        println!();
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("{:.0} s", self.started.elapsed().as_secs_f32());
        println!("{} passed, {} failed", self.passed, self.failed.len());
        u8::from(!self.failed.is_empty())
    }
}
