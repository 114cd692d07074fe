use crate::{FollowSettings, Follower, PostId, Route, RouteStamp, UserId};

/// A follow edge in 16 bytes. Every edge is stored at both its ends, so its size counts twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Edge {
    /// From the lowest bit: two for the kind of route, one for each setting, the rest for the stamp.
    bits: u64,
    /// The post of a route that has one.
    until: PostId,
}

const ROUTE: u64 = 0b11;
const PUSH: u64 = 0;
const PUSH_UNTIL: u64 = 1;
const BOTH: u64 = 2;
const PULL: u64 = 3;
const HIDE_REPOSTS: u64 = 1 << 2;
const NOTIFY: u64 = 1 << 3;
const SETTINGS: u64 = HIDE_REPOSTS | NOTIFY;
const STAMP: u32 = 4;

impl Edge {
    pub(super) fn new(settings: FollowSettings, route: Route, stamp: RouteStamp) -> Self {
        let (kind, until) = match route {
            Route::Push { pulled_until: None } => (PUSH, PostId::MIN),
            Route::Push {
                pulled_until: Some(until),
            } => (PUSH_UNTIL, until),
            Route::Both => (BOTH, PostId::MIN),
            Route::Pull => (PULL, PostId::MIN),
        };
        Self {
            bits: kind | settings_bits(settings) | (stamp.get() << STAMP),
            until,
        }
    }

    pub(super) fn with_settings(self, settings: FollowSettings) -> Self {
        Self {
            bits: (self.bits & !SETTINGS) | settings_bits(settings),
            ..self
        }
    }

    pub(super) fn with_route(self, route: Route, stamp: RouteStamp) -> Self {
        Self::new(self.settings(), route, stamp)
    }

    pub(super) fn settings(self) -> FollowSettings {
        FollowSettings::default()
            .with_hide_reposts(self.bits & HIDE_REPOSTS != 0)
            .with_notify(self.bits & NOTIFY != 0)
    }

    pub(super) const fn route(self) -> Route {
        match self.bits & ROUTE {
            PUSH => Route::PUSH,
            PUSH_UNTIL => Route::Push {
                pulled_until: Some(self.until),
            },
            BOTH => Route::Both,
            _ => Route::Pull,
        }
    }

    pub(super) const fn stamp(self) -> RouteStamp {
        RouteStamp::new(self.bits >> STAMP)
    }

    pub(super) fn follower(self, viewer: UserId) -> Follower {
        Follower::new(viewer, self.settings(), self.route(), self.stamp())
    }
}

fn settings_bits(settings: FollowSettings) -> u64 {
    let hide_reposts = u64::from(settings.hide_reposts) * HIDE_REPOSTS;
    hide_reposts | (u64::from(settings.notify) * NOTIFY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_without_loss() {
        let until = |post| Route::Push {
            pulled_until: Some(PostId::new(post)),
        };
        let routes = [
            Route::PUSH,
            until(0),
            until(u64::MAX),
            Route::Both,
            Route::Pull,
        ];
        for (n, route) in routes.into_iter().enumerate() {
            for (hide, notify) in [(false, false), (false, true), (true, false), (true, true)] {
                let settings = FollowSettings::default()
                    .with_hide_reposts(hide)
                    .with_notify(notify);
                let stamp = RouteStamp::new((1 << 59) + n as u64);
                let edge =
                    Edge::new(FollowSettings::default(), route, stamp).with_settings(settings);
                assert_eq!(
                    (edge.settings(), edge.route(), edge.stamp()),
                    (settings, route, stamp)
                );
                assert_eq!(
                    edge.with_route(Route::Pull, RouteStamp::new(7)),
                    Edge::new(settings, Route::Pull, RouteStamp::new(7))
                );
            }
        }
    }
}
