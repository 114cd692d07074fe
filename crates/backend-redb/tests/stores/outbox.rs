use backend_redb::{RedbOutbox, RedbOutboxOptions};
use bytes::Bytes;
use feed_core::{
    Entry, IdempotencyKey, MemoryOutbox, MemoryOutboxOptions, Outbox, PostId, Publication, Seek,
    UserId,
};
use futures::executor::block_on;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{Disk, POSTS, USERS, few_cases, log, post, replay, same, user};

const KEYS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<Publication>),
    Revise(UserId, PostId, Bytes),
    Retract(UserId, PostId),
    Erase(UserId, usize),
    Latest(Vec<UserId>, Seek, usize),
}

fn item() -> impl Strategy<Value = Publication> {
    let key = prop::option::of(select(&KEYS[..]));
    (post(), user(), post(), body(), key).prop_map(|(post, author, origin, body, key)| {
        let mut item = Publication::new(Entry::repost(post, author, origin), body);
        item.key = key.map(|key| key.parse().unwrap());
        item
    })
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..4).prop_map(Bytes::from)
}

fn op() -> impl Strategy<Value = Op> {
    let seek = prop_oneof![
        Just(Seek::Newest),
        post().prop_map(Seek::Before),
        post().prop_map(Seek::After),
    ];
    let authors = prop::sample::subsequence(USERS.map(UserId::new).to_vec(), 0..=3).prop_shuffle();
    prop_oneof![
        6 => vec(item(), 0..4).prop_map(Op::Append),
        2 => (user(), post(), body()).prop_map(|(author, post, body)| Op::Revise(author, post, body)),
        5 => (user(), post()).prop_map(|(author, post)| Op::Retract(author, post)),
        1 => (user(), 0..4_usize).prop_map(|(author, limit)| Op::Erase(author, limit)),
        3 => (authors, seek, 0..6_usize)
            .prop_map(|(authors, seek, limit)| Op::Latest(authors, seek, limit)),
    ]
}

fn apply(memory: &dyn Outbox, disk: &dyn Outbox, op: &Op) -> Result<(), TestCaseError> {
    match op {
        Op::Append(items) => same!(memory, disk, outbox => outbox.append(items)),
        Op::Revise(author, post, body) => {
            same!(memory, disk, outbox => outbox.revise(*author, *post, body.clone()));
        }
        Op::Retract(author, post) => {
            same!(memory, disk, outbox => outbox.retract(*author, *post));
        }
        Op::Erase(author, limit) => {
            same!(memory, disk, outbox => outbox.erase(*author, *limit));
        }
        Op::Latest(authors, seek, limit) => {
            same!(memory, disk, outbox => outbox.latest(authors, *seek, *limit));
        }
    }
    Ok(())
}

fn compare(memory: &dyn Outbox, disk: &dyn Outbox) -> Result<(), TestCaseError> {
    let (posts, users) = (POSTS.map(PostId::new), USERS.map(UserId::new));
    same!(memory, disk, outbox => outbox.lookup(&posts));
    same!(memory, disk, outbox => outbox.posts(&posts));
    same!(memory, disk, outbox => outbox.heads(&users));
    for author in users {
        for key in KEYS {
            let key: IdempotencyKey = key.parse().unwrap();
            same!(memory, disk, outbox => outbox.published(author, &key));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn an_outbox_answers_as_memory_does(log in log(op())) {
        let memory = MemoryOutboxOptions::default()
            .with_max_posts(4)
            .with_keys_per_author(2)
            .with_retractions_per_author(1);
        let memory = MemoryOutbox::new(memory);
        let options = RedbOutboxOptions::default()
            .with_max_posts(4)
            .with_keys_per_author(2)
            .with_retractions_per_author(1);
        let file = Disk::new();
        let open = || block_on(RedbOutbox::open(&file.open(), "test", options.clone())).unwrap();
        let disk = replay(&log, open, |disk, op| apply(&memory, disk, op))?;
        compare(&memory, &disk)?;
    }
}
