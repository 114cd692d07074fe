//! Users of a feed who post, follow, like, delete and read.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backend_redb::{RedbFeedOptions, Writer, WriterOptions, feed_parts, redb::Database};
use backplane::{Clock, SystemClock, id::KeeperOptions};
use feed_core::{
    ActionKind, Error as FeedError, ErrorKind, Feed, FeedOptions, IdempotencyKey, NewPost, PostId,
    PostState, Published, Seek, UserId,
};
use futures::future::join_all;

use crate::{Promises, report};

const USERS: u64 = 8;

pub(crate) async fn work(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let feed = open(path).await?;
    let clock = Arc::clone(&feed.parts().clock);
    let round = AtomicU64::new(clock.now().as_millis());
    loop {
        let round = round.fetch_add(1, Ordering::Relaxed);
        let users = (0..USERS).map(|user| act(&feed, user, round));
        for done in join_all(users).await {
            done?;
        }
    }
}

/// One user posts, follows the author of another post, and likes that; each third round they delete
/// their post again.
async fn act(feed: &Feed, user: u64, round: u64) -> Result<(), Box<dyn Error + Send + Sync>> {
    let me = UserId::new(user);
    let key = format!("{user}-{round}");
    report(&format!("publishing {user} {key}"))?;
    let post = publish(feed, me, &key).await?;
    report(&format!("published {user} {key} {post}"))?;

    let author = UserId::new((user + 1 + round % (USERS - 1)) % USERS);
    feed.follow(me, author).await?;
    report(&format!("followed {user} {author}"))?;
    feed.like(me, post).await?;
    report(&format!("liked {user} {post}"))?;
    feed.mark_read(me, post).await?;
    report(&format!("read {user} {post}"))?;
    if round.is_multiple_of(3) {
        report(&format!("deleting {user} {post}"))?;
        feed.delete(me, post).await?;
        report(&format!("deleted {user} {post}"))?;
    }
    feed.work(1).await?;
    Ok(())
}

/// Publishes once the ids of the killed process are past.
async fn publish(feed: &Feed, author: UserId, key: &str) -> Result<PostId, FeedError> {
    let key: IdempotencyKey = key.parse()?;
    loop {
        let post = NewPost::new(body(&key)).with_key(key.clone());
        match feed.publish(author, post).await {
            Ok(Published::Accepted(post) | Published::Duplicate(post)) => return Ok(post),
            Err(error) if error.kind() != ErrorKind::Unavailable => return Err(error),
            Ok(_) | Err(_) => feed.parts().clock.sleep(Duration::from_millis(1)).await,
        }
    }
}

fn body(key: &IdempotencyKey) -> String {
    format!("under {}", key.as_str())
}

/// What the children were told, and what they were about to do.
#[derive(Default)]
pub(crate) struct Report {
    publishing: BTreeSet<(UserId, String)>,
    published: BTreeMap<(UserId, String), PostId>,
    followed: BTreeSet<(UserId, UserId)>,
    liked: BTreeSet<(UserId, PostId)>,
    read: BTreeMap<UserId, PostId>,
    deleting: BTreeSet<PostId>,
    deleted: BTreeSet<PostId>,
}

impl Promises for Report {
    fn note(&mut self, line: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let words: Vec<_> = line.split(' ').collect();
        match *words {
            ["publishing", user, key] => {
                self.publishing.insert((user.parse()?, key.to_owned()));
            }
            ["published", user, key, post] => {
                let attempt = (user.parse()?, key.to_owned());
                self.published.insert(attempt, post.parse()?);
            }
            ["followed", viewer, author] => {
                self.followed.insert((viewer.parse()?, author.parse()?));
            }
            ["liked", actor, post] => {
                self.liked.insert((actor.parse()?, post.parse()?));
            }
            ["read", viewer, post] => {
                self.read.insert(viewer.parse()?, post.parse()?);
            }
            ["deleting", _, post] => {
                self.deleting.insert(post.parse()?);
            }
            ["deleted", _, post] => {
                self.deleted.insert(post.parse()?);
            }
            _ => return Err(format!("unknown report: {line}").into()),
        }
        Ok(())
    }

    async fn compare(&self, path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
        let feed = open(path).await?;
        self.compare_posts(&feed).await?;
        self.compare_graph(&feed).await?;
        self.compare_likes(&feed).await?;
        for (&viewer, &post) in &self.read {
            let marker = feed.parts().activity.marker(viewer).await?;
            assert!(marker >= post, "{viewer} has read {post}, not {marker}");
        }
        assert!(!self.deleted.is_empty() && self.liked.len() > self.deleted.len());
        Ok(())
    }
}

impl Report {
    /// Every post that was acknowledged is there as a whole unless it was deleted, every other one is
    /// there as a whole or not at all, and no id was given twice.
    async fn compare_posts(&self, feed: &Feed) -> Result<(), FeedError> {
        let outbox = &feed.parts().outbox;
        let users: Vec<_> = (0..USERS).map(UserId::new).collect();
        let listed = outbox.latest(&users, Seek::Newest, usize::MAX).await?;
        let listed: BTreeSet<_> = listed.iter().map(|entry| entry.post).collect();
        let mut seen = BTreeSet::new();
        for attempt in &self.publishing {
            let (author, key) = (attempt.0, attempt.1.parse()?);
            let stored = outbox.published(author, &key).await?;
            if let Some(&promised) = self.published.get(attempt) {
                assert_eq!(stored, Some(promised), "{attempt:?} was acknowledged");
            }
            let Some(post) = stored else {
                continue;
            };
            assert!(seen.insert(post), "{post} is the id of two posts");
            let state = outbox.lookup(&[post]).await?[0];
            let whole = outbox.posts(&[post]).await?.remove(0);
            let is_live = !self.deleted.contains(&post)
                && (!self.deleting.contains(&post) || state.live().is_some());
            if is_live {
                assert_eq!(state.live().map(|entry| entry.author), Some(author));
                assert_eq!(whole.map(|whole| whole.body), Some(body(&key).into()));
            } else {
                assert_eq!((state, whole), (PostState::Retracted, None));
            }
            assert_eq!(listed.contains(&post), is_live);
        }
        assert!(listed.is_subset(&seen), "a post without its key");
        Ok(())
    }

    /// Every edge that was acknowledged is there, and every edge has two ends that count it.
    async fn compare_graph(&self, feed: &Feed) -> Result<(), FeedError> {
        let graph = &feed.parts().graph;
        let mut edges = BTreeSet::new();
        for viewer in (0..USERS).map(UserId::new) {
            let circle = graph.circles(&[viewer]).await?.remove(0);
            let sources = circle.sources().iter();
            let own: BTreeSet<_> = sources.copied().filter(|&one| one != viewer).collect();
            let degree = feed.degree(viewer).await?;
            assert_eq!(degree.followees, own.len() as u64);
            edges.extend(own.into_iter().map(|author| (viewer, author)));
        }
        let mut ends = BTreeSet::new();
        for author in (0..USERS).map(UserId::new) {
            let followers = graph.followers(author, None, usize::MAX).await?;
            let degree = feed.degree(author).await?;
            assert_eq!(degree.followers, followers.len() as u64);
            ends.extend(followers.iter().map(|one| (one.viewer, author)));
        }
        assert_eq!(edges, ends);
        assert!(self.followed.is_subset(&edges), "followed and lost");
        Ok(())
    }

    /// Every like that was acknowledged is there, and none is there that is not counted.
    async fn compare_likes(&self, feed: &Feed) -> Result<(), FeedError> {
        let parts = feed.parts();
        for (&(author, _), &post) in &self.published {
            let liked = parts
                .actions
                .acted(author, ActionKind::Like, &[post])
                .await?[0];
            let counted = parts.counters.counts(&[post]).await?[0].likes;
            assert_eq!(counted, u64::from(liked.is_some()), "{post}");
            let was_promised = self.liked.contains(&(author, post));
            assert!(liked.is_some() || !was_promised, "{post} was liked");
        }
        Ok(())
    }
}

async fn open(path: &Path) -> Result<Feed, Box<dyn Error + Send + Sync>> {
    let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
    // What is reserved is what the next process waits for.
    let options = RedbFeedOptions::default()
        .with_ids(KeeperOptions::default().with_reserve(Duration::from_millis(100)))
        .with_feed(FeedOptions::default().with_post_quota(None));
    let clock = Arc::new(SystemClock::new());
    Ok(Feed::new(feed_parts(&writer, clock, options).await?))
}
