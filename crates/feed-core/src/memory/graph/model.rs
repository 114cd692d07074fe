//! The graph against one that keeps flat lists and looks through all of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    Circle, Degree, EdgeRoute, FollowSettings, Followed, Follower, Hide, ListId, MemoryGraph,
    PostId, Route, RouteStamp, UserId,
};

const USERS: [u64; 5] = [0, 1, 1 << 53, (1 << 53) + 1, u64::MAX];
const LISTS: [u64; 2] = [0, u64::MAX];
const FLOORS: [u64; 4] = [0, 5, 6, u64::MAX];

#[derive(Clone, Debug)]
enum Op {
    Follow(UserId, UserId, Option<FollowSettings>),
    Unfollow(UserId, UserId),
    /// The stamp is the present one, or else any that was ever given.
    Reroute(UserId, UserId, Stamp, Route),
    RouteAuthor(UserId, Stamp, Route),
    Hide(UserId, UserId, Hide, bool),
    SetList(UserId, ListId, Vec<UserId>),
    Erase(UserId, usize),
}

#[derive(Clone, Debug)]
enum Stamp {
    Present,
    Any(prop::sample::Index),
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    settings: FollowSettings,
    route: Route,
    stamp: RouteStamp,
}

#[derive(Default)]
struct Model {
    edges: BTreeMap<(UserId, UserId), Edge>,
    routes: BTreeMap<UserId, Route>,
    hides: BTreeSet<(UserId, UserId, Hide)>,
    lists: BTreeMap<(UserId, ListId), BTreeSet<UserId>>,
    stamps: Vec<RouteStamp>,
}

impl Model {
    /// Notes a stamp that the graph gave, which must be new.
    fn given(&mut self, stamp: RouteStamp) -> Result<(), TestCaseError> {
        prop_assert!(!self.stamps.contains(&stamp));
        self.stamps.push(stamp);
        Ok(())
    }

    fn stamp(&self, stamp: &Stamp, present: RouteStamp) -> RouteStamp {
        match stamp {
            Stamp::Any(index) if !self.stamps.is_empty() => *index.get(&self.stamps),
            _ => present,
        }
    }

    fn followers(&self, author: UserId) -> Vec<Follower> {
        let edges = self
            .edges
            .iter()
            .filter(|((_, followed), _)| *followed == author);
        let follower = |(&(viewer, _), edge): (&(UserId, UserId), &Edge)| {
            Follower::new(viewer, edge.settings, edge.route, edge.stamp)
        };
        edges.map(follower).collect()
    }

    fn blocks(&self, one: UserId, other: UserId) -> bool {
        [(one, other), (other, one)]
            .iter()
            .any(|&(a, b)| self.hides.contains(&(a, b, Hide::Block)))
    }

    fn is_hidden_from(&self, author: UserId, viewer: UserId) -> bool {
        self.blocks(author, viewer) || self.hides.contains(&(viewer, author, Hide::Mute))
    }

    fn route(&self, author: UserId) -> Route {
        self.routes.get(&author).copied().unwrap_or(Route::PUSH)
    }

    fn mentions(&self, user: UserId) -> usize {
        let edges = self.edges.keys().filter(|(a, b)| *a == user || *b == user);
        let hides = self
            .hides
            .iter()
            .filter(|(a, b, _)| *a == user || *b == user);
        let lists = self.lists.iter().map(|((owner, _), members)| {
            if *owner == user {
                members.len()
            } else {
                usize::from(members.contains(&user))
            }
        });
        edges.count() + hides.count() + lists.sum::<usize>()
    }

    fn forget(&mut self, user: UserId) {
        self.edges.retain(|&(a, b), _| a != user && b != user);
        self.hides.retain(|&(a, b, _)| a != user && b != user);
        self.lists.retain(|&(owner, _), members| {
            members.remove(&user);
            owner != user && !members.is_empty()
        });
        self.routes.remove(&user);
    }
}

fn apply(graph: &MemoryGraph, model: &mut Model, op: &Op) -> Result<(), TestCaseError> {
    match *op {
        Op::Follow(viewer, author, settings) => follow(graph, model, (viewer, author), settings)?,
        Op::Unfollow(viewer, author) => {
            let was_there = model.edges.remove(&(viewer, author)).is_some();
            prop_assert_eq!(graph.unfollow(viewer, author), was_there);
        }
        Op::Reroute(viewer, author, ref stamp, route) => {
            let present = model.edges.get(&(viewer, author)).map(|edge| edge.stamp);
            let stamp = model.stamp(stamp, present.unwrap_or_default());
            let change = EdgeRoute {
                viewer,
                author,
                stamp,
                route,
            };
            let answer = graph.reroute(&[change])[0];
            prop_assert_eq!(answer.is_some(), present == Some(stamp));
            if let (Some(stamp), Some(edge)) = (answer, model.edges.get_mut(&(viewer, author))) {
                (edge.route, edge.stamp) = (route, stamp);
                model.given(stamp)?;
            }
        }
        Op::RouteAuthor(author, ref stamp, route) => {
            let (before, present) = graph.author_route(author);
            prop_assert_eq!(before, model.route(author));
            let stamp = model.stamp(stamp, present);
            let answer = graph
                .route_author(author, stamp, route)
                .expect("there is room");
            prop_assert_eq!(answer.is_some(), present == stamp);
            if let Some(stamp) = answer {
                model.routes.insert(author, route);
                model.given(stamp)?;
            }
        }
        Op::Hide(viewer, other, how, on) => {
            let tie = (viewer, other, how);
            let changed = if on {
                model.hides.insert(tie)
            } else {
                model.hides.remove(&tie)
            };
            let answer = graph.hide(viewer, other, how, on).expect("there is room");
            prop_assert_eq!(answer, changed);
        }
        Op::SetList(owner, list, ref members) => {
            graph.set_list(owner, list, members).expect("there is room");
            model.lists.remove(&(owner, list));
            if !members.is_empty() {
                let members = members.iter().copied().collect();
                model.lists.insert((owner, list), members);
            }
        }
        Op::Erase(user, slice) => {
            let mut left = model.mentions(user);
            while left > 0 {
                let erased = graph.erase(user, slice);
                prop_assert_eq!(erased, left.min(slice));
                left -= erased;
            }
            prop_assert_eq!(graph.erase(user, slice), 0);
            model.forget(user);
        }
    }
    Ok(())
}

fn follow(
    graph: &MemoryGraph,
    model: &mut Model,
    edge: (UserId, UserId),
    settings: Option<FollowSettings>,
) -> Result<(), TestCaseError> {
    let answer = graph
        .follow(edge.0, edge.1, settings)
        .expect("there is room");
    if let Some(known) = model.edges.get_mut(&edge) {
        known.settings = settings.unwrap_or(known.settings);
        prop_assert_eq!(answer, Followed::Existing(known.route, known.stamp));
        return Ok(());
    }
    let Followed::Added(stamp) = answer else {
        return Err(TestCaseError::fail("the edge is new"));
    };
    let route = Route::Both;
    model.edges.insert(
        edge,
        Edge {
            settings: settings.unwrap_or_default(),
            route,
            stamp,
        },
    );
    model.given(stamp)
}

fn compare(graph: &MemoryGraph, model: &Model) -> Result<(), TestCaseError> {
    let users = USERS.map(UserId::new);
    let circles = graph.circles(&users);
    for (user, circle) in users.into_iter().zip(&circles) {
        let all = model.followers(user);
        prop_assert_eq!(&graph.followers(user, None, 99), &all);
        for after in users {
            let page: Vec<_> = all
                .iter()
                .filter(|one| one.viewer > after)
                .take(2)
                .copied()
                .collect();
            prop_assert_eq!(graph.followers(user, Some(after), 2), page);
        }
        let followees = model.edges.keys().filter(|edge| edge.0 == user).count();
        let degree = Degree {
            followers: all.len() as u64,
            followees: followees as u64,
        };
        prop_assert_eq!(graph.degrees(&[user]), [degree]);
        compare_circle(circle, model, user)?;
        let is_hidden = |viewer| model.is_hidden_from(user, viewer);
        prop_assert_eq!(graph.hidden_from(user, &users), users.map(is_hidden));
        for list in LISTS.map(ListId::new) {
            let members = graph.list(user, list);
            let expected = model.lists.get(&(user, list)).cloned().unwrap_or_default();
            prop_assert_eq!(members.len(), expected.len());
            prop_assert_eq!(members.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
    let memberships: usize = model.lists.values().map(BTreeSet::len).sum();
    let ties = model.edges.len() + model.hides.len() + model.routes.len() + memberships;
    prop_assert_eq!(graph.ties.taken(), ties);
    Ok(())
}

fn compare_circle(circle: &Circle, model: &Model, viewer: UserId) -> Result<(), TestCaseError> {
    prop_assert_eq!(circle.viewer(), viewer);
    for other in USERS.map(UserId::new) {
        let edge = model.edges.get(&(viewer, other));
        prop_assert_eq!(circle.settings(other), edge.map(|edge| edge.settings));
        prop_assert_eq!(circle.blocks(other), model.blocks(viewer, other));
        prop_assert_eq!(
            circle.mutes(other),
            model.hides.contains(&(viewer, other, Hide::Mute))
        );
        for floor in FLOORS.map(PostId::new) {
            let expected = edge.is_some_and(|edge| {
                edge.route.is_pulled_from(floor) || model.route(other).is_pulled_from(floor)
            });
            prop_assert_eq!(circle.pulled_from(floor).contains(&other), expected);
        }
    }
    Ok(())
}

fn user() -> impl Strategy<Value = UserId> {
    select(&USERS[..]).prop_map(UserId::new)
}

/// Two users: ties to oneself are refused above the graph.
fn pair() -> impl Strategy<Value = (UserId, UserId)> {
    (user(), user()).prop_filter("two users", |(one, other)| one != other)
}

fn settings() -> impl Strategy<Value = FollowSettings> {
    any::<(bool, bool)>().prop_map(|(hide, notify)| {
        FollowSettings::default()
            .with_hide_reposts(hide)
            .with_notify(notify)
    })
}

fn route() -> impl Strategy<Value = Route> {
    let until = select(&FLOORS[..]).prop_map(|post| Route::Push {
        pulled_until: Some(PostId::new(post)),
    });
    prop_oneof![
        Just(Route::PUSH),
        until,
        Just(Route::Both),
        Just(Route::Pull)
    ]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    prop_oneof![
        2 => Just(Stamp::Present),
        1 => any::<prop::sample::Index>().prop_map(Stamp::Any),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let how = || select(&[Hide::Block, Hide::Mute][..]);
    let list = || select(&LISTS[..]).prop_map(ListId::new);
    prop_oneof![
        6 => (pair(), option::of(settings())).prop_map(|((viewer, author), settings)| {
            Op::Follow(viewer, author, settings)
        }),
        2 => pair().prop_map(|(viewer, author)| Op::Unfollow(viewer, author)),
        4 => (pair(), stamp(), route()).prop_map(|((viewer, author), stamp, route)| {
            Op::Reroute(viewer, author, stamp, route)
        }),
        2 => (user(), stamp(), route()).prop_map(|(author, stamp, route)| {
            Op::RouteAuthor(author, stamp, route)
        }),
        3 => (pair(), how(), any::<bool>()).prop_map(|((viewer, other), how, on)| {
            Op::Hide(viewer, other, how, on)
        }),
        2 => (user(), list(), vec(user(), 0..5)).prop_map(|(owner, list, members)| {
            Op::SetList(owner, list, members)
        }),
        1 => (user(), 1_usize..4).prop_map(|(user, slice)| Op::Erase(user, slice)),
    ]
}

proptest! {
    #[test]
    fn agrees_with_the_model(ops in vec(op(), 0..60)) {
        let (graph, mut model) = (MemoryGraph::default(), Model::default());
        for op in &ops {
            apply(&graph, &mut model, op)?;
            compare(&graph, &model)?;
        }
    }
}
