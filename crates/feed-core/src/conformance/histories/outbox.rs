//! Histories of an [`Outbox`].

use std::sync::Arc;

use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::{History, POSTS, USERS, history, post, replay, same, user};
use crate::{
    Entry, IdempotencyKey, MemoryOutbox, MemoryOutboxOptions, Outbox, PostId, Publication, Seek,
    UserId,
};

/// How many live posts both outboxes have room for, if they count them.
pub const MAX_POSTS: usize = 4;
/// How many idempotency keys both keep for each author.
pub const KEYS_PER_AUTHOR: usize = 2;
/// How many retractions both keep for each author.
pub const RETRACTIONS_PER_AUTHOR: usize = 1;

const KEYS: [&str; 3] = ["a", "b", "c"];

/// A call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`Outbox::append`].
    Append(Vec<Publication>),
    /// [`Outbox::revise`].
    Revise(UserId, PostId, Bytes),
    /// [`Outbox::retract`].
    Retract(UserId, PostId),
    /// [`Outbox::erase`].
    Erase(UserId, usize),
    /// [`Outbox::latest`].
    Latest(Vec<UserId>, Seek, usize),
}

/// Any history.
pub fn histories() -> impl Strategy<Value = History<Op>> {
    let seek = prop_oneof![
        Just(Seek::Newest),
        post().prop_map(Seek::Before),
        post().prop_map(Seek::After),
    ];
    let authors = subsequence(&USERS[..], 0..=USERS.len()).prop_shuffle();
    history(prop_oneof![
        6 => vec(item(), 0..4).prop_map(Op::Append),
        2 => (user(), post(), body()).prop_map(|(author, post, body)| Op::Revise(author, post, body)),
        5 => (user(), post()).prop_map(|(author, post)| Op::Retract(author, post)),
        1 => (user(), 0..4_usize).prop_map(|(author, limit)| Op::Erase(author, limit)),
        3 => (authors, seek, 0..6_usize)
            .prop_map(|(authors, seek, limit)| Op::Latest(authors, seek, limit)),
    ])
}

fn item() -> impl Strategy<Value = Publication> {
    let key = prop::option::of(select(&KEYS[..]));
    let reply_to = prop::option::of(post());
    let item = (post(), user(), post(), body(), key, reply_to);
    item.prop_map(|(post, author, origin, body, key, reply_to)| {
        let mut item = Publication::new(Entry::repost(post, author, origin), body);
        item.reply_to = reply_to;
        item.key = key.map(|key| key.parse().unwrap());
        item
    })
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..4).prop_map(Bytes::from)
}

/// Plays `history` on an outbox in memory with room for `max_posts`, and on the one that `open` opens.
pub async fn play<S: Outbox>(
    history: &[Option<Op>],
    max_posts: usize,
    open: impl AsyncFnMut() -> Arc<S>,
) {
    let options = MemoryOutboxOptions::default()
        .with_max_posts(max_posts)
        .with_keys_per_author(KEYS_PER_AUTHOR)
        .with_retractions_per_author(RETRACTIONS_PER_AUTHOR);
    let reference = MemoryOutbox::new(options);
    let subject = replay(history, open, async |subject, op| {
        apply(&reference, subject, op).await;
    });
    compare(&reference, &*subject.await).await;
}

async fn apply(reference: &dyn Outbox, subject: &dyn Outbox, op: &Op) {
    match op {
        Op::Append(items) => same!(reference, subject, outbox => outbox.append(items)),
        Op::Revise(author, post, body) => {
            same!(reference, subject, outbox => outbox.revise(*author, *post, body.clone()));
        }
        Op::Retract(author, post) => {
            same!(reference, subject, outbox => outbox.retract(*author, *post));
        }
        Op::Erase(author, limit) => {
            same!(reference, subject, outbox => outbox.erase(*author, *limit));
        }
        Op::Latest(authors, seek, limit) => {
            same!(reference, subject, outbox => outbox.latest(authors, *seek, *limit));
        }
    }
}

async fn compare(reference: &dyn Outbox, subject: &dyn Outbox) {
    same!(reference, subject, outbox => outbox.lookup(&POSTS));
    same!(reference, subject, outbox => outbox.posts(&POSTS));
    same!(reference, subject, outbox => outbox.heads(&USERS));
    for author in USERS {
        for key in KEYS {
            let key: IdempotencyKey = key.parse().unwrap();
            same!(reference, subject, outbox => outbox.published(author, &key));
        }
    }
}
