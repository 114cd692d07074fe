use std::sync::Arc;

use backend_redb::{RedbGraph, RedbGraphOptions};
use feed_core::{
    Circle, EdgeRoute, EdgeSettings, Followed, Follower, Graph, Hide, ListId, MemoryGraph, PostId,
    Route, RouteStamp, UserId,
};
use futures::executor::block_on;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{Disk, USERS, answer, few_cases, log, replay, same, user};

const LISTS: [u64; 2] = [0, u64::MAX];
const FLOORS: [u64; 4] = [0, 5, 6, u64::MAX];

#[derive(Clone, Debug)]
enum Op {
    Follow(UserId, UserId, EdgeSettings),
    Unfollow(UserId, UserId),
    /// With the stamp that was given so many stamps ago.
    Reroute(UserId, UserId, usize, Route),
    RouteAuthor(UserId, usize, Route),
    Hide(UserId, UserId, Hide, bool),
    SetList(UserId, ListId, Vec<UserId>),
    Erase(UserId, usize),
}

/// Two users: ties to oneself are refused above the graph.
fn pair() -> impl Strategy<Value = (UserId, UserId)> {
    (user(), user()).prop_filter("two users", |(one, other)| one != other)
}

fn op() -> impl Strategy<Value = Op> {
    let settings = any::<(bool, bool)>().prop_map(|(hide, notify)| {
        EdgeSettings::default()
            .with_hide_reposts(hide)
            .with_notify(notify)
    });
    let route = || {
        let until = select(&FLOORS[..]).prop_map(|post| Route::Push {
            pulled_until: Some(PostId::new(post)),
        });
        prop_oneof![
            Just(Route::PUSH),
            until,
            Just(Route::Both),
            Just(Route::Pull)
        ]
    };
    let how = select(&[Hide::Block, Hide::Mute][..]);
    let list = select(&LISTS[..]).prop_map(ListId::new);
    prop_oneof![
        6 => (pair(), settings).prop_map(|((a, b), settings)| Op::Follow(a, b, settings)),
        2 => pair().prop_map(|(a, b)| Op::Unfollow(a, b)),
        6 => (pair(), 0..4_usize, route()).prop_map(|((a, b), ago, route)| Op::Reroute(a, b, ago, route)),
        3 => (user(), 0..9_usize, route()).prop_map(|(by, ago, route)| Op::RouteAuthor(by, ago, route)),
        3 => (pair(), how, any::<bool>()).prop_map(|((a, b), how, on)| Op::Hide(a, b, how, on)),
        2 => (user(), list, vec(user(), 0..5)).prop_map(|(owner, list, members)| Op::SetList(owner, list, members)),
        1 => (user(), 1..4_usize).prop_map(|(user, slice)| Op::Erase(user, slice)),
    ]
}

/// Two graphs, and the stamps that each has given, in the same order. A stamp is any value that was
/// never used, so those of one graph mean nothing to the other.
struct Pair<'a> {
    memory: &'a dyn Graph,
    disk: &'a dyn Graph,
    stamps: &'a mut Vec<(RouteStamp, RouteStamp)>,
}

impl Pair<'_> {
    fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let (memory, disk) = (self.memory, self.disk);
        match *op {
            Op::Follow(viewer, author, settings) => self.follow(viewer, author, settings)?,
            Op::Unfollow(viewer, author) => {
                same!(memory, disk, graph => graph.unfollow(viewer, author));
            }
            Op::Reroute(viewer, author, ago, route) => {
                let reroute = |graph: &dyn Graph, stamp| {
                    let edge = EdgeRoute {
                        viewer,
                        author,
                        stamp,
                        route,
                    };
                    answer(graph.reroute(&[edge])).unwrap()[0]
                };
                let (seen, seen_on_disk) = self.stamp(ago);
                self.given(reroute(memory, seen), reroute(disk, seen_on_disk))?;
            }
            Op::RouteAuthor(author, ago, route) => {
                let set = |graph: &dyn Graph, stamp: Option<RouteStamp>| {
                    let present = answer(graph.author_route(author)).unwrap().1;
                    let stamp = stamp.unwrap_or(present);
                    answer(graph.route_author(author, stamp, route)).unwrap()
                };
                let stale = (ago > 1).then(|| self.stamp(ago)).unzip();
                self.given(set(memory, stale.0), set(disk, stale.1))?;
            }
            Op::Hide(viewer, other, how, on) => {
                same!(memory, disk, graph => graph.hide(viewer, other, how, on));
            }
            Op::SetList(owner, list, ref members) => {
                same!(memory, disk, graph => graph.set_list(owner, list, members));
            }
            Op::Erase(user, slice) => loop {
                let erase = |graph: &dyn Graph| answer(graph.erase(user, slice)).unwrap();
                let erased = erase(memory);
                prop_assert_eq!(erase(disk), erased);
                if erased == 0 {
                    let unset = |graph: &dyn Graph| answer(graph.author_route(user)).unwrap().1;
                    self.given(Some(unset(memory)), Some(unset(disk)))?;
                    break;
                }
            },
        }
        Ok(())
    }

    fn follow(
        &mut self,
        viewer: UserId,
        author: UserId,
        settings: EdgeSettings,
    ) -> Result<(), TestCaseError> {
        let follow = |graph: &dyn Graph| answer(graph.follow(viewer, author, settings)).unwrap();
        match (follow(self.memory), follow(self.disk)) {
            (Followed::Added(one), Followed::Added(other)) => self.given(Some(one), Some(other)),
            (Followed::Existing(one, seen), Followed::Existing(other, seen_on_disk)) => {
                prop_assert_eq!(one, other);
                prop_assert!(self.stamps.contains(&(seen, seen_on_disk)));
                Ok(())
            }
            (one, other) => Err(TestCaseError::fail(format!("{one:?} {other:?}"))),
        }
    }

    /// The stamp that was given so long ago, of those there are.
    fn stamp(&self, ago: usize) -> (RouteStamp, RouteStamp) {
        let ago = ago % self.stamps.len();
        self.stamps[self.stamps.len() - 1 - ago]
    }

    fn given(
        &mut self,
        one: Option<RouteStamp>,
        other: Option<RouteStamp>,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(one.is_some(), other.is_some());
        self.stamps.extend(one.zip(other));
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let (memory, disk) = (self.memory, self.disk);
        let users = USERS.map(UserId::new);
        same!(memory, disk, graph => graph.degrees(&users));
        for user in users {
            let route = |graph: &dyn Graph| answer(graph.author_route(user)).unwrap().0;
            prop_assert_eq!(route(memory), route(disk));
            for after in [None, Some(users[0]), Some(users[1])] {
                let page = |graph: &dyn Graph| answer(graph.followers(user, after, 2)).unwrap();
                self.compare_followers(&page(memory), &page(disk))?;
            }
            for list in LISTS.map(ListId::new) {
                let members = |graph: &dyn Graph| {
                    let mut members = answer(graph.list(user, list)).unwrap();
                    members.sort_unstable();
                    members
                };
                prop_assert_eq!(members(memory), members(disk));
            }
        }
        let circles = |graph: &dyn Graph| answer(graph.circles(&users)).unwrap();
        let circles = circles(memory).into_iter().zip(circles(disk));
        for (one, other) in circles {
            compare_circles(&one, &other)?;
        }
        Ok(())
    }

    fn compare_followers(
        &self,
        ones: &[Follower],
        others: &[Follower],
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(ones.len(), others.len());
        for (one, other) in ones.iter().zip(others) {
            let same = Follower::new(one.viewer, one.settings, one.route, other.stamp);
            prop_assert_eq!(&same, other);
            prop_assert!(self.stamps.contains(&(one.stamp, other.stamp)));
        }
        Ok(())
    }
}

fn compare_circles(one: &Arc<Circle>, other: &Arc<Circle>) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.viewer(), other.viewer());
    let sorted = |mut users: Vec<UserId>| {
        users.sort_unstable();
        users
    };
    let sources = |circle: &Circle| sorted(circle.sources().to_vec());
    prop_assert_eq!(sources(one), sources(other));
    for user in USERS.map(UserId::new) {
        let seen = |circle: &Circle| {
            (
                circle.settings(user),
                circle.blocks(user),
                circle.mutes(user),
            )
        };
        prop_assert_eq!(seen(one), seen(other));
    }
    for floor in FLOORS.map(PostId::new) {
        let pulled = |circle: &Circle| sorted(circle.pulled_from(floor).to_vec());
        prop_assert_eq!(pulled(one), pulled(other));
    }
    Ok(())
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn a_graph_answers_as_memory_does(log in log(op())) {
        let memory = MemoryGraph::default();
        let file = Disk::new();
        let options = RedbGraphOptions::default();
        let open = || block_on(RedbGraph::open(&file.open(), "test", options.clone())).unwrap();
        // That of authors who have no route.
        let mut stamps = vec![(RouteStamp::default(), RouteStamp::default())];
        let mut pair = |disk: &RedbGraph, op: Option<&Op>| {
            let mut pair = Pair { memory: &memory, disk, stamps: &mut stamps };
            op.map_or(Ok(()), |op| pair.apply(op))?;
            pair.compare()
        };
        let disk = replay(&log, open, |disk, op| pair(disk, Some(op)))?;
        pair(&disk, None)?;
    }
}
