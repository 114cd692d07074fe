//! Ties, each end of which is on another master.

use std::collections::BTreeMap;

use backend_redis::RedisGraph;
use engines::RedisCluster;
use fastrand::Rng;
use feed_core::{EdgeRoute, Error, FollowSettings, Graph, Hide, Result, Route, UserId};

use crate::{
    crowd::{Account, Crowd, WORKERS},
    house::{master_of, until},
    on_cluster, on_replicas, replica_lacks,
};

const USERS: u64 = 3 * WORKERS;

/// From whom, to whom. Of two users one may also hide the other, in one way, so that each end can be told.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Tie {
    hide: Option<Hide>,
    from: UserId,
    to: UserId,
}

/// None, if it is not there; else whether reposts are hidden.
type State = Option<bool>;

impl Tie {
    fn any(worker: u64, rng: &mut Rng) -> Self {
        let from = rng.u64(..USERS / WORKERS) * WORKERS + worker;
        let to = (from + rng.u64(1..USERS)) % USERS;
        let hide = if rng.u8(..3) > 0 {
            None
        } else if (from + to) % 2 == 1 {
            Some(Hide::Mute)
        } else if from < to {
            Some(Hide::Block)
        } else {
            None
        };
        let [from, to] = [from, to].map(UserId::new);
        Self { hide, from, to }
    }

    async fn set(self, graph: &dyn Graph, state: State) -> Result<()> {
        let Self { hide, from, to } = self;
        match (hide, state) {
            (Some(how), state) => {
                let on = state.is_some();
                graph.hide(from, to, how, on).await.map(drop)
            }
            (None, Some(hide_reposts)) => {
                let settings = FollowSettings::default().with_hide_reposts(hide_reposts);
                graph.follow(from, to, Some(settings)).await.map(drop)
            }
            (None, None) => graph.unfollow(from, to).await.map(drop),
        }
    }

    fn is_on(self, node: usize) -> bool {
        [self.from, self.to]
            .iter()
            .any(|&user| node_of(user) == node)
    }
}

fn node_of(user: UserId) -> usize {
    master_of(&format!("graph:{user}"))
}

fn users() -> Vec<UserId> {
    (0..USERS).map(UserId::new).collect()
}

async fn change(graph: &dyn Graph, worker: u64, rng: &mut Rng) -> (Tie, State, Result<()>) {
    let tie = Tie::any(worker, rng);
    let state = match rng.u8(..3) {
        0 => None,
        _ => Some(tie.hide.is_none() && rng.bool()),
    };
    (tie, state, tie.set(graph, state).await)
}

/// What the ends of each tie say, that of who made it first, once whoever looks has ended what was halfway.
async fn look(graph: &dyn Graph) -> BTreeMap<Tie, [State; 2]> {
    let users = users();
    graph.circles(&users).await.unwrap();
    let circles = graph.circles(&users).await.unwrap();
    let degrees = graph.degrees(&users).await.unwrap();
    let mut ends = BTreeMap::<_, [State; 2]>::new();
    let mut end = |hide, from, to, place: usize, state| {
        ends.entry(Tie { hide, from, to }).or_default()[place] = state;
    };
    for (circle, degree) in circles.iter().zip(degrees) {
        let user = circle.viewer();
        let followers = graph.followers(user, None, users.len()).await.unwrap();
        assert_eq!(degree.followers, followers.len() as u64);
        assert_eq!(degree.followees, circle.followees().count() as u64);
        for follower in followers {
            let state = Some(follower.settings.hide_reposts);
            end(None, follower.viewer, user, 1, state);
        }
        let hidden = graph.hidden_from(user, &users).await.unwrap();
        for (&other, is_hidden) in users.iter().zip(hidden) {
            let state = circle.settings(other).map(|wishes| wishes.hide_reposts);
            end(None, user, other, 0, state);
            let (mutes, blocks) = (Some(Hide::Mute), Some(Hide::Block));
            end(mutes, user, other, 0, circle.mutes(other).then_some(false));
            let is_blocked = circle.blocks(other);
            let (from, to) = (user.min(other), user.max(other));
            let place = usize::from(user == to);
            end(blocks, from, to, place, is_blocked.then_some(false));
            let is_muted = is_hidden && !is_blocked;
            end(mutes, other, user, 1, is_muted.then_some(false));
        }
    }
    ends
}

/// Asks until the servers answer.
async fn serves(graph: &dyn Graph) {
    until("all masters answer", async || {
        graph.degrees(&users()).await.is_ok()
    })
    .await;
}

fn assert_alike(ends: &BTreeMap<Tie, [State; 2]>) {
    for (tie, [from, to]) in ends {
        assert_eq!(from, to, "{tie:?}");
    }
}

fn assert_now(tie: &Tie, ends: [State; 2], account: &Account<State>) {
    for state in ends {
        assert!(account.now.contains(&state), "{tie:?} {ends:?} {account:?}");
    }
}

/// A master loses its only replica, and is killed, while ties are made and cut that the replica must know of. When
/// that has taken over, all is as was acknowledged, and both ends of each tie say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tie_is_lost_that_every_replica_had() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let graph = RedisGraph::new(on_replicas(&cluster).await);
    // The replica that takes over has none itself, which must not keep anybody from looking.
    let judge = RedisGraph::new(on_cluster(&cluster).await);
    let crowd = Crowd::new(Error::is_retryable);
    let change = async |worker, rng: &mut Rng| change(&graph, worker, rng).await;
    crowd
        .while_working(change, async || {
            replica_lacks(&cluster, crowd.tries()).await;
            serves(&judge).await;
        })
        .await;
    let ends = look(&judge).await;
    assert_alike(&ends);
    for (tie, account) in crowd.accounts() {
        assert_now(&tie, ends[&tie], &account);
    }
}

/// A master hangs that has two replicas: once one of them has taken over, changes are acknowledged that the other
/// has too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ties_are_made_while_a_master_hangs() {
    let cluster = RedisCluster::start(3, 2).unwrap();
    let graph = RedisGraph::new(on_replicas(&cluster).await);
    let there: Vec<_> = users()
        .into_iter()
        .filter(|user| node_of(*user) == 0)
        .collect();
    until("a tie is made", async || {
        graph.follow(there[0], there[1], None).await.is_ok()
    })
    .await;
    cluster.pause(0).unwrap();
    until("a tie is cut", async || {
        graph.unfollow(there[0], there[1]).await.is_ok()
    })
    .await;
    serves(&graph).await;
    assert_eq!(graph.followers(there[1], None, 9).await.unwrap(), []);
}

/// Changes to ties are lost with a master: only those that have an end there are not as was acknowledged, and each
/// end is as it was once. Who changes a tie again, or settles a follower, brings its ends together.
async fn ties_are_lost(
    cluster: &RedisCluster,
    happens: impl AsyncFnOnce(&Crowd<Tie, State, Error>),
) {
    let graph = RedisGraph::new(on_cluster(cluster).await);
    let crowd = Crowd::new(Error::is_retryable);
    let change = async |worker, rng: &mut Rng| change(&graph, worker, rng).await;
    crowd
        .while_working(change, async || {
            happens(&crowd).await;
            serves(&graph).await;
            crowd.progress().await;
        })
        .await;
    let ends = look(&graph).await;
    let mut lost = 0;
    for (tie, account) in crowd.accounts() {
        let ends = ends[&tie];
        if tie.is_on(0) {
            lost += usize::from(!ends.iter().all(|state| account.now.contains(state)));
            let was_so = |state| account.ever.contains(state);
            assert!(ends.iter().all(was_so), "{tie:?} {ends:?} {account:?}");
        } else {
            assert_eq!(ends[0], ends[1], "{tie:?}");
            assert_now(&tie, ends, &account);
        }
    }
    assert!(lost > 0, "nothing was lost");
    settle_followers(&graph).await;
    for (tie, [from, to]) in look(&graph).await {
        if from != to {
            let left_alone = "a follower who is left at the author alone is gone";
            assert!(
                from.is_some() || tie.hide.is_some(),
                "{left_alone}: {tie:?}"
            );
            let changes = match tie.hide {
                None => &[Some(from == Some(false))][..],
                Some(_) => &[Some(false), None],
            };
            for state in changes {
                tie.set(&graph, *state).await.unwrap();
            }
        }
    }
    assert_alike(&look(&graph).await);
}

/// As fanout does.
async fn settle_followers(graph: &dyn Graph) {
    for author in users() {
        let followers = graph.followers(author, None, 100).await.unwrap();
        let route = |follower: &feed_core::Follower| EdgeRoute {
            viewer: follower.viewer,
            author,
            stamp: follower.stamp,
            route: Route::PUSH,
        };
        let routes: Vec<_> = followers.iter().map(route).collect();
        graph.reroute(&routes).await.unwrap();
    }
}

/// Its replica takes over, and lacks what it was told last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ties_are_brought_together_that_a_replica_lacks() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    ties_are_lost(&cluster, async |crowd| {
        replica_lacks(&cluster, crowd.progress()).await;
    })
    .await;
}

/// It starts again before anybody has missed it, and has lost everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ties_are_brought_together_that_a_server_has_lost() {
    let cluster = RedisCluster::start(3, 0).unwrap();
    ties_are_lost(&cluster, async |_| cluster.restart_empty(0).unwrap()).await;
}
