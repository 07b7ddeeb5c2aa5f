//! Signals about readiness: `O_ASYNC`, `F_SETOWN`, `F_SETSIG` (fcntl(2)).
//!
//! ```text
//!   file's queue ──wake(mask)──▶ Notice ──▶ SIGIO, or the file's signal, to the file's owner
//! ```

use super::{File, Object, OwnerKind};
use crate::{
    process::Process,
    signal::{self, Info},
    system::System,
    thread::Thread,
};
use abi::{Events, Fd, Pid, Signal};
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use executor::wait::Observer;
use fs::OpenFlags;

/// Watches a file that sends signals.
struct Notice {
    file: Weak<File>,
    /// The descriptor that asked for it (`si_fd`).
    fd: Fd,
    system: &'static System,
}

/// What happened, as `si_code` and `si_band` say it.
fn reason(mask: Events) -> Option<(i32, Events)> {
    const POLL_IN: i32 = 1;
    const POLL_OUT: i32 = 2;
    if mask.intersects(Events::IN | Events::HUP) {
        return Some((POLL_IN, Events::IN | Events::RDNORM));
    }
    let writable = Events::OUT | Events::WRNORM | Events::WRBAND;
    mask.intersects(Events::OUT).then_some((POLL_OUT, writable))
}

impl Observer for Notice {
    fn notify(&self, mask: u32) {
        let Some(file) = self.file.upgrade() else { return };
        let mut mask = Events::from_bits_retain(mask);
        // The two ends of a pipe share a queue: each hears of its own side.
        if !file.flags().readable() {
            mask -= Events::IN | Events::HUP;
        }
        if !file.flags().writable() {
            mask -= Events::OUT;
        }
        let (Some((code, band)), owner) = (reason(mask), file.owner()) else { return };
        let info = match Signal::new(i32::from(owner.signal)) {
            Err(_) => Info::kernel(Signal::IO),
            Ok(signal) => Info::readiness(signal, code, band.bits(), self.fd.0),
        };
        for target in self.targets(owner.kind, owner.number) {
            let of_target = target.credentials();
            let allowed = [owner.uid, owner.euid]
                .iter()
                .any(|uid| [of_target.uid, of_target.suid].contains(uid));
            if !allowed && owner.euid != 0 {
                continue;
            }
            // A full queue says SIGIO instead, which is never refused.
            if signal::post_to_process(&target, info).is_err() {
                let _ = signal::post_to_process(&target, Info::kernel(Signal::IO));
            }
        }
    }
}

impl Notice {
    fn targets(&self, kind: OwnerKind, number: u32) -> Vec<Arc<Process>> {
        let Some(pid) = Pid::new(number.cast_signed()) else { return Vec::new() };
        let pids = &self.system.pids;
        match kind {
            OwnerKind::Thread => {
                pids.thread(pid).map(|thread| Arc::clone(&thread.process)).into_iter().collect()
            }
            OwnerKind::Process => pids.process(pid).into_iter().collect(),
            OwnerKind::Group => pids.group(pid).map(|group| group.members()).unwrap_or_default(),
        }
    }
}

impl File {
    /// Begins or ends to send signals, as the flags say now; `fd` is what asked for it.
    pub fn update_notice(self: &Arc<Self>, thread: &Thread, fd: Fd) {
        let sends = matches!(
            self.object,
            Object::Pipe(_) | Object::Tty(_) | Object::PtyMaster(_) | Object::Inotify(_)
        );
        let (true, Some(queue)) = (sends, self.queue()) else { return };
        let mut held = self.notice.lock();
        let wanted = self.flags().contains(OpenFlags::ASYNC);
        match held.take() {
            Some(key) if wanted => *held = Some(key),
            Some(key) => queue.unobserve(key),
            None if wanted => {
                let notice = Notice { file: Arc::downgrade(self), fd, system: thread.system };
                *held = Some(queue.observe(Arc::new(notice), u32::MAX));
            }
            None => {}
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let (Some(key), Some(queue)) = (self.notice.get_mut().take(), self.queue()) {
            queue.unobserve(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reason;
    use abi::Events;

    #[test]
    fn a_hang_up_is_something_to_read() {
        assert_eq!(reason(Events::HUP).map(|(code, _)| code), Some(1));
        assert_eq!(reason(Events::OUT).map(|(code, band)| (code, band.bits())), Some((2, 0x304)));
        assert_eq!(reason(Events::ERR), None);
    }
}
