use std::{collections::BTreeSet, fmt};

use async_trait::async_trait;
use hashbrown::{HashMap, hash_map::Entry as Slot};

use crate::{
    Action, ActionKind, Actions, Counters, Counts, PostId, Recorded, Result, UserId,
    memory::{room::Room, shards::Shards},
};

/// [`Actions`] and their [`Counters`] in process memory: durable as long as the process.
///
/// The traits' methods are here without `async` too. A set and its count change in one step: whoever
/// sees one sees the other.
///
/// ```
/// use feed_core::{Action, MemoryActions, PostId, Recorded, UserId};
///
/// let actions = MemoryActions::default();
/// let (ann, post) = (UserId::new(1), PostId::new(10));
/// for _ in 0..2 {
///     actions.record(&[Action::like(ann, post)])?;
/// }
/// assert_eq!(actions.counts(&[post])[0].likes, 1);
/// # Ok::<_, feed_core::Error>(())
/// ```
pub struct MemoryActions {
    options: MemoryActionsOptions,
    /// Where both are locked, the actor's shard comes first.
    actors: Shards<HashMap<UserId, BTreeSet<Done>>>,
    counts: Shards<HashMap<PostId, Counts>>,
    kept: Room,
}

/// The bounds of a [`MemoryActions`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryActionsOptions {
    /// How many actions are kept; one more is refused as
    /// [`ErrorKind::Full`](crate::ErrorKind::Full). 50,000,000 by default. An action takes about 50
    /// bytes, and a post that has any 50 besides.
    pub max_actions: usize,
}

/// What one actor did: an [`Action`] in the order in which it is looked for.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Done {
    kind: ActionKind,
    post: PostId,
    item: PostId,
}

impl MemoryActions {
    /// An empty store within the bounds of `options`.
    #[must_use]
    pub fn new(options: MemoryActionsOptions) -> Self {
        Self {
            kept: Room::new(options.max_actions),
            options,
            actors: Shards::default(),
            counts: Shards::default(),
        }
    }

    /// See [`Actions::record`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) at the first new action for which there is no
    /// room; those before it are recorded.
    pub fn record(&self, actions: &[Action]) -> Result<Vec<Recorded>> {
        actions
            .iter()
            .map(|action| self.record_one(action))
            .collect()
    }

    /// See [`Actions::withdraw`].
    pub fn withdraw(&self, actions: &[Action]) -> Vec<bool> {
        actions
            .iter()
            .map(|action| self.withdraw_one(action))
            .collect()
    }

    /// See [`Actions::acted`].
    #[must_use]
    pub fn acted(&self, actor: UserId, kind: ActionKind, posts: &[PostId]) -> Vec<Option<PostId>> {
        let actors = self.actors.read(actor.get());
        let done = actors.get(&actor);
        let first = |&post: &PostId| first_item(done?, kind, post);
        posts.iter().map(first).collect()
    }

    /// See [`Counters::counts`].
    #[must_use]
    pub fn counts(&self, posts: &[PostId]) -> Vec<Counts> {
        let shards = self.counts.read_many(posts.iter().map(|post| post.get()));
        let counts = |post: &PostId| shards.of(post.get()).get(post).copied();
        posts
            .iter()
            .map(|post| counts(post).unwrap_or_default())
            .collect()
    }

    /// See [`Actions::erase`].
    pub fn erase(&self, actor: UserId, limit: usize) -> usize {
        let mut actors = self.actors.write(actor.get());
        let Slot::Occupied(mut slot) = actors.entry(actor) else {
            return 0;
        };
        let mut erased = 0;
        while erased < limit
            && let Some(done) = slot.get_mut().pop_first()
        {
            self.uncount(done);
            erased += 1;
        }
        if slot.get().is_empty() {
            slot.remove();
        }
        erased
    }

    fn record_one(&self, action: &Action) -> Result<Recorded> {
        let mut actors = self.actors.write(action.actor.get());
        let new = Done::from(action);
        if let Some(item) = actors
            .get(&action.actor)
            .and_then(|done| new.existing(done))
        {
            return Ok(Recorded::Existing(item));
        }
        self.kept.take(1, "record")?;
        actors.entry(action.actor).or_default().insert(new);
        *self
            .counts
            .write(new.post.get())
            .entry(new.post)
            .or_default()
            .of(new.kind) += 1;
        Ok(Recorded::New)
    }

    fn withdraw_one(&self, action: &Action) -> bool {
        let mut actors = self.actors.write(action.actor.get());
        let Slot::Occupied(mut slot) = actors.entry(action.actor) else {
            return false;
        };
        let gone = Done::from(action);
        let was_there = slot.get_mut().remove(&gone);
        if was_there {
            self.uncount(gone);
        }
        if slot.get().is_empty() {
            slot.remove();
        }
        was_there
    }

    /// Takes one action, which was in its set until now, out of the count.
    fn uncount(&self, gone: Done) {
        self.kept.give(1);
        let mut counts = self.counts.write(gone.post.get());
        if let Slot::Occupied(mut slot) = counts.entry(gone.post) {
            *slot.get_mut().of(gone.kind) -= 1;
            if *slot.get() == Counts::default() {
                slot.remove();
            }
        }
    }
}

impl Default for MemoryActions {
    fn default() -> Self {
        Self::new(MemoryActionsOptions::default())
    }
}

impl fmt::Debug for MemoryActions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryActions")
            .field("options", &self.options)
            .field("kept", &self.kept.taken())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Actions for MemoryActions {
    async fn record(&self, actions: &[Action]) -> Result<Vec<Recorded>> {
        Self::record(self, actions)
    }

    async fn withdraw(&self, actions: &[Action]) -> Result<Vec<bool>> {
        Ok(Self::withdraw(self, actions))
    }

    async fn acted(
        &self,
        actor: UserId,
        kind: ActionKind,
        posts: &[PostId],
    ) -> Result<Vec<Option<PostId>>> {
        Ok(Self::acted(self, actor, kind, posts))
    }

    async fn erase(&self, actor: UserId, limit: usize) -> Result<usize> {
        Ok(Self::erase(self, actor, limit))
    }
}

#[async_trait]
impl Counters for MemoryActions {
    async fn counts(&self, posts: &[PostId]) -> Result<Vec<Counts>> {
        Ok(Self::counts(self, posts))
    }
}

impl Done {
    /// The item of an action in `done` that stands in the way of this one.
    fn existing(self, done: &BTreeSet<Self>) -> Option<PostId> {
        match self.kind {
            ActionKind::Like | ActionKind::Repost => first_item(done, self.kind, self.post),
            ActionKind::Reply => done.get(&self).map(|reply| reply.item),
        }
    }
}

impl From<&Action> for Done {
    fn from(action: &Action) -> Self {
        Self {
            kind: action.kind,
            post: action.post,
            item: action.item,
        }
    }
}

fn first_item(done: &BTreeSet<Done>, kind: ActionKind, post: PostId) -> Option<PostId> {
    let at = |item| Done { kind, post, item };
    let mut items = done.range(at(PostId::MIN)..=at(PostId::MAX));
    items.next().map(|first| first.item)
}

impl Counts {
    fn of(&mut self, kind: ActionKind) -> &mut u64 {
        match kind {
            ActionKind::Like => &mut self.likes,
            ActionKind::Reply => &mut self.replies,
            ActionKind::Repost => &mut self.reposts,
        }
    }
}

impl MemoryActionsOptions {
    /// Room for `actions` actions.
    #[must_use]
    pub const fn with_max_actions(mut self, actions: usize) -> Self {
        self.max_actions = actions;
        self
    }
}

impl Default for MemoryActionsOptions {
    fn default() -> Self {
        Self {
            max_actions: 50_000_000,
        }
    }
}
