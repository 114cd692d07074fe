use std::collections::HashMap;

use backplane::Result;
use feed_core::{PostId, UserId};
use redis::{Value, cmd};

use crate::{
    Redis,
    feed::pass_over,
    script::{Call, script},
};

/// Whose a post is, by its id alone.
///
/// A location is written before the post that it is about, and stays as long as that post is live or
/// retracted. By itself it says nothing: only its author's keys tell whether there is a post.
#[derive(Clone, Debug)]
pub(super) struct Locations {
    redis: Redis,
}

/// Whose a post is, for one who wants it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) author: UserId,
    /// Nobody had it before.
    pub(super) is_new: bool,
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
    ) -> Result<HashMap<PostId, Claim>> {
        let call = |&(post, author): &_| self.call(Call::of(&CLAIM), post, author);
        let calls: Vec<_> = wanted.iter().map(call).collect();
        let read = |answer: &Value| match answer {
            Value::Int(1) => Some(None),
            Value::BulkString(author) => author_of(author).map(Some),
            _ => None,
        };
        let answers = self.redis.ask_all(op, &calls, read).await;
        let claim = |(&(post, wanted), had): (&_, Result<Option<UserId>>)| {
            let had = had?;
            let claim = Claim {
                author: had.unwrap_or(wanted),
                is_new: had.is_none(),
            };
            Ok((post, claim))
        };
        wanted.iter().zip(answers).map(claim).collect()
    }

    /// Lets go of posts of which the author beside them has none any more.
    pub(super) async fn release(&self, op: &'static str, posts: &[(PostId, UserId)]) -> Result<()> {
        let call = |&(post, author): &_| self.call(Call::of(&RELEASE), post, author);
        let calls: Vec<_> = posts.iter().map(call).collect();
        let released = self.redis.ask_all(op, &calls, |_| Some(()));
        released.await.into_iter().collect()
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
            Value::BulkString(author) => author_of(author).map(Some),
            _ => None,
        });
        let found = found.await.into_iter().zip(posts);
        let found = found.map(|(found, post)| pass_over(found, || self.key(*post), None));
        found.collect()
    }

    fn call(&self, call: Call, post: PostId, author: UserId) -> Call {
        call.key(self.key(post)).bytes(author.get().to_be_bytes())
    }

    fn key(&self, post: PostId) -> String {
        format!("{}{{post:{post}}}", self.redis.prefix())
    }
}

fn author_of(bytes: &[u8]) -> Option<UserId> {
    let author = bytes.try_into().ok()?;
    Some(UserId::new(u64::from_be_bytes(author)))
}
