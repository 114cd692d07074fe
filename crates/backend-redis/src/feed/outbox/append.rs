//! The way of new posts into the keys of their authors.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use feed_core::{Appended, Error, ErrorKind, PostId, PostState, Publication, Result, UserId};

use super::{
    RedisOutbox,
    answer::{self, Published},
    line::Line,
    locations::Claim,
};
use crate::script::script;

script!(APPEND, "outbox.lua", "append.lua");

const OP: &str = "append";

/// Most items that are sent at once.
const BATCH: usize = 1_000;

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

impl RedisOutbox {
    pub(super) async fn append_run(&self, items: &[Publication]) -> Result<Vec<Appended>> {
        let wanted: BTreeMap<_, _> = items
            .iter()
            .map(|item| (item.entry.post, item.entry.author))
            .collect();
        let wanted: Vec<_> = wanted.into_iter().collect();
        let claims = self.locations.claim(OP, &wanted).await?;
        let (published, failure) = self.publish(items, &claims).await;
        self.release_unused(items, &published, &claims).await;
        if let Some(error) = failure {
            return Err(error);
        }
        let elsewhere = self.elsewhere(items, &published, &claims).await?;
        let answer = |(item, published): (&Publication, Published)| match published {
            Published::Stored => Appended::Stored,
            Published::Live => Appended::Duplicate(item.entry.post),
            Published::Known(post) => Appended::Duplicate(post),
            Published::Retracted | Published::BelowFloor | Published::Unsaid => Appended::Retracted,
            Published::Elsewhere => match elsewhere.get(&item.entry.post) {
                Some(PostState::Retracted) => Appended::Retracted,
                // Whoever was first to want it has it, or is about to.
                _ => Appended::Duplicate(item.entry.post),
            },
        };
        Ok(items.iter().zip(published).map(answer).collect())
    }

    /// Runs a script for each author, and answers what became of each item, and a failure.
    async fn publish(
        &self,
        items: &[Publication],
        claims: &HashMap<PostId, Claim>,
    ) -> (Vec<Published>, Option<Error>) {
        let mut places: BTreeMap<UserId, Vec<usize>> = BTreeMap::new();
        for (place, item) in items.iter().enumerate() {
            places.entry(item.entry.author).or_default().push(place);
        }
        let call = |(&author, places): (&UserId, &Vec<usize>)| {
            let call = self
                .call(&APPEND, author)
                .number(self.options.keys_per_author as u64);
            places.iter().fold(call, |call, &place| {
                let item = &items[place];
                let claim = claims.get(&item.entry.post);
                let is_here = claim.is_some_and(|claim| claim.author == author);
                let key = item.key.as_ref().map_or("", |key| key.as_str());
                call.number(u64::from(is_here))
                    .bytes(Line::first(item).encode())
                    .bytes(key)
                    .bytes(&item.body[..])
            })
        };
        let calls: Vec<_> = places.iter().map(call).collect();
        let answers = self.redis.ask_all(OP, &calls, answer::published).await;
        let mut published = vec![Published::Unsaid; items.len()];
        let mut failure = None;
        for (places, answer) in places.values().zip(answers) {
            let each = match answer {
                Ok(each) if each.len() == places.len() => each,
                Ok(_) => {
                    failure = Some(Error::bare(ErrorKind::Corrupt, OP));
                    continue;
                }
                Err(error) => {
                    failure = Some(error.into());
                    continue;
                }
            };
            for (&place, one) in places.iter().zip(each) {
                published[place] = one;
            }
        }
        (published, failure)
    }

    /// Lets go of posts that were wanted for nothing, since an item whose key is known, or that counts as
    /// retracted, has left no post. If that fails, what is left says nothing.
    async fn release_unused(
        &self,
        items: &[Publication],
        published: &[Published],
        claims: &HashMap<PostId, Claim>,
    ) {
        let is_new = |post: &PostId| claims.get(post).is_some_and(|claim| claim.is_new);
        let (mut unused, mut used) = (BTreeSet::new(), BTreeSet::new());
        for (item, published) in items.iter().zip(published) {
            let side = match published {
                Published::Known(_) | Published::BelowFloor => &mut unused,
                _ => &mut used,
            };
            side.insert((item.entry.author, item.entry.post));
        }
        let unused = unused.difference(&used);
        let unused: Vec<_> = unused
            .filter(|(_, post)| is_new(post))
            .map(|&(author, post)| (post, author))
            .collect();
        let _ = self.locations.release(OP, &unused).await;
    }

    /// The states of posts that others have.
    async fn elsewhere(
        &self,
        items: &[Publication],
        published: &[Published],
        claims: &HashMap<PostId, Claim>,
    ) -> Result<HashMap<PostId, PostState>> {
        let elsewhere = items.iter().zip(published);
        let elsewhere = elsewhere.filter(|(_, one)| **one == Published::Elsewhere);
        let owned: Vec<_> = elsewhere
            .filter_map(|(item, _)| Some((claims.get(&item.entry.post)?.author, item.entry.post)))
            .collect();
        let states = self.states(OP, &owned).await?;
        let posts = owned.iter().map(|&(_, post)| post);
        Ok(posts.zip(states).collect())
    }
}
