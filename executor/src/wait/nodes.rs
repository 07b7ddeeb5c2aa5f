//! The nodes of those who wait, in two lists: shared and exclusive.
//!
//! A node has a number that its owner keeps. It is in a list until it is woken or removed; a woken
//! one stays a node until its owner removes it, but for that of a [`Place`], which is gone. All operations are O(1) but a wake, which looks at
//! no more nodes than it wakes and those whose mask does not match.

use super::Place;
use alloc::vec::Vec;
use arrayvec::ArrayVec;
use core::task::Waker;

const NIL: u32 = u32::MAX;

/// Those to wake after the lock is released; if it is full, there may be more.
pub(crate) type Wakers = ArrayVec<Waker, 16>;

/// What the owner of a node finds.
#[derive(Debug)]
pub(crate) enum Woken {
    /// Not woken.
    No,
    /// Woken with these events.
    By(u32),
}

#[derive(Debug)]
enum State {
    Free,
    Listed { waker: Option<Waker>, mask: u32, kind: Kind },
    Woken { events: u32, exclusive: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Shared,
    Exclusive,
    /// Shared, and gone once it is woken.
    Place,
}

#[derive(Debug)]
struct Node {
    state: State,
    /// Counts the places that were here.
    round: u32,
    previous: u32,
    /// In the list, or in the list of free nodes.
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: Self = Self { head: NIL, tail: NIL };
}

/// The nodes of one queue.
#[derive(Debug)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    free: u32,
    lists: [List; 2],
    listed: u32,
    used: u32,
    /// The round of nodes to be made: no place of a node that was given back has it.
    first_round: u32,
}

impl Nodes {
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: NIL,
            lists: [List::EMPTY; 2],
            listed: 0,
            used: 0,
            first_round: 0,
        }
    }

    /// How many are in the lists.
    pub(crate) fn listed(&self) -> u32 {
        self.listed
    }

    fn node(&mut self, key: u32) -> &mut Node {
        &mut self.nodes[usize::try_from(key).unwrap_or(usize::MAX)]
    }

    /// Appends a node that waits for any event of `mask`.
    pub(crate) fn insert(&mut self, mask: u32, exclusive: bool) -> u32 {
        let kind = if exclusive { Kind::Exclusive } else { Kind::Shared };
        self.append(State::Listed { waker: None, mask, kind }, exclusive)
    }

    /// Appends a node for `place` that waits for any event of `mask`, unless it has one.
    pub(crate) fn occupy(&mut self, place: &mut Place, mask: u32, waker: &Waker) {
        if let Some((key, round)) = place.0
            && let Some(Node { state: State::Listed { waker: Some(held), .. }, round: now, .. }) =
                self.nodes.get_mut(usize::try_from(key).unwrap_or(usize::MAX))
            && round == *now
        {
            return held.clone_from(waker);
        }
        let waker = Some(waker.clone());
        let key = self.append(State::Listed { waker, mask, kind: Kind::Place }, false);
        place.0 = Some((key, self.node(key).round));
    }

    /// Removes the node of `place`, if it has not been woken; its waker.
    pub(crate) fn vacate(&mut self, place: &mut Place) -> Option<Waker> {
        let (key, round) = place.0.take()?;
        let node = self.nodes.get(usize::try_from(key).ok()?)?;
        if node.round == round { self.remove(key).0 } else { None }
    }

    fn append(&mut self, state: State, exclusive: bool) -> u32 {
        let list = usize::from(exclusive);
        let previous = self.lists[list].tail;
        let key = if self.free == NIL {
            if self.nodes.capacity() == 0 {
                self.nodes.reserve_exact(1);
            }
            self.nodes.push(Node { state, round: self.first_round, previous, next: NIL });
            u32::try_from(self.nodes.len() - 1).unwrap_or(NIL)
        } else {
            let key = self.free;
            let node = self.node(key);
            let next = core::mem::replace(&mut node.next, NIL);
            (node.state, node.previous) = (state, previous);
            self.free = next;
            key
        };
        match previous {
            NIL => self.lists[list].head = key,
            previous => self.node(previous).next = key,
        }
        self.lists[list].tail = key;
        self.listed += 1;
        self.used += 1;
        key
    }

    fn unlink(&mut self, key: u32, exclusive: bool) {
        let list = usize::from(exclusive);
        let Node { previous, next, .. } = *self.node(key);
        match previous {
            NIL => self.lists[list].head = next,
            previous => self.node(previous).next = next,
        }
        match next {
            NIL => self.lists[list].tail = previous,
            next => self.node(next).previous = previous,
        }
        self.listed -= 1;
    }

    /// Whether the node was woken; if not, `waker` is whom to wake.
    pub(crate) fn poll(&mut self, key: u32, new: &Waker) -> Woken {
        match &mut self.node(key).state {
            State::Woken { events, .. } => Woken::By(*events),
            State::Listed { waker: Some(waker), .. } => {
                waker.clone_from(new);
                Woken::No
            }
            State::Listed { waker, .. } => {
                *waker = Some(new.clone());
                Woken::No
            }
            State::Free => Woken::By(0),
        }
    }

    /// Whether the node was woken.
    pub(crate) fn is_woken(&mut self, key: u32) -> bool {
        matches!(self.node(key).state, State::Woken { .. })
    }

    /// Removes a node. The waker it had, and the events of an exclusive wake it received: if its
    /// owner did not see them, somebody else should.
    pub(crate) fn remove(&mut self, key: u32) -> (Option<Waker>, Option<u32>) {
        let state = core::mem::replace(&mut self.node(key).state, State::Free);
        let result = match state {
            State::Listed { waker, kind, .. } => {
                self.unlink(key, kind == Kind::Exclusive);
                (waker, None)
            }
            State::Woken { events, exclusive } => (None, exclusive.then_some(events)),
            State::Free => return (None, None),
        };
        self.release(key);
        self.shrink();
        result
    }

    fn release(&mut self, key: u32) {
        let free = self.free;
        let node = self.node(key);
        node.next = free;
        node.round = node.round.wrapping_add(1);
        self.free = key;
        self.used -= 1;
    }

    /// Wakes up to `limit` nodes of a list whose masks meet `by`, from the front, and collects
    /// their wakers, until `wakers` is full. How many it woke.
    pub(crate) fn wake(
        &mut self,
        exclusive: bool,
        by: u32,
        limit: u32,
        wakers: &mut Wakers,
    ) -> u32 {
        let mut woken = 0;
        let mut key = self.lists[usize::from(exclusive)].head;
        while key != NIL && woken < limit && !wakers.is_full() {
            let node = self.node(key);
            let this = key;
            key = node.next;
            let State::Listed { mask, kind, .. } = node.state else { continue };
            if mask & by == 0 {
                continue;
            }
            let state = match kind {
                Kind::Place => State::Free,
                Kind::Shared | Kind::Exclusive => State::Woken { events: by, exclusive },
            };
            let old = core::mem::replace(&mut node.state, state);
            self.unlink(this, exclusive);
            if kind == Kind::Place {
                self.release(this);
            }
            if let State::Listed { waker: Some(waker), .. } = old {
                wakers.push(waker);
            }
            woken += 1;
        }
        self.shrink();
        woken
    }

    /// Gives back the memory of many nodes when none is left.
    fn shrink(&mut self) {
        const KEEP: usize = 16;
        if self.used == 0 && self.nodes.capacity() > KEEP {
            let last = self.nodes.iter().map(|node| node.round).max().unwrap_or(0);
            *self = Self { first_round: last.wrapping_add(1), ..Self::new() };
        }
    }
}
