//! Where things go in a new address space: the random parts and the limits of the search.

use framework::{PAGE_SIZE, USER_END, USER_START, VirtAddr};

/// How many random bits, in pages: as Linux's defaults for x86-64.
const MMAP_RANDOM_PAGES: u64 = 1 << 28;
const STACK_RANDOM_PAGES: u64 = 1 << 22;
const BREAK_RANDOM_PAGES: u64 = 1 << 13;

/// The least and the most room kept for the stack below the end of the user half.
const MIN_STACK_GAP: u64 = 128 << 20;
const MAX_STACK_GAP: u64 = (USER_END.get() as u64 / 6) * 5;

/// Where position-independent programs go: two thirds up.
const PIE_BASE: usize = (USER_END.get() / 3 * 2) & !(PAGE_SIZE - 1);

/// What `MAP_32BIT` searches.
pub(super) const LOW_START: VirtAddr = VirtAddr::new(0x4000_0000);
/// See [`LOW_START`].
pub(super) const LOW_END: VirtAddr = VirtAddr::new(0x8000_0000);

/// A source of random numbers for addresses.
pub type Random<'a> = &'a mut dyn FnMut() -> u64;

/// The places of an address space, chosen when its program is loaded.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The top of the area mappings are searched in, downwards.
    pub mmap_base: VirtAddr,
    /// The top of the first stack, before its contents.
    pub stack_top: VirtAddr,
    /// Pages to add to the end of the program for the start of the heap.
    pub break_gap: usize,
    /// Where a position-independent program begins.
    pub pie_base: VirtAddr,
    /// The start of the heap.
    pub break_start: VirtAddr,
    /// The end of the heap, as brk(2) set it; any byte.
    pub break_end: VirtAddr,
    /// The stack pointer the program began with.
    pub stack_start: VirtAddr,
    /// The code: first and one past the last address.
    pub code: (VirtAddr, VirtAddr),
    /// The data: first and one past the last address.
    pub data: (VirtAddr, VirtAddr),
    /// The argument strings on the stack.
    pub arguments: (VirtAddr, VirtAddr),
    /// The environment strings on the stack.
    pub environment: (VirtAddr, VirtAddr),
    /// The vDSO's image.
    pub vdso: Option<VirtAddr>,
}

impl Layout {
    /// Chooses places; without `random` the fixed ones (`ADDR_NO_RANDOMIZE`).
    ///
    /// `stack_limit` is RLIMIT_STACK, which the mapping area leaves room for.
    pub fn new(stack_limit: u64, random: Option<Random<'_>>) -> Self {
        let mut pick = {
            let mut random = random;
            move |pages: u64| match &mut random {
                Some(random) => pages_to_bytes(random() % pages),
                None => 0,
            }
        };
        let stack_random = pick(STACK_RANDOM_PAGES);
        let stack_top = VirtAddr::new(USER_END.get() - stack_random);
        // Room for the stack, its randomness and the guard gap.
        let padding = pages_to_bytes(STACK_RANDOM_PAGES) as u64 + super::map::GUARD_GAP as u64;
        let gap = stack_limit.saturating_add(padding).clamp(MIN_STACK_GAP, MAX_STACK_GAP);
        let gap = usize::try_from(gap).unwrap_or(usize::MAX) & !(PAGE_SIZE - 1);
        let mmap_base = VirtAddr::new(USER_END.get() - gap - pick(MMAP_RANDOM_PAGES));
        let pie_base = VirtAddr::new(PIE_BASE + pick(MMAP_RANDOM_PAGES));
        let nowhere = (VirtAddr::default(), VirtAddr::default());
        Self {
            mmap_base: mmap_base.max(USER_START),
            stack_top,
            break_gap: pick(BREAK_RANDOM_PAGES),
            pie_base,
            break_start: VirtAddr::default(),
            break_end: VirtAddr::default(),
            stack_start: VirtAddr::default(),
            code: nowhere,
            data: nowhere,
            arguments: nowhere,
            environment: nowhere,
            vdso: None,
        }
    }
}

fn pages_to_bytes(pages: u64) -> usize {
    usize::try_from(pages).unwrap_or(0) * PAGE_SIZE
}

#[cfg(test)]
mod tests {
    use super::{Layout, PIE_BASE};
    use framework::{USER_END, VirtAddr};

    #[test]
    fn fixed_without_randomness() {
        let layout = Layout::new(8 << 20, None);
        assert_eq!(layout.stack_top, USER_END);
        assert_eq!(layout.pie_base, VirtAddr::new(PIE_BASE));
        assert_eq!(layout.break_gap, 0);
    }

    #[test]
    fn areas_keep_apart_for_any_draw() {
        for draw in [0, 1, u64::MAX, u64::MAX / 3] {
            for limit in [0, 8 << 20, u64::MAX] {
                let layout = Layout::new(limit, Some(&mut || draw));
                assert_eq!(layout.mmap_base.page_offset() + layout.stack_top.page_offset(), 0);
                assert!(layout.mmap_base < layout.stack_top);
                if limit == 8 << 20 {
                    assert!(layout.stack_top - layout.mmap_base >= 8 << 20);
                    assert!(layout.pie_base < layout.mmap_base);
                }
            }
        }
    }
}
