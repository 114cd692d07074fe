//! What changes a graph, decided within the transaction that writes it.

use std::collections::BTreeSet;

use feed_core::{Degree, EdgeRoute, FollowSettings, Followed, ListId, Route, RouteStamp, UserId};
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::rows::{EdgeRow, GraphTables, LAST, UNSET, encode_degree, encode_route};
use crate::{CorruptRow, Failure};

/// The tables of a graph in one transaction. Both ends of a tie change together.
pub(super) struct Ties<'txn> {
    tables: &'txn GraphTables,
    bound: u64,
    edges: Table<'txn, (u64, u64), &'static [u8]>,
    followers: Table<'txn, (u64, u64), &'static [u8]>,
    degrees: Table<'txn, u64, &'static [u8]>,
    routes: Table<'txn, u64, &'static [u8]>,
    hides: Table<'txn, (u64, u8, u64), ()>,
    hidden_by: Table<'txn, (u64, u8, u64), ()>,
    lists: Table<'txn, (u64, u64, u64), ()>,
    listed_in: Table<'txn, (u64, u64, u64), ()>,
    stamps: Table<'txn, &'static str, u64>,
}

/// What became of a change that may need room.
pub(super) enum Change<T> {
    Made(T),
    /// What is new does not fit; nothing was changed.
    NoRoom,
}

/// A tie, from the end that it starts at.
#[derive(Clone, Copy)]
enum Tie {
    /// Viewer and author.
    Follows(u64, u64),
    /// Viewer, how, and whom.
    Hides(u64, u8, u64),
    /// Owner, list and member.
    Lists(u64, u64, u64),
}

impl<'txn> Ties<'txn> {
    pub(super) fn open(
        txn: &'txn WriteTransaction,
        tables: &'txn GraphTables,
        bound: u64,
    ) -> Result<Self, Failure> {
        Ok(Self {
            tables,
            bound,
            edges: tables.edges.write(txn)?,
            followers: tables.followers.write(txn)?,
            degrees: tables.degrees.write(txn)?,
            routes: tables.routes.write(txn)?,
            hides: tables.hides.write(txn)?,
            hidden_by: tables.hidden_by.write(txn)?,
            lists: tables.lists.write(txn)?,
            listed_in: tables.listed_in.write(txn)?,
            stamps: tables.stamps.write(txn)?,
        })
    }

    pub(super) fn follow(
        &mut self,
        viewer: UserId,
        author: UserId,
        settings: Option<FollowSettings>,
    ) -> Result<Change<Followed>, Failure> {
        let ends = (viewer.get(), author.get());
        if let Some(edge) = self.edge(ends)? {
            if let Some(settings) = settings {
                self.set_edge(ends, EdgeRow { settings, ..edge })?;
            }
            return Ok(Change::Made(Followed::Existing(edge.route, edge.stamp)));
        }
        if !self.has_room(1)? {
            return Ok(Change::NoRoom);
        }
        let edge = EdgeRow {
            settings: settings.unwrap_or_default(),
            route: Route::Both,
            stamp: self.next_stamp()?,
        };
        self.set_edge(ends, edge)?;
        self.change_degree(ends.0, |degree| &mut degree.followees, u64::checked_add)?;
        self.change_degree(ends.1, |degree| &mut degree.followers, u64::checked_add)?;
        Ok(Change::Made(Followed::Added(edge.stamp)))
    }

    pub(super) fn unfollow(&mut self, viewer: UserId, author: UserId) -> Result<bool, Failure> {
        self.cut(Tie::Follows(viewer.get(), author.get()))
    }

    pub(super) fn reroute(
        &mut self,
        changes: &[EdgeRoute],
    ) -> Result<Vec<Option<RouteStamp>>, Failure> {
        let reroute = |change: &EdgeRoute| {
            let ends = (change.viewer.get(), change.author.get());
            let edge = CorruptRow::pass_over(self.edge(ends), None)?;
            let Some(edge) = edge.filter(|edge| edge.stamp == change.stamp) else {
                return Ok(None);
            };
            let changed = EdgeRow {
                route: change.route,
                stamp: self.next_stamp()?,
                ..edge
            };
            self.set_edge(ends, changed)?;
            Ok(Some(changed.stamp))
        };
        changes.iter().map(reroute).collect()
    }

    pub(super) fn route_author(
        &mut self,
        author: UserId,
        seen: RouteStamp,
        route: Route,
    ) -> Result<Change<Option<RouteStamp>>, Failure> {
        let (routes, stamps) = (&self.routes, &self.stamps);
        if self.tables.author_route(routes, stamps, author)?.1 != seen {
            return Ok(Change::Made(None));
        }
        if routes.get(author.get())?.is_none() && !self.has_room(1)? {
            return Ok(Change::NoRoom);
        }
        let stamp = self.next_stamp()?;
        let row = encode_route(route, stamp);
        self.routes.insert(author.get(), &*row)?;
        Ok(Change::Made(Some(stamp)))
    }

    pub(super) fn hide(
        &mut self,
        viewer: UserId,
        how: u8,
        other: UserId,
    ) -> Result<Change<bool>, Failure> {
        let (viewer, other) = (viewer.get(), other.get());
        if self.hides.get((viewer, how, other))?.is_some() {
            return Ok(Change::Made(false));
        }
        if !self.has_room(1)? {
            return Ok(Change::NoRoom);
        }
        self.hides.insert((viewer, how, other), ())?;
        self.hidden_by.insert((other, how, viewer), ())?;
        Ok(Change::Made(true))
    }

    pub(super) fn show(&mut self, viewer: UserId, how: u8, other: UserId) -> Result<bool, Failure> {
        self.cut(Tie::Hides(viewer.get(), how, other.get()))
    }

    pub(super) fn set_list(
        &mut self,
        owner: UserId,
        list: ListId,
        members: &BTreeSet<UserId>,
    ) -> Result<Change<()>, Failure> {
        let (owner, list) = (owner.get(), list.get());
        let all = (owner, list, 0)..=(owner, list, u64::MAX);
        let mut old = Vec::new();
        for member in self.lists.range(all)? {
            old.push(member?.0.value().2);
        }
        if !self.has_room(members.len().saturating_sub(old.len()))? {
            return Ok(Change::NoRoom);
        }
        for member in old {
            self.cut(Tie::Lists(owner, list, member))?;
        }
        for member in members.iter().map(|member| member.get()) {
            self.lists.insert((owner, list, member), ())?;
            self.listed_in.insert((member, owner, list), ())?;
        }
        Ok(Change::Made(()))
    }

    /// Cuts up to `limit` ties from and to `user`; if there are none, forgets the user's route.
    pub(super) fn erase(&mut self, user: UserId, limit: usize) -> Result<usize, Failure> {
        let ties = self.some_ties(user.get(), limit)?;
        if ties.is_empty() && self.routes.remove(user.get())?.is_some() {
            let unset = self.next_stamp()?;
            self.stamps.insert(UNSET, unset.get())?;
        }
        let mut cut = 0;
        for tie in ties {
            cut += usize::from(self.cut(tie)?);
        }
        Ok(cut)
    }

    fn some_ties(&self, user: u64, limit: usize) -> Result<Vec<Tie>, Failure> {
        let (pairs, hides) = (
            (user, 0)..=(user, u64::MAX),
            (user, 0, 0)..=(user, u8::MAX, u64::MAX),
        );
        let lists = (user, 0, 0)..=(user, u64::MAX, u64::MAX);
        let mut ties = Vec::new();
        for edge in self.edges.range(pairs.clone())?.take(limit) {
            let (viewer, author) = edge?.0.value();
            ties.push(Tie::Follows(viewer, author));
        }
        for edge in self.followers.range(pairs)?.take(limit - ties.len()) {
            let (author, viewer) = edge?.0.value();
            ties.push(Tie::Follows(viewer, author));
        }
        for hide in self.hides.range(hides.clone())?.take(limit - ties.len()) {
            let (viewer, how, other) = hide?.0.value();
            ties.push(Tie::Hides(viewer, how, other));
        }
        for hide in self.hidden_by.range(hides)?.take(limit - ties.len()) {
            let (other, how, viewer) = hide?.0.value();
            ties.push(Tie::Hides(viewer, how, other));
        }
        for listed in self.lists.range(lists.clone())?.take(limit - ties.len()) {
            let (owner, list, member) = listed?.0.value();
            ties.push(Tie::Lists(owner, list, member));
        }
        for listed in self.listed_in.range(lists)? {
            let (member, owner, list) = listed?.0.value();
            if ties.len() == limit {
                break;
            }
            // The lists of the user hold that tie already.
            if owner != member {
                ties.push(Tie::Lists(owner, list, member));
            }
        }
        Ok(ties)
    }

    /// Removes the tie and says whether it was there.
    fn cut(&mut self, tie: Tie) -> Result<bool, Failure> {
        match tie {
            Tie::Follows(viewer, author) => {
                if self.edges.remove((viewer, author))?.is_none() {
                    return Ok(false);
                }
                self.followers.remove((author, viewer))?;
                self.change_degree(viewer, |degree| &mut degree.followees, u64::checked_sub)?;
                self.change_degree(author, |degree| &mut degree.followers, u64::checked_sub)?;
                Ok(true)
            }
            Tie::Hides(viewer, how, other) => {
                self.hidden_by.remove((other, how, viewer))?;
                Ok(self.hides.remove((viewer, how, other))?.is_some())
            }
            Tie::Lists(owner, list, member) => {
                self.listed_in.remove((member, owner, list))?;
                Ok(self.lists.remove((owner, list, member))?.is_some())
            }
        }
    }

    fn edge(&self, (viewer, author): (u64, u64)) -> Result<Option<EdgeRow>, Failure> {
        let Some(row) = self.edges.get((viewer, author))? else {
            return Ok(None);
        };
        let edges = &self.tables.edges;
        edges
            .intact((viewer, author), EdgeRow::decode(row.value()))
            .map(Some)
    }

    /// Makes the edge, or replaces what it carries.
    fn set_edge(&mut self, (viewer, author): (u64, u64), edge: EdgeRow) -> Result<(), Failure> {
        let row = edge.encode();
        self.edges.insert((viewer, author), &*row)?;
        self.followers.insert((author, viewer), &*row)?;
        Ok(())
    }

    fn change_degree(
        &mut self,
        user: u64,
        side: fn(&mut Degree) -> &mut u64,
        by_one: fn(u64, u64) -> Option<u64>,
    ) -> Result<(), Failure> {
        let changed = |mut degree: Degree| {
            let count = side(&mut degree);
            *count = by_one(*count, 1)?;
            Some(degree)
        };
        let degree = self.tables.degree(&self.degrees, UserId::new(user));
        let degree = degree.and_then(|degree| self.tables.degrees.intact(user, changed(degree)));
        let degree = CorruptRow::make_up(degree, || self.recount(user))?;
        if degree == Degree::default() {
            self.degrees.remove(user)?;
        } else {
            self.degrees.insert(user, &*encode_degree(degree))?;
        }
        Ok(())
    }

    /// The degree by the edges, which have changed already.
    fn recount(&self, user: u64) -> Result<Degree, Failure> {
        let mut degree = Degree::default();
        for (edges, side) in [
            (&self.followers, &mut degree.followers),
            (&self.edges, &mut degree.followees),
        ] {
            for edge in edges.range((user, 0)..=(user, u64::MAX))? {
                edge?;
                *side += 1;
            }
        }
        Ok(degree)
    }

    fn has_room(&self, ties: usize) -> Result<bool, Failure> {
        let lens = [
            self.edges.len()?,
            self.hides.len()?,
            self.lists.len()?,
            self.routes.len()?,
        ];
        let taken: u64 = lens.iter().sum();
        Ok(taken.saturating_add(ties as u64) <= self.bound || ties == 0)
    }

    fn next_stamp(&mut self) -> Result<RouteStamp, Failure> {
        let last = self.stamps.get(LAST)?.map_or(0, |stamp| stamp.value());
        let next = self.tables.stamps.intact(LAST, last.checked_add(1))?;
        self.stamps.insert(LAST, next)?;
        Ok(RouteStamp::new(next))
    }
}
