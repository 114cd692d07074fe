//! A row that does not decode is not in the way of what is about others.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{sync::Arc, time::Duration};

use backend_redb::{
    RedbFeedOptions, Writer, WriterOptions, feed_parts,
    redb::{Database, Key, ReadableTable, TableDefinition, backends::InMemoryBackend},
};
use backplane::ManualClock;
use feed_core::{
    ActionKind, Feed, FeedOptions, Habit, NewPost, PageRequest, PostId, Published, Result, Route,
    UserId,
};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const CAT: UserId = UserId::new(3);
const USERS: [UserId; 3] = [ANN, BOB, CAT];

/// Rows that hold more than their key.
type Rows<K> = TableDefinition<'static, K, &'static [u8]>;
const POSTS: Rows<u64> = TableDefinition::new("feed.outbox.main.posts");
const PASTS: Rows<u64> = TableDefinition::new("feed.outbox.main.pasts");
const COUNTS: Rows<u64> = TableDefinition::new("feed.actions.main.counts");
const DEGREES: Rows<u64> = TableDefinition::new("feed.graph.main.degrees");
const ROUTES: Rows<u64> = TableDefinition::new("feed.graph.main.routes");
const ACTIVITY: Rows<u64> = TableDefinition::new("feed.activity.main.users");
const EDGES: Rows<(u64, u64)> = TableDefinition::new("feed.graph.main.edges");
const FOLLOWERS: Rows<(u64, u64)> = TableDefinition::new("feed.graph.main.followers");

/// A feed of three users in a file that can be damaged.
struct Town {
    feed: Feed,
    writer: Writer,
    clock: ManualClock,
}

impl Town {
    async fn found() -> Self {
        let disk = InMemoryBackend::new();
        let database = Database::builder().create_with_backend(disk).unwrap();
        let writer = Writer::start(Arc::new(database), WriterOptions::default()).unwrap();
        let clock = ManualClock::default();
        let feed = FeedOptions::default().with_post_quota(None);
        let options = RedbFeedOptions::default().with_feed(feed);
        let parts = feed_parts(&writer, Arc::new(clock.clone()), options);
        Self {
            feed: Feed::new(parts.await.unwrap()),
            writer,
            clock,
        }
    }

    /// As [`found`](Self::found), with a row of every kind, and work that is still to be done.
    /// Answers the posts, of which the last is deleted.
    async fn settled() -> (Self, Vec<PostId>) {
        let town = Self::found().await;
        let feed = &town.feed;
        for (viewer, author) in [(ANN, BOB), (BOB, ANN), (CAT, ANN), (CAT, BOB)] {
            let followed = feed.follow(viewer, author).await;
            assert!(followed.unwrap());
            feed.home(viewer, PageRequest::newest()).await.unwrap();
        }
        let mut posts = Vec::new();
        for author in USERS {
            let key = author.to_string().parse().unwrap();
            posts.push(
                town.publish(author, NewPost::new("first").with_key(key))
                    .await
                    .unwrap(),
            );
        }
        for &post in &posts {
            for actor in USERS {
                feed.like(actor, post).await.unwrap();
            }
            town.publish(BOB, NewPost::new("well").in_reply_to(post))
                .await
                .unwrap();
        }
        feed.mark_read(ANN, posts[1]).await.unwrap();
        feed.work_all().await.unwrap();
        for author in USERS {
            posts.push(
                town.publish(author, NewPost::new("on its way"))
                    .await
                    .unwrap(),
            );
            let graph = &feed.parts().graph;
            let (_, stamp) = graph.author_route(author).await.unwrap();
            graph
                .route_author(author, stamp, Route::Both)
                .await
                .unwrap();
        }
        let deleted = posts.remove(0);
        feed.delete(ANN, deleted).await.unwrap();
        posts.push(deleted);
        (town, posts)
    }

    async fn publish(&self, author: UserId, post: NewPost) -> Result<PostId> {
        self.clock.advance(Duration::from_millis(1));
        match self.feed.publish(author, post).await? {
            Published::Accepted(post) => Ok(post),
            other => panic!("{other:?}"),
        }
    }

    /// Makes the row of `table` at this place one that does not decode, if there are so many.
    async fn damage<K: Key + Send + 'static>(&self, table: Rows<K>, at: usize) -> bool {
        let damage = self.writer.run(move |txn| {
            let mut table = txn.open_table(table)?;
            let Some(found) = table.iter()?.nth(at).transpose()? else {
                return Ok(false);
            };
            let key = K::as_bytes(&found.0.value()).as_ref().to_vec();
            drop(found);
            table.insert(K::from_bytes(&key), &[9, 9][..])?;
            Ok(true)
        });
        damage.await.unwrap()
    }

    async fn likes(&self, posts: &[PostId]) -> Vec<usize> {
        let counts = self.feed.parts().counters.counts(posts).await.unwrap();
        let likes = counts.iter().map(|counts| counts.likes);
        likes.map(|likes| usize::try_from(likes).unwrap()).collect()
    }

    /// How many users like each post, by the likes themselves. Ann is gone by then.
    async fn likers(&self, posts: &[PostId]) -> Vec<usize> {
        let mut likers = vec![0; posts.len()];
        let actions = &self.feed.parts().actions;
        for (user, is_gone) in USERS.into_iter().zip([true, false, false]) {
            let liked = actions.acted(user, ActionKind::Like, posts).await.unwrap();
            assert!(!is_gone || liked.iter().all(Option::is_none));
            for (likers, liked) in likers.iter_mut().zip(liked) {
                *likers += usize::from(liked.is_some());
            }
        }
        likers
    }

    /// Does all work, and answers whether it comes to an end.
    async fn work(&self) -> bool {
        for _ in 0..200 {
            self.feed.work_all().await.unwrap();
            let stats = self.feed.parts().queue.stats().await.unwrap();
            if stats.ready + stats.delayed + stats.leased == 0 {
                return true;
            }
            self.clock.advance(Duration::from_secs(3_600));
        }
        false
    }
}

/// What must go on whatever row is damaged.
async fn go_on(town: &Town, posts: &[PostId]) -> Result<()> {
    let feed = &town.feed;
    for viewer in USERS {
        feed.home(viewer, PageRequest::newest()).await?;
        feed.author(viewer, BOB, PageRequest::newest()).await?;
        town.publish(viewer, NewPost::new("still here")).await?;
    }
    let parts = feed.parts();
    parts.counters.counts(posts).await?;
    parts.outbox.posts(posts).await?;
    parts.graph.degrees(&USERS).await?;
    parts
        .activity
        .note(Habit::Visit, &USERS, parts.clock.now())
        .await?;
    for &post in posts {
        let liked = parts.actions.acted(CAT, ActionKind::Like, &[post]).await?;
        if liked[0].is_some() {
            feed.unlike(CAT, post).await?;
        }
    }
    feed.unfollow(CAT, BOB).await?;
    feed.erase_user(ANN).await?;
    Ok(())
}

/// Damages each row of `table` in a town of its own.
async fn damage_each<K: Key + Send + 'static>(table: Rows<K>) {
    let mut at = 0;
    loop {
        let (town, posts) = Town::settled().await;
        if !town.damage(table, at).await {
            break;
        }
        let going_on = go_on(&town, &posts).await;
        going_on.unwrap_or_else(|error| panic!("row {at}: {error:?}"));
        assert!(town.work().await, "row {at}: work that never ends");
        assert_eq!(
            town.likes(&posts).await,
            town.likers(&posts).await,
            "row {at}"
        );
        at += 1;
    }
    assert!(at > 0, "there are rows to damage");
}

#[tokio::test]
async fn a_post_is_in_nobodys_way() {
    damage_each(POSTS).await;
}

#[tokio::test]
async fn the_past_of_an_author_is_in_nobodys_way() {
    damage_each(PASTS).await;
}

#[tokio::test]
async fn counts_are_in_nobodys_way() {
    damage_each(COUNTS).await;
}

#[tokio::test]
async fn a_degree_is_in_nobodys_way() {
    damage_each(DEGREES).await;
}

#[tokio::test]
async fn a_route_is_in_nobodys_way() {
    damage_each(ROUTES).await;
}

#[tokio::test]
async fn the_activity_of_a_user_is_in_nobodys_way() {
    damage_each(ACTIVITY).await;
}

#[tokio::test]
async fn an_edge_is_in_nobodys_way() {
    damage_each(EDGES).await;
    damage_each(FOLLOWERS).await;
}

#[tokio::test]
async fn a_page_shows_all_but_the_post_whose_row_does_not_decode() {
    let town = Town::found().await;
    let viewer = UserId::new(9);
    let mut posts = Vec::new();
    for author in USERS {
        let followed = town.feed.follow(viewer, author);
        assert!(followed.await.unwrap());
        posts.push(town.publish(author, NewPost::new("a post")).await.unwrap());
    }
    posts.remove(1);
    assert!(town.damage(POSTS, 1).await);
    town.feed.work_all().await.unwrap();
    for _ in 0..2 {
        let newest = PageRequest::newest();
        let page = town.feed.home(viewer, newest).await.unwrap();
        let ids: Vec<_> = page.entries.iter().rev().map(|entry| entry.post).collect();
        let bodies = town.feed.parts().outbox.posts(&ids).await.unwrap();
        let shown: Vec<_> = bodies
            .iter()
            .flatten()
            .map(|post| post.entry.post)
            .collect();
        assert_eq!(shown, posts);
    }
}
