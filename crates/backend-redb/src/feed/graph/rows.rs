//! How a graph lies on disk.
//!
//! | table | key | row |
//! |---|---|---|
//! | edges | viewer, author | version 1 `u8`, settings `u8` (bit 0 hides reposts, bit 1 notifies), route, stamp `u64` |
//! | followers | author, viewer | as in edges |
//! | degrees | user | version 1 `u8`, followers `u64`, followees `u64` |
//! | routes | author | version 1 `u8`, route, stamp `u64` |
//! | hides | viewer, how, other | nothing; how is 0 for a block and 1 for a mute |
//! | hidden by | other, how, viewer | nothing |
//! | lists | owner, list, member | nothing |
//! | listed in | member, owner, list | nothing |
//! | stamps | `last`, or `unset` | the last stamp given; the stamp of authors without a route |
//!
//! A route is a tag `u8`: 0 push, 1 push and up to which post readers pull `u64`, 2 both, 3 pull.

use feed_core::{Degree, FollowSettings, Hide, PostId, Route, RouteStamp, UserId};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    CorruptRow, Failure,
    row::Reader,
    store::{Named, Tables},
};

const VERSION: u8 = 1;
const HIDES_REPOSTS: u8 = 1;
const NOTIFIES: u8 = 1 << 1;

#[derive(Debug)]
pub(super) struct GraphTables {
    pub(super) edges: Named<(u64, u64), &'static [u8]>,
    pub(super) followers: Named<(u64, u64), &'static [u8]>,
    pub(super) degrees: Named<u64, &'static [u8]>,
    pub(super) routes: Named<u64, &'static [u8]>,
    pub(super) hides: Named<(u64, u8, u64), ()>,
    pub(super) hidden_by: Named<(u64, u8, u64), ()>,
    pub(super) lists: Named<(u64, u64, u64), ()>,
    pub(super) listed_in: Named<(u64, u64, u64), ()>,
    pub(super) stamps: Named<&'static str, u64>,
}

impl GraphTables {
    pub(super) fn new(store: &str) -> Self {
        const KIND: &str = "feed.graph";
        Self {
            edges: Named::new(KIND, store, "edges"),
            followers: Named::new(KIND, store, "followers"),
            degrees: Named::new(KIND, store, "degrees"),
            routes: Named::new(KIND, store, "routes"),
            hides: Named::new(KIND, store, "hides"),
            hidden_by: Named::new(KIND, store, "hidden_by"),
            lists: Named::new(KIND, store, "lists"),
            listed_in: Named::new(KIND, store, "listed_in"),
            stamps: Named::new(KIND, store, "stamps"),
        }
    }

    /// The route of `author` for all followers, given the tables of routes and stamps. One that does
    /// not decode is replaced by the next that is set.
    pub(super) fn author_route(
        &self,
        routes: &impl ReadableTable<u64, &'static [u8]>,
        stamps: &impl ReadableTable<&'static str, u64>,
        author: UserId,
    ) -> Result<(Route, RouteStamp), Failure> {
        if let Some(own) = self.own_route(routes, author)? {
            return Ok(own);
        }
        let unset = stamps.get(UNSET)?.map_or(0, |stamp| stamp.value());
        Ok((Route::PUSH, RouteStamp::new(unset)))
    }

    /// The route that was set for `author`, given the table of routes.
    pub(super) fn own_route(
        &self,
        routes: &impl ReadableTable<u64, &'static [u8]>,
        author: UserId,
    ) -> Result<Option<(Route, RouteStamp)>, Failure> {
        let Some(row) = routes.get(author.get())? else {
            return Ok(None);
        };
        self.known_route(author, row.value()).map(Some)
    }

    /// What `row` says of the route of `author`: [`UNKNOWN_ROUTE`] if it does not decode.
    pub(super) fn known_route(
        &self,
        author: UserId,
        row: &[u8],
    ) -> Result<(Route, RouteStamp), Failure> {
        let route = self.routes.intact(author, decode_route(row));
        CorruptRow::pass_over(route, UNKNOWN_ROUTE)
    }

    /// The user's degree, given the table of degrees.
    pub(super) fn degree(
        &self,
        degrees: &impl ReadableTable<u64, &'static [u8]>,
        user: UserId,
    ) -> Result<Degree, Failure> {
        let Some(row) = degrees.get(user.get())? else {
            return Ok(Degree::default());
        };
        self.degrees.intact(user, decode_degree(row.value()))
    }
}

impl Tables for GraphTables {
    type Error = feed_core::Error;

    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.edges.create(txn)?;
        self.followers.create(txn)?;
        self.degrees.create(txn)?;
        self.routes.create(txn)?;
        self.hides.create(txn)?;
        self.hidden_by.create(txn)?;
        self.lists.create(txn)?;
        self.listed_in.create(txn)?;
        self.stamps.create(txn)
    }
}

/// The last stamp given.
pub(super) const LAST: &str = "last";

/// The stamp of every author who has no route of their own. It moves on when a route is forgotten, so
/// that a change decided on before cannot be made after.
pub(super) const UNSET: &str = "unset";

/// A follow edge, as both its ends keep it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct EdgeRow {
    pub(super) settings: FollowSettings,
    pub(super) route: Route,
    pub(super) stamp: RouteStamp,
}

/// What a route counts as whose row does not decode: posts go both ways, so that none is missed. No
/// route ever has its stamp, so no change is made that was decided on before.
pub(super) const UNKNOWN_ROUTE: (Route, RouteStamp) = (Route::Both, RouteStamp::new(u64::MAX));

impl EdgeRow {
    /// What an edge counts as whose row does not decode: its key still says that it is there.
    pub(super) fn unknown() -> Self {
        Self {
            settings: FollowSettings::default(),
            route: UNKNOWN_ROUTE.0,
            stamp: UNKNOWN_ROUTE.1,
        }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut row = vec![VERSION];
        let hides = u8::from(self.settings.hide_reposts) * HIDES_REPOSTS;
        row.push(hides | (u8::from(self.settings.notify) * NOTIFIES));
        put_route(&mut row, self.route);
        row.extend(self.stamp.get().to_le_bytes());
        row
    }

    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        let mut row = Reader::of_version(VERSION, row)?;
        let settings = row.byte()?;
        if settings & !(HIDES_REPOSTS | NOTIFIES) != 0 {
            return None;
        }
        let edge = Self {
            settings: FollowSettings::default()
                .with_hide_reposts(settings & HIDES_REPOSTS != 0)
                .with_notify(settings & NOTIFIES != 0),
            route: route(&mut row)?,
            stamp: RouteStamp::new(row.long()?),
        };
        row.end(edge)
    }
}

pub(super) fn encode_route(route: Route, stamp: RouteStamp) -> Vec<u8> {
    let mut row = vec![VERSION];
    put_route(&mut row, route);
    row.extend(stamp.get().to_le_bytes());
    row
}

pub(super) fn decode_route(row: &[u8]) -> Option<(Route, RouteStamp)> {
    let mut row = Reader::of_version(VERSION, row)?;
    let set = (route(&mut row)?, RouteStamp::new(row.long()?));
    row.end(set)
}

pub(super) fn encode_degree(degree: Degree) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(degree.followers.to_le_bytes());
    row.extend(degree.followees.to_le_bytes());
    row
}

fn decode_degree(row: &[u8]) -> Option<Degree> {
    let mut row = Reader::of_version(VERSION, row)?;
    let degree = Degree {
        followers: row.long()?,
        followees: row.long()?,
    };
    row.end(degree)
}

/// The number of a relation that hides, if this version knows it.
pub(super) const fn number_of(how: Hide) -> Option<u8> {
    match how {
        Hide::Block => Some(BLOCK),
        Hide::Mute => Some(MUTE),
        _ => None,
    }
}

pub(super) const BLOCK: u8 = 0;
pub(super) const MUTE: u8 = 1;

fn put_route(row: &mut Vec<u8>, route: Route) {
    match route {
        Route::Push { pulled_until: None } => row.push(0),
        Route::Push {
            pulled_until: Some(until),
        } => {
            row.push(1);
            row.extend(until.get().to_le_bytes());
        }
        Route::Both => row.push(2),
        Route::Pull => row.push(3),
    }
}

fn route(row: &mut Reader<'_>) -> Option<Route> {
    Some(match row.byte()? {
        0 => Route::PUSH,
        1 => Route::Push {
            pulled_until: Some(PostId::new(row.long()?)),
        },
        2 => Route::Both,
        3 => Route::Pull,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn rows_lie_on_disk_as_they_always_have() {
        let until = Some(PostId::new(0x0102));
        let edge = EdgeRow {
            settings: FollowSettings::default().with_notify(true),
            route: Route::Push {
                pulled_until: until,
            },
            stamp: RouteStamp::new(3),
        };
        let bytes = [1, 2, 1, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(edge.encode(), bytes);
        let bytes = [1, 3, 4, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(encode_route(Route::Pull, RouteStamp::new(4)), bytes);
        let degree = Degree {
            followers: 5,
            followees: 6,
        };
        let bytes = [1, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(encode_degree(degree), bytes);
        assert_eq!([Hide::Block, Hide::Mute].map(number_of), [Some(0), Some(1)]);
    }

    fn any_route() -> impl Strategy<Value = Route> {
        let until = any::<u64>().prop_map(|post| Route::Push {
            pulled_until: Some(PostId::new(post)),
        });
        prop_oneof![
            Just(Route::PUSH),
            until,
            Just(Route::Both),
            Just(Route::Pull)
        ]
    }

    proptest! {
        #[test]
        fn a_row_reads_back_as_it_was_written(
            route in any_route(),
            settings in any::<(bool, bool)>(),
            numbers in any::<(u64, u64)>(),
        ) {
            let stamp = RouteStamp::new(numbers.0);
            let settings = FollowSettings::default()
                .with_hide_reposts(settings.0)
                .with_notify(settings.1);
            let edge = EdgeRow { settings, route, stamp };
            prop_assert_eq!(EdgeRow::decode(&edge.encode()), Some(edge));
            let row = encode_route(route, stamp);
            prop_assert_eq!(decode_route(&row), Some((route, stamp)));
            let degree = Degree { followers: numbers.0, followees: numbers.1 };
            prop_assert_eq!(decode_degree(&encode_degree(degree)), Some(degree));
        }

        #[test]
        fn garbage_is_refused_or_was_a_row(bytes in vec(0..4_u8, 0..22)) {
            if let Some(edge) = EdgeRow::decode(&bytes) {
                prop_assert_eq!(edge.encode(), &bytes[..]);
            }
            if let Some((route, stamp)) = decode_route(&bytes) {
                prop_assert_eq!(encode_route(route, stamp), &bytes[..]);
            }
            if let Some(degree) = decode_degree(&bytes) {
                prop_assert_eq!(encode_degree(degree), bytes);
            }
        }
    }
}
