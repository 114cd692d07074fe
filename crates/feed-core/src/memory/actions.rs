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
    /// [`ErrorKind::Full`](crate::ErrorKind::Full). 50,000,000 by default. An action takes about 60
    /// bytes where actors have twenty, and 420 where an actor has one, on a post of its own.
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use backplane::ManualClock;
    use proptest::{collection::vec, prelude::*, sample::select};

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

    #[test]
    fn a_full_store_refuses_new_actions_alone() {
        let actions = MemoryActions::new(MemoryActionsOptions::default().with_max_actions(1));
        let like = Action::like(ANN, POST);
        let reply = Action::reply(ANN, POST, PostId::new(11));
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
        actions.record(&[Action::like(ANN, POST)]).unwrap();
        actions.withdraw(&[Action::like(ANN, POST)]);
        assert!(actions.actors.read(ANN.get()).is_empty());
        assert!(actions.counts.read(POST.get()).is_empty());
        assert_eq!(actions.kept.taken(), 0);
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
                        let like = [Action::like(UserId::new(rng.u64(..8)), POST)];
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

    fn action() -> impl Strategy<Value = Action> {
        let kind = select(&[ActionKind::Like, ActionKind::Reply, ActionKind::Repost][..]);
        (kind, 0_u64..3, 0_u64..3, 0_u64..4).prop_map(|(kind, actor, post, item)| {
            let (actor, post, item) = (UserId::new(actor), PostId::new(post), PostId::new(item));
            match kind {
                ActionKind::Like => Action::like(actor, post),
                ActionKind::Reply => Action::reply(actor, post, item),
                ActionKind::Repost => Action::repost(actor, post, item),
            }
        })
    }

    /// Actions, whether to take them back, and now and then whom to erase.
    fn op() -> impl Strategy<Value = (Vec<Action>, bool, Option<u64>)> {
        let erased = prop::option::weighted(0.1, 0_u64..3);
        (vec(action(), 0..4), any::<bool>(), erased)
    }

    fn count(model: &[Action], kind: ActionKind, post: PostId) -> u64 {
        let all = model
            .iter()
            .filter(|one| one.kind == kind && one.post == post);
        all.count() as u64
    }

    fn record(model: &mut Vec<Action>, action: Action) -> Recorded {
        let mut same = model.iter().filter(|one| {
            (one.kind, one.actor, one.post) == (action.kind, action.actor, action.post)
                && (one.kind != ActionKind::Reply || one.item == action.item)
        });
        if let Some(existing) = same.next() {
            return Recorded::Existing(existing.item);
        }
        model.push(action);
        Recorded::New
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(ops in vec(op(), 0..40)) {
            let (store, mut model) = (MemoryActions::default(), Vec::new());
            for (actions, back, erased) in ops {
                if back {
                    let gone = actions.iter().map(|action| {
                        let at = model.iter().position(|one| one == action);
                        at.map(|at| model.remove(at)).is_some()
                    });
                    let gone: Vec<_> = gone.collect();
                    prop_assert_eq!(store.withdraw(&actions), gone);
                } else {
                    let answers: Vec<_> =
                        actions.iter().map(|&action| record(&mut model, action)).collect();
                    prop_assert_eq!(store.record(&actions).expect("there is room"), answers);
                }
                if let Some(actor) = erased.map(UserId::new) {
                    let before = model.len();
                    model.retain(|one| one.actor != actor);
                    prop_assert_eq!(store.erase(actor, usize::MAX), before - model.len());
                }
                for post in (0..3).map(PostId::new) {
                    let counts = store.counts(&[post])[0];
                    prop_assert_eq!(counts.likes, count(&model, ActionKind::Like, post));
                    prop_assert_eq!(counts.replies, count(&model, ActionKind::Reply, post));
                    prop_assert_eq!(counts.reposts, count(&model, ActionKind::Repost, post));
                }
                prop_assert_eq!(store.kept.taken(), model.len());
            }
        }
    }
}
