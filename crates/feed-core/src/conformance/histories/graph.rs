//! Histories of a [`Graph`].

use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{History, USERS, history, replay, same, user};
use crate::{
    Circle, EdgeRoute, FollowSettings, Followed, Follower, Graph, Hide, ListId, MemoryGraph,
    PostId, Route, RouteStamp, UserId,
};

const LISTS: [ListId; 2] = [ListId::new(0), ListId::new(u64::MAX)];
const FLOORS: [PostId; 4] = [
    PostId::new(0),
    PostId::new(5),
    PostId::new(6),
    PostId::new(u64::MAX),
];

/// A call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`Graph::follow`].
    Follow(UserId, UserId, Option<FollowSettings>),
    /// [`Graph::unfollow`].
    Unfollow(UserId, UserId),
    /// [`Graph::reroute`], with the stamp that was given so many stamps ago.
    Reroute(UserId, UserId, usize, Route),
    /// [`Graph::route_author`], with the present stamp or one that was given so many stamps ago.
    RouteAuthor(UserId, usize, Route),
    /// [`Graph::hide`].
    Hide(UserId, UserId, Hide, bool),
    /// [`Graph::set_list`].
    SetList(UserId, ListId, Vec<UserId>),
    /// [`Graph::erase`], until nothing is left.
    Erase(UserId, usize),
}

/// Two users: ties to oneself are refused above the graph.
fn pair() -> impl Strategy<Value = (UserId, UserId)> {
    (user(), user()).prop_filter("two users", |(one, other)| one != other)
}

/// Any history.
pub fn histories() -> impl Strategy<Value = History<Op>> {
    let settings = any::<(bool, bool)>().prop_map(|(hide, notify)| {
        FollowSettings::default()
            .with_hide_reposts(hide)
            .with_notify(notify)
    });
    let route = || {
        let until = select(&FLOORS[..]).prop_map(|post| Route::Push {
            pulled_until: Some(post),
        });
        prop_oneof![
            Just(Route::PUSH),
            until,
            Just(Route::Both),
            Just(Route::Pull)
        ]
    };
    let how = select(&[Hide::Block, Hide::Mute][..]);
    let list = select(&LISTS[..]);
    history(prop_oneof![
        6 => (pair(), option::of(settings)).prop_map(|((a, b), settings)| Op::Follow(a, b, settings)),
        2 => pair().prop_map(|(a, b)| Op::Unfollow(a, b)),
        6 => (pair(), 0..4_usize, route()).prop_map(|((a, b), ago, route)| Op::Reroute(a, b, ago, route)),
        3 => (user(), 0..9_usize, route()).prop_map(|(by, ago, route)| Op::RouteAuthor(by, ago, route)),
        3 => (pair(), how, any::<bool>()).prop_map(|((a, b), how, on)| Op::Hide(a, b, how, on)),
        2 => (user(), list, vec(user(), 0..5)).prop_map(|(owner, list, members)| Op::SetList(owner, list, members)),
        1 => (user(), 1..4_usize).prop_map(|(user, slice)| Op::Erase(user, slice)),
    ])
}

/// Plays `history` on a graph in memory and on the one that `open` opens.
pub async fn play<S: Graph>(history: &[Option<Op>], open: impl AsyncFnMut() -> Arc<S>) {
    let reference = MemoryGraph::default();
    let mut stamps = Stamps::default();
    let subject = replay(history, open, async |subject, op| {
        stamps.apply(&reference, subject, op).await;
        stamps.compare(&reference, subject).await;
    });
    let subject = subject.await;
    stamps.compare(&reference, &*subject).await;
}

/// The stamps that two graphs gave, in the same order. A stamp is any value that was never used, so
/// those of one graph mean nothing to the other.
struct Stamps(Vec<(RouteStamp, RouteStamp)>);

impl Default for Stamps {
    /// That of authors who have no route.
    fn default() -> Self {
        Self(vec![Default::default()])
    }
}

impl Stamps {
    async fn apply(&mut self, reference: &dyn Graph, subject: &dyn Graph, op: &Op) {
        match *op {
            Op::Follow(viewer, author, settings) => {
                let one = reference.follow(viewer, author, settings).await.unwrap();
                let other = subject.follow(viewer, author, settings).await.unwrap();
                self.followed(one, other);
            }
            Op::Unfollow(viewer, author) => {
                same!(reference, subject, graph => graph.unfollow(viewer, author));
            }
            Op::Reroute(viewer, author, ago, route) => {
                let reroute = async |graph: &dyn Graph, stamp| {
                    let edge = EdgeRoute {
                        viewer,
                        author,
                        stamp,
                        route,
                    };
                    graph.reroute(&[edge]).await.unwrap()[0]
                };
                let (one, other) = self.given_ago(ago);
                self.give(reroute(reference, one).await, reroute(subject, other).await);
            }
            Op::RouteAuthor(author, ago, route) => {
                let present = async |graph: &dyn Graph| graph.author_route(author).await.unwrap().1;
                let present = (present(reference).await, present(subject).await);
                let set = async |graph: &dyn Graph, stamp| {
                    graph.route_author(author, stamp, route).await.unwrap()
                };
                let (one, other) = if ago > 1 {
                    self.stale_ago(ago, present)
                } else {
                    present
                };
                self.give(set(reference, one).await, set(subject, other).await);
            }
            Op::Hide(viewer, other, how, on) => {
                same!(reference, subject, graph => graph.hide(viewer, other, how, on));
            }
            Op::SetList(owner, list, ref members) => {
                same!(reference, subject, graph => graph.set_list(owner, list, members));
            }
            Op::Erase(user, slice) => self.erase(reference, subject, user, slice).await,
        }
    }

    fn followed(&mut self, one: Followed, other: Followed) {
        match (one, other) {
            (Followed::Added(one), Followed::Added(other)) => self.give(Some(one), Some(other)),
            (Followed::Existing(one, seen), Followed::Existing(other, also_seen)) => {
                assert_eq!(one, other);
                assert!(self.0.contains(&(seen, also_seen)));
            }
            (one, other) => panic!("{one:?} {other:?}"),
        }
    }

    async fn erase(
        &mut self,
        reference: &dyn Graph,
        subject: &dyn Graph,
        user: UserId,
        slice: usize,
    ) {
        loop {
            let erased = reference.erase(user, slice).await.unwrap();
            assert_eq!(subject.erase(user, slice).await.unwrap(), erased);
            if erased == 0 {
                break;
            }
        }
        let one = reference.author_route(user).await.unwrap().1;
        let other = subject.author_route(user).await.unwrap().1;
        self.give(Some(one), Some(other));
    }

    /// The stamps that were given so long ago, of those there are.
    fn given_ago(&self, ago: usize) -> (RouteStamp, RouteStamp) {
        self.0[self.0.len() - 1 - ago % self.0.len()]
    }

    /// The same, unless one graph still has it, or has it again for somebody else: then those of now.
    fn stale_ago(&self, ago: usize, present: (RouteStamp, RouteStamp)) -> (RouteStamp, RouteStamp) {
        let (one, other) = self.given_ago(ago);
        if one == present.0 || other == present.1 {
            return present;
        }
        (one, other)
    }

    fn give(&mut self, one: Option<RouteStamp>, other: Option<RouteStamp>) {
        assert_eq!(one.is_some(), other.is_some());
        self.0.extend(one.zip(other));
    }

    async fn compare(&self, reference: &dyn Graph, subject: &dyn Graph) {
        same!(reference, subject, graph => graph.degrees(&USERS));
        for user in USERS {
            let (one, _) = reference.author_route(user).await.unwrap();
            let (other, _) = subject.author_route(user).await.unwrap();
            assert_eq!(one, other);
            for after in [None, Some(USERS[0]), Some(USERS[1])] {
                let ones = reference.followers(user, after, 2).await.unwrap();
                let others = subject.followers(user, after, 2).await.unwrap();
                self.compare_followers(&ones, &others);
            }
            same!(reference, subject, graph => graph.hidden_from(user, &USERS));
            for list in LISTS {
                let ones = reference.list(user, list).await.unwrap();
                let others = subject.list(user, list).await.unwrap();
                assert_eq!(sorted(&ones), sorted(&others));
            }
        }
        let ones = reference.circles(&USERS).await.unwrap();
        let others = subject.circles(&USERS).await.unwrap();
        assert_eq!(ones.len(), others.len());
        for (one, other) in ones.iter().zip(&others) {
            compare_circles(one, other);
        }
    }

    fn compare_followers(&self, ones: &[Follower], others: &[Follower]) {
        assert_eq!(ones.len(), others.len());
        for (one, other) in ones.iter().zip(others) {
            let same = Follower::new(one.viewer, one.settings, one.route, other.stamp);
            assert_eq!(&same, other);
            assert!(self.0.contains(&(one.stamp, other.stamp)));
        }
    }
}

fn compare_circles(one: &Circle, other: &Circle) {
    assert_eq!(one.viewer(), other.viewer());
    assert_eq!(sorted(one.sources()), sorted(other.sources()));
    for user in USERS {
        let seen = |circle: &Circle| {
            let (settings, blocks) = (circle.settings(user), circle.blocks(user));
            (settings, blocks, circle.mutes(user))
        };
        assert_eq!(seen(one), seen(other));
    }
    for floor in FLOORS {
        let pulled = |circle: &Circle| sorted(circle.pulled_from(floor));
        assert_eq!(pulled(one), pulled(other));
    }
}

fn sorted(users: &[UserId]) -> Vec<UserId> {
    let mut users = users.to_vec();
    users.sort_unstable();
    users
}
