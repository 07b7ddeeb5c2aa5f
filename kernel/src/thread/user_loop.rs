//! The life of a thread: run user code, carry out what it traps for, look at what came up.

use super::{Thread, Work, oom};
use crate::{
    memory::FaultError,
    signal::{self, Info, Interrupted, TrapInfo, code},
    start,
};
use abi::{Errno, Result, Signal};
use alloc::boxed::Box;
use core::sync::atomic::Ordering;
use executor::Mode;
use framework::{
    Trap, VirtAddr,
    user::{Exception, MACHINE_CHECK, PageFault},
};

/// Runs `thread` until it ends.
#[expect(clippy::manual_async_fn, reason = "an async fn would store its argument twice")]
pub fn user_loop(mut thread: Thread) -> impl Future<Output = ()> + Send + 'static {
    async move {
        thread.begin();
        if let Some(first) = thread.first_program.take() {
            Box::pin(start::run_first_program(&mut thread, &first)).await;
        }
        let mut interrupted = None;
        let mut look = None;
        loop {
            // What a call woke waits for this CPU, and nothing else would tell of it.
            if (look.is_some() || executor::need_resched()) && executor::preempt(look.take()) {
                executor::yield_now().await;
            }
            if interrupted.is_some() || !thread.tcb.work().is_empty() {
                while thread.exit_work(&mut interrupted) == Next::Stop {
                    signal::stopped(&thread).await;
                }
                if thread.tcb.work().contains(Work::EXIT) {
                    break;
                }
            }
            // Work that comes up from now on ends the next run at once, so nobody looks for it
            // until a run has said so or the thread has waited.
            loop {
                executor::user_begin();
                let trap = thread.context.run(thread.memory.space());
                executor::user_end();
                match trap {
                    Trap::Syscall => {
                        let number = thread.context.regs().rax.get();
                        let Some(wait) = thread.calls.find(number)(&mut thread) else {
                            if executor::need_resched() {
                                break;
                            }
                            continue;
                        };
                        let result = wait.await;
                        interrupted = thread.end_call(result);
                        break;
                    }
                    Trap::PageFault(fault) => {
                        if thread.page_fault(&fault) == Memory::IsShort {
                            // The victim needs this CPU to end and give its memory back.
                            executor::yield_now().await;
                            break;
                        }
                    }
                    Trap::Exception(exception) => thread.exception(exception),
                    Trap::Interrupt => {
                        look = Some(Mode::User);
                        break;
                    }
                    Trap::Attention => {
                        look = Some(Mode::Kernel);
                        break;
                    }
                }
            }
        }
        if thread.has_much_memory() {
            Box::pin(thread.release_memory()).await;
        }
        thread.finish();
    }
}

/// Whether a fault found memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// It did, or needed none.
    Suffices,
    /// A process was told to end for its memory; the access is tried again.
    IsShort,
}

/// What the loop does after the exit work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It waits until the process is continued, and looks again.
    Stop,
    /// It returns to user mode, or ends.
    GoOn,
}

impl Thread {
    /// What a new thread does before it first enters user mode.
    fn begin(&mut self) {
        // Its maker sets it too, but may be slower than the thread is on another CPU.
        if let Some(task) = executor::current_task() {
            self.tcb.task.call_once(|| task);
        }
        if let Some(at) = self.set_child_tid.take() {
            // As on Linux, a bad address is the program's loss.
            let _ = self.write(at, &self.tid().get());
        }
    }

    /// Gives the program the result of a call that waited, or says how to go on with the call.
    fn end_call(&mut self, result: Result<usize>) -> Option<Interrupted> {
        let number = self.context.regs().rax.get();
        self.context.set_result(result.unwrap_or_else(Errno::to_return_value));
        let errno = result.err().filter(|errno| errno.is_restart())?;
        Some(Interrupted { errno, number })
    }

    /// Delivers signals, and settles how an interrupted call goes on.
    fn exit_work(&mut self, interrupted: &mut Option<Interrupted>) -> Next {
        if interrupted.is_none() && self.tcb.work().contains(Work::RESTORE_MASK) {
            // The call ended by itself: signals that it let in for its time only stay pending.
            signal::restore_mask(self);
        }
        signal::deliver(self, interrupted);
        let work = self.tcb.work();
        if work.contains(Work::STOP) && !work.contains(Work::EXIT) {
            return Next::Stop;
        }
        signal::finish(self, interrupted.take());
        Next::GoOn
    }

    /// Makes the page present, or sends the signal.
    fn page_fault(&mut self, fault: &PageFault) -> Memory {
        let (signal, code) = match self.memory.try_fault(fault) {
            Ok(()) => {
                self.tcb.counters.minor_faults.fetch_add(1, Ordering::Relaxed);
                return Memory::Suffices;
            }
            Err(FaultError::NotMapped) => (Signal::SEGV, code::SEGV_MAPERR),
            Err(FaultError::NotAllowed) => (Signal::SEGV, code::SEGV_ACCERR),
            Err(FaultError::Bus) => (Signal::BUS, code::BUS_ADRERR),
            Err(FaultError::OutOfMemory) => {
                // The access is tried again once the victim has given its memory back.
                if oom::kill_largest(self.system).is_none() {
                    self.tcb.set_work(Work::EXIT);
                }
                return Memory::IsShort;
            }
        };
        let rip = self.context.regs().rip;
        log::debug!("{}: {fault:x?} at {rip:#x}: {signal:?}", self.tcb.name());
        let bit = |set: bool, value: u64| if set { value } else { 0 };
        let error = bit(fault.present, 1) | bit(fault.write, 2) | 4 | bit(fault.execute, 16);
        self.last_trap = TrapInfo { vector: 14, error, cr2: fault.at.get() as u64 };
        signal::force(self, Info::fault(signal, code, fault.at));
        Memory::Suffices
    }

    /// Sends the signal of an exception.
    fn exception(&mut self, exception: Exception) {
        let (vector, error) = (u64::from(exception.vector), exception.error);
        self.last_trap = TrapInfo { vector, error, ..self.last_trap };
        let rip = VirtAddr::new(self.context.regs().rip);
        log::debug!("{}: {exception:x?} at {:#x}", self.tcb.name(), rip.get());
        let info = match exception.vector {
            0 => Info::fault(Signal::FPE, code::FPE_INTDIV, rip),
            1 => Info::fault(Signal::TRAP, code::TRAP_TRACE, rip),
            3 => Info::kernel(Signal::TRAP),
            6 => Info::fault(Signal::ILL, code::ILL_ILLOPN, rip),
            11 | 12 => Info::kernel(Signal::BUS),
            16 | 19 => Info::fault(Signal::FPE, self.floating_point_code(exception.vector), rip),
            MACHINE_CHECK => Info::kernel(Signal::KILL),
            17 => Info::fault(Signal::BUS, code::BUS_ADRALN, VirtAddr::new(0)),
            _ => Info::kernel(Signal::SEGV),
        };
        signal::force(self, info);
    }

    /// Which floating-point exception it was, as `si_code`.
    fn floating_point_code(&mut self, vector: u8) -> i32 {
        let mut image = alloc::vec![0; framework::UserContext::fpu_size()];
        self.context.fpu_read(&mut image);
        let word = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]);
        // x87: control and status word; SSE: MXCSR has both.
        let (masked, raised) =
            if vector == 16 { (word(0), word(2)) } else { (word(24) >> 7, word(24)) };
        let open = raised & !masked & 0x3f;
        let codes = [(1, 7), (4, 3), (8, 4), (0x12, 5), (0x20, 6)];
        codes.iter().find(|(bits, _)| open & bits != 0).map_or(code::FPE_FLTINV, |(_, code)| *code)
    }
}

#[cfg(test)]
mod tests {
    use super::{Thread, user_loop};

    fn size_of_future<F: Future>(_make: impl FnOnce(Thread) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_thread_s_future_is_small() {
        let size = size_of_future(user_loop);
        assert!(size <= 1024, "{size} bytes");
    }
}
