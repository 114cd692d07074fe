use feed_core::{Entry, PostId, UserId};

pub(crate) const VIEWERS: u64 = 100_000;
pub(crate) const CAPACITY: u64 = 800;

/// The first post's id: 57 bits, as of an id that carries a time.
const FIRST: u64 = 1_790_000_000_000 << 16;

/// How many posts there are between two of a viewer's, to begin with.
const SPACE: u64 = 997;

/// The viewers and what is posted to them, one post after the other.
pub(crate) struct Crowd {
    /// Several times all viewers, each time in another order.
    viewers: Vec<UserId>,
    next: usize,
    posts: u64,
    repost_every: u64,
    pub(crate) rng: fastrand::Rng,
}

impl Crowd {
    /// `viewers` viewers; of the posts one in `repost_every` is a repost.
    pub(crate) fn new(viewers: u64, repost_every: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut all: Vec<_> = (0..viewers).map(UserId::new).collect();
        let orders = (0..8).flat_map(|_| {
            rng.shuffle(&mut all);
            all.clone()
        });
        Self {
            viewers: orders.collect(),
            next: 0,
            posts: SPACE * CAPACITY,
            repost_every,
            rng,
        }
    }

    /// The entries of full timelines, ascending.
    pub(crate) fn line(&self) -> impl Iterator<Item = Entry> {
        let ages = (0..CAPACITY).rev();
        ages.map(|age| self.entry(4 * (self.posts - SPACE * age)))
    }

    pub(crate) fn viewer(&mut self) -> UserId {
        self.followers(1)[0]
    }

    /// The next `count` viewers, none of them twice if `count` divides their number.
    pub(crate) fn followers(&mut self, count: usize) -> &[UserId] {
        let start = self.next.next_multiple_of(count);
        let start = if start + count > self.viewers.len() {
            0
        } else {
            start
        };
        self.next = start + count;
        &self.viewers[start..self.next]
    }

    /// The next post; one in twenty is late by so many posts as every viewer gets three of.
    pub(crate) fn post(&mut self, followers: u32) -> Entry {
        self.posts += 1;
        let round = VIEWERS / u64::from(followers);
        match self.posts % 20 {
            0 => self.entry(4 * (self.posts - 3 * round) + 2),
            _ => self.entry(4 * self.posts),
        }
    }

    fn entry(&self, raw: u64) -> Entry {
        let (post, author) = (PostId::new(FIRST + raw), UserId::new(VIEWERS + raw % 977));
        if (raw / 4).is_multiple_of(self.repost_every) {
            Entry::repost(post, author, PostId::new(raw))
        } else {
            Entry::original(post, author)
        }
    }
}
