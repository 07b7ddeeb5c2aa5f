//! The life of a thread: run user code, carry out what it traps for, look at what came up.

use super::{Thread, Work};
use crate::syscall::{self, Args, Handler, Outcome};
use abi::{Errno, Result};
use framework::Trap;

/// Runs `thread` until it ends.
pub async fn user_loop(thread: Thread) {
    // Used where it was captured: a by-value argument would be stored twice.
    let mut thread = thread;
    loop {
        match thread.context.run(thread.memory.space()) {
            Trap::Syscall => {
                let result = call(&mut thread).await;
                thread.context.regs.rax = match result {
                    Ok(value) => value,
                    Err(errno) => errno.to_return_value(),
                };
            }
            Trap::PageFault(_) | Trap::Exception(_) => return,
            Trap::Interrupt => {
                if executor::preempt() {
                    executor::yield_now().await;
                }
            }
        }
        if !thread.tcb.work().is_empty() && thread.tcb.work().contains(Work::EXIT) {
            return;
        }
    }
}

/// Carries out the system call in the registers.
async fn call(thread: &mut Thread) -> Result<usize> {
    let args = Args::from_regs(&thread.context.regs);
    let row = syscall::lookup(thread.context.regs.rax).ok_or(Errno::ENOSYS)?;
    let outcome = match row.handler {
        Handler::Call(handler) => handler(thread, &args)?,
        Handler::CallMut(handler) => handler(thread, &args)?,
    };
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Wait(future) => future.await,
    }
}
