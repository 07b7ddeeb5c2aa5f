//! Running user mode: in a stub, while this CPU's thread waits.

use super::{
    clock,
    cpu::{self, lock},
    fpu::Fpu,
    sim,
    space::{self, Slot},
    stub::{Event, Lost, Stub, Turn, is_canonical},
};
use crate::{
    USER_END, VirtAddr, VmSpace,
    cpu::CpuId,
    user::{Exception, MACHINE_CHECK, PageFault, Regs, Trap, UserContext},
};
use core::time::Duration;
use std::{boxed::Box, time::Instant};

/// The exception of a bad address.
const PROTECTION: u8 = 13;
/// How often a program that does not trap is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a stub may take to answer a kick on a busy host.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Enters user mode until the next trap that concerns the kernel.
pub(crate) fn run(context: &mut UserContext, space: &VmSpace) -> Trap {
    let UserContext { regs, fpu, .. } = context;
    if !is_canonical(regs.rip) {
        return Trap::Exception(Exception { vector: PROTECTION, error: 0 });
    }
    if regs.rip >= USER_END.get() {
        let at = VirtAddr::new(regs.rip);
        return Trap::PageFault(PageFault { at, write: false, execute: true, present: false });
    }
    let (id, place) = space::here();
    let slot = space.active().slot(id);
    let mut turns = Turns { id, place, space, slot };
    loop {
        match turns.next(regs, fpu) {
            Ok(None) => {}
            Ok(Some(trap)) => return trap,
            Err(Lost) => {
                log::warn!("a program has left its bounds, or the host has ended it");
                if let Some(mut stub) = lock(&slot.stub).take() {
                    stub.condemn();
                    stub.release();
                }
                return Trap::Exception(Exception { vector: MACHINE_CHECK, error: 0 });
            }
        }
    }
}

/// One CPU's way through a space.
struct Turns<'a> {
    id: CpuId,
    place: Option<usize>,
    space: &'a VmSpace,
    slot: &'a Slot,
}

/// Why a wait for the stub ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    Trapped,
    /// It trapped after the alarm had gone off.
    Alarm,
}

impl Turns<'_> {
    /// Lets the program run until it traps; nothing if the trap was none of the kernel's business.
    fn next(&mut self, regs: &mut Regs, fpu: &mut Fpu) -> Result<Option<Trap>, Lost> {
        if sim::active() {
            sim::run_program();
        }
        if clock::until_alarm(self.id) == Some(Duration::ZERO) {
            clock::clear_alarm(self.id);
            return Ok(Some(Trap::Attention));
        }
        if let Some(trap) = self.prepare(regs)? {
            return Ok(Some(trap));
        }
        let mut guard = lock(&self.slot.stub);
        // Another CPU may have taken the stub for one of its spaces.
        let Some(stub) = guard.as_mut() else { return Ok(None) };
        // Before the stub is loaded: what is left to it then is to be carried out.
        if !cpu::enter_user(self.id, stub.runner()) {
            return Ok(Some(Trap::Attention));
        }
        if let Err(lost) = stub.load(regs, fpu) {
            cpu::leave_user(self.id);
            return Err(lost);
        }
        let turn = stub.turn();
        self.slot.enter();
        drop(guard);
        turn.give();
        let waited = self.wait(turn);
        cpu::leave_user(self.id);
        let mut guard = lock(&self.slot.stub);
        let collect = |stub: &mut Box<Stub>| stub.collect(regs, fpu);
        let event = waited.and_then(|_| guard.as_mut().map_or(Err(Lost), collect));
        // Not before the registers are here: a stub that runs no program may be taken.
        self.slot.leave();
        drop(guard);
        let (waited, event) = (waited?, event?);
        let trap = self.judge(event)?;
        Ok(trap.or_else(|| (waited == Waited::Alarm).then_some(Trap::Interrupt)))
    }

    /// Tells the stub, a new one if there is none, what the program is certain to need. If that is
    /// not there, the program need not run to find out.
    fn prepare(&self, regs: &Regs) -> Result<Option<Trap>, Lost> {
        let (wanted, fresh) = {
            let mut guard = lock(&self.slot.stub);
            let stub = self.space.active().supply(self.id, self.place, &mut guard);
            let stub = stub.map_err(|error| {
                log::error!("the host has no process for a program: {error}");
                Lost
            })?;
            (stub.wanted.take(), stub.tlb.is_empty())
        };
        if let Some(fault) = wanted {
            // If the kernel has not made the page present the program faults again.
            let _ = space::fill(self.space, self.id, &fault);
        }
        if fresh {
            let at = VirtAddr::new(regs.rip);
            let fetch = PageFault { at, write: false, execute: true, present: false };
            if let Err(fault) = space::fill(self.space, self.id, &fetch) {
                return Ok(Some(Trap::PageFault(fault)));
            }
            let at = VirtAddr::new(regs.rsp);
            let push = PageFault { at, write: true, execute: false, present: false };
            let _ = space::fill(self.space, self.id, &push);
        }
        Ok(None)
    }

    /// What an event is to the kernel, if anything.
    fn judge(&self, event: Event) -> Result<Option<Trap>, Lost> {
        let trap = match event {
            Event::Trap(trap) => trap,
            Event::Fault(fault) => match space::fill(self.space, self.id, &fault) {
                Ok(()) => {
                    let page = fault.at.page();
                    lock(&self.slot.stub).as_mut().map_or(Ok(()), |stub| stub.told(page))?;
                    return Ok(None);
                }
                Err(fault) => {
                    if let Some(stub) = &mut *lock(&self.slot.stub) {
                        stub.wanted = Some(fault);
                    }
                    Trap::PageFault(fault)
                }
            },
            Event::Kick if cpu::take_attention(self.id) => Trap::Interrupt,
            Event::Kick | Event::Nothing | Event::Refused => return Ok(None),
        };
        if let Some(stub) = &mut *lock(&self.slot.stub) {
            stub.settle();
        }
        Ok(Some(trap))
    }

    /// Waits for the stub's trap; makes it trap when the CPU's alarm is due.
    fn wait(&self, turn: Turn) -> Result<Waited, Lost> {
        let mut waited = Waited::Trapped;
        // Since when it is known that the stub has been signalled.
        let mut since = None;
        while !turn.is_back() {
            let mut timeout = LOOK;
            // In virtual time an alarm comes when a program traps.
            let left = if sim::active() { None } else { clock::until_alarm(self.id) };
            match left {
                Some(Duration::ZERO) => {
                    clock::clear_alarm(self.id);
                    waited = Waited::Alarm;
                    since = since.or_else(|| Some(Instant::now()));
                    self.interrupt();
                }
                Some(left) => timeout = timeout.min(left),
                None => {}
            }
            turn.wait(timeout);
            if !turn.is_back() {
                if since.is_none() && cpu::has_attention(self.id) {
                    since = Some(Instant::now());
                }
                self.look(since)?;
            }
        }
        Ok(waited)
    }

    /// Makes the stub trap.
    fn interrupt(&self) {
        if let Some(stub) = &*lock(&self.slot.stub) {
            stub.runner().interrupt();
        }
    }

    /// Whether the stub can still answer.
    #[cold]
    fn look(&self, kicked: Option<Instant>) -> Result<(), Lost> {
        let guard = lock(&self.slot.stub);
        let dead = guard.as_ref().is_none_or(|stub| stub.is_dead());
        let silent = kicked.is_some_and(|since| since.elapsed() > PATIENCE);
        if dead || silent { Err(Lost) } else { Ok(()) }
    }
}
