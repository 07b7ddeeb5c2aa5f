//! Address spaces against a model: random calls on up to three that forked from each other, and
//! what each reads afterwards.

use super::{Access, Layout, Limits, MapRequest, Memory, RemapRequest};
use abi::memory::{MADV_DONTNEED, MapFlags, Prot, RemapFlags};
use alloc::sync::Arc;
use framework::{PAGE_SIZE, Protection, VirtAddr, user::PageFault};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use std::{cell::Cell, collections::BTreeMap, rc::Rc};

const PAGES: usize = 24;
const BASE: usize = 0x7000_0000;

#[derive(Clone, Debug)]
enum Step {
    Map { at: usize, len: usize, prot: u32, shared: bool },
    Unmap { at: usize, len: usize },
    Protect { at: usize, len: usize, prot: u32 },
    Store { at: usize, value: u8 },
    Load { at: usize },
    Discard { at: usize, len: usize },
    Move { from: usize, to: usize, len: usize },
    Fork,
    Exit,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let range = || (0..PAGES).prop_flat_map(|at| (Just(at), 1..=PAGES - at));
    let step = prop_oneof![
        3 => (range(), 0..8_u32, any::<bool>())
            .prop_map(|((at, len), prot, shared)| Step::Map { at, len, prot, shared }),
        1 => range().prop_map(|(at, len)| Step::Unmap { at, len }),
        2 => (range(), 0..8_u32).prop_map(|((at, len), prot)| Step::Protect { at, len, prot }),
        8 => (0..PAGES, 1..255_u8).prop_map(|(at, value)| Step::Store { at, value }),
        4 => (0..PAGES).prop_map(|at| Step::Load { at }),
        1 => range().prop_map(|(at, len)| Step::Discard { at, len }),
        2 => (0..PAGES, 0..PAGES, 1..4_usize)
            .prop_map(|(from, to, len)| Step::Move { from, to, len }),
        1 => Just(Step::Fork),
        1 => Just(Step::Exit),
    ];
    (0..3_usize, step)
}

/// A mapped page: its rights, what it holds, and whether others see stores.
#[derive(Clone, Debug)]
struct Cell8 {
    prot: u32,
    value: Rc<Cell<u8>>,
    shared: bool,
    /// Whether it was ever writable, which makes it count as committed.
    committed: bool,
    /// The mapping it was made by, and the page in it: neighbours move only together.
    mapping: usize,
    index: usize,
}

type Model = BTreeMap<usize, Cell8>;

fn page(index: usize) -> VirtAddr {
    VirtAddr::new(BASE + index * PAGE_SIZE)
}

fn new_memory() -> Arc<Memory> {
    Memory::new(Layout::new(8 << 20, None), Limits::default()).expect("memory")
}

struct Run {
    processes: Vec<(Arc<Memory>, Model)>,
    mappings: usize,
}

impl Run {
    fn apply(&mut self, which: usize, step: &Step) {
        let which = which % self.processes.len();
        match *step {
            Step::Fork if self.processes.len() < 3 => {
                let (memory, model) = &self.processes[which];
                let child = memory.fork().expect("memory");
                let mut copy = model.clone();
                for cell in copy.values_mut().filter(|cell| !cell.shared) {
                    cell.value = Rc::new(Cell::new(cell.value.get()));
                }
                self.processes.push((child, copy));
            }
            Step::Exit if self.processes.len() > 1 => drop(self.processes.remove(which)),
            Step::Fork | Step::Exit => {}
            Step::Map { at, len, prot, shared } => {
                self.mappings += 1;
                let (memory, model) = &mut self.processes[which];
                map(memory, at, len, (prot, shared));
                for index in at..at + len {
                    let value = Rc::new(Cell::new(0));
                    let mapping = self.mappings;
                    let committed = prot & 2 != 0;
                    model.insert(index, Cell8 { prot, value, shared, committed, mapping, index });
                }
            }
            ref step => change(&mut self.processes[which], step),
        }
    }
}

fn map(memory: &Memory, at: usize, len: usize, (prot, shared): (u32, bool)) {
    let kind = MapFlags::from_bits_retain(if shared { 1 } else { 2 });
    let mapped = memory.map(&MapRequest {
        at: page(at),
        len: len * PAGE_SIZE,
        prot: Prot::from_bits_retain(prot),
        flags: kind | MapFlags::ANONYMOUS | MapFlags::FIXED,
        backing: None,
        may_lock_all: false,
    });
    assert_eq!(mapped.expect("memory").range, page(at)..page(at + len));
}

fn change((memory, model): &mut (Arc<Memory>, Model), step: &Step) {
    match *step {
        Step::Unmap { at, len } => {
            memory.unmap(page(at), len * PAGE_SIZE).expect("few mappings");
            model.retain(|index, _| !(at..at + len).contains(index));
        }
        Step::Protect { at, len, prot } => {
            let result = memory.protect(page(at), len * PAGE_SIZE, Prot::from_bits_retain(prot));
            let mapped = (at..at + len).take_while(|index| model.contains_key(index)).count();
            assert_eq!(result.is_ok(), mapped == len);
            for (_, cell) in model.range_mut(at..at + mapped) {
                cell.prot = prot;
                cell.committed |= prot & 2 != 0;
            }
        }
        Step::Store { at, value } => {
            let allowed = model.get(&at).is_some_and(|cell| cell.prot & 2 != 0);
            let written = memory.write_at(page(at) + 5, &[value], Access::Allowed);
            assert_eq!(written == 1, allowed);
            if allowed {
                model[&at].value.set(value);
            }
        }
        Step::Load { at } => {
            let fault = PageFault { at: page(at), write: false, execute: false, present: false };
            let allowed = model.get(&at).is_some_and(|cell| cell.prot != 0);
            assert_eq!(memory.try_fault(&fault).is_ok(), allowed);
        }
        Step::Discard { at, len } => {
            let result = memory.advise(&(page(at)..page(at + len)), MADV_DONTNEED);
            let mapped = model.range(at..at + len).count();
            assert_eq!(result.is_ok(), mapped == len);
            for (_, cell) in model.range(at..at + len).filter(|(_, cell)| !cell.shared) {
                cell.value.set(0);
            }
        }
        Step::Move { from, to, len } => move_pages(memory, model, (from, to, len)),
        Step::Map { .. } | Step::Fork | Step::Exit => {}
    }
}

fn move_pages(memory: &Memory, model: &mut Model, (from, to, len): (usize, usize, usize)) {
    let apart = from + len <= to || to + len <= from;
    let cells: Vec<_> = (from..from + len).map_while(|index| model.get(&index).cloned()).collect();
    let one = cells.windows(2).all(|pair| {
        let same = pair[0].mapping == pair[1].mapping && pair[0].prot == pair[1].prot;
        let same = same && pair[0].committed == pair[1].committed;
        same && pair[0].index + 1 == pair[1].index
    });
    // Whether two mappings are one is the list's business, and tested there.
    if !apart || !one || cells.len() != len || to + len > PAGES {
        return;
    }
    let remapped = memory.remap(&RemapRequest {
        at: page(from),
        old_len: len * PAGE_SIZE,
        new_len: len * PAGE_SIZE,
        flags: RemapFlags::MAYMOVE | RemapFlags::FIXED,
        to: page(to),
        may_lock_all: false,
    });
    assert_eq!(remapped.expect("memory").at, page(to));
    model.retain(|index, _| !(from..from + len).contains(index));
    model.extend((to..to + len).zip(cells));
}

fn check(memory: &Memory, model: &Model) {
    for index in 0..PAGES {
        let mut byte = [0xff];
        let read = memory.read_at(page(index) + 5, &mut byte, Access::Forced);
        let wanted = model.get(&index).map(|cell| cell.value.get());
        assert_eq!((read == 1).then_some(byte[0]), wanted, "page {index}");
    }
    assert_eq!(memory.totals().mapped, model.len());
    // No page is mapped that the model does not know, or with more rights.
    memory.space().lock().for_each(VirtAddr::new(0)..framework::USER_END, &mut |at, found| {
        let index = (at.get() - BASE) / PAGE_SIZE;
        let prot = model.get(&index).expect("a page of a mapping").prot;
        let writable = found.protection.contains(Protection::WRITE);
        assert!(!writable || prot & 2 != 0, "page {index} can be written");
        assert!(!found.protection.contains(Protection::EXECUTE) || prot & 4 != 0);
        assert!(found.protection.is_empty() || prot != 0, "page {index} can be read");
    });
}

proptest::proptest! {
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let mut run = Run { processes: vec![(new_memory(), Model::new())], mappings: 0 };
        for (which, step) in &steps {
            run.apply(*which, step);
        }
        for (memory, model) in &run.processes {
            check(memory, model);
        }
    }
}

#[test]
fn frames_come_back() {
    // Warms the caches of the allocator and the page of zeros.
    drop(grown());
    let before = framework::frame::stats();
    drop(grown());
    let after = framework::frame::stats();
    // Other tests run beside this one, so only a leak of this size is one.
    let lost = before.free.abs_diff(after.free);
    assert!(lost < 512, "{before:?} {after:?}");
}

fn grown() -> Arc<Memory> {
    let memory = new_memory();
    map(&memory, 0, 512, (3, false));
    for index in 0..512 {
        assert_eq!(memory.write_at(page(index), &[1], Access::Allowed), 1);
    }
    assert_eq!(memory.resident(), 512);
    memory
}
