//! Which CPUs translate by a space, and how they are told to forget.
//!
//! A CPU stays in the last program's space while it runs the kernel's own tasks, and also while it
//! idles. Whoever removes pages looks at the set of CPUs after the table was changed, so a CPU that
//! enters later sees the change, and one that entered before is told.

use super::{
    cpu, interrupt,
    local::{self, local},
    paging,
};
use crate::{PhysAddr, cpu::CpuId, space::MAX_PAGES};
use core::{
    hint, ptr,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
use spin::Mutex;
use x86_64::{
    VirtAddr,
    instructions::{interrupts::without_interrupts, tlb},
};

/// The CPUs of one space.
#[derive(Debug)]
pub(crate) struct Active {
    root: u64,
    /// A bit for each CPU whose CR3 is `root`, or about to be.
    cpus: AtomicU32,
}

fn bit(cpu: CpuId) -> u32 {
    1 << cpu.index()
}

impl Active {
    pub(crate) fn new(root: PhysAddr) -> Self {
        paging::copy_kernel_half(root.get());
        Self { root: root.get(), cpus: AtomicU32::new(0) }
    }

    /// Whether no CPU translates by the space; asked after a change of the table.
    #[inline]
    pub(crate) fn is_nowhere(&self) -> bool {
        self.cpus.load(Ordering::SeqCst) == 0
    }

    /// Makes this CPU translate by the space.
    #[inline]
    pub(crate) fn activate(&self) {
        if local().root.get() != self.root {
            self.enter();
        }
    }

    #[cold]
    fn enter(&self) {
        // The present space may be retired by another CPU's interrupt at any time.
        without_interrupts(|| {
            let local = local();
            self.cpus.fetch_or(bit(local.id()), Ordering::SeqCst);
            paging::activate(self.root);
            leave_set(local.space.replace(&raw const self.cpus));
            local.root.set(self.root);
            local.void_ticket();
        });
    }

    /// Makes all CPUs forget these pages, or all; returns when they have.
    pub(crate) fn flush(&self, pages: Option<&[usize]>) {
        let cpus = self.cpus.load(Ordering::SeqCst);
        let me = bit(local::id());
        if cpus & me != 0 {
            forget(pages.into_iter().flatten().copied(), pages.is_none());
        }
        if cpus & !me != 0 {
            ask(cpus & !me, 0, pages);
        }
    }

    /// Makes all CPUs leave the space, which is about to go.
    pub(crate) fn retire(&self) {
        if self.cpus.load(Ordering::SeqCst) != 0 {
            without_interrupts(|| leave(self.root));
            let others = self.cpus.load(Ordering::SeqCst);
            if others != 0 {
                ask(others, self.root, None);
            }
        }
        paging::clear_kernel_half(self.root);
    }
}

/// Takes this CPU out of the set of a space that it has left.
fn leave_set(cpus: *const AtomicU32) {
    if !cpus.is_null() {
        // SAFETY: a space is freed only after `retire`, which makes this CPU forget the pointer.
        unsafe { &*cpus }.fetch_and(!bit(local::id()), Ordering::SeqCst);
    }
}

/// Goes to the kernel's own table if this CPU is in the space of `root`; interrupts are off.
fn leave(root: u64) {
    let local = local();
    if local.root.get() == root {
        paging::activate(paging::root());
        local.root.set(0);
        local.void_ticket();
        leave_set(local.space.replace(ptr::null()));
    }
}

fn forget(pages: impl Iterator<Item = usize>, all: bool) {
    if all {
        tlb::flush_all();
        return;
    }
    for page in pages {
        tlb::flush(VirtAddr::new_truncate(page as u64));
    }
}

/// What CPUs are asked to do; one request at a time.
struct Request {
    turn: Mutex<()>,
    /// CPUs that have not done it yet.
    pending: AtomicU32,
    /// The space to be left, or 0.
    root: AtomicU64,
    /// Pages to be forgotten; `ALL` for all.
    count: AtomicUsize,
    pages: [AtomicUsize; MAX_PAGES],
}

const ALL: usize = usize::MAX;

static REQUEST: Request = Request {
    turn: Mutex::new(()),
    pending: AtomicU32::new(0),
    root: AtomicU64::new(0),
    count: AtomicUsize::new(0),
    pages: [const { AtomicUsize::new(0) }; MAX_PAGES],
};

/// Asks other CPUs and waits until all have done it. Interrupts are on, so two CPUs that ask each
/// other both get their answer.
fn ask(cpus: u32, root: u64, pages: Option<&[usize]>) {
    let _turn = REQUEST.turn.lock();
    REQUEST.root.store(root, Ordering::Relaxed);
    REQUEST.count.store(pages.map_or(ALL, <[usize]>::len), Ordering::Relaxed);
    for (slot, page) in REQUEST.pages.iter().zip(pages.into_iter().flatten()) {
        slot.store(*page, Ordering::Relaxed);
    }
    REQUEST.pending.store(cpus, Ordering::SeqCst);
    for index in (0..32).filter(|index| cpus & 1 << index != 0) {
        cpu::send(CpuId::new(index), interrupt::FLUSH);
    }
    while REQUEST.pending.load(Ordering::Acquire) != 0 {
        hint::spin_loop();
    }
}

/// Does what another CPU asked for; called by the interrupt.
pub(super) fn answer() {
    let me = bit(local::id());
    if REQUEST.pending.load(Ordering::Acquire) & me == 0 {
        return;
    }
    match REQUEST.root.load(Ordering::Relaxed) {
        0 => {
            let count = REQUEST.count.load(Ordering::Relaxed);
            let pages = REQUEST.pages.iter().take(count.min(MAX_PAGES));
            forget(pages.map(|page| page.load(Ordering::Relaxed)), count == ALL);
        }
        root => leave(root),
    }
    REQUEST.pending.fetch_and(!me, Ordering::AcqRel);
}
