mod answer;

use std::iter::zip;

use async_trait::async_trait;
use backplane::Timestamp;
use feed_core::{Activity, Habit, PostId, Result, Rhythm, UserId};
use redis::{Cmd, cmd};

use self::answer::Swapped;
use crate::{
    Redis,
    script::{Call, script},
};

/// [`Activity`] on Redis, which all nodes share.
///
/// | call | round trips | commands |
/// |---|---|---|
/// | [`note`](Activity::note) | 1, and 1 more where somebody's rhythm changes | `HGET` a user, and a script for each who changes |
/// | [`rhythms`](Activity::rhythms) | 1 | `HGET` a user |
/// | [`mark_read`](Activity::mark_read) | 1 | a script |
/// | [`marker`](Activity::marker), [`erase`](Activity::erase) | 1 | `HGET`, `DEL` |
///
/// Redis does not compute what [`Rhythm::again`] says, so a note replaces the rhythm that it has read, and
/// looks again if somebody else has replaced it meanwhile. Every node's notes of one user take effect.
///
/// A user is one key, and is kept until erased: as many as there is memory for. A server that loses its
/// newest writes has forgotten the newest visits and moved markers back to where they stood before.
#[derive(Clone, Debug)]
pub struct RedisActivity {
    redis: Redis,
}

script!(SWAP, "activity/swap.lua");
script!(MARK, "activity/mark.lua");

/// The field of a user that holds the marker.
const MARKER: &str = "m";

impl RedisActivity {
    /// Activity whose keys begin with the prefix of `redis` and `activity:`.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, user: UserId) -> String {
        format!("{}activity:{user}", self.redis.prefix())
    }

    fn look(&self, user: UserId, field: &str) -> Cmd {
        let mut look = cmd("HGET");
        look.arg(self.key(user)).arg(field);
        look
    }

    fn swap(&self, habit: Habit, user: UserId, old: Option<Rhythm>, new: Rhythm) -> Call {
        let old = old.map_or_else(Vec::new, answer::row);
        Call::of(&SWAP)
            .key(self.key(user))
            .bytes(field(habit))
            .bytes(old)
            .bytes(answer::row(new))
    }
}

#[async_trait]
impl Activity for RedisActivity {
    async fn note(&self, habit: Habit, users: &[UserId], at: Timestamp) -> Result<()> {
        let known = self.rhythms(habit, users).await?;
        let mut known: Vec<_> = zip(users.iter().copied(), known).collect();
        loop {
            let changes = known.iter().filter_map(|&(user, old)| {
                let new = old.map_or_else(|| Rhythm::first(at), |old| old.again(at));
                (old != Some(new)).then_some((user, old, new))
            });
            let changes: Vec<_> = changes.collect();
            if changes.is_empty() {
                return Ok(());
            }
            let swap = |&(user, old, new)| self.swap(habit, user, old, new);
            let swaps: Vec<_> = changes.iter().map(swap).collect();
            let swapped = self.redis.ask_all("note", &swaps, answer::swapped).await;
            known.clear();
            for ((user, ..), swapped) in zip(changes, swapped) {
                match swapped? {
                    Swapped::Done => {}
                    Swapped::Found(now) => known.push((user, now)),
                }
            }
        }
    }

    async fn rhythms(&self, habit: Habit, users: &[UserId]) -> Result<Vec<Option<Rhythm>>> {
        let look = |&user| self.look(user, field(habit));
        let looks: Vec<_> = users.iter().map(look).collect();
        let rhythms = self.redis.read_all("rhythms", &looks, answer::rhythm).await;
        rhythms
            .into_iter()
            .map(|rhythm| Ok(rhythm?.0))
            .collect::<Result<_>>()
    }

    async fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId> {
        let call = Call::of(&MARK)
            .key(self.key(viewer))
            .bytes(post.get().to_be_bytes());
        Ok(self.redis.ask("mark read", &call, answer::marker).await?)
    }

    async fn marker(&self, viewer: UserId) -> Result<PostId> {
        let look = self.look(viewer, MARKER);
        Ok(self.redis.read_one("marker", look, answer::marker).await?)
    }

    async fn erase(&self, user: UserId) -> Result<()> {
        let mut erase = cmd("DEL");
        erase.arg(self.key(user));
        self.redis.change("erase", erase).await?;
        Ok(())
    }
}

const fn field(habit: Habit) -> &'static str {
    match habit {
        Habit::Visit => "v",
        Habit::Post => "p",
    }
}
