//! What a task waits for, as a number that fits into its record.
//!
//! The texts are static, so a small table maps each to a number once; looking one up again compares
//! a pointer. Nothing here takes a lock that a panic report could find held.

use super::record::Record;
use crate::sched;
use core::ptr;
use spin::Once;

const SLOTS: usize = 256;

static TEXTS: [Once<&'static str>; SLOTS] = [const { Once::new() }; SLOTS];

/// Says what the running task is about to wait for; the last one said before it stops counts.
pub(crate) fn waiting_for(text: &'static str) {
    if let Some(record) = sched::current_record() {
        record.set_reason(number(text));
    }
}

/// The number of `text`; 0 if there are too many.
fn number(text: &'static str) -> u16 {
    let start = (text.as_ptr().addr() >> 3) % SLOTS;
    for step in 0..SLOTS {
        let slot = (start + step) % SLOTS;
        let held = TEXTS[slot].call_once(|| text);
        if ptr::eq(*held, text) {
            return u16::try_from(slot + 1).unwrap_or(0);
        }
    }
    0
}

impl Record {
    /// What the task said it waits for.
    pub(crate) fn reason(&self) -> &'static str {
        match usize::from(self.reason_number()).checked_sub(1) {
            Some(slot) => TEXTS.get(slot).and_then(Once::get).copied().unwrap_or(""),
            None => "event",
        }
    }
}
