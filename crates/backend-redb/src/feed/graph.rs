mod rows;
mod ties;

use std::{
    collections::BTreeSet,
    ops::{Bound, RangeInclusive},
    sync::Arc,
};

use async_trait::async_trait;
use feed_core::{
    Circle, CircleEdge, Degree, EdgeRoute, Error, ErrorKind, FollowSettings, Followed, Follower,
    Graph, Hide, ListId, Result, Route, RouteStamp, UserId,
};
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction,
};

use crate::{
    CorruptRow, Failure, Writer,
    feed::graph::{
        rows::{BLOCK, EdgeRow, GraphTables, MUTE, number_of},
        ties::{Change, Ties},
    },
    store::Store,
};

/// A [`Graph`] in a redb file.
///
/// What a write has answered is on disk, both ends of a tie together. Reads see what is on disk, each
/// at one instant, and run on the caller's thread: nothing but redb's cache is in memory. The members
/// of a list come in ascending order.
///
/// A row that does not decode counts as what loses no post, and is told as an error event of
/// `tracing`: an edge as one without settings, an edge and a route as going both ways, a degree as
/// zero. The next write that changes the degree or the route replaces it: a degree is counted anew. An
/// edge stays as it is, is not [rerouted](Graph::reroute), and to follow there again is `Corrupt`, but
/// it can be cut.
///
/// Several graphs under one name on one [`Writer`] are the same graph.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbGraph, RedbGraphOptions, Writer, WriterOptions, redb::Database};
/// use feed_core::{Graph, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("feed.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let graph = RedbGraph::open(&writer, "main", RedbGraphOptions::default()).await?;
/// let (ann, bob) = (UserId::new(1), UserId::new(2));
/// graph.follow(ann, bob, None).await?;
/// assert!(graph.circles(&[ann]).await?[0].follows(bob));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedbGraph {
    store: Store<GraphTables>,
    options: RedbGraphOptions,
}

/// The bounds of a [`RedbGraph`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedbGraphOptions {
    /// How many ties there may be: edges, relations that hide, members of lists and routes of
    /// authors together. One more is refused as [`ErrorKind::Full`](feed_core::ErrorKind::Full).
    /// 1,000,000,000 by default.
    pub max_ties: u64,
}

impl RedbGraph {
    /// Opens the graph called `name`, which is empty if the file does not know it.
    ///
    /// # Errors
    ///
    /// What the [`Writer`] fails with.
    pub async fn open(writer: &Writer, name: &str, options: RedbGraphOptions) -> Result<Self> {
        let store = Store::open(writer, GraphTables::new(name)).await?;
        Ok(Self { store, options })
    }

    async fn change<R: Send + 'static>(
        &self,
        op: &'static str,
        mut change: impl FnMut(&mut Ties<'_>) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R> {
        let bound = self.options.max_ties;
        let change = self.store.write(op, move |txn: &WriteTransaction, tables| {
            change(&mut Ties::open(txn, tables, bound)?)
        });
        change.await
    }
}

fn fits<R>(op: &'static str, change: Change<R>) -> Result<R> {
    match change {
        Change::Made(made) => Ok(made),
        Change::NoRoom => Err(Error::bare(ErrorKind::Full, op)),
    }
}

#[async_trait]
impl Graph for RedbGraph {
    async fn follow(
        &self,
        viewer: UserId,
        author: UserId,
        settings: Option<FollowSettings>,
    ) -> Result<Followed> {
        const OP: &str = "follow";
        let follow = self.change(OP, move |ties| ties.follow(viewer, author, settings));
        fits(OP, follow.await?)
    }

    async fn unfollow(&self, viewer: UserId, author: UserId) -> Result<bool> {
        self.change("unfollow", move |ties| ties.unfollow(viewer, author))
            .await
    }

    async fn reroute(&self, edges: &[EdgeRoute]) -> Result<Vec<Option<RouteStamp>>> {
        let edges = edges.to_vec();
        self.change("reroute", move |ties| ties.reroute(&edges))
            .await
    }

    async fn route_author(
        &self,
        author: UserId,
        stamp: RouteStamp,
        route: Route,
    ) -> Result<Option<RouteStamp>> {
        const OP: &str = "route author";
        let set = self.change(OP, move |ties| ties.route_author(author, stamp, route));
        fits(OP, set.await?)
    }

    async fn author_route(&self, author: UserId) -> Result<(Route, RouteStamp)> {
        self.store.read("author route", |txn, tables| {
            let (routes, stamps) = (tables.routes.read(txn)?, tables.stamps.read(txn)?);
            tables.author_route(&routes, &stamps, author)
        })
    }

    async fn followers(
        &self,
        author: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Follower>> {
        self.store.read("followers", |txn, tables| {
            let author = author.get();
            let first = match after {
                None => Bound::Included((author, 0)),
                Some(after) => Bound::Excluded((author, after.get())),
            };
            let above = (first, Bound::Included((author, u64::MAX)));
            let mut page = Vec::new();
            for row in tables.followers.read(txn)?.range(above)?.take(limit) {
                let (ends, row) = row?;
                let edge = EdgeRow::decode(row.value());
                let edge = tables.followers.intact(ends.value(), edge);
                let edge = CorruptRow::pass_over(edge, EdgeRow::unknown())?;
                let viewer = UserId::new(ends.value().1);
                page.push(Follower::new(viewer, edge.settings, edge.route, edge.stamp));
            }
            Ok(page)
        })
    }

    async fn circles(&self, viewers: &[UserId]) -> Result<Vec<Arc<Circle>>> {
        self.store.read("circles", |txn, tables| {
            let circle = |&viewer: &UserId| circle(txn, tables, viewer).map(Arc::new);
            viewers.iter().map(circle).collect()
        })
    }

    async fn degrees(&self, users: &[UserId]) -> Result<Vec<Degree>> {
        self.store.read("degrees", |txn, tables| {
            let degrees = tables.degrees.read(txn)?;
            let degree = |&user: &UserId| {
                CorruptRow::pass_over(tables.degree(&degrees, user), Degree::default())
            };
            users.iter().map(degree).collect()
        })
    }

    async fn hide(&self, viewer: UserId, other: UserId, how: Hide, on: bool) -> Result<bool> {
        const OP: &str = "hide";
        let Some(how) = number_of(how) else {
            return Err(Error::bare(ErrorKind::Invalid, OP));
        };
        let hide = self.change(OP, move |ties| {
            if on {
                ties.hide(viewer, how, other)
            } else {
                ties.show(viewer, how, other).map(Change::Made)
            }
        });
        fits(OP, hide.await?)
    }

    async fn hidden_from(&self, author: UserId, viewers: &[UserId]) -> Result<Vec<bool>> {
        self.store.read("hidden from", |txn, tables| {
            let (Some(first), Some(last)) = (viewers.iter().min(), viewers.iter().max()) else {
                return Ok(Vec::new());
            };
            let (hides, hidden_by) = (tables.hides.read(txn)?, tables.hidden_by.read(txn)?);
            let mut hidden = BTreeSet::new();
            for (table, how) in [(&hides, BLOCK), (&hidden_by, BLOCK), (&hidden_by, MUTE)] {
                hidden.extend(related(table, author, how, *first..=*last)?);
            }
            Ok(viewers
                .iter()
                .map(|viewer| hidden.contains(viewer))
                .collect())
        })
    }

    async fn set_list(&self, owner: UserId, list: ListId, members: &[UserId]) -> Result<()> {
        const OP: &str = "set list";
        let members: BTreeSet<_> = members.iter().copied().collect();
        let set = self.change(OP, move |ties| ties.set_list(owner, list, &members));
        fits(OP, set.await?)
    }

    async fn list(&self, owner: UserId, list: ListId) -> Result<Vec<UserId>> {
        self.store.read("list", |txn, tables| {
            let (owner, list) = (owner.get(), list.get());
            let lists = tables.lists.read(txn)?;
            let mut members = Vec::new();
            for member in lists.range((owner, list, 0)..=(owner, list, u64::MAX))? {
                members.push(UserId::new(member?.0.value().2));
            }
            Ok(members)
        })
    }

    async fn erase(&self, user: UserId, limit: usize) -> Result<usize> {
        self.change("erase", move |ties| ties.erase(user, limit))
            .await
    }
}

fn circle(txn: &ReadTransaction, tables: &GraphTables, viewer: UserId) -> Result<Circle, Failure> {
    let own = viewer.get();
    let rows = tables.edges.read(txn)?;
    let mut edges = Vec::new();
    for row in rows.range((own, 0)..=(own, u64::MAX))? {
        let (ends, row) = row?;
        let edge = EdgeRow::decode(row.value());
        let edge = tables.edges.intact(ends.value(), edge);
        let edge = CorruptRow::pass_over(edge, EdgeRow::unknown())?;
        edges.push(CircleEdge {
            author: UserId::new(ends.value().1),
            settings: edge.settings,
            route: edge.route,
            author_route: Route::PUSH,
        });
    }
    set_author_routes(txn, tables, &mut edges)?;
    let (hides, hidden_by) = (tables.hides.read(txn)?, tables.hidden_by.read(txn)?);
    let all = |table, how| related(table, viewer, how, UserId::new(0)..=UserId::new(u64::MAX));
    let blocked = [all(&hides, BLOCK)?, all(&hidden_by, BLOCK)?].concat();
    Ok(Circle::new(viewer, edges, blocked, all(&hides, MUTE)?))
}

/// Those of `others` to whom `user` has this relation, or they to the user, as the table says.
fn related(
    table: &ReadOnlyTable<(u64, u8, u64), ()>,
    user: UserId,
    how: u8,
    others: RangeInclusive<UserId>,
) -> Result<Vec<UserId>, Failure> {
    let to = |other: &UserId| (user.get(), how, other.get());
    let rows = table.range(to(others.start())..=to(others.end()))?;
    rows.map(|row| Ok(UserId::new(row?.0.value().2))).collect()
}

/// Sets the route of each author for all followers. Few authors have one of their own, so to read
/// all of those is mostly less than to ask for each followee's.
fn set_author_routes(
    txn: &ReadTransaction,
    tables: &GraphTables,
    edges: &mut [CircleEdge],
) -> Result<(), Failure> {
    let routes = tables.routes.read(txn)?;
    if routes.len()? > edges.len() as u64 {
        for edge in edges {
            if let Some((route, _)) = tables.own_route(&routes, edge.author)? {
                edge.author_route = route;
            }
        }
        return Ok(());
    }
    for row in routes.iter()? {
        let (author, row) = row?;
        let author = UserId::new(author.value());
        if let Ok(at) = edges.binary_search_by_key(&author, |edge| edge.author) {
            edges[at].author_route = tables.known_route(author, row.value())?.0;
        }
    }
    Ok(())
}

impl RedbGraphOptions {
    /// Room for `ties` edges, relations, members of lists and routes of authors.
    #[must_use]
    pub const fn with_max_ties(mut self, ties: u64) -> Self {
        self.max_ties = ties;
        self
    }
}

impl Default for RedbGraphOptions {
    fn default() -> Self {
        Self {
            max_ties: 1_000_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use backplane::ManualClock;
    use feed_core::conformance::{Fresh, TestTime};

    use super::*;
    use crate::scratch::Scratch;

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);
    const CAT: UserId = UserId::new(3);
    const CLOSE: ListId = ListId::new(7);

    async fn open(writer: &Writer, options: RedbGraphOptions) -> RedbGraph {
        RedbGraph::open(writer, "test", options).await.unwrap()
    }

    async fn fresh() -> Fresh<dyn Graph> {
        let graph = open(&Scratch::new().writer(), RedbGraphOptions::default()).await;
        Fresh {
            store: Arc::new(graph),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    feed_core::graph_conformance!(fresh());

    async fn follow(graph: &RedbGraph, viewer: UserId, author: UserId) -> Result<Followed> {
        graph.follow(viewer, author, None).await
    }

    #[tokio::test]
    async fn a_full_graph_refuses_every_new_tie_and_nothing_else() {
        let options = RedbGraphOptions::default().with_max_ties(2);
        let graph = open(&Scratch::new().writer(), options).await;
        follow(&graph, ANN, BOB).await.unwrap();
        graph.hide(ANN, BOB, Hide::Mute, true).await.unwrap();
        let refused = [
            follow(&graph, ANN, CAT).await.map(|_| ()),
            graph.hide(BOB, ANN, Hide::Block, true).await.map(|_| ()),
            graph.set_list(ANN, CLOSE, &[BOB]).await,
            graph
                .route_author(BOB, RouteStamp::default(), Route::Pull)
                .await
                .map(|_| ()),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
        }
        assert!(graph.list(ANN, CLOSE).await.unwrap().is_empty());
        follow(&graph, ANN, BOB).await.unwrap();
        graph.set_list(ANN, CLOSE, &[]).await.unwrap();
        assert!(!graph.hide(ANN, BOB, Hide::Mute, true).await.unwrap());
        graph.unfollow(ANN, BOB).await.unwrap();
        follow(&graph, BOB, ANN).await.unwrap();
    }

    async fn damage(writer: &Writer) {
        let tables = GraphTables::new("test");
        let garbage = writer.run(move |txn| {
            tables.edges.write(txn)?.insert((1, 2), &[9, 9][..])?;
            tables.followers.write(txn)?.insert((2, 1), &[9, 9][..])?;
            tables.degrees.write(txn)?.insert(2, &[9, 9][..])?;
            tables.routes.write(txn)?.insert(3, &[9, 9][..])?;
            Ok(())
        });
        garbage.await.unwrap();
    }

    #[tokio::test]
    async fn a_degree_that_does_not_decode_is_counted_anew() {
        let writer = Scratch::new().writer();
        let graph = open(&writer, RedbGraphOptions::default()).await;
        for (viewer, author) in [(ANN, BOB), (CAT, BOB), (BOB, CAT)] {
            follow(&graph, viewer, author).await.unwrap();
        }
        let degree = async || {
            let degree = graph.degrees(&[BOB]).await.unwrap()[0];
            [degree.followers, degree.followees]
        };
        damage(&writer).await;
        assert_eq!(degree().await, [0, 0]);
        assert!(graph.unfollow(CAT, BOB).await.unwrap());
        assert_eq!(degree().await, [1, 1]);
        damage(&writer).await;
        follow(&graph, CAT, BOB).await.unwrap();
        assert_eq!(degree().await, [2, 1]);
        damage(&writer).await;
        assert_eq!(graph.erase(ANN, 9).await.unwrap(), 1);
        assert_eq!(degree().await, [1, 1]);
    }

    #[tokio::test]
    async fn a_route_that_does_not_decode_goes_both_ways_until_one_is_set() {
        let writer = Scratch::new().writer();
        let graph = open(&writer, RedbGraphOptions::default()).await;
        let (_, before) = graph.author_route(CAT).await.unwrap();
        graph.route_author(CAT, before, Route::Pull).await.unwrap();
        let (_, stale) = graph.author_route(CAT).await.unwrap();
        damage(&writer).await;
        let (route, stamp) = graph.author_route(CAT).await.unwrap();
        assert_eq!(route, Route::Both);
        let set = |stamp| graph.route_author(CAT, stamp, Route::PUSH);
        assert_eq!(set(stale).await.unwrap(), None);
        let set_to = set(stamp).await.unwrap().expect("nobody else has set it");
        assert_ne!(set_to, stale);
        let now = graph.author_route(CAT).await.unwrap();
        assert_eq!(now, (Route::PUSH, set_to));
    }

    #[tokio::test]
    async fn an_edge_that_does_not_decode_keeps_no_other_from_being_rerouted() {
        let writer = Scratch::new().writer();
        let graph = open(&writer, RedbGraphOptions::default()).await;
        for viewer in [ANN, CAT] {
            follow(&graph, viewer, BOB).await.unwrap();
        }
        damage(&writer).await;
        let followers = graph.followers(BOB, None, 9).await.unwrap();
        let edge = |follower: &Follower| EdgeRoute {
            viewer: follower.viewer,
            author: BOB,
            stamp: follower.stamp,
            route: Route::Pull,
        };
        let edges: Vec<_> = followers.iter().map(edge).collect();
        let stamps = graph.reroute(&edges).await.unwrap();
        assert!(stamps[0].is_none() && stamps[1].is_some(), "{stamps:?}");
        assert!(graph.unfollow(ANN, BOB).await.unwrap());
        follow(&graph, ANN, BOB).await.unwrap();
    }

    #[tokio::test]
    async fn an_edge_that_does_not_decode_loses_no_post_and_is_named_to_writes() {
        let writer = Scratch::new().writer();
        let graph = open(&writer, RedbGraphOptions::default()).await;
        follow(&graph, ANN, CAT).await.unwrap();
        damage(&writer).await;
        let circle = graph.circles(&[ANN]).await.unwrap().remove(0);
        assert!(circle.follows(BOB) && circle.follows(CAT));
        let followers = graph.followers(BOB, None, 9).await.unwrap();
        assert_eq!(followers.len(), 1);
        assert_eq!(followers[0].route, Route::Both);
        let degrees = graph.degrees(&[BOB, CAT]).await.unwrap();
        assert_eq!([degrees[0].followers, degrees[1].followers], [0, 1]);

        let error = follow(&graph, ANN, BOB).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let row = CorruptRow::behind(&error).expect("a row is the cause");
        assert_eq!(
            (&*row.table, &*row.row),
            ("feed.graph.test.edges", "(1, 2)")
        );
    }
}
