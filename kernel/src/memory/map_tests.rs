//! The list of mappings against a model that knows each page by itself.

use super::{GUARD_GAP, Map};
use crate::memory::vma::{Vma, VmaFlags};
use framework::{PAGE_SIZE, Protection, VirtAddr};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use std::collections::BTreeMap;

/// Pages the test works in, from [`BASE`] on.
const PAGES: usize = 48;
const BASE: usize = 0x10_0000;

#[derive(Clone, Debug)]
enum Step {
    Map { at: usize, len: usize, protection: u8, flags: u32 },
    Unmap { at: usize, len: usize },
    Protect { at: usize, len: usize, protection: u8 },
    Flag { at: usize, len: usize },
    Find { at: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..PAGES).prop_flat_map(|at| (Just(at), 1..=PAGES - at));
    let flags = prop_oneof![Just(0), Just(VmaFlags::LOCKED.bits()), Just(1 << 1)];
    prop_oneof![
        (range(), 0..8_u8, flags).prop_map(|((at, len), protection, flags)| Step::Map {
            at,
            len,
            protection,
            flags
        }),
        range().prop_map(|(at, len)| Step::Unmap { at, len }),
        (range(), 0..8_u8).prop_map(|((at, len), protection)| Step::Protect {
            at,
            len,
            protection
        }),
        range().prop_map(|(at, len)| Step::Flag { at, len }),
        (0..PAGES).prop_map(|at| Step::Find { at }),
    ]
}

/// Protection, flags and offset of each page.
type Model = BTreeMap<usize, (u8, u32, u64)>;

fn page(index: usize) -> VirtAddr {
    VirtAddr::new(BASE + index * PAGE_SIZE)
}

fn vma(at: usize, len: usize, protection: u8, flags: u32) -> Vma {
    Vma {
        start: page(at),
        end: page(at + len),
        protection: Protection::from_bits_truncate(protection),
        maximum: Protection::all(),
        flags: VmaFlags::from_bits_truncate(flags),
        offset: (page(at).get() / PAGE_SIZE) as u64,
        object: None,
        has_own_pages: false,
    }
}

fn apply(map: &mut Map, model: &mut Model, step: &Step) {
    match *step {
        Step::Map { at, len, protection, flags } => {
            map.remove(&(page(at)..page(at + len))).expect("few mappings");
            map.insert(vma(at, len, protection, flags)).expect("few mappings");
            for index in at..at + len {
                let offset = (page(index).get() / PAGE_SIZE) as u64;
                model.insert(index, (protection, flags, offset));
            }
        }
        Step::Unmap { at, len } => {
            let removed = map.remove(&(page(at)..page(at + len))).expect("few mappings");
            let before = model.len();
            model.retain(|index, _| !(at..at + len).contains(index));
            assert_eq!(removed.iter().map(Vma::pages).sum::<usize>(), before - model.len());
        }
        Step::Protect { at, len, protection } => {
            let range = page(at)..page(at + len);
            let new = Protection::from_bits_truncate(protection);
            map.update(&range, |vma| vma.protection = new).expect("few mappings");
            for (_, entry) in model.range_mut(at..at + len) {
                entry.0 = protection;
            }
        }
        Step::Flag { at, len } => {
            let range = page(at)..page(at + len);
            map.update(&range, |vma| vma.flags |= VmaFlags::DONT_DUMP).expect("few mappings");
            for (_, entry) in model.range_mut(at..at + len) {
                entry.1 |= VmaFlags::DONT_DUMP.bits();
            }
        }
        Step::Find { at } => {
            assert_eq!(map.find(page(at)).is_some(), model.contains_key(&at));
        }
    }
}

fn check(map: &Map, model: &Model) {
    let mut seen = Model::new();
    for pair in map.vmas().windows(2) {
        assert!(pair[0].end <= pair[1].start, "sorted");
        assert!(!pair[0].continues_with(&pair[1]), "joined");
    }
    for vma in map.vmas() {
        assert!(vma.start < vma.end);
        for number in 0..vma.pages() {
            let at = vma.start + number * PAGE_SIZE;
            let index = (at.get() - BASE) / PAGE_SIZE;
            seen.insert(index, (vma.protection.bits(), vma.flags.bits(), vma.index_of(at)));
        }
    }
    assert_eq!(&seen, model);
    let totals = map.totals();
    assert_eq!(totals.mapped, model.len());
    let locked = model.values().filter(|entry| entry.1 & VmaFlags::LOCKED.bits() != 0).count();
    assert_eq!(totals.locked, locked);
    for len in [1, 3, 9] {
        check_gaps(map, model, len);
    }
}

/// The model's answer to whether `len` pages at `at` are free, with the gap below stacks.
fn free(model: &Model, at: usize, len: usize) -> bool {
    let taken = (at..at + len).any(|index| model.contains_key(&index));
    let next = model.range(at + len..).next();
    let grows = |entry: &(u8, u32, u64)| entry.1 & VmaFlags::GROWS_DOWN.bits() != 0;
    let near = next
        .is_some_and(|(index, entry)| grows(entry) && (index - at - len) * PAGE_SIZE < GUARD_GAP);
    !taken && !near
}

fn check_gaps(map: &Map, model: &Model, len: usize) {
    let within = page(0)..page(PAGES);
    let places: Vec<_> = (0..=PAGES - len).filter(|at| free(model, *at, len)).collect();
    let bytes = len * PAGE_SIZE;
    assert_eq!(map.highest_gap(bytes, &within), places.last().map(|at| page(*at)));
    assert_eq!(map.lowest_gap(bytes, &within), places.first().map(|at| page(*at)));
    for at in 0..=PAGES - len {
        assert_eq!(map.is_free(&(page(at)..page(at + len))), free(model, at, len), "at {at}");
    }
}

proptest::proptest! {
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..40), forked in any::<bool>()) {
        let mut map = Map::new();
        let mut model = Model::new();
        for step in &steps {
            apply(&mut map, &mut model, step);
            check(&map, &model);
        }
        if forked {
            let copy = map.for_fork().expect("memory");
            for entry in model.values_mut() {
                entry.1 &= !VmaFlags::LOCKED.bits();
            }
            check(&copy, &model);
        }
    }
}

#[test]
fn splits_are_limited() {
    let mut map = Map::new();
    for index in 0..super::MAX_MAPPINGS {
        map.insert(vma(index * 4, 3, 1, 0)).expect("room");
    }
    assert_eq!(map.insert(vma(super::MAX_MAPPINGS * 4, 1, 1, 0)), Err(abi::Errno::ENOMEM));
    let middle = page(1)..page(2);
    assert!(map.removal_overflows(&middle));
    assert!(map.update(&middle, |vma| vma.protection = Protection::empty()).is_err());
    assert_eq!(map.totals().mapped, super::MAX_MAPPINGS * 3);
    // Cutting an end off needs no further mapping.
    assert!(!map.removal_overflows(&(page(0)..page(1))));
}
