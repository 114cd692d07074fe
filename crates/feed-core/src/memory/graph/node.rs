use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::Arc,
};

use backplane::memory::WriteMany;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{
    Circle, Hide, ListId, UserId,
    memory::graph::{edge::Edge, edges::Edges},
};

/// One user's ends of all their ties.
#[derive(Default)]
pub(super) struct Node {
    pub(super) followers: Edges,
    pub(super) followees: Edges,
    /// Most users have none.
    rare: Option<Box<Rare>>,
    /// Empty whenever something changed that a circle shows, but for the routes of authors.
    pub(super) circle: Mutex<Option<CachedCircle>>,
}

#[derive(Default)]
struct Rare {
    hides: BTreeSet<(Hide, UserId)>,
    hidden_by: BTreeSet<(Hide, UserId)>,
    lists: BTreeMap<ListId, Vec<UserId>>,
    listed_in: BTreeSet<(UserId, ListId)>,
}

/// A circle, and the epoch of author routes that it is known to show.
pub(super) struct CachedCircle {
    pub(super) circle: Arc<Circle>,
    pub(super) epoch: u64,
}

/// One end of a tie, as the user at that end sees it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tie {
    Follows(UserId),
    FollowedBy(UserId),
    Hides(UserId, Hide),
    HiddenBy(UserId, Hide),
    Lists(UserId, ListId),
    ListedBy(UserId, ListId),
}

impl Tie {
    /// The user at the other end.
    pub(super) const fn other(self) -> UserId {
        match self {
            Self::Follows(other)
            | Self::FollowedBy(other)
            | Self::Hides(other, _)
            | Self::HiddenBy(other, _)
            | Self::Lists(other, _)
            | Self::ListedBy(other, _) => other,
        }
    }
}

impl Node {
    pub(super) fn is_empty(&self) -> bool {
        self.followers.is_empty() && self.followees.is_empty() && self.rare.is_none()
    }

    /// Whom the user blocks, and who blocks the user.
    pub(super) fn blocked(&self) -> impl Iterator<Item = UserId> + '_ {
        let rare = self.rare.iter();
        rare.flat_map(|rare| {
            users(&rare.hides, Hide::Block).chain(users(&rare.hidden_by, Hide::Block))
        })
    }

    /// Whom the user mutes.
    pub(super) fn muted(&self) -> impl Iterator<Item = UserId> + '_ {
        let rare = self.rare.iter();
        rare.flat_map(|rare| users(&rare.hides, Hide::Mute))
    }

    /// Whether `viewer` sees nothing of the user's posts.
    pub(super) fn is_hidden_from(&self, viewer: UserId) -> bool {
        self.rare.as_ref().is_some_and(|rare| {
            rare.hides.contains(&(Hide::Block, viewer))
                || rare.hidden_by.contains(&(Hide::Block, viewer))
                || rare.hidden_by.contains(&(Hide::Mute, viewer))
        })
    }

    pub(super) fn list(&self, list: ListId) -> &[UserId] {
        let rare = self.rare.as_ref();
        rare.and_then(|rare| rare.lists.get(&list))
            .map_or(&[], Vec::as_slice)
    }

    /// Each tie of `user`, whose node this is, once.
    pub(super) fn ties(&self, user: UserId) -> impl Iterator<Item = Tie> + '_ {
        let follows = self.followees.iter().map(|(other, _)| Tie::Follows(other));
        let followed = self
            .followers
            .iter()
            .map(|(other, _)| Tie::FollowedBy(other));
        follows
            .chain(followed)
            .chain(self.rare.iter().flat_map(move |rare| rare.ties(user)))
    }
}

impl Rare {
    fn ties(&self, user: UserId) -> impl Iterator<Item = Tie> + '_ {
        let hides = self
            .hides
            .iter()
            .map(|&(how, other)| Tie::Hides(other, how));
        let hidden = self
            .hidden_by
            .iter()
            .map(|&(how, other)| Tie::HiddenBy(other, how));
        let lists = self.lists.iter().flat_map(|(&list, members)| {
            iter::zip(members, iter::repeat(list)).map(|(&member, list)| Tie::Lists(member, list))
        });
        let others = self
            .listed_in
            .iter()
            .filter(move |(owner, _)| *owner != user);
        let listed = others.map(|&(owner, list)| Tie::ListedBy(owner, list));
        hides.chain(hidden).chain(lists).chain(listed)
    }

    fn is_empty(&self) -> bool {
        self.hides.is_empty()
            && self.hidden_by.is_empty()
            && self.lists.is_empty()
            && self.listed_in.is_empty()
    }
}

fn users(hides: &BTreeSet<(Hide, UserId)>, how: Hide) -> impl Iterator<Item = UserId> + '_ {
    let all = (how, UserId::new(0))..=(how, UserId::new(u64::MAX));
    hides.range(all).map(|&(_, user)| user)
}

/// Locked shards, in which the two ends of a tie change together.
pub(super) struct Nodes<'a>(pub(super) WriteMany<'a, HashMap<UserId, Node>>);

impl Nodes<'_> {
    pub(super) fn edge(&mut self, viewer: UserId, author: UserId) -> Option<Edge> {
        let node = self.0.of(viewer.get()).get(&viewer)?;
        node.followees.get(author)
    }

    /// Makes the edge, or replaces what it carries.
    pub(super) fn set_edge(&mut self, viewer: UserId, author: UserId, edge: Edge) {
        self.node(author).followers.insert(viewer, edge);
        let follower = self.node(viewer);
        follower.followees.insert(author, edge);
        *follower.circle.get_mut() = None;
    }

    /// Removes the tie and says whether it was there.
    pub(super) fn cut(&mut self, user: UserId, tie: Tie) -> bool {
        match tie {
            Tie::Follows(author) => self.cut_edge(user, author),
            Tie::FollowedBy(viewer) => self.cut_edge(viewer, user),
            Tie::Hides(other, how) => self.show(user, other, how),
            Tie::HiddenBy(viewer, how) => self.show(viewer, user, how),
            Tie::Lists(member, list) => self.unlist(user, list, member),
            Tie::ListedBy(owner, list) => self.unlist(owner, list, user),
        }
    }

    pub(super) fn hides(&mut self, viewer: UserId, other: UserId, how: Hide) -> bool {
        let node = self.0.of(viewer.get()).get(&viewer);
        let rare = node.and_then(|node| node.rare.as_ref());
        rare.is_some_and(|rare| rare.hides.contains(&(how, other)))
    }

    pub(super) fn hide(&mut self, viewer: UserId, other: UserId, how: Hide) {
        self.rare(viewer).hides.insert((how, other));
        self.rare(other).hidden_by.insert((how, viewer));
    }

    pub(super) fn list_len(&mut self, owner: UserId, list: ListId) -> usize {
        let node = self.0.of(owner.get()).get(&owner);
        node.map_or(0, |node| node.list(list).len())
    }

    /// Replaces the members of a list; every shard is locked.
    pub(super) fn set_list(&mut self, owner: UserId, list: ListId, members: Vec<UserId>) {
        for member in self.rare(owner).lists.remove(&list).unwrap_or_default() {
            self.rare(member).listed_in.remove(&(owner, list));
            self.prune(member);
        }
        for &member in &members {
            self.rare(member).listed_in.insert((owner, list));
        }
        if !members.is_empty() {
            self.rare(owner).lists.insert(list, members);
        }
        self.prune(owner);
    }

    fn cut_edge(&mut self, viewer: UserId, author: UserId) -> bool {
        let was_there = self.node(viewer).followees.remove(author);
        self.node(author).followers.remove(viewer);
        self.end(viewer, author);
        was_there
    }

    fn show(&mut self, viewer: UserId, other: UserId, how: Hide) -> bool {
        let was_there = self.rare(viewer).hides.remove(&(how, other));
        self.rare(other).hidden_by.remove(&(how, viewer));
        self.end(viewer, other);
        was_there
    }

    fn unlist(&mut self, owner: UserId, list: ListId, member: UserId) -> bool {
        let rare = self.rare(owner);
        if let Some(members) = rare.lists.get_mut(&list) {
            members.retain(|&one| one != member);
            if members.is_empty() {
                rare.lists.remove(&list);
            }
        }
        let was_there = self.rare(member).listed_in.remove(&(owner, list));
        self.end(owner, member);
        was_there
    }

    fn end(&mut self, one: UserId, other: UserId) {
        self.prune(one);
        self.prune(other);
    }

    fn node(&mut self, user: UserId) -> &mut Node {
        self.0.of(user.get()).entry(user).or_default()
    }

    /// The user's rare ties, to change: circles show some of them.
    fn rare(&mut self, user: UserId) -> &mut Rare {
        let node = self.node(user);
        *node.circle.get_mut() = None;
        node.rare.get_or_insert_default()
    }

    /// Forgets what has become empty, and the circle.
    fn prune(&mut self, user: UserId) {
        let node = self.node(user);
        *node.circle.get_mut() = None;
        if node.rare.as_deref().is_some_and(Rare::is_empty) {
            node.rare = None;
        }
        if node.is_empty() {
            self.0.of(user.get()).remove(&user);
        }
    }
}
