use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use hashbrown::HashMap;
use parking_lot::{RwLock, RwLockReadGuard};

use crate::{Circle, Route, RouteStamp, UserId};

/// The routes of authors for all their followers, and which of them changed lately.
///
/// Few authors have one, and it rarely changes, but a change concerns every follower's circle. So
/// nobody is told: a circle remembers the epoch it was made in, and whoever reads it asks whether
/// an author whom it follows has changed since.
#[derive(Debug, Default)]
pub(super) struct AuthorRoutes {
    /// Counts changes. Written under the table's lock, read without.
    epoch: AtomicU64,
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    routes: HashMap<UserId, (Route, RouteStamp)>,
    /// The stamp of every author who has no route of their own. It moves on when a route is
    /// forgotten, so that a change decided on before cannot be made after.
    unset: RouteStamp,
    /// The authors of the latest changes, newest last.
    changed: VecDeque<UserId>,
}

/// How many changes are distinguished. A circle that has seen none of the last so many is made anew.
const REMEMBERED: usize = 256;

impl AuthorRoutes {
    pub(super) fn of(&self, author: UserId) -> (Route, RouteStamp) {
        self.table.read().entry(author)
    }

    /// Sets the route if its stamp is `seen`. `next` gives the new stamp, and `None` gives up.
    pub(super) fn set<E>(
        &self,
        author: UserId,
        seen: RouteStamp,
        route: Route,
        next: impl FnOnce(New) -> Result<RouteStamp, E>,
    ) -> Result<Option<RouteStamp>, E> {
        let mut table = self.table.write();
        if table.entry(author).1 != seen {
            return Ok(None);
        }
        let new = New(!table.routes.contains_key(&author));
        let stamp = next(new)?;
        table.routes.insert(author, (route, stamp));
        self.note(&mut table, author);
        Ok(Some(stamp))
    }

    /// Forgets the author's route and says whether there was one. `stamp` was never used.
    pub(super) fn forget(&self, author: UserId, stamp: RouteStamp) -> bool {
        let mut table = self.table.write();
        let was_set = table.routes.remove(&author).is_some();
        if was_set {
            table.unset = stamp;
            self.note(&mut table, author);
        }
        was_set
    }

    /// The routes at one instant, and the epoch of that instant.
    pub(super) fn read(&self) -> (RwLockReadGuard<'_, Table>, u64) {
        let table = self.table.read();
        let epoch = self.epoch.load(Ordering::Acquire);
        (table, epoch)
    }

    /// The present epoch, if the routes of nobody in `circle` have changed since `seen`.
    pub(super) fn unchanged_for(&self, circle: &Circle, seen: u64) -> Option<u64> {
        if self.epoch.load(Ordering::Acquire) == seen {
            return Some(seen);
        }
        let (table, epoch) = self.read();
        let missed = usize::try_from(epoch - seen).ok()?;
        let first = table.changed.len().checked_sub(missed)?;
        let mut changed = table.changed.range(first..);
        (!changed.any(|&author| circle.follows(author))).then_some(epoch)
    }

    fn note(&self, table: &mut Table, author: UserId) {
        table.changed.push_back(author);
        if table.changed.len() > REMEMBERED {
            table.changed.pop_front();
        }
        self.epoch.fetch_add(1, Ordering::Release);
    }
}

/// Whether the author had no route of their own before.
#[derive(Clone, Copy, Debug)]
pub(super) struct New(pub(super) bool);

impl Table {
    pub(super) fn route(&self, author: UserId) -> Route {
        self.entry(author).0
    }

    fn entry(&self, author: UserId) -> (Route, RouteStamp) {
        let unset = (Route::PUSH, self.unset);
        self.routes.get(&author).copied().unwrap_or(unset)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use crate::{CircleEdge, FollowSettings};

    use super::*;

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);

    fn following(author: UserId) -> Circle {
        let edge = CircleEdge {
            author,
            settings: FollowSettings::default(),
            route: Route::PUSH,
            author_route: Route::PUSH,
        };
        Circle::new(UserId::new(9), [edge], [], [])
    }

    fn change(routes: &AuthorRoutes, author: UserId) {
        let (_, seen) = routes.of(author);
        let next = RouteStamp::new(seen.get() + 1);
        let set = routes.set(author, seen, Route::Pull, |_| Ok::<_, Infallible>(next));
        assert_eq!(set, Ok(Some(next)));
    }

    #[test]
    fn only_circles_that_follow_a_changed_author_are_stale() {
        let routes = AuthorRoutes::default();
        change(&routes, ANN);
        assert_eq!(routes.unchanged_for(&following(ANN), 0), None);
        assert_eq!(routes.unchanged_for(&following(BOB), 0), Some(1));
        assert_eq!(routes.unchanged_for(&following(ANN), 1), Some(1));
    }

    #[test]
    fn a_circle_that_missed_too_much_is_stale() {
        let routes = AuthorRoutes::default();
        for _ in 0..REMEMBERED {
            change(&routes, ANN);
        }
        assert!(routes.unchanged_for(&following(BOB), 0).is_some());
        change(&routes, ANN);
        assert_eq!(routes.unchanged_for(&following(BOB), 0), None);
    }

    #[test]
    fn a_change_decided_on_before_an_erasure_fails() {
        let routes = AuthorRoutes::default();
        let (_, seen) = routes.of(ANN);
        change(&routes, ANN);
        assert!(routes.forget(ANN, RouteStamp::new(5)));
        let late = routes.set(ANN, seen, Route::Pull, |_| {
            Ok::<_, Infallible>(RouteStamp::new(6))
        });
        assert_eq!(late, Ok(None));
        assert_eq!(routes.of(ANN), (Route::PUSH, RouteStamp::new(5)));
    }
}
