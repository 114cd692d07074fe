use std::collections::HashMap;

use feed_core::{PostId, Result, UserId};
use redis::{Value, cmd};

use crate::{
    Redis,
    feed::pass_over,
    script::{Call, script},
};

/// Whose each post is, by its id alone.
///
/// A location is written before the post that it is about, and stays as long as that post is live or
/// retracted. By itself it says nothing: only its author's keys tell whether there is a post.
///
/// It holds the author `u64` and the mark `u32` of the call that wanted the post last, in big endian. So who
/// has left no post lets go of the location only if no other call counts on it.
#[derive(Clone, Debug)]
pub(super) struct Locations {
    redis: Redis,
}

/// The locations of posts that a call wants.
#[derive(Debug)]
pub(super) struct Claims {
    mark: u32,
    by_post: HashMap<PostId, Claim>,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    author: UserId,
    /// Nobody had it before.
    is_new: bool,
}

script!(CLAIM, "claim.lua");
script!(RELEASE, "release.lua");

impl Locations {
    pub(super) const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Gives each post to the author beside it unless another has it. No post is there twice.
    pub(super) async fn claim(
        &self,
        op: &'static str,
        wanted: &[(PostId, UserId)],
    ) -> Result<Claims> {
        let mark = fastrand::u32(..);
        let call = |&(post, author): &(PostId, UserId)| {
            let call = Call::of(&CLAIM).key(self.key(post));
            call.bytes(location(author, mark))
        };
        let calls: Vec<_> = wanted.iter().map(call).collect();
        let answers = self.redis.ask_all(op, &calls, had).await;
        let by_post = HashMap::with_capacity(wanted.len());
        let mut claims = Claims { mark, by_post };
        let mut failure = None;
        for (&(post, author), had) in wanted.iter().zip(answers) {
            let claim = match had {
                Ok(Had::Nobody) => (author, true),
                Ok(Had::Same) => (author, false),
                Ok(Had::Other(author)) => (author, false),
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            let (author, is_new) = claim;
            claims.by_post.insert(post, Claim { author, is_new });
        }
        let Some(error) = failure else {
            return Ok(claims);
        };
        let posts: Vec<_> = claims.by_post.keys().copied().collect();
        self.release(op, &claims, &posts).await;
        Err(error.into())
    }

    /// Lets go of those of the posts that nobody had before, and nobody has wanted since. If that fails,
    /// what stays says nothing.
    pub(super) async fn release(&self, op: &'static str, claims: &Claims, posts: &[PostId]) {
        let starts = posts.iter().filter_map(|&post| {
            let claim = claims.by_post.get(&post).filter(|claim| claim.is_new)?;
            Some((post, location(claim.author, claims.mark)))
        });
        let starts: Vec<_> = starts.collect();
        let _ = self.remove(op, &starts).await;
    }

    /// Lets go of posts of the author, who has none of them any more or soon.
    pub(super) async fn forget(
        &self,
        op: &'static str,
        author: UserId,
        posts: &[PostId],
    ) -> Result<()> {
        let start = author.get().to_be_bytes();
        let starts: Vec<_> = posts.iter().map(|&post| (post, start)).collect();
        self.remove(op, &starts).await
    }

    /// Whose each post is, if it may be there. One that does not decode is nobody's.
    pub(super) async fn find(
        &self,
        op: &'static str,
        posts: &[PostId],
    ) -> Result<Vec<Option<UserId>>> {
        let get = |&post: &PostId| {
            let mut get = cmd("GET");
            get.arg(self.key(post));
            get
        };
        let commands: Vec<_> = posts.iter().map(get).collect();
        let found = self.redis.read_all(op, &commands, |found| match found {
            Value::Nil => Some(None),
            found => author_of(found).map(Some),
        });
        let found = found.await.into_iter().zip(posts);
        let found = found.map(|(found, post)| pass_over(found, || self.key(*post), None));
        Ok(found.collect::<backplane::Result<_>>()?)
    }

    /// Removes the locations that begin so.
    async fn remove<const N: usize>(
        &self,
        op: &'static str,
        starts: &[(PostId, [u8; N])],
    ) -> Result<()> {
        let call = |&(post, start): &_| Call::of(&RELEASE).key(self.key(post)).bytes(start);
        let calls: Vec<_> = starts.iter().map(call).collect();
        let removed = self.redis.ask_all(op, &calls, |_| Some(()));
        Ok(removed
            .await
            .into_iter()
            .collect::<backplane::Result<_>>()?)
    }

    fn key(&self, post: PostId) -> String {
        format!("{}{{post:{post}}}", self.redis.prefix())
    }
}

impl Claims {
    pub(super) fn author(&self, post: PostId) -> Option<UserId> {
        Some(self.by_post.get(&post)?.author)
    }
}

/// Who had a post before it was claimed.
enum Had {
    Nobody,
    Same,
    Other(UserId),
}

fn had(answer: &Value) -> Option<Had> {
    match answer {
        Value::Int(1) => Some(Had::Nobody),
        Value::Int(0) => Some(Had::Same),
        other => author_of(other).map(Had::Other),
    }
}

fn location(author: UserId, mark: u32) -> [u8; 12] {
    let mut location = [0; 12];
    location[..8].copy_from_slice(&author.get().to_be_bytes());
    location[8..].copy_from_slice(&mark.to_be_bytes());
    location
}

fn author_of(location: &Value) -> Option<UserId> {
    let Value::BulkString(location) = location else {
        return None;
    };
    let location: &[u8; 12] = location.as_slice().try_into().ok()?;
    let author = location.first_chunk()?;
    Some(UserId::new(u64::from_be_bytes(*author)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(u64::MAX);
    const POSTS: [PostId; 1] = [PostId::new(7)];

    async fn claim(locations: &Locations, author: UserId) -> Claims {
        let wanted = [(POSTS[0], author)];
        locations.claim("test", &wanted).await.unwrap()
    }

    #[tokio::test]
    async fn a_location_stays_that_another_call_counts_on() {
        let server = engines::Redis::start().unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let redis = client.get_connection_manager().await.unwrap();
        let locations = Locations::new(redis.into());
        let found = async || locations.find("test", &POSTS).await.unwrap()[0];
        let first = claim(&locations, ANN).await;
        let second = claim(&locations, ANN).await;
        let third = claim(&locations, BOB).await;
        assert_eq!(third.author(POSTS[0]), Some(ANN));
        for claims in [&first, &second, &third] {
            locations.release("test", claims, &POSTS).await;
            assert_eq!(found().await, Some(ANN));
        }
        locations.forget("test", BOB, &POSTS).await.unwrap();
        assert_eq!(found().await, Some(ANN));
        locations.forget("test", ANN, &POSTS).await.unwrap();
        assert_eq!(found().await, None);
        let alone = claim(&locations, BOB).await;
        assert_eq!(found().await, Some(BOB));
        locations.release("test", &alone, &POSTS).await;
        assert_eq!(found().await, None);
    }
}
