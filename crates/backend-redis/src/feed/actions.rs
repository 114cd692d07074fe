mod answer;
mod notes;
mod posts;

use std::{collections::BTreeMap, iter::zip};

use async_trait::async_trait;
use feed_core::{
    Action, ActionKind, Actions, Counters, Counts, Entry, Error, ErrorKind, PostId, Recorded,
    Result, UserId,
};

use self::{
    answer::Acted,
    posts::{Group, Put},
};
use crate::{Redis, batches::BATCH};

/// [`Actions`] and their [`Counters`] on Redis, which all nodes share.
///
/// What was done to a post is in the post's slot of a Cluster, and its counts are the sizes of sets there:
/// an action and its count change at one instant, and no count drifts. Whatever is needed to find an action
/// again by its actor or by the post's author is noted in their slots before, and forgotten after it was
/// taken back: a process that dies in between leaves a note of nothing, which nobody sees.
///
/// | call | round trips | commands |
/// |---|---|---|
/// | [`record`](Actions::record) | 2; 4 where a post is acted on for the first time | a script an actor and one a post; for the first time two more, and one an author |
/// | [`withdraw`](Actions::withdraw) | 2, or 1 where nothing was there | a script a post and one an actor, and one an author of a post with nothing left |
/// | [`withdraw_items`](Actions::withdraw_items) | 3, or 1 | `ZRANGEBYLEX` an item, then as above |
/// | [`acted`](Actions::acted) | 1 | `HEXISTS`, `HGET` or `ZRANGEBYLEX` a post |
/// | [`counts`](Counters::counts) | 1 | two `HLEN` and a `ZCARD` a post |
/// | [`forget`](Actions::forget) | 3 for each thousand actions on a post, and 1; 2 where there are none | those of the counts, then a script a post, one an actor and one an author |
/// | [`erase`](Actions::erase) | 3 for each thousand actions of the user, 4 for each hundred posts, and 2 | as above |
///
/// An action takes two round trips more if another one on the same post has been taken back meanwhile whose
/// number is higher, since two servers' clocks differ. A script does a bounded number of commands for each
/// action that it is about, and no answer is larger than what was asked for.
///
/// A call that has failed may arrive all the same, and later than others: an action that was withdrawn before it was
/// there counts until it is withdrawn again.
///
/// # What a loss means
///
/// A server that loses its newest writes has lost actions on its posts, or has those again that were taken
/// back: counts are the sizes of what is left. If notes are lost, an action is found by its post alone: it
/// counts, and is withdrawn by its actor, but neither by its item nor when the actor is erased.
#[derive(Clone, Debug)]
pub struct RedisActions {
    redis: Redis,
}

/// Most posts, whatever was done to them.
const POSTS: usize = 100;

impl RedisActions {
    /// Actions whose keys begin with the prefix of `redis` and `{actions:` or `{acted:`.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn user_key(&self, user: UserId) -> String {
        format!("{}{{actions:{user}}}", self.redis.prefix())
    }

    fn post_key(&self, post: PostId) -> String {
        format!("{}{{acted:{post}}}", self.redis.prefix())
    }

    async fn record_some(&self, actions: &[Action], deeds: &[Deed]) -> Result<Vec<Recorded>> {
        let mut recorded = vec![Recorded::New; deeds.len()];
        let mut left: Vec<_> = by_post(deeds).into_iter().map(Group::from).collect();
        while !left.is_empty() {
            let author = |group: &Group| actions[group.places[0]].author;
            self.note_all(deeds, &mut left, author).await?;
            let puts = self.put(deeds, &left, author).await;
            let mut again = Vec::new();
            for (mut group, put) in zip(left, puts) {
                match put? {
                    Put::Done(existing) => {
                        for (&place, item) in zip(&group.places, existing) {
                            recorded[place] = item.map_or(Recorded::New, Recorded::Existing);
                        }
                    }
                    Put::NoteAuthor => {
                        group.notes_author = true;
                        again.push(group);
                    }
                    Put::Above(least) => {
                        group.least = least;
                        again.push(group);
                    }
                }
            }
            left = again;
        }
        Ok(recorded)
    }
}

#[async_trait]
impl Actions for RedisActions {
    async fn record(&self, actions: &[Action]) -> Result<Vec<Recorded>> {
        let deeds = actions.iter().map(Deed::try_from);
        let deeds = deeds.collect::<Result<Vec<_>>>()?;
        let mut recorded = Vec::with_capacity(deeds.len());
        for (actions, deeds) in zip(actions.chunks(BATCH), deeds.chunks(BATCH)) {
            recorded.extend(self.record_some(actions, deeds).await?);
        }
        Ok(recorded)
    }

    async fn withdraw(&self, actions: &[Action]) -> Result<Vec<bool>> {
        let deeds = actions.iter().map(Deed::try_from);
        let deeds = deeds.collect::<Result<Vec<_>>>()?;
        let taken = self.take_back("withdraw", &deeds).await?;
        Ok(taken.iter().map(Option::is_some).collect())
    }

    async fn withdraw_items(&self, actor: UserId, items: &[PostId]) -> Result<Vec<Action>> {
        const OP: &str = "withdraw items";
        let looks: Vec<_> = items
            .iter()
            .map(|&item| self.look_item(actor, item))
            .collect();
        let read = |answer: &_| answer::made(actor, answer);
        let mut deeds = Vec::new();
        for made in self.redis.read_all(OP, &looks, read).await {
            deeds.extend(made?);
        }
        let taken = self.take_back(OP, &deeds).await?;
        Ok(taken.into_iter().flatten().collect())
    }

    async fn acted(
        &self,
        actor: UserId,
        kind: ActionKind,
        posts: &[PostId],
    ) -> Result<Vec<Option<PostId>>> {
        const OP: &str = "acted";
        let kind = Kind::try_from(kind)?;
        let look = |&post| self.look(actor, kind, post);
        let looks: Vec<_> = posts.iter().map(look).collect();
        let answers = self.redis.read_all(OP, &looks, answer::acted).await;
        let mut acted = Vec::with_capacity(posts.len());
        for (&post, answer) in zip(posts, answers) {
            acted.push(match answer? {
                Acted::Not => None,
                Acted::ByItself => Some(post),
                Acted::By(item) => Some(item),
            });
        }
        Ok(acted)
    }

    async fn forget(&self, posts: &[PostId], limit: usize) -> Result<usize> {
        let posts: Vec<_> = posts.iter().map(|&post| (post, None)).collect();
        let mut forgotten = 0;
        while forgotten < limit {
            let some = self
                .forget_some("forget", &posts, limit - forgotten)
                .await?;
            if some == 0 {
                break;
            }
            forgotten += some;
        }
        if forgotten == 0 {
            // A call before this one may have forgotten all and failed, since replicas did not know of it yet.
            let nothing = posts.into_iter().map(|post| (post, 0));
            self.forget_shares("forget", nothing.collect()).await?;
        }
        Ok(forgotten)
    }

    async fn erase(&self, user: UserId, limit: usize) -> Result<usize> {
        let mut erased = 0;
        while erased < limit {
            let deeds = self.deeds(user, BATCH.min(limit - erased)).await?;
            if deeds.is_empty() {
                break;
            }
            let taken = self.take_back("erase", &deeds).await?;
            erased += taken.into_iter().flatten().count();
        }
        while erased < limit {
            let posts = self.posts_of(user, POSTS).await?;
            if posts.is_empty() {
                break;
            }
            let whose = |(post, number)| (post, Some((user, number)));
            let posts: Vec<_> = posts.into_iter().map(whose).collect();
            erased += self.forget_some("erase", &posts, limit - erased).await?;
        }
        Ok(erased)
    }
}

#[async_trait]
impl Counters for RedisActions {
    async fn counts(&self, posts: &[PostId]) -> Result<Vec<Counts>> {
        self.count("counts", posts).await
    }
}

/// A kind of action, as names and scripts have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Like,
    Reply,
    Repost,
}

/// An action without the author of the post, which the post knows.
#[derive(Clone, Debug)]
struct Deed {
    kind: Kind,
    actor: UserId,
    post: PostId,
    item: PostId,
    /// The number of a note of it that was found.
    noted: Option<u64>,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Like => "1",
            Self::Reply => "2",
            Self::Repost => "3",
        }
    }

    const fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"1" => Some(Self::Like),
            b"2" => Some(Self::Reply),
            b"3" => Some(Self::Repost),
            _ => None,
        }
    }
}

impl TryFrom<ActionKind> for Kind {
    type Error = Error;

    fn try_from(kind: ActionKind) -> Result<Self> {
        match kind {
            ActionKind::Like => Ok(Self::Like),
            ActionKind::Reply => Ok(Self::Reply),
            ActionKind::Repost => Ok(Self::Repost),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                "act",
                "an action of a later release",
            )),
        }
    }
}

impl TryFrom<&Action> for Deed {
    type Error = Error;

    fn try_from(action: &Action) -> Result<Self> {
        Ok(Self {
            kind: action.kind.try_into()?,
            actor: action.actor,
            post: action.post,
            item: action.item,
            noted: None,
        })
    }
}

impl Deed {
    const fn action(&self, author: UserId) -> Action {
        let original = Entry::original(self.post, author);
        match self.kind {
            Kind::Like => Action::like(self.actor, original),
            Kind::Reply => Action::reply(self.actor, original, self.item),
            Kind::Repost => Action::repost(self.actor, original, self.item),
        }
    }
}

/// Where each post's actions stand, in their order.
fn by_post(deeds: &[Deed]) -> BTreeMap<PostId, Vec<usize>> {
    let mut places = BTreeMap::<_, Vec<_>>::new();
    for (place, deed) in deeds.iter().enumerate() {
        places.entry(deed.post).or_default().push(place);
    }
    places
}
