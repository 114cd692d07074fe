use std::fmt;

use crate::{Degree, Rhythm, UserId};

/// Decides whose posts are pushed into timelines and whose are pulled by readers.
///
/// The decision changes what things cost, never what a feed shows. Fanout asks once for each piece of
/// its work and, where the policy [judges pairs](Self::judges_pairs), once for each follower.
pub trait FanoutPolicy: fmt::Debug + Send + Sync {
    /// Whether it may answer [`Delivery::Push`] to anything. Where it does not, timelines that are cold
    /// stay so, since nothing would be written into them.
    fn ever_pushes(&self) -> bool;

    /// How the posts of an author travel to all followers, given how they travel now.
    fn author(&self, stats: &AuthorStats, now: Delivery) -> Delivery;

    /// Whether [`pair`](Self::pair) is to be asked; it costs a look-up per follower.
    fn judges_pairs(&self) -> bool;

    /// How the posts of a pushed author travel to one follower, given how they travel now.
    fn pair(&self, stats: &AuthorStats, viewer: Option<&Rhythm>, now: Delivery) -> Delivery;
}

/// The two ways a post reaches a follower.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "fanout on write, or on read")]
pub enum Delivery {
    /// Fanout on write.
    Push,
    /// Fanout on read.
    Pull,
}

/// What a policy knows about an author.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct AuthorStats {
    /// Who it is, for policies that name accounts.
    pub author: UserId,
    /// How many follow them.
    pub followers: u64,
    /// Posts a day, in thousandths, averaged with a time constant of a week.
    pub posts_per_day_milli: u32,
}

impl AuthorStats {
    /// What an author's degree and their rhythm of posting say.
    #[must_use]
    pub fn new(author: UserId, degree: Degree, posts: Option<Rhythm>) -> Self {
        Self {
            author,
            followers: degree.followers,
            posts_per_day_milli: posts.map_or(0, |posts| posts.per_day_milli),
        }
    }
}

/// Pushes every post to every follower: fast reads, and a write per follower.
#[derive(Clone, Copy, Debug, Default)]
pub struct PushAll;

impl FanoutPolicy for PushAll {
    fn ever_pushes(&self) -> bool {
        true
    }

    fn author(&self, _: &AuthorStats, _: Delivery) -> Delivery {
        Delivery::Push
    }

    fn judges_pairs(&self) -> bool {
        false
    }

    fn pair(&self, _: &AuthorStats, _: Option<&Rhythm>, _: Delivery) -> Delivery {
        Delivery::Push
    }
}

/// Lets readers collect every post: free writes, and a merge per read.
#[derive(Clone, Copy, Debug, Default)]
pub struct PullAll;

impl FanoutPolicy for PullAll {
    fn ever_pushes(&self) -> bool {
        false
    }

    fn author(&self, _: &AuthorStats, _: Delivery) -> Delivery {
        Delivery::Pull
    }

    fn judges_pairs(&self) -> bool {
        false
    }

    fn pair(&self, _: &AuthorStats, _: Option<&Rhythm>, _: Delivery) -> Delivery {
        Delivery::Pull
    }
}

/// Pushes the posts of most authors and lets readers pull those of authors with very many followers.
///
/// Two thresholds keep an author who gains and loses a few followers from changing sides each time.
///
/// ```
/// use feed_core::{AuthorStats, Degree, Delivery, FanoutPolicy, Hybrid, UserId};
/// let policy = Hybrid::new(10_000);
/// let ann = |followers| {
///     AuthorStats::new(UserId::new(1), Degree { followers, followees: 0 }, None)
/// };
/// let (famous, waning) = (ann(10_001), ann(9_500));
/// assert_eq!(policy.author(&famous, Delivery::Push), Delivery::Pull);
/// assert_eq!(policy.author(&waning, Delivery::Pull), Delivery::Pull);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Hybrid {
    pull_above: u64,
    push_below: u64,
}

impl Hybrid {
    /// Pulls above `followers`, and pushes again below nine tenths of that.
    #[must_use]
    pub const fn new(followers: u64) -> Self {
        Self {
            pull_above: followers,
            push_below: followers - followers / 10,
        }
    }

    /// Pushes again below `followers`, at most the number above which it pulls.
    #[must_use]
    pub fn with_push_below(mut self, followers: u64) -> Self {
        self.push_below = followers.min(self.pull_above);
        self
    }
}

impl Default for Hybrid {
    /// Pulls above 10,000 followers.
    fn default() -> Self {
        Self::new(10_000)
    }
}

impl FanoutPolicy for Hybrid {
    fn ever_pushes(&self) -> bool {
        true
    }

    fn author(&self, stats: &AuthorStats, now: Delivery) -> Delivery {
        match now {
            Delivery::Push if stats.followers > self.pull_above => Delivery::Pull,
            Delivery::Pull if stats.followers < self.push_below => Delivery::Push,
            same => same,
        }
    }

    fn judges_pairs(&self) -> bool {
        false
    }

    fn pair(&self, _: &AuthorStats, _: Option<&Rhythm>, _: Delivery) -> Delivery {
        Delivery::Push
    }
}

/// A hybrid that also weighs each pair: a follower who comes rarely pulls from an author who posts
/// often.
///
/// Writing costs one push per post, reading one pull per visit, so a pair is pushed while the author's
/// posts per visit stay below the ratio of those costs (Silberstein et al., "Feeding Frenzy", SIGMOD
/// 2010). A pair changes sides only once the balance is off by a quarter.
#[derive(Clone, Copy, Debug)]
pub struct PairRate {
    authors: Hybrid,
    posts_per_visit: u32,
}

impl PairRate {
    /// Like `authors`, and pulls pairs with more than `posts_per_visit` posts between two visits.
    #[must_use]
    pub const fn new(authors: Hybrid, posts_per_visit: u32) -> Self {
        Self {
            authors,
            posts_per_visit,
        }
    }
}

impl FanoutPolicy for PairRate {
    fn ever_pushes(&self) -> bool {
        true
    }

    fn author(&self, stats: &AuthorStats, now: Delivery) -> Delivery {
        self.authors.author(stats, now)
    }

    fn judges_pairs(&self) -> bool {
        true
    }

    fn pair(&self, stats: &AuthorStats, viewer: Option<&Rhythm>, now: Delivery) -> Delivery {
        let visits = viewer.map_or(0, |visits| u64::from(visits.per_day_milli));
        let balance = visits * u64::from(self.posts_per_visit);
        let posts = u64::from(stats.posts_per_day_milli);
        match now {
            Delivery::Push if posts > balance + balance / 4 => Delivery::Pull,
            Delivery::Pull if posts < balance - balance / 4 => Delivery::Push,
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use backplane::Timestamp;

    use super::*;

    fn author(followers: u64, posts_per_day: u32) -> AuthorStats {
        AuthorStats {
            author: UserId::new(1),
            followers,
            posts_per_day_milli: posts_per_day * 1_000,
        }
    }

    #[test]
    fn hybrid_keeps_its_side_between_the_thresholds() {
        let policy = Hybrid::new(100).with_push_below(50);
        let side = |followers, now| policy.author(&author(followers, 0), now);
        assert_eq!(side(100, Delivery::Push), Delivery::Push);
        assert_eq!(side(101, Delivery::Push), Delivery::Pull);
        assert_eq!(side(50, Delivery::Pull), Delivery::Pull);
        assert_eq!(side(49, Delivery::Pull), Delivery::Push);
    }

    #[test]
    fn a_rare_visitor_pulls_from_a_busy_author() {
        let policy = PairRate::new(Hybrid::new(1_000), 10);
        let mut visits = Rhythm::first(Timestamp::EPOCH);
        visits.per_day_milli = 1_000;
        let pair = |posts, now| policy.pair(&author(5, posts), Some(&visits), now);
        assert_eq!(pair(12, Delivery::Push), Delivery::Push);
        assert_eq!(pair(13, Delivery::Push), Delivery::Pull);
        assert_eq!(pair(8, Delivery::Pull), Delivery::Pull);
        assert_eq!(pair(7, Delivery::Pull), Delivery::Push);
    }
}
