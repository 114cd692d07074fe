mod doings;
#[cfg(test)]
mod model;

use std::{collections::BTreeSet, fmt};

use async_trait::async_trait;
use backplane::memory::{Room, Shards};
use hashbrown::{HashMap, hash_map::Entry as Slot};

use crate::{
    Action, ActionKind, Actions, Counters, Counts, Entry, PostId, Recorded, Result, UserId,
    memory::actions::doings::{Doings, Done},
};

/// [`Actions`] and their [`Counters`] in process memory: durable as long as the process.
///
/// The traits' methods are here without `async` too. A set and its count change in one step: whoever
/// sees one sees the other.
///
/// ```
/// use feed_core::{Action, Entry, MemoryActions, PostId, UserId};
///
/// let actions = MemoryActions::default();
/// let (ann, bob, post) = (UserId::new(1), UserId::new(2), PostId::new(10));
/// for _ in 0..2 {
///     actions.record(&[Action::like(ann, Entry::original(post, bob))])?;
/// }
/// assert_eq!(actions.counts(&[post])[0].likes, 1);
/// # Ok::<_, feed_core::Error>(())
/// ```
pub struct MemoryActions {
    options: MemoryActionsOptions,
    /// Where several are locked, it is in this order.
    actors: Shards<HashMap<UserId, Doings>>,
    posts: Shards<HashMap<PostId, ActedOn>>,
    /// The posts of each author that are in `posts`.
    authors: Shards<HashMap<UserId, BTreeSet<PostId>>>,
    kept: Room,
}

/// The bounds of a [`MemoryActions`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryActionsOptions {
    /// How many actions are kept; one more is refused as
    /// [`ErrorKind::Full`](crate::ErrorKind::Full). 50,000,000 by default. A like takes about 85 bytes
    /// where actors and posts have twenty, and 690 where an actor has one, on a post of its own, by an
    /// author of one; a reply among twenty about 140.
    pub max_actions: usize,
}

/// What was done to one post: at least one action.
struct ActedOn {
    author: UserId,
    counts: Counts,
    actors: BTreeSet<UserId>,
}

impl MemoryActions {
    /// An empty store within the bounds of `options`.
    #[must_use]
    pub fn new(options: MemoryActionsOptions) -> Self {
        Self {
            kept: Room::new(options.max_actions),
            options,
            actors: Shards::default(),
            posts: Shards::default(),
            authors: Shards::default(),
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
        let withdraw = |action: &Action| {
            self.of(action.actor, |doings| {
                self.take_back(action.actor, doings, Done::from(action))
                    .is_some()
            })
        };
        actions.iter().map(withdraw).collect()
    }

    /// See [`Actions::withdraw_items`].
    pub fn withdraw_items(&self, actor: UserId, items: &[PostId]) -> Vec<Action> {
        self.of(actor, |doings| {
            let mut withdrawn = Vec::new();
            for &item in items {
                while let Some(done) = doings.made_as(item) {
                    withdrawn.extend(self.take_back(actor, doings, done));
                }
            }
            withdrawn
        })
    }

    /// See [`Actions::acted`].
    #[must_use]
    pub fn acted(&self, actor: UserId, kind: ActionKind, posts: &[PostId]) -> Vec<Option<PostId>> {
        let actors = self.actors.read(actor.get());
        let doings = actors.get(&actor);
        let first = |&post: &PostId| doings?.first_item(kind, post);
        posts.iter().map(first).collect()
    }

    /// See [`Counters::counts`].
    #[must_use]
    pub fn counts(&self, posts: &[PostId]) -> Vec<Counts> {
        let shards = self.posts.read_many(posts.iter().map(|post| post.get()));
        let counts = |post: &PostId| shards.of(post.get()).get(post).map(|on| on.counts);
        posts
            .iter()
            .map(|post| counts(post).unwrap_or_default())
            .collect()
    }

    /// See [`Actions::forget`].
    pub fn forget(&self, posts: &[PostId], limit: usize) -> usize {
        let mut forgotten = 0;
        for &post in posts {
            while forgotten < limit {
                let actors = self.actors_on(post, limit - forgotten);
                if actors.is_empty() {
                    break;
                }
                for actor in actors {
                    forgotten += self.forget_of(actor, post, limit - forgotten);
                }
            }
        }
        forgotten
    }

    /// See [`Actions::erase`].
    pub fn erase(&self, user: UserId, limit: usize) -> usize {
        let mut erased = self.of(user, |doings| {
            let mut erased = 0;
            while erased < limit
                && let Some(done) = doings.first()
            {
                self.take_back(user, doings, done);
                erased += 1;
            }
            erased
        });
        while erased < limit
            && let Some(post) = self.first_post_of(user)
        {
            erased += self.forget(&[post], limit - erased);
        }
        erased
    }

    fn record_one(&self, action: &Action) -> Result<Recorded> {
        let mut actors = self.actors.write(action.actor.get());
        let new = Done::from(action);
        if let Some(item) = actors
            .get(&action.actor)
            .and_then(|doings| doings.existing(new))
        {
            return Ok(Recorded::Existing(item));
        }
        self.kept.take(1, "record")?;
        actors.entry(action.actor).or_default().insert(new);
        self.count(action);
        Ok(Recorded::New)
    }

    /// Puts an action, which is in its set from now on, into the count.
    fn count(&self, action: &Action) {
        let mut posts = self.posts.write(action.post.get());
        let on = posts.entry(action.post).or_insert_with(|| {
            let mut authors = self.authors.write(action.author.get());
            authors
                .entry(action.author)
                .or_default()
                .insert(action.post);
            ActedOn::by_nobody(action.author)
        });
        *on.counts.of(action.kind) += 1;
        on.actors.insert(action.actor);
    }

    /// Takes an action out of its set and its count. Answers it, if it was there.
    fn take_back(&self, actor: UserId, doings: &mut Doings, gone: Done) -> Option<Action> {
        if !doings.remove(gone) {
            return None;
        }
        self.kept.give(1);
        let mut posts = self.posts.write(gone.post.get());
        let on = posts.get_mut(&gone.post)?;
        let original = Entry::original(gone.post, on.author);
        *on.counts.of(gone.kind) -= 1;
        if !doings.acted_on(gone.post) {
            on.actors.remove(&actor);
        }
        if on.counts == Counts::default() {
            posts.remove(&gone.post);
            self.disown(original);
        }
        Some(gone.action(actor, original))
    }

    /// Notes that nothing is left of what was done to a post.
    fn disown(&self, original: Entry) {
        let mut authors = self.authors.write(original.author.get());
        if let Slot::Occupied(mut slot) = authors.entry(original.author) {
            slot.get_mut().remove(&original.post);
            if slot.get().is_empty() {
                slot.remove();
            }
        }
    }

    /// Forgets up to `limit` of what one actor did to a post.
    fn forget_of(&self, actor: UserId, post: PostId, limit: usize) -> usize {
        self.of(actor, |doings| {
            let mut forgotten = 0;
            while forgotten < limit
                && let Some(done) = doings.first_on(post)
            {
                self.take_back(actor, doings, done);
                forgotten += 1;
            }
            forgotten
        })
    }

    fn actors_on(&self, post: PostId, limit: usize) -> Vec<UserId> {
        let posts = self.posts.read(post.get());
        let actors = posts.get(&post).map(|on| on.actors.iter());
        actors.into_iter().flatten().take(limit).copied().collect()
    }

    fn first_post_of(&self, author: UserId) -> Option<PostId> {
        let authors = self.authors.read(author.get());
        authors.get(&author)?.first().copied()
    }

    #[cfg(test)]
    fn assert_empty(&self) {
        assert!(self.actors.iter().all(|part| part.is_empty()));
        assert!(self.posts.iter().all(|part| part.is_empty()));
        assert!(self.authors.iter().all(|part| part.is_empty()));
        assert_eq!(self.kept.taken(), 0);
    }

    /// Changes what `actor` did, of which there may be nothing left then.
    fn of<T: Default>(&self, actor: UserId, change: impl FnOnce(&mut Doings) -> T) -> T {
        let mut actors = self.actors.write(actor.get());
        let Slot::Occupied(mut slot) = actors.entry(actor) else {
            return T::default();
        };
        let changed = change(slot.get_mut());
        if slot.get().is_empty() {
            slot.remove();
        }
        changed
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

    async fn withdraw_items(&self, actor: UserId, items: &[PostId]) -> Result<Vec<Action>> {
        Ok(Self::withdraw_items(self, actor, items))
    }

    async fn acted(
        &self,
        actor: UserId,
        kind: ActionKind,
        posts: &[PostId],
    ) -> Result<Vec<Option<PostId>>> {
        Ok(Self::acted(self, actor, kind, posts))
    }

    async fn forget(&self, posts: &[PostId], limit: usize) -> Result<usize> {
        Ok(Self::forget(self, posts, limit))
    }

    async fn erase(&self, user: UserId, limit: usize) -> Result<usize> {
        Ok(Self::erase(self, user, limit))
    }
}

#[async_trait]
impl Counters for MemoryActions {
    async fn counts(&self, posts: &[PostId]) -> Result<Vec<Counts>> {
        Ok(Self::counts(self, posts))
    }
}

impl ActedOn {
    const fn by_nobody(author: UserId) -> Self {
        Self {
            author,
            counts: Counts {
                likes: 0,
                replies: 0,
                reposts: 0,
            },
            actors: BTreeSet::new(),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use backplane::ManualClock;

    use super::*;
    use crate::{
        ErrorKind,
        conformance::{Fresh, TestTime, actions::Subject},
    };

    fn fresh() -> Fresh<Subject> {
        let store = Arc::new(MemoryActions::default());
        let subject = Subject {
            actions: Arc::<MemoryActions>::clone(&store),
            counters: store,
        };
        Fresh {
            store: Arc::new(subject),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    crate::actions_conformance!(async { fresh() });

    const ANN: UserId = UserId::new(1);
    const POST: PostId = PostId::new(10);
    const ORIGINAL: Entry = Entry::original(POST, UserId::new(9));

    #[test]
    fn a_full_store_refuses_new_actions_alone() {
        let actions = MemoryActions::new(MemoryActionsOptions::default().with_max_actions(1));
        let like = Action::like(ANN, ORIGINAL);
        let reply = Action::reply(ANN, ORIGINAL, PostId::new(11));
        let refused = actions.record(&[like, reply]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert_eq!(
            (
                actions.counts(&[POST])[0].likes,
                actions.counts(&[POST])[0].replies
            ),
            (1, 0)
        );
        assert_eq!(actions.record(&[like]).unwrap(), [Recorded::Existing(POST)]);
        actions.withdraw(&[like]);
        assert_eq!(actions.record(&[reply]).unwrap(), [Recorded::New]);
    }

    #[test]
    fn what_was_taken_back_takes_no_memory() {
        let actions = MemoryActions::default();
        actions.record(&[Action::like(ANN, ORIGINAL)]).unwrap();
        actions.withdraw(&[Action::like(ANN, ORIGINAL)]);
        actions.assert_empty();
    }

    #[test]
    fn threads_that_record_and_withdraw_leave_exact_counts() {
        let actions = MemoryActions::default();
        thread::scope(|scope| {
            for seed in 0..4 {
                let actions = &actions;
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed);
                    for _ in 0..5_000 {
                        let like = [Action::like(UserId::new(rng.u64(..8)), ORIGINAL)];
                        if rng.bool() {
                            actions.record(&like).unwrap();
                        } else {
                            actions.withdraw(&like);
                        }
                    }
                });
            }
        });
        let liked =
            (0..8).map(|actor| actions.acted(UserId::new(actor), ActionKind::Like, &[POST]));
        let liked = liked.filter(|acted| acted[0].is_some()).count();
        assert_eq!(actions.counts(&[POST])[0].likes, liked as u64);
        assert_eq!(actions.kept.taken(), liked);
    }
}
