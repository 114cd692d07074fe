//! Files and disks for tests.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redb::{Database, StorageBackend, backends::InMemoryBackend};

use crate::{Writer, WriterOptions};

/// A folder for one file, which is gone when this is dropped. What is open then lives on until it is
/// closed.
#[cfg(feature = "backplane")]
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
}

#[cfg(feature = "backplane")]
impl Scratch {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        Self { folder }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("data.redb")
    }

    /// Opens the file, which no other writer has open.
    pub(crate) fn writer(&self) -> Writer {
        let database = Database::create(self.path()).expect("nobody has the file open");
        Writer::start(Arc::new(database), WriterOptions::default()).expect("there is a thread")
    }
}

/// Memory that fails every write while it is broken. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct BreakingDisk {
    memory: Arc<InMemoryBackend>,
    broken: Arc<AtomicBool>,
}

impl BreakingDisk {
    /// A sound one, and what breaks it.
    pub(crate) fn new() -> (Self, Arc<AtomicBool>) {
        let broken = Arc::new(AtomicBool::new(false));
        let disk = Self {
            memory: Arc::new(InMemoryBackend::new()),
            broken: Arc::clone(&broken),
        };
        (disk, broken)
    }

    /// Opens the database on it, which is made if it is empty.
    pub(crate) fn writer(self) -> Writer {
        let database = Database::builder().create_with_backend(self);
        let database = Arc::new(database.expect("the disk is sound"));
        Writer::start(database, WriterOptions::default()).expect("there is a thread")
    }

    fn check(&self) -> std::io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for BreakingDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.check()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.check()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.check()?;
        self.memory.write(offset, data)
    }
}
