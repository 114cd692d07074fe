use backplane::Epoch;
use redb::{ReadableTable, WriteTransaction};

use crate::{Failure, store::Named};

/// The epoch of a store: one row, which stands from when it was drawn.
#[derive(Debug)]
pub(super) struct EpochTable(Named<&'static str, u64>);

const KEY: &str = "epoch";

impl EpochTable {
    pub(super) fn new(kind: &str, store: &str) -> Self {
        Self(Named::new(kind, store, "epoch"))
    }

    pub(super) fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.0.create(txn)
    }

    /// The epoch that stands; `drawn`, if there is none or it stands no more.
    pub(super) fn stand(
        &self,
        txn: &WriteTransaction,
        drawn: u64,
        after_loss: bool,
    ) -> Result<Epoch, Failure> {
        let mut table = self.0.write(txn)?;
        let standing = table.get(KEY)?.map(|epoch| epoch.value());
        let epoch = standing.filter(|_| !after_loss).unwrap_or(drawn);
        table.insert(KEY, epoch)?;
        Ok(Epoch::new(epoch))
    }
}
