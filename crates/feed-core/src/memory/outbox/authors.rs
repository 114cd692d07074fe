use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry as Slot};

use crate::{UserId, memory::outbox::author::Author};

/// A table of authors, who know their own keys: so each fills one cache line.
#[derive(Default)]
pub(super) struct Authors {
    table: HashTable<Author>,
    hasher: DefaultHashBuilder,
}

impl Authors {
    #[inline]
    pub(super) fn get(&self, author: UserId) -> Option<&Author> {
        let hash = self.hasher.hash_one(author);
        self.table.find(hash, |known| known.id() == author)
    }

    /// The author, who is new if there is none.
    pub(super) fn get_or_insert(&mut self, author: UserId) -> &mut Author {
        match self.slot(author) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(Author::new(author)).into_mut(),
        }
    }

    /// What `change` makes of the author, who goes if that leaves nothing.
    pub(super) fn prune<T>(
        &mut self,
        author: UserId,
        change: impl FnOnce(&mut Author) -> T,
    ) -> Option<T> {
        let Slot::Occupied(mut slot) = self.slot(author) else {
            return None;
        };
        let changed = change(slot.get_mut());
        if slot.get().is_empty() {
            slot.remove();
        }
        Some(changed)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn slot(&mut self, author: UserId) -> Slot<'_, Author> {
        let Self { table, hasher } = self;
        let hash = hasher.hash_one(author);
        let rehash = |known: &Author| hasher.hash_one(known.id());
        table.entry(hash, |known| known.id() == author, rehash)
    }
}
