//! What the feed's stores make of the answers of a server.

use backend_redis::{RedisOutbox, RedisOutboxOptions, RedisSharedCache};
use bytes::Bytes;
use feed_core::{
    Appended, CacheItem, Entry, ErrorKind, Outbox, PostId, PostState, Publication, Retracted, Seek,
    SharedCache, UserId,
};

use crate::house::Server;

use super::MINUTE;

/// An outbox, and how its posts are.
struct Desk {
    outbox: RedisOutbox,
}

impl Desk {
    fn of(server: &Server) -> Self {
        let options = RedisOutboxOptions::default();
        Self {
            outbox: RedisOutbox::new(server.redis.clone(), options),
        }
    }

    async fn append(&self, author: u64, post: u64) -> Result<Appended, ErrorKind> {
        let entry = Entry::original(PostId::new(post), UserId::new(author));
        let key = format!("key of {post}").parse().unwrap();
        let item = Publication::new(entry, "a body".into()).with_key(key);
        let appended = self.outbox.append(&[item]).await;
        appended.map(|each| each[0]).map_err(|error| error.kind())
    }

    /// Which of the posts up to 9 are live.
    async fn live(&self) -> Vec<u64> {
        let posts: Vec<_> = (1..=9).map(PostId::new).collect();
        let states = self.outbox.lookup(&posts).await.unwrap();
        let entries = states.iter().filter_map(PostState::live);
        let live: Vec<_> = entries.map(|entry| entry.post).collect();
        let whole = self.outbox.posts(&posts).await.unwrap();
        assert!(
            whole
                .into_iter()
                .flatten()
                .map(|post| post.entry.post)
                .eq(live.clone())
        );
        live.into_iter().map(PostId::get).collect()
    }
}

#[tokio::test]
async fn an_outbox_out_of_memory_is_full_and_nothing_is_half_done() {
    let server = Server::start().await;
    let desk = Desk::of(&server);
    assert_eq!(desk.append(1, 1).await, Ok(Appended::Stored));
    server.order("CONFIG SET maxmemory 1").await;
    let full = ErrorKind::Full;
    assert_eq!(desk.append(1, 2).await, Err(full));
    let (author, post) = (UserId::new(1), PostId::new(1));
    let refused = desk.outbox.retract(author, post).await.unwrap_err();
    assert_eq!(refused.kind(), full);
    let refused = desk.outbox.revise(author, post, "new".into()).await;
    assert_eq!(refused.unwrap_err().kind(), full);
    server.order("CONFIG SET maxmemory 0").await;
    assert_eq!(desk.live().await, [1]);
    let whole = desk.outbox.posts(&[post]).await.unwrap().remove(0).unwrap();
    assert_eq!((whole.version, &whole.body[..]), (1, &b"a body"[..]));
    let key = "key of 2".parse().unwrap();
    assert_eq!(desk.outbox.published(author, &key).await.unwrap(), None);
    // Nobody has the post that was refused.
    assert_eq!(desk.append(2, 2).await, Ok(Appended::Stored));
}

#[tokio::test]
async fn a_body_that_cannot_be_stored_leaves_no_post() {
    let server = Server::start().await;
    let desk = Desk::of(&server);
    for part in ["bodies", "keys", "order", "retracted", "floor"] {
        server
            .order(&format!("SET {{outbox:1}}:{part} stranger"))
            .await;
        let corrupt = ErrorKind::Corrupt;
        assert_eq!(desk.append(1, 1).await, Err(corrupt), "{part}");
        server.order(&format!("DEL {{outbox:1}}:{part}")).await;
        assert_eq!(desk.live().await, [0; 0], "{part}");
    }
    assert_eq!(desk.append(1, 1).await, Ok(Appended::Stored));
}

#[tokio::test]
async fn what_does_not_decode_is_absent_from_pages_and_named_to_writes() {
    let server = Server::start().await;
    let desk = Desk::of(&server);
    for (author, post) in [(1, 1), (2, 2), (3, 3), (5, 5), (5, 6)] {
        assert_eq!(desk.append(author, post).await, Ok(Appended::Stored));
    }
    server.order("SET {post:1} stranger's").await;
    server.order("SET {outbox:2} stranger").await;
    server.order("ZREMRANGEBYRANK {outbox:5} 0 0").await;
    server
        .order("ZADD {outbox:5} 0 \0\0\0\0\0\0\0\u{5}strange")
        .await;
    assert_eq!(desk.live().await, [3, 6]);
    let authors: Vec<_> = (1..=5).map(UserId::new).collect();
    for limit in [1, 9] {
        let latest = desk
            .outbox
            .latest(&authors, Seek::After(PostId::new(1)), limit);
        let latest = latest.await.unwrap();
        let posts: Vec<_> = latest.iter().map(|entry| entry.post.get()).collect();
        assert_eq!(posts, [3, 6][..limit.min(2)]);
    }
    let own = desk
        .outbox
        .latest(&authors[4..], Seek::After(PostId::new(1)), 1);
    assert_eq!(own.await.unwrap()[0].post, PostId::new(6));
    let corrupt = ErrorKind::Corrupt;
    assert_eq!(desk.append(2, 4).await, Err(corrupt));
    let retracted = desk.outbox.retract(UserId::new(2), PostId::new(2)).await;
    assert_eq!(retracted.unwrap_err().kind(), corrupt);
}

#[tokio::test]
async fn an_outbox_that_is_gone_is_unavailable() {
    let server = Server::start().await;
    let desk = Desk::of(&server);
    drop(server.engine);
    let unavailable = ErrorKind::Unavailable;
    assert_eq!(desk.append(1, 1).await, Err(unavailable));
    let lost = desk.outbox.lookup(&[PostId::new(1)]).await.unwrap_err();
    assert_eq!(lost.kind(), unavailable);
}

/// What an append has left that died between its two steps: a post that is nobody else's.
#[tokio::test]
async fn an_append_that_stopped_half_way_goes_on() {
    let server = Server::start().await;
    let desk = Desk::of(&server);
    server.order("SET {post:7} \0\0\0\0\0\0\0\u{1}mark").await;
    assert_eq!(desk.live().await, [0; 0]);
    let seven = PostId::new(7);
    assert_eq!(desk.append(2, 7).await, Ok(Appended::Duplicate(seven)));
    let foreign = desk.outbox.retract(UserId::new(2), seven).await.unwrap();
    assert_eq!(foreign, Retracted::NotAuthor);
    assert_eq!(desk.append(1, 7).await, Ok(Appended::Stored));
    assert_eq!(desk.live().await, [7]);
}

/// What an erasure has left that died between its two steps: posts that are found by their author alone.
#[tokio::test]
async fn an_erasure_that_stopped_half_way_goes_on() {
    let server = Server::start().await;
    let desk = Desk::of(&server);
    let author = UserId::new(1);
    for post in 1..=3 {
        assert_eq!(desk.append(1, post).await, Ok(Appended::Stored));
    }
    let _ = desk.outbox.retract(author, PostId::new(3)).await.unwrap();
    server.order("DEL {post:2}").await;
    server.order("DEL {post:3}").await;
    assert_eq!(desk.live().await, [1]);
    assert_eq!(desk.outbox.erase(author, 9).await.unwrap(), 3);
    assert_eq!(desk.outbox.erase(author, 9).await.unwrap(), 0);
    assert_eq!(server.ask::<u64>("DBSIZE").await, 0);
}

/// An attempt that stores nothing takes no id either.
#[tokio::test]
async fn nothing_is_left_of_what_was_not_stored() {
    let server = Server::start().await;
    let options = RedisOutboxOptions::default().with_retractions_per_author(1);
    let outbox = RedisOutbox::new(server.redis.clone(), options);
    let author = UserId::new(1);
    let item = |post: u64| {
        let entry = Entry::original(PostId::new(post), author);
        Publication::new(entry, Bytes::new()).with_key("key".parse().unwrap())
    };
    let _ = outbox.append(&[item(9)]).await.unwrap();
    // Their key is known, or they lie below what was retracted.
    let again = outbox.append(&[item(8), item(10)]).await.unwrap();
    assert_eq!(again, [Appended::Duplicate(PostId::new(9)); 2]);
    for post in [7, 6, 3] {
        let _ = outbox.retract(author, PostId::new(post)).await.unwrap();
    }
    let mut below = item(2);
    below.key = None;
    assert_eq!(
        outbox.append(&[below]).await.unwrap(),
        [Appended::Retracted]
    );
    assert_eq!(outbox.erase(author, 9).await.unwrap(), 2);
    assert_eq!(server.ask::<u64>("DBSIZE").await, 0);
}

#[tokio::test]
async fn a_cache_out_of_memory_is_full() {
    let server = Server::start().await;
    let cache = RedisSharedCache::new(server.redis.clone());
    server.order("CONFIG SET maxmemory 1").await;
    let item = CacheItem::new("key", "value", MINUTE).unwrap();
    let refused = cache.put_many(&[item]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    assert_eq!(cache.get_many(&["key".into()]).await.unwrap(), [None]);
}
