//! Many entries in few bytes.
//!
//! Posts ascend, so each is written as its distance from the one before. Authors return, so they are
//! written once, ascending and by distance too, and each entry has its author's number in that list.
//! Reposts are few, so their origins stand at the end, by distance from the repost.

use feed_core::{Entry, PostId, UserId};

use super::varint::{put, put_difference, take, take_count, take_difference};

/// Appends `entries`, whose posts ascend and differ.
pub(super) fn put_block(into: &mut Vec<u8>, entries: &[Entry]) {
    into.reserve(10 * entries.len() + 64);
    put(into, entries.len() as u64);
    let numbers = put_authors(into, entries);
    put_ascending(into, entries.iter().map(|entry| entry.post.get()));
    into.extend(numbers);
    put_origins(into, entries);
}

/// Takes what [`put_block`] has written, all that is left of `from`.
pub(super) fn take_block(mut from: &[u8]) -> Option<Vec<Entry>> {
    let from = &mut from;
    let count = take_count(from)?;
    let authors = take_count(from)?;
    let authors = take_ascending(from, authors)?;
    let posts = take_ascending(from, count)?;
    let width = width(authors.len());
    let (numbers, rest) = from.split_at_checked(count * width)?;
    *from = rest;
    let mut entries = Vec::with_capacity(count);
    for (place, post) in posts.into_iter().enumerate() {
        let mut number = [0; size_of::<usize>()];
        number[..width].copy_from_slice(&numbers[place * width..][..width]);
        let author = *authors.get(usize::from_le_bytes(number))?;
        entries.push(Entry::original(PostId::new(post), UserId::new(author)));
    }
    take_origins(from, &mut entries)?;
    from.is_empty().then_some(entries)
}

/// Appends the authors, and answers the number of each entry's.
fn put_authors(into: &mut Vec<u8>, entries: &[Entry]) -> Vec<u8> {
    let places = entries.iter().enumerate();
    let mut places: Vec<_> = places
        .map(|(place, entry)| (entry.author.get(), place))
        .collect();
    places.sort_unstable();
    let mut authors = Vec::new();
    let numbers = places.into_iter().map(|(author, place)| {
        if authors.last() != Some(&author) {
            authors.push(author);
        }
        (place, authors.len() - 1)
    });
    let numbers: Vec<_> = numbers.collect();
    let width = width(authors.len());
    let mut packed = vec![0; entries.len() * width];
    for (place, number) in numbers {
        packed[place * width..][..width].copy_from_slice(&number.to_le_bytes()[..width]);
    }
    put(into, authors.len() as u64);
    put_ascending(into, authors.into_iter());
    packed
}

/// How many bytes tell so many authors apart.
const fn width(authors: usize) -> usize {
    let bits = usize::BITS - authors.saturating_sub(1).leading_zeros();
    bits.div_ceil(8) as usize
}

fn put_ascending(into: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let mut last = 0;
    for number in numbers {
        put(into, number - last);
        last = number;
    }
}

fn take_ascending(from: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let (mut numbers, mut last) = (Vec::with_capacity(count), 0_u64);
    for _ in 0..count {
        last = last.checked_add(take(from)?)?;
        numbers.push(last);
    }
    Some(numbers)
}

fn put_origins(into: &mut Vec<u8>, entries: &[Entry]) {
    let reposts = entries.iter().enumerate();
    let reposts: Vec<_> = reposts.filter(|(_, entry)| entry.is_repost()).collect();
    put(into, reposts.len() as u64);
    put_ascending(into, reposts.iter().map(|(at, _)| *at as u64));
    for (_, repost) in reposts {
        put_difference(into, repost.post.get(), repost.origin.get());
    }
}

fn take_origins(from: &mut &[u8], entries: &mut [Entry]) -> Option<()> {
    let count = take_count(from)?;
    for place in take_ascending(from, count)? {
        let entry = entries.get_mut(usize::try_from(place).ok()?)?;
        entry.origin = PostId::new(take_difference(from, entry.post.get())?);
    }
    Some(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..50_u64, any::<u64>(), Just(u64::MAX)]
    }

    /// Entries whose posts ascend and differ.
    pub(in super::super) fn lines() -> impl Strategy<Value = Vec<Entry>> {
        let authors = vec(number(), 1..400);
        let entry = (
            number(),
            any::<Index>(),
            prop::option::weighted(0.2, number()),
        );
        (authors, vec(entry, 0..600)).prop_map(|(authors, entries)| {
            let entries = entries.into_iter().map(|(post, author, origin)| {
                let (post, author) = (PostId::new(post), UserId::new(*author.get(&authors)));
                let origin = origin.map_or(post, PostId::new);
                let entry = Entry {
                    post,
                    author,
                    origin,
                };
                (post, entry)
            });
            entries.collect::<BTreeMap<_, _>>().into_values().collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_block_is_taken_as_it_was_put(entries in lines()) {
            let mut bytes = Vec::new();
            put_block(&mut bytes, &entries);
            prop_assert_eq!(take_block(&bytes), Some(entries));
        }

        #[test]
        fn a_block_that_was_cut_or_continued_is_refused(
            entries in lines(),
            end in any::<Index>(),
            more: u8,
        ) {
            let mut bytes = Vec::new();
            put_block(&mut bytes, &entries);
            prop_assert_eq!(take_block(&bytes[..end.index(bytes.len())]), None);
            bytes.push(more);
            prop_assert_eq!(take_block(&bytes), None);
        }

        #[test]
        fn a_block_that_was_changed_does_not_panic(
            entries in lines(),
            changes in vec((any::<Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = Vec::new();
            put_block(&mut bytes, &entries);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            take_block(&bytes);
        }
    }

    #[test]
    fn one_author_takes_no_room_in_an_entry() {
        let entries = (1..100).map(PostId::new);
        let entries: Vec<_> = entries
            .map(|post| Entry::original(post, UserId::new(u64::MAX)))
            .collect();
        let mut bytes = Vec::new();
        put_block(&mut bytes, &entries);
        assert_eq!(bytes.len(), 2 + 10 + entries.len() + 1);
    }
}
