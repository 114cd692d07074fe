//! Identifiers that are taken from a counter.

use std::{collections::BTreeSet, error::Error, path::Path, sync::Arc};

use backend_redb::{RedbIdCounter, Writer, WriterOptions, redb::Database};
use backplane::id::{AutoIncrementKeeper, IdError};

use crate::{Promises, report};

pub(crate) async fn work(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let keeper = open(path).await?;
    loop {
        match keeper.generator().next_id() {
            Ok(id) => report(&id.to_string())?,
            Err(IdError::AwaitingMark) => keeper.extend().await?,
            Err(other) => return Err(other.into()),
        }
    }
}

/// The identifiers that the children issued.
#[derive(Default)]
pub(crate) struct Report(BTreeSet<u64>);

impl Promises for Report {
    fn note(&mut self, line: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let id = line.parse()?;
        assert!(self.0.last() < Some(&id), "{id} was issued before");
        self.0.insert(id);
        Ok(())
    }

    /// None of them is issued again.
    async fn compare(&self, path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
        let keeper = open(path).await?;
        let next = keeper.generator().next_id()?.get();
        assert!(self.0.last() < Some(&next), "{next} was issued before");
        Ok(())
    }
}

async fn open(path: &Path) -> Result<AutoIncrementKeeper, Box<dyn Error + Send + Sync>> {
    let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
    let counter = Arc::new(RedbIdCounter::new(&writer, "kill"));
    Ok(AutoIncrementKeeper::open(counter, 3).await?)
}
