//! What users do.

use fastrand::Rng;
use feed_core::{PostId, UserId};

use super::weights::{Weights, log_normal};

/// What has happened, and everything that is going to. Every policy gets the same.
///
/// - The busiest tenth of the authors writes 80 % of the posts (Pew Research Center, "Sizing up
///   Twitter users", 2019): posting rates are log-normal with a deviation of 2.12, which says just
///   that. They have nothing to do with how many follow an author.
/// - 50 reads come with each post (Twitter in 2013: 300,000 reads of timelines a second, 6,000
///   posts), unless the options say otherwise.
/// - Half of the users are around and read; fanout may leave out the rest. Those who read do so at
///   rates that are log-normal with a deviation of 1. Both figures are nobody's measurement.
#[derive(Debug)]
pub(super) struct Mix {
    /// The authors of what was posted before, oldest first.
    pub(super) past: Vec<u32>,
    /// Who is around, in ascending order.
    pub(super) around: Vec<u32>,
    /// Posts alone.
    pub(super) posts: Script,
    /// Posts among reads, for as fast as it goes.
    pub(super) burst: Script,
    /// The same, for a given rate.
    pub(super) beat: Script,
}

/// Operations in their order.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) operations: Vec<Operation>,
    /// The id of an operation that is a post is this, and the operation's place.
    first: u64,
}

/// What a user does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    Post { author: u32 },
    Read { viewer: u32 },
}

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amounts {
    pub(super) users: u32,
    pub(super) posts: u32,
    pub(super) reads_per_post: u32,
    pub(super) beat_posts: u32,
}

const POSTING_DEVIATION: f64 = 2.12;
const READING_DEVIATION: f64 = 1.0;
const AROUND: f64 = 0.5;

/// How many posts a user has written before, on average.
const PAST_POSTS: u32 = 5;

impl Mix {
    /// What this generator leads to.
    pub(super) fn generate(amounts: Amounts, rng: &mut Rng) -> Self {
        let Amounts { users, posts, .. } = amounts;
        let authors = spread(users, POSTING_DEVIATION, rng);
        let around: Vec<_> = (0..users).filter(|_| rng.f64() < AROUND).collect();
        let readers = u32::try_from(around.len()).expect("no more than users");
        let readers = spread(readers, READING_DEVIATION, rng);
        let past: Vec<_> = (0..users * PAST_POSTS).map(|_| authors.draw(rng)).collect();
        let mut first = past_post(past.len()).get();
        let mut script = |posts: u32, reads_per_post: u32| {
            let mut operations = Vec::new();
            for _ in 0..posts {
                let post = rng.u32(..=reads_per_post);
                operations.extend((0..=reads_per_post).map(|place| {
                    if place == post {
                        let author = authors.draw(rng);
                        Operation::Post { author }
                    } else {
                        let viewer = around[readers.draw(rng) as usize];
                        Operation::Read { viewer }
                    }
                }));
            }
            let script = Script { operations, first };
            first = script.post(script.operations.len()).get();
            script
        };
        Self {
            posts: script(posts, 0),
            burst: script(posts, amounts.reads_per_post),
            beat: script(amounts.beat_posts, amounts.reads_per_post),
            past,
            around,
        }
    }
}

impl Script {
    /// The id of the post that the operation at this place writes.
    pub(super) fn post(&self, place: usize) -> PostId {
        PostId::new(self.first + place as u64)
    }

    /// How many of the operations are posts.
    pub(super) fn posts(&self) -> usize {
        let posts = self.operations.iter();
        posts
            .filter(|operation| matches!(operation, Operation::Post { .. }))
            .count()
    }
}

/// The id of the post at a place in the past.
pub(super) fn past_post(place: usize) -> PostId {
    PostId::new(1 + place as u64)
}

/// The id under which the feed knows a user.
pub(super) fn user(index: u32) -> UserId {
    UserId::new(1 + u64::from(index))
}

/// Log-normal weights for so many.
fn spread(count: u32, deviation: f64, rng: &mut Rng) -> Weights {
    let weights: Vec<_> = (0..count)
        .map(|_| log_normal(1.0, deviation, rng))
        .collect();
    Weights::new(&weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNTS: Amounts = Amounts {
        users: 20_000,
        posts: 2_000,
        reads_per_post: 50,
        beat_posts: 10,
    };

    fn mix(seed: u64) -> Mix {
        Mix::generate(AMOUNTS, &mut Rng::with_seed(seed))
    }

    #[test]
    fn a_tenth_of_the_authors_writes_four_fifths() {
        let mut posts = vec![0; 20_000];
        for author in mix(1).past {
            posts[author as usize] += 1;
        }
        posts.sort_unstable();
        let busiest: u32 = posts[18_000..].iter().sum();
        let share = f64::from(busiest) / f64::from(posts.iter().sum::<u32>());
        assert!((share - 0.8).abs() < 0.03, "{share}");
    }

    #[test]
    fn the_mix_is_as_stated_and_only_those_around_read() {
        let mix = mix(1);
        assert_eq!(mix.burst.posts(), 2_000);
        assert_eq!(mix.burst.operations.len(), 51 * 2_000);
        assert_eq!(mix.posts.operations.len(), mix.posts.posts());
        assert!((9_000..11_000).contains(&mix.around.len()));
        for operation in &mix.burst.operations {
            if let Operation::Read { viewer } = operation {
                assert!(mix.around.binary_search(viewer).is_ok());
            }
        }
    }

    #[test]
    fn ids_of_posts_grow_from_one_part_to_the_next() {
        let mix = mix(1);
        let ids = [
            past_post(0),
            past_post(mix.past.len() - 1),
            mix.posts.post(0),
            mix.posts.post(mix.posts.operations.len() - 1),
            mix.burst.post(0),
            mix.burst.post(mix.burst.operations.len() - 1),
            mix.beat.post(0),
        ];
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }

    #[test]
    fn a_seed_makes_one_mix() {
        let (one, same, other) = (mix(1), mix(1), mix(2));
        assert_eq!(one.past, same.past);
        assert_eq!(one.around, same.around);
        assert_eq!(one.burst.operations, same.burst.operations);
        assert_ne!(one.burst.operations, other.burst.operations);
    }
}
