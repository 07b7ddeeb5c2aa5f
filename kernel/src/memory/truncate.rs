//! Letting go of pages that are no longer part of a file.

use super::{Memory, Object, Vma};
use core::ops::Range;
use framework::{PAGE_SIZE, VirtAddr};

impl Memory {
    /// Removes the pages of `object` from all mappings of it.
    ///
    /// A cut at the end also takes private copies, so that touching them is a `SIGBUS`; a hole
    /// leaves them.
    pub(super) fn unmap_object(&self, object: &Object, pages: &Range<u64>) {
        let state = self.state.lock();
        let mut cursor = self.space.lock();
        for vma in state.map.vmas() {
            let shows = vma.object.as_ref().is_some_and(|other| core::ptr::eq(&**other, object));
            let keeps = vma.has_own_pages && !vma.is_shared() && pages.end != u64::MAX;
            if shows && !keeps {
                let range = addresses(vma, pages);
                if !range.is_empty() {
                    cursor.unmap(range);
                }
            }
        }
    }
}

/// Where `vma` shows `pages` of its object.
fn addresses(vma: &Vma, pages: &Range<u64>) -> Range<VirtAddr> {
    let at = |index: u64| {
        let page = index.saturating_sub(vma.offset).min(vma.pages() as u64);
        vma.start + usize::try_from(page).unwrap_or(0) * PAGE_SIZE
    };
    at(pages.start)..at(pages.end)
}

#[cfg(test)]
mod tests {
    use super::{Vma, addresses};
    use crate::memory::VmaFlags;
    use framework::{Protection, VirtAddr};

    #[test]
    fn a_cut_hits_the_pages_behind_it() {
        let page = |index: usize| VirtAddr::new(0x10_0000 + index * 4096);
        let vma = Vma {
            start: page(0),
            end: page(4),
            protection: Protection::READ,
            maximum: Protection::all(),
            flags: VmaFlags::SHARED,
            offset: 2,
            object: None,
            has_own_pages: false,
        };
        assert_eq!(addresses(&vma, &(3..u64::MAX)), page(1)..page(4));
        assert_eq!(addresses(&vma, &(0..u64::MAX)), page(0)..page(4));
        assert_eq!(addresses(&vma, &(4..5)), page(2)..page(3));
        assert!(addresses(&vma, &(6..u64::MAX)).is_empty());
        assert!(addresses(&vma, &(0..2)).is_empty());
    }
}
