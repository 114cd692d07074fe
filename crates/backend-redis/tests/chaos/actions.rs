//! Actions, each of which is at its post, and noted with its actor on another master.

use std::collections::{BTreeMap, BTreeSet};

use backend_redis::RedisActions;
use engines::RedisCluster;
use fastrand::Rng;
use feed_core::{Action, ActionKind, Actions, Counters, Entry, Error, PostId, Result, UserId};

use crate::{
    crowd::{Crowd, WORKERS},
    house::{master_of, until},
    on_cluster, on_replicas, replica_lacks,
};

const USERS: u64 = 3 * WORKERS;
const POSTS: u64 = 20;

/// They do nothing themselves.
const AUTHORS: u64 = 5;

/// Replies of one user to one post.
const REPLIES: u64 = 3;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Deed {
    kind: ActionKind,
    actor: UserId,
    post: PostId,
    item: PostId,
}

impl Deed {
    fn any(worker: u64, rng: &mut Rng) -> Self {
        let actor = rng.u64(..USERS / WORKERS) * WORKERS + worker;
        let post = rng.u64(1..=POSTS);
        let items = (actor * POSTS + post) * 10 + 1_000;
        let (kind, item) = match rng.u8(..3) {
            0 => (ActionKind::Like, post),
            1 => (ActionKind::Reply, items + rng.u64(..REPLIES)),
            _ => (ActionKind::Repost, items + REPLIES),
        };
        Self {
            kind,
            actor: UserId::new(actor),
            post: PostId::new(post),
            item: PostId::new(item),
        }
    }

    const fn of(action: Action) -> Self {
        Self {
            kind: action.kind,
            actor: action.actor,
            post: action.post,
            item: action.item,
        }
    }

    fn action(self) -> Action {
        let author = UserId::new(USERS + self.post.get() % AUTHORS);
        let original = Entry::original(self.post, author);
        match self.kind {
            ActionKind::Like => Action::like(self.actor, original),
            ActionKind::Reply => Action::reply(self.actor, original, self.item),
            _ => Action::repost(self.actor, original, self.item),
        }
    }

    /// Of the post and of its notes.
    fn is_on(self, node: usize) -> bool {
        let notes = format!("actions:{}", self.actor);
        master_of(&notes) == node || self.is_counted_on(node)
    }

    fn is_counted_on(self, node: usize) -> bool {
        master_of(&format!("acted:{}", self.post)) == node
    }
}

fn posts() -> Vec<PostId> {
    (1..=POSTS).map(PostId::new).collect()
}

/// Answers whether it was done, or taken back.
async fn change(actions: &dyn Actions, worker: u64, rng: &mut Rng) -> (Deed, bool, Result<()>) {
    let deed = Deed::any(worker, rng);
    let action = deed.action();
    let is_done = rng.u8(..3) > 0;
    let answer = match is_done {
        true => actions.record(&[action]).await.map(drop),
        false if deed.kind == ActionKind::Like || rng.bool() => {
            actions.withdraw(&[action]).await.map(drop)
        }
        false => {
            let taken = actions.withdraw_items(deed.actor, &[deed.item]).await;
            taken.map(drop)
        }
    };
    (deed, is_done, answer)
}

/// Asks until the servers answer.
async fn serves(actions: &RedisActions) {
    until("all masters answer", async || {
        actions.counts(&posts()).await.is_ok()
    })
    .await;
}

async fn counted(actions: &dyn Counters) -> BTreeMap<(PostId, ActionKind), u64> {
    let counts = actions.counts(&posts()).await.unwrap();
    let counts = posts().into_iter().zip(counts).flat_map(|(post, counts)| {
        [
            ((post, ActionKind::Like), counts.likes),
            ((post, ActionKind::Reply), counts.replies),
            ((post, ActionKind::Repost), counts.reposts),
        ]
    });
    counts.filter(|&(_, count)| count > 0).collect()
}

/// Takes back all of `deeds` that was done, and answers which. That is what was counted, and what an actor
/// is told to have done.
async fn take_back(actions: &RedisActions, deeds: &[Deed]) -> BTreeSet<Deed> {
    let counts = counted(actions).await;
    let told = told(actions).await;
    let all: Vec<_> = deeds.iter().map(|deed| deed.action()).collect();
    let were_there = actions.withdraw(&all).await.unwrap();
    let done = deeds.iter().zip(were_there);
    let done: BTreeSet<_> = done
        .filter(|(_, is_done)| *is_done)
        .map(|(deed, _)| *deed)
        .collect();
    let mut sums = BTreeMap::new();
    let mut first = BTreeMap::new();
    for deed in &done {
        *sums.entry((deed.post, deed.kind)).or_insert(0) += 1;
        // In the order of items.
        first
            .entry((deed.kind, deed.actor, deed.post))
            .or_insert(deed.item);
    }
    assert_eq!(sums, counts);
    assert_eq!(first, told);
    assert_eq!(counted(actions).await, BTreeMap::new());
    done
}

/// The item by which each did something to a post.
async fn told(actions: &dyn Actions) -> BTreeMap<(ActionKind, UserId, PostId), PostId> {
    let mut told = BTreeMap::new();
    for kind in [ActionKind::Like, ActionKind::Reply, ActionKind::Repost] {
        for actor in (0..USERS).map(UserId::new) {
            let acted = actions.acted(actor, kind, &posts()).await.unwrap();
            for (post, item) in posts().into_iter().zip(acted) {
                told.extend(item.map(|item| ((kind, actor, post), item)));
            }
        }
    }
    told
}

/// A master loses its only replica, and is killed, while actions are recorded and withdrawn that the replica must
/// know of. When that has taken over, all is as was acknowledged, and is found by its post, by its items and by
/// who did it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_action_is_lost_that_every_replica_had() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let actions = RedisActions::new(on_replicas(&cluster).await);
    // The replica that takes over has none itself.
    let judge = RedisActions::new(on_cluster(&cluster).await);
    let crowd = Crowd::new(Error::is_retryable);
    let change = async |worker, rng: &mut Rng| change(&actions, worker, rng).await;
    crowd
        .while_working(change, async || {
            replica_lacks(&cluster, crowd.tries()).await;
            serves(&judge).await;
        })
        .await;
    let accounts = crowd.accounts();
    let (some, others): (Vec<_>, Vec<_>) = accounts
        .keys()
        .partition(|deed| deed.actor.get().is_multiple_of(2));
    let mut done = erase(&judge, &some).await;
    done.extend(take_back(&judge, &others).await);
    for (deed, account) in accounts {
        let is_done = done.contains(&deed);
        assert!(account.now.contains(&is_done), "{deed:?} {account:?}");
    }
}

/// Erases all who did some of `deeds`, and answers which were done: those with items by these, likes as what
/// their actors are told, and are found by then.
async fn erase(actions: &RedisActions, deeds: &[Deed]) -> BTreeSet<Deed> {
    let told = told(actions).await;
    let is_told = |deed: &&Deed| {
        let by = told.get(&(deed.kind, deed.actor, deed.post));
        deed.kind == ActionKind::Like && by.is_some()
    };
    let mut done: BTreeSet<_> = deeds.iter().filter(is_told).copied().collect();
    let actors: BTreeSet<_> = deeds.iter().map(|deed| deed.actor).collect();
    for actor in actors {
        let own = deeds.iter().filter(|deed| deed.actor == actor);
        let items: Vec<_> = own.map(|deed| deed.item).collect();
        let likes = done.iter().filter(|deed| deed.actor == actor).count();
        let taken = actions.withdraw_items(actor, &items).await.unwrap();
        done.extend(taken.into_iter().map(Deed::of));
        let erased = actions.erase(actor, 1_000).await.unwrap();
        assert_eq!(erased, likes, "{actor}");
    }
    done
}

/// Actions are lost with a master: only those that were counted or noted there are not as was acknowledged, and
/// counts are those of what is left.
async fn actions_are_lost(
    cluster: &RedisCluster,
    happens: impl AsyncFnOnce(&Crowd<Deed, bool, Error>),
) {
    let actions = RedisActions::new(on_cluster(cluster).await);
    let crowd = Crowd::new(Error::is_retryable);
    let change = async |worker, rng: &mut Rng| change(&actions, worker, rng).await;
    crowd
        .while_working(change, async || {
            happens(&crowd).await;
            serves(&actions).await;
            crowd.progress().await;
        })
        .await;
    let accounts = crowd.accounts();
    let deeds: Vec<_> = accounts.keys().copied().collect();
    let done = take_back(&actions, &deeds).await;
    let mut lost = 0;
    for (deed, account) in accounts {
        let is_done = done.contains(&deed);
        // Of likes no note is needed.
        let may_be_lost = match deed.kind {
            ActionKind::Like => deed.is_counted_on(0),
            _ => deed.is_on(0),
        };
        let is_lost = !account.now.contains(&is_done);
        assert!(may_be_lost || !is_lost, "{deed:?} {account:?}");
        assert!(account.ever.contains(&is_done), "{deed:?} {account:?}");
        lost += usize::from(is_lost);
    }
    assert!(lost > 0, "nothing was lost");
    for user in (0..USERS + AUTHORS).map(UserId::new) {
        assert_eq!(actions.erase(user, 1_000).await.unwrap(), 0);
    }
}

/// Its replica takes over, and lacks what it was told last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_those_of_what_a_replica_had() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    actions_are_lost(&cluster, async |crowd| {
        replica_lacks(&cluster, crowd.progress()).await;
    })
    .await;
}

/// It starts again before anybody has missed it, and has lost everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_those_of_what_a_server_has_not_lost() {
    let cluster = RedisCluster::start(3, 0).unwrap();
    actions_are_lost(&cluster, async |_| cluster.restart_empty(0).unwrap()).await;
}
