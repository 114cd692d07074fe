//! Lists threaded through a slab: constant time to push, pop and take from the middle, and no
//! allocation per element.

use std::ops::{Index, IndexMut};

/// Values at stable indices, which are used again after a removal.
#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

/// The neighbours of an element in one list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    prev: Option<Slot>,
    next: Option<Slot>,
}

/// An index of a [`Slab`], shifted by one so that an `Option` of it is no larger.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Slot(std::num::NonZeroU32);

/// An element that can be in as many lists at a time as it has pairs of links.
pub(super) trait Linked {
    fn links(&mut self, list: usize) -> &mut Links;
}

/// A list of elements of one slab, linked through their links number `list`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    list: usize,
    head: Option<Slot>,
    tail: Option<Slot>,
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Slot {
        if let Some(index) = self.free.pop() {
            let slot = Slot::at(index);
            self.entries[slot.index()] = Some(value);
            return slot;
        }
        let index = u32::try_from(self.entries.len()).expect("options bound the slab to 2^32");
        self.entries.push(Some(value));
        Slot::at(index)
    }

    pub(super) fn remove(&mut self, slot: Slot) -> T {
        let value = self.entries[slot.index()].take();
        self.free.push(slot.0.get() - 1);
        value.expect("a removed slot was occupied")
    }

    /// The element at `slot`, if it has not been removed; the slot may be in use again.
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.entries[slot.index()].as_ref()
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Index<Slot> for Slab<T> {
    type Output = T;

    fn index(&self, slot: Slot) -> &T {
        self.get(slot).expect("a linked slot is occupied")
    }
}

impl<T> IndexMut<Slot> for Slab<T> {
    fn index_mut(&mut self, slot: Slot) -> &mut T {
        let entry = &mut self.entries[slot.index()];
        entry.as_mut().expect("a linked slot is occupied")
    }
}

impl Slot {
    fn at(index: u32) -> Self {
        let shifted = index.checked_add(1).and_then(std::num::NonZeroU32::new);
        Self(shifted.expect("options bound the slab to 2^32 - 1"))
    }

    fn index(self) -> usize {
        (self.0.get() - 1) as usize
    }
}

impl Chain {
    pub(super) const fn new(list: usize) -> Self {
        Self {
            list,
            head: None,
            tail: None,
        }
    }

    pub(super) fn front(&self) -> Option<Slot> {
        self.head
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Adds the element at `slot`, which is in no chain of this list.
    pub(super) fn push_back<T: Linked>(&mut self, slab: &mut Slab<T>, slot: Slot) {
        *slab[slot].links(self.list) = Links {
            prev: self.tail,
            next: None,
        };
        match self.tail.replace(slot) {
            Some(tail) => slab[tail].links(self.list).next = Some(slot),
            None => self.head = Some(slot),
        }
    }

    /// Takes out the element at `slot`, which is in this chain.
    pub(super) fn remove<T: Linked>(&mut self, slab: &mut Slab<T>, slot: Slot) {
        let Links { prev, next } = std::mem::take(slab[slot].links(self.list));
        match prev {
            Some(prev) => slab[prev].links(self.list).next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => slab[next].links(self.list).prev = prev,
            None => self.tail = prev,
        }
    }

    pub(super) fn pop_front<T: Linked>(&mut self, slab: &mut Slab<T>) -> Option<Slot> {
        let front = self.head?;
        self.remove(slab, front);
        Some(front)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Debug)]
    struct Node(u16, Links);

    impl Linked for Node {
        fn links(&mut self, _list: usize) -> &mut Links {
            &mut self.1
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(u16),
        Pop,
        Remove(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            any::<u16>().prop_map(Op::Push),
            Just(Op::Pop),
            any::<usize>().prop_map(Op::Remove),
        ]
    }

    proptest! {
        #[test]
        fn a_chain_is_a_deque_that_gives_up_its_middle(ops in vec(op(), 0..200)) {
            let (mut slab, mut chain) = (Slab::default(), Chain::new(0));
            let mut model: VecDeque<(Slot, u16)> = VecDeque::new();
            for op in ops {
                match op {
                    Op::Push(value) => {
                        let slot = slab.insert(Node(value, Links::default()));
                        chain.push_back(&mut slab, slot);
                        model.push_back((slot, value));
                    }
                    Op::Pop => {
                        let popped = chain.pop_front(&mut slab).map(|slot| slab.remove(slot).0);
                        prop_assert_eq!(popped, model.pop_front().map(|(_, value)| value));
                    }
                    Op::Remove(at) if !model.is_empty() => {
                        let (slot, value) = model.remove(at % model.len()).unwrap();
                        chain.remove(&mut slab, slot);
                        prop_assert_eq!(slab.remove(slot).0, value);
                    }
                    Op::Remove(_) => {}
                }
                prop_assert_eq!(chain.front(), model.front().map(|(slot, _)| *slot));
                prop_assert_eq!(chain.is_empty(), model.is_empty());
            }
            while let Some(slot) = chain.pop_front(&mut slab) {
                prop_assert_eq!(Some(slab[slot].0), model.pop_front().map(|(_, value)| value));
            }
            prop_assert!(model.is_empty());
        }
    }
}
