//! The way of new posts into the keys of their authors.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use feed_core::{Appended, Error, ErrorKind, PostId, PostState, Publication, Result, UserId};

use super::{
    RedisOutbox,
    answer::{self, Published},
    line::Line,
    locations::Claims,
};
use crate::{
    batches::BATCH,
    script::{Call, script},
};

script!(APPEND, "outbox.lua", "append.lua");

const OP: &str = "append";

/// The items in runs in which no post has two authors: whoever comes first is to have it.
pub(super) fn runs(items: &[Publication]) -> Vec<&[Publication]> {
    let mut authors = HashMap::new();
    let (mut runs, mut start) = (Vec::with_capacity(1), 0);
    for (at, item) in items.iter().enumerate() {
        let first = *authors.entry(item.entry.post).or_insert(item.entry.author);
        if first != item.entry.author || at - start == BATCH {
            runs.push(&items[start..at]);
            start = at;
            authors.clear();
            authors.insert(item.entry.post, item.entry.author);
        }
    }
    runs.push(&items[start..]);
    runs
}

/// Items of which no post has two authors.
pub(super) struct Run<'a> {
    outbox: &'a RedisOutbox,
    items: &'a [Publication],
    claims: Claims,
}

impl<'a> Run<'a> {
    /// Writes the locations of the posts.
    pub(super) async fn begin(outbox: &'a RedisOutbox, items: &'a [Publication]) -> Result<Self> {
        let entries = items.iter().map(|item| item.entry);
        let wanted: BTreeMap<_, _> = entries.map(|entry| (entry.post, entry.author)).collect();
        let wanted: Vec<_> = wanted.into_iter().collect();
        let claims = outbox.locations.claim(OP, &wanted).await?;
        Ok(Self {
            outbox,
            items,
            claims,
        })
    }

    /// Writes the posts.
    pub(super) async fn finish(self) -> Result<Vec<Appended>> {
        let (published, failure) = self.publish().await;
        self.release_unused(&published).await;
        if let Some(error) = failure {
            return Err(error);
        }
        let published: Vec<_> = published.into_iter().flatten().collect();
        let elsewhere = self.elsewhere(&published).await?;
        let answer = |(item, published): (&Publication, &Published)| match published {
            Published::Stored => Appended::Stored,
            Published::Live => Appended::Duplicate(item.entry.post),
            Published::Known(post) => Appended::Duplicate(*post),
            Published::Retracted | Published::BelowFloor => Appended::Retracted,
            Published::Elsewhere => match elsewhere.get(&item.entry.post) {
                Some(PostState::Retracted) => Appended::Retracted,
                // Whoever was first to want it has it, or is about to.
                _ => Appended::Duplicate(item.entry.post),
            },
        };
        Ok(self.items.iter().zip(&published).map(answer).collect())
    }

    /// Runs a script for each author, and answers what became of each item, and a failure if there was one.
    async fn publish(&self) -> (Vec<Result<Published, ErrorKind>>, Option<Error>) {
        let call = |author: &UserId, places: &[usize]| {
            let keys = self.outbox.options.keys_per_author as u64;
            let call = self.outbox.call(&APPEND, *author).number(keys);
            let items = places.iter().map(|&place| &self.items[place]);
            items.fold(call, |call, item| self.with_item(call, item))
        };
        let authors = self.items.iter().map(|item| item.entry.author);
        let redis = &self.outbox.redis;
        let answers = redis.ask_each(OP, authors, call, answer::published).await;
        let mut failure = None;
        let published = answers.into_iter().map(|answer| {
            answer.map_err(|error| {
                let error = Error::from(error);
                let kind = error.kind();
                failure.get_or_insert(error);
                kind
            })
        });
        let published = published.collect();
        (published, failure)
    }

    fn with_item(&self, call: Call, item: &Publication) -> Call {
        let is_here = self.claims.author(item.entry.post) == Some(item.entry.author);
        call.number(u64::from(is_here))
            .bytes(Line::first(item).encode())
            .bytes(item.key.as_ref().map_or("", |key| key.as_str()))
            .bytes(&item.body[..])
    }

    /// Lets go of posts that were wanted for nothing, since their items have left none.
    async fn release_unused(&self, published: &[Result<Published, ErrorKind>]) {
        let (mut unused, mut used) = (BTreeSet::new(), BTreeSet::new());
        for (item, published) in self.items.iter().zip(published) {
            let side = match published {
                Ok(Published::Known(_) | Published::BelowFloor) | Err(ErrorKind::Full) => {
                    &mut unused
                }
                _ => &mut used,
            };
            side.insert(item.entry.post);
        }
        let unused: Vec<_> = unused.difference(&used).copied().collect();
        self.outbox
            .locations
            .release(OP, &self.claims, &unused)
            .await;
    }

    /// The states of posts that others have.
    async fn elsewhere(&self, published: &[Published]) -> Result<HashMap<PostId, PostState>> {
        let items = self.items.iter().zip(published);
        let posts = items.filter(|(_, published)| **published == Published::Elsewhere);
        let posts = posts.map(|(item, _)| item.entry.post);
        let owned = posts.filter_map(|post| Some((self.claims.author(post)?, post)));
        let owned: Vec<_> = owned.collect();
        let states = self.outbox.states(OP, &owned).await?;
        let posts = owned.iter().map(|&(_, post)| post);
        Ok(posts.zip(states).collect())
    }
}
