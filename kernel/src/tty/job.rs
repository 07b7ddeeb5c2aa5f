//! Job control: what a terminal asks about the thread that reads or writes it.

use super::{Control, number};
use crate::{signal, thread::Thread};
use io::tty::{Caller, Signal, Tty};

impl Caller for Thread {
    fn in_background(&self, tty: &Tty) -> bool {
        let own = self.process().session().tty();
        if !own.is_some_and(|own| core::ptr::eq(&raw const *own, tty)) {
            return false;
        }
        let foreground = Control::of(tty).and_then(|control| control.foreground());
        foreground.is_some_and(|group| group.pid != self.process().group().pid)
    }

    fn ignores(&self, signal: Signal) -> bool {
        let Some(signal) = number(signal) else { return false };
        let (ignored, _) = self.process().signal_dispositions();
        self.tcb.blocked().contains(signal) || ignored.contains(signal)
    }

    fn is_orphaned(&self) -> bool {
        self.process().group().is_orphaned(None)
    }

    fn signal_own_group(&self, signal: Signal) {
        if let Some(signal) = number(signal) {
            signal::send_to_group(&self.process().group(), signal);
        }
    }
}
