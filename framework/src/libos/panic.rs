//! The panic hook: what Rust prints, then the report.

use core::fmt;
use std::sync::{Mutex, Once};

type Report = fn(&mut dyn fmt::Write);

static REPORT: Mutex<Option<Report>> = Mutex::new(None);
static HOOK: Once = Once::new();

struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        super::console::write(text.as_bytes());
        Ok(())
    }
}

pub(crate) fn set_report(report: Report) {
    *super::cpu::lock(&REPORT) = Some(report);
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(std::boxed::Box::new(move |info| {
            default(info);
            let report = *super::cpu::lock(&REPORT);
            if let Some(report) = report {
                report(&mut Stderr);
            }
        }));
    });
}
