//! `siginfo_t`: what a handler, sigwaitinfo(2) and a signalfd learn about a signal.

use abi::Signal;
use framework::VirtAddr;
use zerocopy::IntoBytes;

/// Who or what sent a signal (`si_code`).
pub mod code {
    #![allow(missing_docs, reason = "sigaction(2) describes them")]
    pub const USER: i32 = 0;
    pub const KERNEL: i32 = 0x80;
    pub const QUEUE: i32 = -1;
    pub const TIMER: i32 = -2;
    pub const TKILL: i32 = -6;
    pub const ILL_ILLOPN: i32 = 2;
    pub const FPE_INTDIV: i32 = 1;
    pub const FPE_FLTINV: i32 = 7;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const BUS_ADRALN: i32 = 1;
    pub const BUS_ADRERR: i32 = 2;
    pub const TRAP_BRKPT: i32 = 1;
    pub const TRAP_TRACE: i32 = 2;
    pub const CLD_EXITED: i32 = 1;
    pub const CLD_KILLED: i32 = 2;
    pub const CLD_STOPPED: i32 = 5;
    pub const CLD_CONTINUED: i32 = 6;
}

/// A signal on its way: the part of `siginfo_t` that Linux keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The signal.
    pub signal: Signal,
    /// `si_errno`.
    pub errno: i32,
    /// `si_code`.
    pub code: i32,
    /// The union behind them, bytes 16 to 48.
    pub fields: [u64; 4],
}

/// Two 32-bit fields, the first at the lower address.
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

impl Info {
    /// Bytes of a `siginfo_t`.
    pub const SIZE: usize = 128;

    /// A signal from the kernel.
    pub const fn kernel(signal: Signal) -> Self {
        Self { signal, errno: 0, code: code::KERNEL, fields: [0; 4] }
    }

    /// A signal from a process: `si_code`, sender and its real user.
    pub const fn from_process(signal: Signal, code: i32, pid: u32, uid: u32) -> Self {
        Self { signal, errno: 0, code, fields: [pair(pid, uid), 0, 0, 0] }
    }

    /// A signal an instruction caused.
    pub const fn fault(signal: Signal, code: i32, at: VirtAddr) -> Self {
        Self { signal, errno: 0, code, fields: [at.get() as u64, 0, 0, 0] }
    }

    /// A signal of a POSIX timer: its number, overruns and `sigev_value`.
    pub const fn timer(signal: Signal, id: u32, overrun: u32, value: u64) -> Self {
        Self { signal, errno: 0, code: code::TIMER, fields: [pair(id, overrun), value, 0, 0] }
    }

    /// Readiness of a file: `POLL_*`, its events and the descriptor.
    pub const fn readiness(signal: Signal, code: i32, band: u32, fd: i32) -> Self {
        let fields = [band as u64, pair(fd.cast_unsigned(), 0), 0, 0];
        Self { signal, errno: 0, code, fields }
    }

    /// A change of a child: `CLD_*`, its number, real user and status.
    pub const fn child(signal: Signal, code: i32, pid: u32, uid: u32, status: i32) -> Self {
        let status = pair(status.cast_unsigned(), 0);
        Self { signal, errno: 0, code, fields: [pair(pid, uid), status, 0, 0] }
    }

    /// What a program passed to rt_sigqueueinfo(2), for `signal`.
    pub fn from_bytes(signal: Signal, bytes: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            i32::from_ne_bytes(word)
        };
        let mut fields = [0; 4];
        fields.as_mut_bytes().copy_from_slice(&bytes[16..48]);
        Self { signal, errno: word(4), code: word(8), fields }
    }

    /// The structure as programs see it.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&i32::from(self.signal.number()).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.errno.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.code.to_ne_bytes());
        bytes[16..48].copy_from_slice(self.fields.as_bytes());
        bytes
    }

    /// The sender's number, where there is one.
    pub const fn pid(&self) -> u32 {
        self.half(0)
    }

    /// The sender's real user, where there is one.
    pub const fn uid(&self) -> u32 {
        self.half(1)
    }

    /// `si_status`, where there is one.
    pub const fn status(&self) -> i32 {
        self.half(2).cast_signed()
    }

    /// `si_value` of a queued or a timer's signal.
    pub const fn value(&self) -> u64 {
        self.fields[1]
    }

    const fn half(&self, index: usize) -> u32 {
        let field = self.fields[index / 2] >> (32 * (index % 2));
        #[allow(clippy::cast_possible_truncation, reason = "the half that is asked for")]
        {
            field as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Info, code};
    use abi::Signal;
    use framework::VirtAddr;

    #[test]
    fn layout_is_linux_s() {
        let bytes = Info::child(Signal::CHLD, code::CLD_EXITED, 7, 1000, 3).to_bytes();
        assert_eq!(bytes[..4], 17_u32.to_ne_bytes());
        assert_eq!(bytes[8..12], 1_u32.to_ne_bytes());
        assert_eq!(bytes[16..20], 7_u32.to_ne_bytes());
        assert_eq!(bytes[20..24], 1000_u32.to_ne_bytes());
        assert_eq!(bytes[24..28], 3_u32.to_ne_bytes());
        let fault = Info::fault(Signal::SEGV, code::SEGV_MAPERR, VirtAddr::new(0x1234));
        assert_eq!(fault.to_bytes()[16..24], 0x1234_u64.to_ne_bytes());
    }

    #[test]
    fn bytes_round_trip() {
        let info = Info::timer(Signal::RTMIN, 3, 9, 0x1122_3344_5566_7788);
        assert_eq!(Info::from_bytes(Signal::RTMIN, &info.to_bytes()), info);
        assert_eq!((info.pid(), info.uid()), (3, 9));
        assert_eq!(info.value(), 0x1122_3344_5566_7788);
    }
}
