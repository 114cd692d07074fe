mod redb;
mod redis;

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use backend_redb::Writer;
use backend_redis::Redis;
use feed_core::{User, UserId, UserSource};
use serde::{Serialize, Serializer};

use self::{redb::RedbAccounts, redis::RedisAccounts};
use crate::TokenKey;

/// The users of this application, and what their tokens are signed with: tables of its own on the same
/// engine as the feed, and none of the feed's business.
///
/// `feed-core` knows users by their ids alone. This is the user table that the application brings.
#[derive(Clone, Debug)]
pub struct Accounts {
    table: Arc<dyn Table>,
    token_key: Arc<TokenKey>,
}

/// Names and ids of users, and a secret. Every process that shares it finds the same.
#[async_trait]
trait Table: fmt::Debug + Send + Sync {
    /// The id of `name`, a new one if it has none.
    async fn insert(&self, name: &Name) -> backplane::Result<UserId>;

    async fn find(&self, name: &Name) -> backplane::Result<Option<UserId>>;

    /// The names of these ids, in the order asked.
    async fn names(&self, users: &[UserId]) -> backplane::Result<Vec<Option<Name>>>;
}

/// One user.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a row of a table of two columns")]
pub struct Account {
    /// What the feed knows of them.
    pub id: UserId,
    /// What people call them.
    pub name: Name,
}

/// What people call a user: 1 to 30 lower-case letters of ASCII, digits and underscores.
///
/// ```
/// use feed_server::Name;
///
/// assert_eq!("Ann_2".parse::<Name>()?.as_str(), "ann_2");
/// assert!("ann lee".parse::<Name>().is_err());
/// # Ok::<(), feed_server::InvalidName>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Name(Arc<str>);

/// The text is not a [`Name`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a name has 1 to 30 letters, digits and underscores")]
#[non_exhaustive]
pub struct InvalidName;

impl Accounts {
    /// How many accounts there may be.
    pub const MAX: u64 = 10_000_000;

    /// Those in a file.
    ///
    /// # Errors
    ///
    /// If the database fails, or the system has no randomness.
    pub async fn in_file(writer: &Writer) -> anyhow::Result<Self> {
        let (table, secret) = RedbAccounts::open(writer, fresh()?).await?;
        Ok(Self::new(Arc::new(table), secret))
    }

    /// Those on Redis, which every server there shares.
    ///
    /// Where Redis has lost them, people sign in again as somebody new, with an id that nobody had. Where it
    /// has lost everything, all servers are to be started again: each goes on with the
    /// [`token_key`](Self::token_key) that it found, and those that come later know another.
    ///
    /// # Errors
    ///
    /// If Redis fails, or the system has no randomness.
    pub async fn on_redis(redis: Redis) -> anyhow::Result<Self> {
        let (table, secret) = RedisAccounts::open(redis, fresh()?).await?;
        Ok(Self::new(Arc::new(table), secret))
    }

    fn new(table: Arc<dyn Table>, secret: [u8; 32]) -> Self {
        let token_key = Arc::new(TokenKey::new(secret));
        Self { table, token_key }
    }

    /// The account of this name, made if it is missing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](backplane::ErrorKind::Full) at [`MAX`](Self::MAX) accounts; otherwise fails if
    /// the engine does, and retrying is safe.
    pub async fn sign_in(&self, name: &Name) -> backplane::Result<Account> {
        let id = match self.table.find(name).await? {
            Some(id) => id,
            None => self.table.insert(name).await?,
        };
        let name = name.clone();
        Ok(Account { id, name })
    }

    /// The account of this name.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    pub async fn find(&self, name: &Name) -> backplane::Result<Option<Account>> {
        let id = self.table.find(name).await?;
        let name = name.clone();
        Ok(id.map(|id| Account { id, name }))
    }

    /// The accounts of these ids, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    pub async fn of(&self, users: &[UserId]) -> backplane::Result<Vec<Option<Account>>> {
        let names = self.table.names(users).await?;
        let account = |(&id, name): (_, Option<Name>)| name.map(|name| Account { id, name });
        Ok(users.iter().zip(names).map(account).collect())
    }

    /// What tokens are signed with.
    #[must_use]
    pub fn token_key(&self) -> &TokenKey {
        &self.token_key
    }
}

/// A secret, should there be none yet.
fn fresh() -> anyhow::Result<[u8; 32]> {
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh)?;
    Ok(fresh)
}

/// Tells the feed what people call its users.
#[async_trait]
impl UserSource for Accounts {
    async fn users(&self, users: &[UserId]) -> feed_core::Result<Vec<Option<User>>> {
        let accounts = self.of(users).await?.into_iter();
        let profile = |account: Account| User::new(account.id, account.name.as_str().to_owned());
        Ok(accounts.map(|account| account.map(profile)).collect())
    }
}

impl Account {
    /// What [`Accounts`] has told the feed.
    pub(crate) fn of_user(user: &User) -> Option<Self> {
        let name = std::str::from_utf8(&user.profile).ok()?.parse().ok()?;
        Some(Self { id: user.id, name })
    }
}

impl Name {
    /// The longest name.
    pub const MAX_LEN: usize = 30;

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.bytes().all(allowed) {
            return Err(InvalidName);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
