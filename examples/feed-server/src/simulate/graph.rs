//! Who follows whom.

use fastrand::Rng;

use super::weights::{Weights, log_normal};

/// Follows among users 0, 1, 2 and so on, with the heavy tail of Twitter.
///
/// - The follower counts have a power law for a tail, with the exponent 2.276 that Kwak, Lee, Park
///   and Moon fit to all of Twitter up to 10⁵ followers ("What is Twitter, a social network or a news
///   media?", WWW 2010). It comes out of letting the k-th most popular user be chosen with a weight
///   of `(k + shift)^(-1 / (2.276 - 1))`, the static model of Goh, Kahng and Kim (Physical Review
///   Letters 87, 2001).
/// - On average a user follows 35.2 others, as there: 1,468,365,182 follows among 41.7 million users.
/// - The most popular user has 6 % of all users for followers: 31 million (Twitter in 2013, by Hoff's
///   notes on Krikorian's talk "Timelines at Scale") of 505 million (Gabielkov, Rao and Legout, "Studying
///   social networks at scale", SIGMETRICS 2014). The shift sees to that; without it, the leader of
///   a network so much smaller would be followed by more than half of it.
/// - How many a user follows is log-normal with a deviation of 1.25, which is nobody's measurement,
///   and at most 2,000.
///
/// Nothing is made of friendship: whether follows are mutual, or friends of friends are friends,
/// changes neither what fanout writes nor what readers merge.
#[derive(Debug)]
pub(super) struct FollowGraph {
    /// Where each user's followees begin, and the end of the last.
    starts: Vec<usize>,
    followees: Vec<u32>,
    followers: Vec<u32>,
}

const EXPONENT: f64 = 2.276;
const FOLLOWEES: f64 = 35.2;
const FOLLOWEES_DEVIATION: f64 = 1.25;
const MOST_FOLLOWEES: f64 = 2_000.0;
const LEADERS_SHARE: f64 = 0.06;

/// From how many followers on the tail is taken for a power law.
const TAIL_FROM: u32 = 50;

impl FollowGraph {
    /// The graph of so many users, of whom there are at least a few hundred, that this generator
    /// leads to.
    pub(super) fn generate(users: u32, rng: &mut Rng) -> Self {
        let degrees: Vec<_> = (0..users).map(|_| followees(users, rng)).collect();
        let popularity = popularity(&degrees, rng);
        let mut graph = Self {
            starts: vec![0],
            followees: Vec::with_capacity(degrees.iter().sum()),
            followers: vec![0; degrees.len()],
        };
        // Who was the last to draw each user.
        let mut drawn_by = vec![u32::MAX; degrees.len()];
        for (viewer, degree) in (0..).zip(degrees) {
            let start = graph.followees.len();
            drawn_by[viewer as usize] = viewer;
            while graph.followees.len() < start + degree {
                let author = popularity.draw(rng);
                if drawn_by[author as usize] != viewer {
                    drawn_by[author as usize] = viewer;
                    graph.followees.push(author);
                    graph.followers[author as usize] += 1;
                }
            }
            graph.followees[start..].sort_unstable();
            graph.starts.push(graph.followees.len());
        }
        graph
    }

    pub(super) fn users(&self) -> u32 {
        u32::try_from(self.followers.len()).expect("users are counted in 32 bits")
    }

    pub(super) fn follows(&self) -> usize {
        self.followees.len()
    }

    /// Whom `viewer` follows, in ascending order.
    pub(super) fn followees(&self, viewer: u32) -> &[u32] {
        let viewer = viewer as usize;
        &self.followees[self.starts[viewer]..self.starts[viewer + 1]]
    }

    /// How many followers the most popular user has.
    pub(super) fn most_followers(&self) -> u32 {
        self.followers.iter().copied().max().unwrap_or(0)
    }

    /// The exponent of the tail, as the follower counts have it: the maximum-likelihood estimate of
    /// Clauset, Shalizi and Newman for whole numbers ("Power-law distributions in empirical data",
    /// SIAM Review 51, 2009, equation 3.7).
    pub(super) fn tail_exponent(&self) -> f64 {
        let lowest = f64::from(TAIL_FROM) - 0.5;
        let tail = self.followers.iter().filter(|&&count| count >= TAIL_FROM);
        let (count, logs) = tail.fold((0_u32, 0.0), |(count, logs), &followers| {
            (count + 1, logs + (f64::from(followers) / lowest).ln())
        });
        1.0 + f64::from(count) / logs
    }
}

/// How many others one of so many users follows.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between one and the most"
)]
fn followees(users: u32, rng: &mut Rng) -> usize {
    let most = MOST_FOLLOWEES.min(f64::from(users) / 4.0);
    let drawn = log_normal(FOLLOWEES, FOLLOWEES_DEVIATION, rng);
    drawn.round().clamp(1.0, most) as usize
}

/// How likely each user is to be followed. Who is popular is left to chance.
fn popularity(degrees: &[usize], rng: &mut Rng) -> Weights {
    let slope = -1.0 / (EXPONENT - 1.0);
    let shift = shift(degrees, slope);
    let ranks = (0_u32..).take(degrees.len());
    let mut weights: Vec<_> = ranks
        .map(|rank| (f64::from(rank) + 1.0 + shift).powf(slope))
        .collect();
    rng.shuffle(&mut weights);
    Weights::new(&weights)
}

/// The shift of ranks with which the first has its share of all users for followers.
fn shift(degrees: &[usize], slope: f64) -> f64 {
    let mut counts = vec![0.0; degrees.iter().max().map_or(0, |most| most + 1)];
    for &degree in degrees {
        counts[degree] += 1.0;
    }
    let users: f64 = counts.iter().sum();
    // Nobody follows the first twice: whoever follows many adds less than they draw.
    let followed = |chance: f64| {
        let by = (0..).zip(&counts);
        by.map(|(degree, users)| users * (1.0 - (1.0 - chance).powi(degree)))
            .sum::<f64>()
    };
    let (mut low, mut high) = (0.0, users);
    for _ in 0..50 {
        let shift = f64::midpoint(low, high);
        let all = antiderivative(users + 0.5 + shift, slope) - antiderivative(0.5 + shift, slope);
        if followed((1.0 + shift).powf(slope) / all) > LEADERS_SHARE * users {
            low = shift;
        } else {
            high = shift;
        }
    }
    high
}

/// Of `x` to the power of `slope`. Between halves it comes close to the sum over whole numbers.
fn antiderivative(x: f64, slope: f64) -> f64 {
    x.powf(slope + 1.0) / (slope + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(seed: u64) -> FollowGraph {
        FollowGraph::generate(50_000, &mut Rng::with_seed(seed))
    }

    #[test]
    fn followers_have_the_published_tail_and_users_the_published_average() {
        for graph in [graph(1), graph(2)] {
            let exponent = graph.tail_exponent();
            assert!((exponent - EXPONENT).abs() < 0.1, "{exponent}");
            let share = f64::from(graph.most_followers()) / f64::from(graph.users());
            assert!((share - LEADERS_SHARE).abs() < 0.01, "{share}");
            let follows = u32::try_from(graph.follows()).unwrap();
            let average = f64::from(follows) / f64::from(graph.users());
            assert!((average / FOLLOWEES - 1.0).abs() < 0.05, "{average}");
        }
    }

    #[test]
    fn the_estimate_finds_the_exponent_of_a_power_law() {
        let mut rng = Rng::with_seed(7);
        let mut pareto = |_| {
            // By inversion, and rounded: the estimate is for whole numbers.
            let followers = 20.0 * (1.0 - rng.f64()).powf(-1.0 / 1.5);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counts"
            )]
            let followers = followers.round() as u32;
            followers
        };
        let graph = FollowGraph {
            starts: Vec::new(),
            followees: Vec::new(),
            followers: (0..200_000).map(&mut pareto).collect(),
        };
        let exponent = graph.tail_exponent();
        assert!((exponent - 2.5).abs() < 0.02, "{exponent}");
    }

    #[test]
    fn a_seed_makes_one_graph() {
        let (one, same, other) = (graph(1), graph(1), graph(2));
        assert_eq!(one.followees, same.followees);
        assert_eq!(one.starts, same.starts);
        assert_ne!(one.followees, other.followees);
    }

    #[test]
    fn nobody_follows_twice_or_themselves() {
        let graph = FollowGraph::generate(1_000, &mut Rng::with_seed(3));
        for viewer in 0..graph.users() {
            let followees = graph.followees(viewer);
            assert!(!followees.is_empty());
            assert!(followees.is_sorted_by(|a, b| a < b), "{followees:?}");
            assert!(!followees.contains(&viewer));
        }
    }
}
