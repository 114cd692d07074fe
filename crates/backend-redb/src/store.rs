//! What the stores of the cores share: tables by name, reads by the caller, writes by the writer.

use std::{any, fmt, marker::PhantomData, sync::Arc};

use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, Value, WriteTransaction,
};

use crate::{CorruptRow, Failure, Writer, format};

/// The tables of one store, and the writer of their file.
///
/// Reads run on the caller's thread, in a transaction of their own: they see what is on disk, all
/// tables at one instant, and wait for nobody.
#[derive(Debug)]
pub(crate) struct Store<T> {
    writer: Writer,
    tables: Arc<T>,
}

impl<T: Tables> Store<T> {
    /// Opens the tables, which are made if the file does not have them.
    pub(crate) async fn open(writer: &Writer, tables: T) -> Result<Self, T::Error> {
        let store = Self {
            writer: writer.clone(),
            tables: Arc::new(tables),
        };
        store
            .write("open", |txn, tables| {
                format::check(txn)?;
                tables.create(txn)
            })
            .await?;
        Ok(store)
    }

    /// Does `work`, as [`Writer::run`] says. It is queued when the future is first polled.
    pub(crate) async fn write<R: Send + 'static>(
        &self,
        op: &'static str,
        mut work: impl FnMut(&WriteTransaction, &T) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, T::Error> {
        let tables = Arc::clone(&self.tables);
        let done = self.writer.run(move |txn| work(txn, &tables)).await;
        done.map_err(|failure| failure.of(op).into())
    }

    pub(crate) fn read<R>(
        &self,
        op: &'static str,
        look: impl FnOnce(&ReadTransaction, &T) -> Result<R, Failure>,
    ) -> Result<R, T::Error> {
        let found = self.begin_read().and_then(|txn| look(&txn, &self.tables));
        found.map_err(|failure| failure.of(op).into())
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, Failure> {
        Ok(self.writer.database().begin_read()?)
    }

    #[cfg(feature = "feed")]
    pub(crate) const fn writer(&self) -> &Writer {
        &self.writer
    }

    #[cfg(feature = "feed")]
    pub(crate) const fn tables(&self) -> &Arc<T> {
        &self.tables
    }
}

/// The tables of one store.
pub(crate) trait Tables: fmt::Debug + Send + Sync + 'static {
    /// What the store's core fails with.
    type Error: From<::backplane::Error>;

    /// Makes those that are not there.
    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure>;
}

/// A table, by a name that is only known when its store is opened.
pub(crate) struct Named<K, V> {
    name: String,
    row: PhantomData<fn() -> (K, V)>,
}

impl<K: Key + 'static, V: Value + 'static> Named<K, V> {
    /// The table `part` of the store called `store`, which is a `kind` of store of a core.
    pub(crate) fn new(kind: &str, store: &str, part: &str) -> Self {
        Self {
            name: format!("{kind}.{store}.{part}"),
            row: PhantomData,
        }
    }

    #[cfg(feature = "feed")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn write<'txn>(
        &self,
        txn: &'txn WriteTransaction,
    ) -> Result<redb::Table<'txn, K, V>, Failure> {
        Ok(txn.open_table(self.definition())?)
    }

    pub(crate) fn read(&self, txn: &ReadTransaction) -> Result<ReadOnlyTable<K, V>, Failure> {
        Ok(txn.open_table(self.definition())?)
    }

    pub(crate) fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.write(txn).map(drop)
    }

    /// What `decoded` holds, or word of the row that does not decode.
    pub(crate) fn intact<R>(&self, key: impl fmt::Debug, decoded: Option<R>) -> Result<R, Failure> {
        decoded.ok_or_else(|| CorruptRow::failure(&self.name, format!("{key:?}")))
    }

    fn definition(&self) -> TableDefinition<'_, K, V> {
        TableDefinition::new(&self.name)
    }
}

impl<K, V> fmt::Debug for Named<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = any::type_name::<(K, V)>();
        write!(f, "{}: {row}", self.name)
    }
}
