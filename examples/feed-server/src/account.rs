use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use backend_redb::{
    Failure, Writer,
    redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction},
};
use backplane::ErrorKind;
use feed_core::{User, UserId, UserSource};
use serde::{Serialize, Serializer};

use crate::TokenKey;

/// The users of this application, and what their tokens are signed with: durable tables in the same
/// database as the feed, but none of the feed's business.
///
/// `feed-core` knows users by their ids alone. This is the user table that the application brings.
#[derive(Clone, Debug)]
pub struct Accounts {
    writer: Writer,
    token_key: Arc<TokenKey>,
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

const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("accounts.ids");
const NAMES: TableDefinition<'_, u64, &str> = TableDefinition::new("accounts.names");
const SECRETS: TableDefinition<'_, &str, [u8; 32]> = TableDefinition::new("accounts.secrets");
const TOKEN_SECRET: &str = "token";

impl Accounts {
    /// How many accounts there may be.
    pub const MAX: u64 = 10_000_000;

    /// Opens the tables, or makes them.
    ///
    /// # Errors
    ///
    /// If the database fails, or the system has no randomness.
    pub async fn open(writer: &Writer) -> anyhow::Result<Self> {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh)?;
        let secret = writer.run(move |txn| {
            txn.open_table(IDS)?;
            txn.open_table(NAMES)?;
            let mut secrets = txn.open_table(SECRETS)?;
            let kept = secrets.get(TOKEN_SECRET)?.map(|kept| kept.value());
            if kept.is_none() {
                secrets.insert(TOKEN_SECRET, fresh)?;
            }
            Ok(kept.unwrap_or(fresh))
        });
        Ok(Self {
            token_key: Arc::new(TokenKey::new(secret.await?)),
            writer: writer.clone(),
        })
    }

    /// The account of this name, made if it is missing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] at [`MAX`](Self::MAX) accounts; otherwise fails if the database does, and
    /// retrying is safe.
    pub async fn sign_in(&self, name: &Name) -> backplane::Result<Account> {
        if let Some(account) = self.find(name)? {
            return Ok(account);
        }
        let wanted = name.clone();
        let id = self.writer.run(move |txn| insert(txn, &wanted)).await;
        let id = id.map_err(|failure| failure.of("sign in"))?;
        let name = name.clone();
        Ok(Account { id, name })
    }

    /// The account of this name.
    ///
    /// # Errors
    ///
    /// Fails if the database does.
    pub fn find(&self, name: &Name) -> backplane::Result<Option<Account>> {
        let id = self
            .id(name)
            .map_err(|failure| failure.of("find account"))?;
        let name = name.clone();
        Ok(id.map(|id| Account { id, name }))
    }

    /// The accounts of these ids, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if the database does.
    pub fn of(&self, users: &[UserId]) -> backplane::Result<Vec<Option<Account>>> {
        let accounts = self.accounts(users);
        accounts.map_err(|failure| failure.of("look accounts up"))
    }

    /// What tokens are signed with.
    #[must_use]
    pub fn token_key(&self) -> &TokenKey {
        &self.token_key
    }

    fn id(&self, name: &Name) -> Result<Option<UserId>, Failure> {
        let ids = self.writer.database().begin_read()?.open_table(IDS)?;
        let id = ids.get(name.as_str())?;
        Ok(id.map(|id| UserId::new(id.value())))
    }

    fn accounts(&self, users: &[UserId]) -> Result<Vec<Option<Account>>, Failure> {
        let names = self.writer.database().begin_read()?.open_table(NAMES)?;
        let account = |id: &UserId| {
            let name = names.get(id.get())?;
            Ok(name.map(|name| Account {
                id: *id,
                name: Name(name.value().into()),
            }))
        };
        users.iter().map(account).collect()
    }
}

/// Tells the feed what people call its users.
#[async_trait]
impl UserSource for Accounts {
    async fn users(&self, users: &[UserId]) -> feed_core::Result<Vec<Option<User>>> {
        let accounts = self.of(users)?.into_iter();
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

/// The id of `name`, a new one if it has none. Ids count up from 1.
fn insert(txn: &WriteTransaction, name: &Name) -> Result<UserId, Failure> {
    let mut ids = txn.open_table(IDS)?;
    if let Some(id) = ids.get(name.as_str())? {
        return Ok(UserId::new(id.value()));
    }
    let mut names = txn.open_table(NAMES)?;
    let last = names.last()?.map_or(0, |(id, _)| id.value());
    if last >= Accounts::MAX {
        return Err(Failure::bare(ErrorKind::Full));
    }
    let id = last + 1;
    ids.insert(name.as_str(), id)?;
    names.insert(id, name.as_str())?;
    Ok(UserId::new(id))
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
