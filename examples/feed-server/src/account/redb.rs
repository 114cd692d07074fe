use async_trait::async_trait;
use backend_redb::{
    Failure, Writer,
    redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction},
};
use backplane::ErrorKind;
use feed_core::UserId;

use super::{Accounts, Name, Table};

/// Durable tables in the same file as the feed.
#[derive(Debug)]
pub(super) struct RedbAccounts(Writer);

const IDS: TableDefinition<'_, &str, u64> = TableDefinition::new("accounts.ids");
const NAMES: TableDefinition<'_, u64, &str> = TableDefinition::new("accounts.names");
const SECRETS: TableDefinition<'_, &str, [u8; 32]> = TableDefinition::new("accounts.secrets");
const TOKEN_SECRET: &str = "token";

impl RedbAccounts {
    /// The tables, made if they are missing, and the secret, which is `fresh` from the first time on.
    pub(super) async fn open(writer: &Writer, fresh: [u8; 32]) -> anyhow::Result<(Self, [u8; 32])> {
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
        let secret = secret.await?;
        Ok((Self(writer.clone()), secret))
    }

    fn id(&self, name: &Name) -> Result<Option<UserId>, Failure> {
        let ids = self.0.database().begin_read()?.open_table(IDS)?;
        let id = ids.get(name.as_str())?;
        Ok(id.map(|id| UserId::new(id.value())))
    }

    fn look_up(&self, users: &[UserId]) -> Result<Vec<Option<Name>>, Failure> {
        let names = self.0.database().begin_read()?.open_table(NAMES)?;
        let name = |id: &UserId| {
            let name = names.get(id.get())?;
            Ok(name.map(|name| Name(name.value().into())))
        };
        users.iter().map(name).collect()
    }
}

#[async_trait]
impl Table for RedbAccounts {
    async fn insert(&self, name: &Name) -> backplane::Result<UserId> {
        let wanted = name.clone();
        let id = self.0.run(move |txn| insert(txn, &wanted)).await;
        id.map_err(|failure| failure.of("sign in"))
    }

    async fn find(&self, name: &Name) -> backplane::Result<Option<UserId>> {
        self.id(name).map_err(|failure| failure.of("find account"))
    }

    async fn names(&self, users: &[UserId]) -> backplane::Result<Vec<Option<Name>>> {
        let names = self.look_up(users);
        names.map_err(|failure| failure.of("look accounts up"))
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
