use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use backend_redb::{
    RedbFeedOptions, Writer, WriterOptions,
    redb::{Database, backends::InMemoryBackend},
};
use backend_redis::{
    Redis, RedisBus, RedisBusOptions, RedisFeedOptions,
    redis::{IntoConnectionInfo, cmd},
};
use backplane::{Clock, CoarseClock, bus::Bus, hub::HubOptions, id::IdError};
use feed_core::{FeedParts, LiveFeeds};

use crate::{Accounts, Engine, live::Announcer};

/// Everything that the server keeps. Change `parts` before the [`Api`](crate::Api) is made of it.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what an application of this kind brings together"
)]
pub struct Store {
    /// What the feed is made of.
    pub parts: FeedParts,
    /// What carries changes to open screens. The `events` of `parts` go there.
    pub live: LiveFeeds,
    /// The users.
    pub accounts: Accounts,
    /// Where all of it is kept.
    pub engine: Engine,
}

/// The one file in the data directory. It holds the secret that tokens are signed with, so it is its
/// owner's alone.
const FILE: &str = "feed.redb";

impl Store {
    /// Opens what is in `directory`, which is made if it is missing.
    ///
    /// The database is made readable for its owner alone, also if it was there before. So is the
    /// directory, but only if it is made here.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made, another process has its database open, or it is damaged.
    pub async fn open(directory: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let path = directory.join(FILE);
        let cannot = || format!("cannot open the database {}", path.display());
        let file = private(&path).with_context(cannot)?;
        let database = Database::builder().create_file(file).with_context(cannot)?;
        backend_redb::sync_path(&path).with_context(cannot)?;
        Self::on(database).await
    }

    /// A store that is gone with the process, for tests.
    ///
    /// # Errors
    ///
    /// If the system gives no thread or no randomness.
    pub async fn in_memory() -> anyhow::Result<Self> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        Self::on(database).await
    }

    /// Opens what is on the Redis server of this URL, or on the Cluster of which these name nodes. All
    /// servers that do so are one service. One that still loads its data is waited for, a minute at most.
    ///
    /// # Errors
    ///
    /// If none of them can be reached, or what is there is damaged.
    pub async fn on_redis(urls: &[String]) -> anyhow::Result<Self> {
        let servers = servers(urls)?;
        let connected = Redis::connect(urls).await;
        let (redis, client) = connected.with_context(|| {
            format!("cannot use {servers}: is there a Redis, and does the URL have its password?")
        })?;
        let bus = RedisBus::new(redis.clone(), client, RedisBusOptions::default());
        let bus: Arc<dyn Bus> = Arc::new(bus);
        let clock: Arc<dyn Clock> = Arc::new(CoarseClock::new());
        let live = LiveFeeds::across(Arc::clone(&bus), Arc::clone(&clock), HubOptions::default());
        wait_to_serve(&redis, &*clock).await;
        let options = RedisFeedOptions::default();
        let cannot = || format!("cannot open what is on {servers}");
        let parts = backend_redis::feed_parts(&redis, clock, options).await;
        let parts = parts.with_context(cannot)?;
        let accounts = Accounts::on_redis(redis.clone()).await;
        let accounts = accounts.with_context(cannot)?;
        let engine = Engine::Redis { redis, bus };
        Ok(Self::of(parts, live, accounts, engine))
    }

    async fn on(database: Database) -> anyhow::Result<Self> {
        let writer = Writer::start(Arc::new(database), WriterOptions::default())?;
        let accounts = Accounts::in_file(&writer).await?;
        let live = LiveFeeds::new(HubOptions::default());
        let clock = Arc::new(CoarseClock::new());
        let options = RedbFeedOptions::default();
        // What a crash leaves is shorter; a clock that was wrong may leave anything.
        let patience = options.ids.reserve * 2;
        let parts = backend_redb::feed_parts(&writer, clock, options).await?;
        wait_for_ids(&parts, patience).await?;
        Ok(Self::of(parts, live, accounts, Engine::File(writer)))
    }

    fn of(mut parts: FeedParts, live: LiveFeeds, accounts: Accounts, engine: Engine) -> Self {
        let announcer = Announcer::new(live.hub().clone(), engine.bus().cloned());
        parts.events = Arc::new(announcer);
        live.attach(&mut parts);
        parts.users = Some(Arc::new(accounts.clone()));
        Self {
            parts,
            live,
            accounts,
            engine,
        }
    }
}

/// Waits for a Redis that has been started, or a Cluster that has lost a master, as long as may do any good.
async fn wait_to_serve(redis: &Redis, clock: &dyn Clock) {
    const LONGEST: Duration = Duration::from_secs(60);
    const PAUSE: Duration = Duration::from_secs(1);
    let (exists, start) = (cmd("EXISTS").arg("any key").take(), clock.monotonic());
    while let Err(error) = redis.command("open", &exists).await
        && error.is_retryable()
        && clock.monotonic().saturating_sub(start) < LONGEST
    {
        tracing::warn!(%error, "Redis does not serve yet: waiting for it");
        clock.sleep(PAUSE).await;
    }
}

/// The servers that these URLs name, without the passwords that may stand there.
fn servers(urls: &[String]) -> anyhow::Result<String> {
    let server = |(number, url): (usize, &String)| match url.as_str().into_connection_info() {
        Ok(info) => Ok(info.addr().to_string()),
        // Of the URL itself nothing is said, since what is wrong may be its password.
        Err(_) => bail!(
            "URL {number} is none of a Redis server: give one like redis://127.0.0.1:6379/ or redis://:PASSWORD@HOST/"
        ),
    };
    let servers: Result<Vec<_>, _> = (1..).zip(urls).map(server).collect();
    Ok(servers?.join(", "))
}

/// Opens the file, which is made if it is missing, and hides it from everybody else.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.mode(OWNER_ONLY).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0
        && let Err(error) = file.set_permissions(Permissions::from_mode(OWNER_ONLY))
    {
        // Its owner is somebody else, or the file system knows no such thing.
        tracing::warn!(%error, path = %path.display(), "others may read the database");
    }
    Ok(file)
}

const OWNER_ONLY: u32 = 0o600;

/// About how long a disk takes to note how far ids have come.
const FSYNC: Duration = Duration::from_millis(10);

/// After a crash, ids go on only behind all that the process before may have issued: a moment ahead
/// of the clock. Who posts should not meet that; but rather that than no server, if they are further
/// ahead than `patience`.
async fn wait_for_ids(parts: &FeedParts, patience: Duration) -> anyhow::Result<()> {
    let clock = &parts.clock;
    let start = clock.monotonic();
    while let Err(error) = parts.ids.next_id() {
        let wait = match error {
            IdError::AwaitingMark => FSYNC,
            error => match error.retry_after() {
                Some(wait) => wait,
                None => return Err(error).context("cannot make ids of posts"),
            },
        };
        let waited = clock.monotonic().saturating_sub(start);
        if waited + wait > patience {
            tracing::warn!(?wait, "ids are ahead of the clock, and nobody can post yet");
            break;
        }
        clock.sleep(wait).await;
    }
    Ok(())
}
