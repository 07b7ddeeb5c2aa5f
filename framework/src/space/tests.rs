//! Random changes of page tables against a map of pages.

use super::*;
use crate::{PAGE_SIZE, USER_END};
use core::ops::Range;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::collections::BTreeMap;

/// Pages that the model uses: neighbours, and some that share only upper tables with others.
const PAGES: [usize; 12] = [
    0x1_0000,
    0x1_1000,
    0x1_2000,
    0x1f_f000,
    0x20_0000,
    0x3fff_f000,
    0x4000_0000,
    0x7f_ffff_f000,
    0x80_0000_0000,
    0x7fff_0000_0000,
    0x7fff_ffdf_e000,
    0x7fff_ffdf_f000,
];

#[derive(Clone, Debug)]
enum Step {
    Map(usize, usize, u8),
    Unmap(usize, usize),
    Protect(usize, usize, u8),
    Fork(usize, usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let page = 0..PAGES.len();
    let pair = (page.clone(), page.clone()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let step = prop_oneof![
        3 => (page.clone(), 0..4usize, 0..8u8).prop_map(|(page, frame, p)| Step::Map(page, frame, p)),
        1 => pair.clone().prop_map(|(a, b)| Step::Unmap(a, b)),
        1 => (pair.clone(), 0..8u8).prop_map(|((a, b), p)| Step::Protect(a, b, p)),
        1 => (pair, any::<bool>()).prop_map(|((a, b), cow)| Step::Fork(a, b, cow)),
        1 => Just(Step::Unmap(0, 0)),
    ];
    proptest::collection::vec(step, 0..60)
}

fn range(first: usize, last: usize) -> Range<VirtAddr> {
    VirtAddr::new(PAGES[first])..VirtAddr::new(PAGES[last] + PAGE_SIZE)
}

/// What the hardware makes of a protection.
fn effective(protection: Protection) -> Protection {
    if protection.is_empty() { protection } else { protection | Protection::READ }
}

type Model = BTreeMap<usize, (usize, Protection)>;

fn check(space: &VmSpace, model: &Model, frames: &[Frame]) {
    let mut found = Vec::new();
    space.lock().for_each(VirtAddr::new(0)..USER_END, &mut |at, page| {
        found.push((at.get(), page.frame.clone(), page.protection));
    });
    let wanted: Vec<_> = model
        .iter()
        .map(|(at, (frame, protection))| (*at, frames[*frame].clone(), effective(*protection)))
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(space.resident(), model.len());
    for page in PAGES {
        let found = space.lock().query(VirtAddr::new(page));
        assert_eq!(found.map(|page| page.frame), model.get(&page).map(|(f, _)| frames[*f].clone()));
    }
}

fn run(steps: &[Step], frames: &[Frame]) {
    let space = VmSpace::new().unwrap();
    let mut model = Model::new();
    for step in steps {
        match *step {
            Step::Map(page, frame, protection) => {
                let protection = Protection::from_bits_retain(protection);
                let at = VirtAddr::new(PAGES[page]);
                space.lock().map(at, frames[frame].clone(), protection).unwrap();
                model.insert(PAGES[page], (frame, protection));
            }
            Step::Unmap(first, last) => {
                space.lock().unmap(range(first, last));
                model.retain(|at, _| !(PAGES[first]..=PAGES[last]).contains(at));
            }
            Step::Protect(first, last, protection) => {
                let protection = Protection::from_bits_retain(protection);
                space.lock().protect(range(first, last), protection);
                for (_, value) in model.range_mut(PAGES[first]..=PAGES[last]) {
                    value.1 = protection;
                }
            }
            Step::Fork(first, last, cow) => {
                let child = VmSpace::new().unwrap();
                if cow {
                    space
                        .lock()
                        .share_copy_on_write(&mut child.lock(), range(first, last))
                        .unwrap();
                    for (_, value) in model.range_mut(PAGES[first]..=PAGES[last]) {
                        value.1 = effective(value.1) & !Protection::WRITE;
                    }
                } else {
                    space.lock().share(&mut child.lock(), range(first, last)).unwrap();
                }
                let part = model.range(PAGES[first]..=PAGES[last]);
                check(&child, &part.map(|(at, value)| (*at, *value)).collect(), frames);
            }
        }
        check(&space, &model, frames);
    }
}

proptest! {
    #[test]
    fn a_space_is_a_map_of_pages(steps in steps()) {
        let frames: Vec<Frame> = (0..4).map(|_| Frame::zeroed().unwrap()).collect();
        run(&steps, &frames);
        assert!(frames.iter().all(Frame::is_unique), "a mapping outlived its space");
    }

    #[test]
    fn moved_pages_keep_their_frames(
        pages in proptest::collection::btree_set(0..2000usize, 0..40),
        to in 0..1000usize,
    ) {
        const FROM: usize = 0x10_0000_0000;
        const TO: usize = 0x20_0000_0000;
        let space = VmSpace::new().unwrap();
        let mut frames = Vec::new();
        for page in &pages {
            let frame = Frame::zeroed().unwrap();
            let at = VirtAddr::new(FROM + page * PAGE_SIZE);
            space.lock().map(at, frame.clone(), Protection::READ).unwrap();
            frames.push(frame);
        }
        let to = VirtAddr::new(TO + to * PAGE_SIZE);
        let from = VirtAddr::new(FROM)..VirtAddr::new(FROM + 2000 * PAGE_SIZE);
        space.lock().move_pages(from, to).unwrap();
        let mut found = Vec::new();
        space.lock().for_each(VirtAddr::new(0)..USER_END, &mut |at, page| {
            found.push(((at - to) / PAGE_SIZE, page.frame.clone()));
        });
        assert!(found.into_iter().eq(pages.into_iter().zip(frames)));
    }
}

#[test]
fn entries_have_the_right_bits() {
    let space = VmSpace::new().unwrap();
    let at = VirtAddr::new(0x40_0000);
    let frame = Frame::zeroed().unwrap();
    let entry = |protection| {
        space.lock().map(at, frame.clone(), protection).unwrap();
        space.lock().entry(at).unwrap() & (entry::PRESENT | entry::WRITE | entry::NO_EXECUTE)
    };
    assert_eq!(entry(Protection::empty()), 0);
    assert_eq!(entry(Protection::READ), entry::PRESENT | entry::NO_EXECUTE);
    assert_eq!(entry(Protection::READ | Protection::EXECUTE), entry::PRESENT);
    assert_eq!(entry(Protection::all()), entry::PRESENT | entry::WRITE);
    assert_eq!(frame.references(), 2);
}

#[test]
fn empty_tables_are_released() {
    let space = VmSpace::new().unwrap();
    let frame = Frame::zeroed().unwrap();
    let tables = || {
        let root = space.root;
        (root.count(), root.groups())
    };
    let at = VirtAddr::new(0x7fff_0000_0000);
    space.lock().map(at, frame.clone(), Protection::READ).unwrap();
    assert_eq!(tables().0, 1);
    space.lock().unmap(VirtAddr::new(0)..USER_END);
    assert_eq!(tables().0, 0);
    assert!(frame.is_unique());
}

#[test]
fn addresses_beyond_the_user_half_hold_nothing() {
    let space = VmSpace::new().unwrap();
    assert!(space.lock().query(USER_END).is_none());
    assert!(space.lock().query(VirtAddr::new(usize::MAX & !0xfff)).is_none());
    space.lock().unmap(VirtAddr::new(0)..VirtAddr::new(usize::MAX & !0xfff));
}
