mod answer;
mod append;
mod line;
mod locations;
mod merge;

use async_trait::async_trait;
use bytes::Bytes;
use feed_core::{
    Appended, Entry, IdempotencyKey, Outbox, Post, PostId, PostState, Publication, Result,
    Retracted, Revised, Seek, UserId,
};
use redis::{Value, cmd};

use self::{
    answer::{Version, Withdrawn},
    append::Run,
    line::{Line, bytes_of},
    locations::Locations,
};
use crate::{
    Redis,
    batches::BATCH,
    feed::pass_over,
    script::{Call, Script, script},
};

/// An [`Outbox`] on Redis, which all nodes share.
///
/// All that an author has published is in one slot of a Cluster, and one script changes it in one step.
/// Whose a post is says its location, in the slot of the post, which is written before. So a location alone
/// means nothing, and a post is seen when its author's script has run.
///
/// ```no_run
/// use backend_redis::{Redis, RedisOutbox, RedisOutboxOptions};
/// use feed_core::{Entry, Outbox, PostId, Publication, Seek, UserId};
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let redis = Redis::from(client.get_connection_manager().await?);
/// let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
/// let ann = UserId::new(1);
/// let entry = Entry::original(PostId::new(10), ann);
/// outbox.append(&[Publication::new(entry, "hello".into())]).await?;
/// assert_eq!(outbox.latest(&[ann], Seek::Newest, 20).await?, [entry]);
/// # Ok(()) }
/// ```
///
/// # Round trips
///
/// | call | round trips | commands |
/// |---|---|---|
/// | [`append`](Outbox::append) | 2; 3 if an item stores nothing | a script for each post, then one for each author |
/// | [`revise`](Outbox::revise) | 1; 3 if the post is not the author's | a script |
/// | [`retract`](Outbox::retract) | 1; 3 if the post is not there, and 2 more if it is another author's; 1 more to let a retraction go that is not kept | a script |
/// | [`latest`](Outbox::latest) | 1 up to 4,000 entries, which is the limit times the authors; or else some more | one for each author |
/// | [`heads`](Outbox::heads) | 1 | one for each author |
/// | [`lookup`](Outbox::lookup) | 2 | one for each post, then two |
/// | [`posts`](Outbox::posts) | 2 | one for each post, then a script for each author |
/// | [`published`](Outbox::published) | 1 | one |
/// | [`erase`](Outbox::erase) | 3 | two, then a script for each post, then one |
///
/// A round trip goes to all servers at once that are concerned, and takes up to a thousand commands; more
/// are sent in turn. In a Cluster those to one master are one pipeline, and 32 pipelines are under way at a
/// time, or 32 commands over a `ClusterConnection`, so that more take longer. A script does a few commands for each post that it is about, of which there are at most a thousand.
/// [`erase`](Outbox::erase) forgets no more than that at a time.
///
/// # Ids
///
/// A post belongs to the author who was first to append or retract it. Another author's append of
/// it is a [`Duplicate`](Appended::Duplicate), and another's retraction is [`NotAuthor`](Retracted::NotAuthor),
/// as soon as the first has begun, and also if that one failed half way and is never made again.
///
/// An append that is under way while its author is erased may leave a post which
/// [`latest`](Outbox::latest) and [`heads`](Outbox::heads) name and [`lookup`](Outbox::lookup) does not know,
/// so that no page shows it. Making the append again or erasing the author again mends it.
///
/// # Room
///
/// There is no bound on posts but the server's `maxmemory`. A server that has reached it refuses
/// as [`ErrorKind::Full`](feed_core::ErrorKind::Full) what its authors publish; those on other servers
/// go on. Its policy must not evict these keys: `noeviction`, or one of the `volatile` ones, since no key
/// here has a time to live.
///
/// A post takes about 130 bytes, and with a body of 140 bytes 350.
///
/// # What Redis may lose
///
/// An outbox is the truth of a feed, and a server that dies may lose what it has answered last: a post
/// is gone that was acknowledged, or is live again that was retracted or erased. A post of which a Cluster
/// loses only one half is in its author's outbox and on no page, or nowhere.
///
/// Let Redis write through (`appendfsync always`), and give the outbox a connection
/// [`with_replicas`](Redis::with_replicas): whatever was acknowledged is then not lost when a server is
/// started again, or one of the replicas takes over that all had to have it. Or keep the outbox in
/// a file or an SQL database, and the other stores of the feed here.
///
/// # What does not decode
///
/// A post whose location or line does not decode is absent to [`latest`](Outbox::latest),
/// [`lookup`](Outbox::lookup) and [`posts`](Outbox::posts), which many pages share, and told as an error event
/// of `tracing`. To other calls of its author it is [`ErrorKind::Corrupt`](feed_core::ErrorKind::Corrupt).
#[derive(Clone, Debug)]
pub struct RedisOutbox {
    redis: Redis,
    locations: Locations,
    options: RedisOutboxOptions,
}

/// The bounds of a [`RedisOutbox`]. All nodes give the same.
///
/// An author of whom more was kept under larger ones keeps it for a while: each key and each retraction
/// that is added lets up to 64 go.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedisOutboxOptions {
    /// How many idempotency keys are kept for each author, the newest. 1,000 by default: a retry is
    /// recognised until its author has published that often since.
    pub keys_per_author: usize,
    /// How many retractions are kept for each author, those with the largest ids. 10,000 by default.
    /// A post whose retraction is not kept is absent, and every absent post of its author up to that
    /// id counts as retracted: an append that comes later stores nothing.
    pub retractions_per_author: usize,
}

script!(REVISE, "outbox/outbox.lua", "outbox/revise.lua");
script!(RETRACT, "outbox/outbox.lua", "outbox/retract.lua");
script!(ERASE, "outbox/outbox.lua", "outbox/erase.lua");
script!(POSTS, "outbox/outbox.lua", "outbox/posts.lua");

impl RedisOutbox {
    /// The outbox whose keys begin with the prefix of `redis` and `{outbox:AUTHOR}` or `{post:POST}`.
    #[must_use]
    pub fn new(redis: Redis, options: RedisOutboxOptions) -> Self {
        Self {
            locations: Locations::new(redis.clone()),
            redis,
            options,
        }
    }

    fn key(&self, author: UserId) -> String {
        format!("{}{{outbox:{author}}}", self.redis.prefix())
    }

    fn call(&self, script: &'static Script, author: UserId) -> Call {
        Call::of(script).family(self.key(author))
    }

    /// The state of each post in the keys of the author beside it.
    async fn states(&self, op: &'static str, posts: &[(UserId, PostId)]) -> Result<Vec<PostState>> {
        let mut commands = Vec::with_capacity(2 * posts.len());
        for &(author, post) in posts {
            let key = self.key(author);
            // First: a post that is retracted between the two was live.
            commands.push(line::one(&key, post));
            let mut retracted = cmd("ZSCORE");
            retracted
                .arg(format!("{key}:retracted"))
                .arg(&bytes_of(post));
            commands.push(retracted);
        }
        let read = |answer: &Value| match answer {
            Value::Nil => Some(Told::Nothing),
            Value::Array(_) => match Line::read_all(answer)?.first() {
                Some(line) => Some(Told::Live(*line)),
                None => Some(Told::Nothing),
            },
            _ => Some(Told::Retracted),
        };
        let told = self.redis.read_all(op, &commands, read).await;
        let told = told.into_iter().enumerate().map(|(at, told)| {
            let (author, _) = posts[at / 2];
            pass_over(told, || self.key(author), Told::Nothing)
        });
        let told: Vec<_> = told.collect::<backplane::Result<_>>()?;
        let state = |(told, (author, _)): (&[Told], &(UserId, PostId))| match told {
            [Told::Live(line), _] => line.state(*author),
            [_, Told::Retracted] => PostState::Retracted,
            _ => PostState::Absent,
        };
        Ok(told.chunks(2).zip(posts).map(state).collect())
    }

    /// Where those of the posts are that may be anywhere, and whose they are there.
    async fn located(
        &self,
        op: &'static str,
        posts: &[PostId],
    ) -> Result<(Vec<usize>, Vec<(UserId, PostId)>)> {
        let found = self.locations.find(op, posts).await?;
        let found = found.into_iter().zip(posts).enumerate();
        let found = found.filter_map(|(place, (author, &post))| Some((place, (author?, post))));
        Ok(found.unzip())
    }

    /// The state of `post` if somebody other than `author` may have it.
    async fn foreign(
        &self,
        op: &'static str,
        author: UserId,
        post: PostId,
    ) -> Result<Option<PostState>> {
        match self.locations.find(op, &[post]).await?[..] {
            [Some(other)] if other != author => Ok(self.states(op, &[(other, post)]).await?.pop()),
            _ => Ok(None),
        }
    }

    /// Retracts a post; `None` if it is not in its author's keys, and may be somebody else's.
    async fn withdraw(&self, author: UserId, post: PostId, is_here: bool) -> Result<Withdrawn> {
        let call = self
            .call(&RETRACT, author)
            .number(self.options.retractions_per_author as u64)
            .bytes(bytes_of(post))
            .number(u64::from(is_here));
        let withdrawn = self.redis.ask("retract", &call, answer::withdrawn).await?;
        if let Withdrawn::Now { dropped, .. } = &withdrawn {
            // What stays if that fails says nothing.
            let _ = self.locations.forget("retract", author, dropped).await;
        }
        Ok(withdrawn)
    }

    /// Up to `limit` posts of `author`: live ones newest first, then retracted ones.
    async fn some(&self, author: UserId, limit: usize) -> Result<Vec<PostId>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let key = self.key(author);
        let last = limit - 1;
        let (mut live, mut retracted) = (cmd("ZREVRANGE"), cmd("ZRANGE"));
        live.arg(&key).arg(0).arg(last);
        retracted.arg(format!("{key}:retracted")).arg(0).arg(last);
        let both = [live, retracted];
        let mut posts = Vec::new();
        for some in self.redis.read_all("erase", &both, answer::posts).await {
            posts.extend(some?);
        }
        posts.truncate(limit);
        Ok(posts)
    }
}

/// What one of two answers says of a post.
enum Told {
    Live(Line),
    Retracted,
    Nothing,
}

#[async_trait]
impl Outbox for RedisOutbox {
    async fn append(&self, items: &[Publication]) -> Result<Vec<Appended>> {
        Publication::check_ids(items, "append")?;
        let mut answers = Vec::with_capacity(items.len());
        for items in append::runs(items) {
            let run = Run::begin(self, items).await?;
            answers.extend(run.finish().await?);
        }
        Ok(answers)
    }

    async fn revise(&self, author: UserId, post: PostId, body: Bytes) -> Result<Revised> {
        const OP: &str = "revise";
        let call = self
            .call(&REVISE, author)
            .bytes(bytes_of(post))
            .bytes(&body[..]);
        match self.redis.ask(OP, &call, answer::version).await? {
            Version::New(version) => Ok(Revised::Stored(version)),
            Version::Retracted => Ok(Revised::Gone),
            Version::NotHere => match self.foreign(OP, author, post).await? {
                Some(PostState::Live { .. }) => Ok(Revised::NotAuthor),
                _ => Ok(Revised::Gone),
            },
        }
    }

    async fn retract(&self, author: UserId, post: PostId) -> Result<Retracted> {
        const OP: &str = "retract";
        let mut withdrawn = self.withdraw(author, post, false).await?;
        if matches!(withdrawn, Withdrawn::NotHere) {
            let claims = self.locations.claim(OP, &[(post, author)]).await?;
            if claims.author(post) != Some(author) {
                return Ok(match self.foreign(OP, author, post).await? {
                    Some(PostState::Retracted) => Retracted::Absent,
                    _ => Retracted::NotAuthor,
                });
            }
            withdrawn = self.withdraw(author, post, true).await?;
            if matches!(withdrawn, Withdrawn::BelowFloor) {
                self.locations.release(OP, &claims, &[post]).await;
            }
        }
        Ok(match withdrawn {
            Withdrawn::Now {
                line: Some(line), ..
            } => Retracted::Removed(line.entry(author)),
            _ => Retracted::Absent,
        })
    }

    async fn latest(&self, authors: &[UserId], seek: Seek, limit: usize) -> Result<Vec<Entry>> {
        let key = |author| self.key(author);
        Ok(merge::merge(&self.redis, key, authors, seek, limit).await?)
    }

    async fn heads(&self, authors: &[UserId]) -> Result<Vec<Option<PostId>>> {
        let newest = |&author: &UserId| line::range(&self.key(author), Seek::Newest, 1);
        let commands: Vec<_> = authors.iter().map(newest).collect();
        let heads = self.redis.read_all("heads", &commands, answer::posts).await;
        let head = |newest: backplane::Result<Vec<PostId>>| Ok(newest?.first().copied());
        heads.into_iter().map(head).collect()
    }

    async fn lookup(&self, posts: &[PostId]) -> Result<Vec<PostState>> {
        const OP: &str = "lookup";
        let (places, owned) = self.located(OP, posts).await?;
        let mut states = vec![PostState::Absent; posts.len()];
        for (place, state) in places.into_iter().zip(self.states(OP, &owned).await?) {
            states[place] = state;
        }
        Ok(states)
    }

    async fn posts(&self, posts: &[PostId]) -> Result<Vec<Option<Post>>> {
        const OP: &str = "posts";
        let (places, owned) = self.located(OP, posts).await?;
        let call = |author: &UserId, some: &[usize]| {
            let call = Call::reading(&POSTS).family(self.key(*author));
            let posts = some.iter().map(|&which| bytes_of(posts[places[which]]));
            posts.fold(call, Call::bytes)
        };
        let authors = owned.iter().map(|(author, _)| *author);
        let answers = self.redis.ask_batches(OP, authors, call, answer::whole);
        let mut whole = vec![None; posts.len()];
        for ((author, some), answer) in answers.await {
            let found = pass_over(answer, || self.key(author), Vec::new())?;
            for (which, found) in some.into_iter().zip(found) {
                let found = pass_over(found, || self.key(author), None)?;
                whole[places[which]] = found.map(|(line, body)| line.whole(author, body));
            }
        }
        Ok(whole)
    }

    async fn published(&self, author: UserId, key: &IdempotencyKey) -> Result<Option<PostId>> {
        let mut get = cmd("HGET");
        get.arg(format!("{}:keys", self.key(author)))
            .arg(key.as_str());
        let read = |answer: &Value| match answer {
            Value::Nil => Some(None),
            post => answer::post(post).map(Some),
        };
        Ok(self.redis.read_one("published", get, read).await?)
    }

    async fn erase(&self, author: UserId, limit: usize) -> Result<usize> {
        const OP: &str = "erase";
        loop {
            let posts = self.some(author, limit.min(BATCH)).await?;
            // First, since the keys of the author are how a call that comes again finds them.
            self.locations.forget(OP, author, &posts).await?;
            let call = self.call(&ERASE, author);
            let ids = posts.iter().map(|&post| bytes_of(post));
            let call = ids.fold(call, Call::bytes);
            let read = |answer: &Value| match answer {
                Value::Int(erased) => usize::try_from(*erased).ok(),
                _ => None,
            };
            let erased = self.redis.ask(OP, &call, read).await?;
            // Somebody else may have erased these, but not all.
            if erased > 0 || posts.is_empty() {
                return Ok(erased);
            }
        }
    }
}

impl RedisOutboxOptions {
    /// Keep `keys` idempotency keys for each author.
    #[must_use]
    pub const fn with_keys_per_author(mut self, keys: usize) -> Self {
        self.keys_per_author = keys;
        self
    }

    /// Keep `retractions` retractions for each author.
    #[must_use]
    pub const fn with_retractions_per_author(mut self, retractions: usize) -> Self {
        self.retractions_per_author = retractions;
        self
    }
}

impl Default for RedisOutboxOptions {
    fn default() -> Self {
        Self {
            keys_per_author: 1_000,
            retractions_per_author: 10_000,
        }
    }
}
