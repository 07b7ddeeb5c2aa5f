//! What a stub maps, and what it is still to be told: the software TLB of an address space.
//!
//! The mappings are kept as runs of neighbouring pages with neighbouring frames and the same rights,
//! which is also what the host keeps. Changes are noted here at once and collected as operations,
//! joined where they can be; the stub carries them out, in order, before it next runs the guest.

use super::block::Operation;
use crate::{PAGE_SIZE, Protection};
use core::ops::Range;
use std::{collections::BTreeMap, vec::Vec};

/// More operations than this cost more than to begin again.
const MAX_PENDING: usize = 512;
/// Mappings of at most this many pages are filled at once, when the operation is carried out.
const FILLED: usize = 64;

/// Neighbouring pages with neighbouring frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// How many pages.
    pub(crate) len: usize,
    /// The frame of the first.
    pub(crate) frame: usize,
    pub(crate) protection: Protection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Unmap,
    Protect(Protection),
    /// From this frame on.
    Map(usize, Protection),
}

/// The mappings of one stub. Pages are numbered.
#[derive(Debug, Default)]
pub(crate) struct Tlb {
    runs: BTreeMap<usize, Run>,
    pending: Vec<(Range<usize>, Change)>,
}

/// All pages that a guest can have.
const ALL: Range<usize> = 0..super::image::CODE / PAGE_SIZE;

impl Tlb {
    /// A TLB of a stub that maps nothing.
    pub(crate) const fn new() -> Self {
        Self { runs: BTreeMap::new(), pending: Vec::new() }
    }

    /// Whether nothing is mapped, once the operations are carried out.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether there are operations to be carried out.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The mapping of a page: its frame and rights.
    pub(crate) fn find(&self, page: usize) -> Option<(usize, Protection)> {
        let (start, run) = self.runs.range(..=page).next_back()?;
        let at = page - start;
        (at < run.len).then_some((run.frame + at, run.protection))
    }

    /// Every mapping.
    pub(crate) fn runs(&self) -> Vec<(usize, Run)> {
        self.runs.iter().map(|(start, run)| (*start, *run)).collect()
    }

    /// The pages around `page` in `range` that are not mapped.
    pub(crate) fn hole(&self, page: usize, range: Range<usize>) -> Range<usize> {
        let before = self.runs.range(..=page).next_back().map_or(0, |(start, run)| start + run.len);
        let after = self.runs.range(page + 1..).next().map_or(usize::MAX, |(start, _)| *start);
        range.start.max(before)..range.end.min(after)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.pending.clear();
        self.pending.push((ALL, Change::Unmap));
    }

    /// Forgets these pages.
    pub(crate) fn unmap(&mut self, pages: Range<usize>) {
        for (range, _) in self.cut(&pages) {
            self.note(range, Change::Unmap);
        }
    }

    /// Gives those of these pages that are mapped other rights.
    pub(crate) fn protect(&mut self, pages: Range<usize>, protection: Protection) {
        for (range, frame) in self.cut(&pages) {
            self.insert(range.start, Run { len: range.len(), frame, protection });
            if self.note(range, Change::Protect(protection)).is_none() {
                return;
            }
        }
    }

    /// Maps frames from `frame` on in place of what was there.
    pub(crate) fn map(&mut self, pages: Range<usize>, frame: usize, protection: Protection) {
        self.cut(&pages);
        self.insert(pages.start, Run { len: pages.len(), frame, protection });
        // What the new mapping replaces need not go before.
        while let Some((last, Change::Unmap)) = self.pending.last()
            && pages.start <= last.start
            && last.end <= pages.end
        {
            self.pending.pop();
        }
        self.note(pages, Change::Map(frame, protection));
    }

    /// Takes the parts of runs that lie in `pages` out; each as its pages and its first frame.
    fn cut(&mut self, pages: &Range<usize>) -> Vec<(Range<usize>, usize)> {
        let before = self.runs.range(..pages.start).next_back();
        let first = before.filter(|(start, run)| *start + run.len > pages.start);
        let first = first.map_or(pages.start, |(start, _)| *start);
        let met: Vec<(usize, Run)> =
            self.runs.range(first..pages.end).map(|(start, run)| (*start, *run)).collect();
        let cut = |(start, run): (usize, Run)| {
            self.runs.remove(&start);
            let end = start + run.len;
            let part = start.max(pages.start)..end.min(pages.end);
            if start < part.start {
                self.runs.insert(start, Run { len: part.start - start, ..run });
            }
            if part.end < end {
                let frame = run.frame + (part.end - start);
                self.runs.insert(part.end, Run { len: end - part.end, frame, ..run });
            }
            let frame = run.frame + (part.start - start);
            (part, frame)
        };
        met.into_iter().map(cut).collect()
    }

    /// Adds a run where there is none, and joins it with its neighbours.
    fn insert(&mut self, mut start: usize, mut run: Run) {
        if let Some((before, other)) = self.runs.range(..start).next_back()
            && continues(*before, *other, start, run)
        {
            (start, run) = (*before, Run { len: other.len + run.len, ..*other });
        }
        if let Some((after, other)) = self.runs.range(start + 1..).next()
            && continues(start, run, *after, *other)
        {
            let after = *after;
            run.len += other.len;
            self.runs.remove(&after);
        }
        self.runs.insert(start, run);
    }

    /// Collects an operation, joined to the last one if it goes on there. Nothing if there were too
    /// many, and all is forgotten.
    fn note(&mut self, pages: Range<usize>, change: Change) -> Option<()> {
        if let Some((last, old)) = self.pending.last_mut()
            && last.end == pages.start
        {
            let goes_on = match (*old, change) {
                (Change::Map(frame, rights), Change::Map(next, new)) => {
                    frame + last.len() == next && rights == new
                }
                (old, change) => old == change,
            };
            if goes_on {
                last.end = pages.end;
                return Some(());
            }
        }
        if self.pending.len() >= MAX_PENDING {
            self.clear();
            return None;
        }
        self.pending.push((pages, change));
        Some(())
    }

    /// Takes at most `max` operations, the oldest first.
    pub(crate) fn take(&mut self, max: usize) -> Vec<Operation> {
        let count = max.min(self.pending.len());
        self.pending.drain(..count).map(|(pages, change)| operation(pages, change)).collect()
    }
}

/// Whether the second run begins where the first ends, with what comes next.
fn continues(first: usize, run: Run, second: usize, other: Run) -> bool {
    first + run.len == second
        && run.frame + run.len == other.frame
        && run.protection == other.protection
}

fn rights(protection: Protection) -> u16 {
    let bit = |of, rights: libc::c_int| {
        if protection.contains(of) { u16::try_from(rights).unwrap_or(0) } else { 0 }
    };
    bit(Protection::READ, libc::PROT_READ)
        | bit(Protection::WRITE, libc::PROT_WRITE)
        | bit(Protection::EXECUTE, libc::PROT_EXEC)
}

fn operation(pages: Range<usize>, change: Change) -> Operation {
    let number = |call: libc::c_long| u32::try_from(call).expect("numbers of calls are small");
    let (address, len) = (pages.start * PAGE_SIZE, pages.len() * PAGE_SIZE);
    let none = Operation { address, len, offset: 0, call: 0, rights: 0, flags: 0 };
    match change {
        Change::Unmap => Operation { call: number(libc::SYS_munmap), ..none },
        Change::Protect(protection) => {
            Operation { call: number(libc::SYS_mprotect), rights: rights(protection), ..none }
        }
        Change::Map(frame, protection) => {
            let fill = if pages.len() <= FILLED { libc::MAP_POPULATE } else { 0 };
            let flags = libc::MAP_SHARED | libc::MAP_FIXED | fill;
            Operation {
                call: number(libc::SYS_mmap),
                offset: frame * PAGE_SIZE,
                rights: rights(protection),
                flags: u16::try_from(flags).expect("the flags are the low ones"),
                ..none
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    const READ: Protection = Protection::READ;
    const BOTH: Protection = Protection::READ.union(Protection::WRITE);

    #[derive(Clone, Debug)]
    enum Step {
        Unmap(usize, usize),
        Protect(usize, usize, bool),
        Map(usize, usize, usize, bool),
        Flush,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let (at, len) = (0..20usize, 1..6usize);
        let step = prop_oneof![
            1 => (at.clone(), len.clone()).prop_map(|(at, len)| Step::Unmap(at, len)),
            1 => (at.clone(), len.clone(), any::<bool>()).prop_map(|(a, l, w)| Step::Protect(a, l, w)),
            3 => (at, len, 0..20usize, any::<bool>()).prop_map(|(a, l, f, w)| Step::Map(a, l, f, w)),
            1 => (0..1usize).prop_map(|_| Step::Flush),
        ];
        proptest::collection::vec(step, 0..40)
    }

    fn chosen(write: bool) -> Protection {
        if write { BOTH } else { READ }
    }

    /// The host's side: pages with frame and rights.
    fn carry_out(host: &mut BTreeMap<usize, (usize, u16)>, operations: &[Operation]) {
        for operation in operations {
            let first = operation.address / PAGE_SIZE;
            let pages = first..first + operation.len / PAGE_SIZE;
            let frame = operation.offset / PAGE_SIZE;
            match libc::c_long::from(operation.call) {
                libc::SYS_munmap => host.retain(|page, _| !pages.contains(page)),
                libc::SYS_mprotect => {
                    for page in pages {
                        host.get_mut(&page).expect("only what is mapped").1 = operation.rights;
                    }
                }
                _ => host.extend(pages.map(|at| (at, (frame + at - first, operation.rights)))),
            }
        }
    }

    proptest! {
        #[test]
        fn the_host_ends_up_with_what_is_noted(steps in steps()) {
            let mut tlb = Tlb::new();
            let mut model: BTreeMap<usize, (usize, Protection)> = BTreeMap::new();
            let mut host = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Unmap(at, len) => {
                        tlb.unmap(at..at + len);
                        model.retain(|page, _| !(at..at + len).contains(page));
                    }
                    Step::Protect(at, len, write) => {
                        tlb.protect(at..at + len, chosen(write));
                        for (_, mapping) in model.range_mut(at..at + len) {
                            *mapping = (mapping.0, chosen(write));
                        }
                    }
                    Step::Map(at, len, frame, write) => {
                        tlb.map(at..at + len, frame, chosen(write));
                        model.extend((0..len).map(|i| (at + i, (frame + i, chosen(write)))));
                    }
                    Step::Flush => carry_out(&mut host, &tlb.take(usize::MAX)),
                }
                for page in 0..26 {
                    assert_eq!(tlb.find(page), model.get(&page).copied());
                }
            }
            carry_out(&mut host, &tlb.take(usize::MAX));
            let wanted = model.iter().map(|(page, (frame, p))| (*page, (*frame, rights(*p))));
            assert_eq!(host, wanted.collect());
            let runs = tlb.runs();
            for pair in runs.windows(2) {
                assert!(!continues(pair[0].0, pair[0].1, pair[1].0, pair[1].1), "not joined");
            }
        }
    }

    #[test]
    fn neighbours_are_one_operation() {
        let mut tlb = Tlb::new();
        for page in 0..100 {
            tlb.map(page..page + 1, 500 + page, BOTH);
        }
        assert_eq!(tlb.take(usize::MAX).len(), 1);
        for page in 0..100 {
            tlb.protect(page..page + 1, READ);
        }
        assert_eq!(tlb.take(usize::MAX).len(), 1);
        for page in 20..100 {
            tlb.unmap(page..page + 1);
        }
        assert_eq!(tlb.take(usize::MAX).len(), 1);
        assert_eq!(tlb.runs(), [(0, Run { len: 20, frame: 500, protection: READ })]);
    }

    #[test]
    fn too_much_to_do_is_to_begin_again() {
        let mut tlb = Tlb::new();
        for page in 0..MAX_PENDING + 10 {
            tlb.map(2 * page..2 * page + 1, page, READ);
        }
        let operations = tlb.take(usize::MAX);
        assert!(operations.len() < 20);
        assert_eq!((operations[0].address, operations[0].len), (0, ALL.end * PAGE_SIZE));
        assert_eq!(tlb.runs().len(), operations.len() - 1);
    }
}
