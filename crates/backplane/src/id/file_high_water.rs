use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind as IoErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use async_trait::async_trait;
use futures::channel::oneshot;

use super::{HighWater, Mark, Replaced};
use crate::{Error, ErrorKind, Result, Timestamp};

/// A [`HighWater`] mark in a file.
///
/// The mark is written beside the file, synced, renamed over it and the folder synced, so that a
/// crash at any point leaves the old mark or the new one. A lock file beside it keeps the step
/// atomic among processes of one machine; on a network file system it is as good as that system's
/// locks.
///
/// The methods of [`HighWater`] do their work on a short-lived thread of their own, so that no
/// executor waits for the disk; the ones here block.
///
/// ```
/// use backplane::{Timestamp, id::{FileHighWater, Mark, Replaced}};
/// let folder = std::env::temp_dir().join(format!("backplane-doc-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// let mark = Mark { until: Timestamp::from_millis(1_735_689_600_000), holder: 1 };
/// let file = FileHighWater::new(folder.join("node-7"));
/// assert_eq!(file.replace(None, mark)?, Replaced::Done);
/// assert_eq!(FileHighWater::new(folder.join("node-7")).load()?, Some(mark));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileHighWater {
    path: Arc<Path>,
}

impl FileHighWater {
    /// The mark in the file `path`, whose folder exists. The file need not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
        }
    }

    /// The mark, if there has ever been one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or holds something that is not a mark
    /// ([`ErrorKind::Corrupt`]).
    pub fn load(&self) -> Result<Option<Mark>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failure("load", error)),
        };
        match parse(&text) {
            Some(mark) => Ok(Some(mark)),
            None => Err(Error::bare(ErrorKind::Corrupt, "load")),
        }
    }

    /// Replaces the mark if it is `expected`. The new mark is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the folder is not there, and [`ErrorKind::Corrupt`] if the file holds
    /// something that is not a mark; nothing happened. On [`ErrorKind::Unavailable`] the mark may have
    /// been replaced or not.
    pub fn replace(&self, expected: Option<Mark>, mark: Mark) -> Result<Replaced> {
        self.replace_and(sync_folder, expected, mark)
    }

    fn replace_and(
        &self,
        sync_folder: impl Fn(&Path) -> io::Result<()>,
        expected: Option<Mark>,
        mark: Mark,
    ) -> Result<Replaced> {
        let failed = |error| failure("replace", error);
        // Released when the handle is dropped, by the system if the process dies.
        let lock = self.create("lock").map_err(failed)?;
        lock.lock().map_err(failed)?;
        let current = self.load()?;
        if current == expected {
            self.write(mark).map_err(failed)?;
        }
        // Also what was found: it may be of a call whose sync failed after the rename.
        let unsynced = |error| Error::new(ErrorKind::Unavailable, "replace", error);
        sync_folder(&self.path).map_err(unsynced)?;
        if current == expected {
            Ok(Replaced::Done)
        } else {
            Ok(Replaced::Moved { mark: current })
        }
    }

    /// Writes the mark, whose folder is yet to be synced.
    fn write(&self, mark: Mark) -> io::Result<()> {
        let mut draft = self.create("new")?;
        draft.set_len(0)?;
        draft.write_all(render(mark).as_bytes())?;
        draft.sync_all()?;
        fs::rename(self.beside("new"), &self.path)
    }

    fn create(&self, extension: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        options.open(self.beside(extension))
    }

    /// The file whose name is that of the mark's with `.extension` appended.
    fn beside(&self, extension: &str) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".");
        path.push(extension);
        path.into()
    }
}

#[async_trait]
impl HighWater for FileHighWater {
    async fn load(&self) -> Result<Option<Mark>> {
        let file = self.clone();
        off_the_executor("load", move || file.load()).await
    }

    async fn replace(&self, expected: Option<Mark>, mark: Mark) -> Result<Replaced> {
        let file = self.clone();
        off_the_executor("replace", move || file.replace(expected, mark)).await
    }
}

async fn off_the_executor<T: Send + 'static>(
    op: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new()
        .name(String::from("high-water"))
        // A caller that went away does not want the outcome.
        .spawn(move || drop(sender.send(work())))
        .map_err(|error| failure(op, error))?;
    let outcome = receiver.await;
    outcome.map_err(|gone| Error::new(ErrorKind::Unavailable, op, gone))?
}

const MAGIC: &str = "backplane high-water 1";

fn render(mark: Mark) -> String {
    format!("{MAGIC} {} {}\n", mark.until.as_millis(), mark.holder)
}

fn parse(text: &str) -> Option<Mark> {
    let fields = text.strip_prefix(MAGIC)?.strip_suffix('\n')?;
    let (until, holder) = fields.strip_prefix(' ')?.split_once(' ')?;
    let mark = Mark {
        until: Timestamp::from_millis(until.parse().ok()?),
        holder: holder.parse().ok()?,
    };
    (render(mark) == text).then_some(mark)
}

/// Makes the rename durable. Only Unix lets a folder be opened to be synced; elsewhere the rename
/// is as durable as the file system makes it.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn failure(op: &'static str, error: io::Error) -> Error {
    let kind = match error.kind() {
        IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded => ErrorKind::Full,
        IoErrorKind::InvalidData => ErrorKind::Corrupt,
        IoErrorKind::NotFound | IoErrorKind::NotADirectory => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, op, error)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{
        ManualClock,
        conformance::{Fresh, TestTime},
    };

    const MARK: Mark = Mark {
        until: Timestamp::from_millis(1_735_689_600_000),
        holder: 3,
    };

    /// A folder of its own for each test, removed with it.
    #[derive(Debug)]
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("backplane-high-water-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> FileHighWater {
            FileHighWater::new(self.0.join("node-1"))
        }
    }

    #[test]
    fn a_mark_whose_folder_was_not_synced_is_not_taken_for_durable() {
        let folder = Folder::new();
        let file = folder.file();
        let broken = |_: &Path| Err(io::Error::from(IoErrorKind::NotFound));
        for expected in [None, None, Some(MARK)] {
            let next = Mark { holder: 4, ..MARK };
            let mark = if expected.is_none() { MARK } else { next };
            let unsynced = file.replace_and(broken, expected, mark).unwrap_err();
            assert_eq!(unsynced.kind(), ErrorKind::Unavailable);
        }
        let mark = file.load().unwrap();
        assert_eq!(file.replace(None, MARK).unwrap(), Replaced::Moved { mark });
    }

    #[test]
    fn a_folder_that_is_not_there_is_invalid_and_a_file_that_is_no_mark_corrupt() {
        let folder = Folder::new();
        let kind = |file: &FileHighWater| file.replace(None, MARK).unwrap_err().kind();
        let nowhere = FileHighWater::new(folder.0.join("none").join("node-1"));
        assert_eq!(kind(&nowhere), ErrorKind::Invalid);
        let below_a_file = FileHighWater::new(folder.0.join("file").join("node-1"));
        fs::write(folder.0.join("file"), "").unwrap();
        assert_eq!(kind(&below_a_file), ErrorKind::Invalid);
        fs::write(folder.0.join("node-1"), "no mark").unwrap();
        assert_eq!(kind(&folder.file()), ErrorKind::Corrupt);
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    /// A file that takes its folder with it.
    #[derive(Debug)]
    struct Temporary {
        file: FileHighWater,
        _folder: Folder,
    }

    #[async_trait]
    impl HighWater for Temporary {
        async fn load(&self) -> Result<Option<Mark>> {
            HighWater::load(&self.file).await
        }

        async fn replace(&self, expected: Option<Mark>, mark: Mark) -> Result<Replaced> {
            HighWater::replace(&self.file, expected, mark).await
        }
    }

    crate::high_water_conformance!(async {
        let folder = Folder::new();
        Fresh::<dyn HighWater> {
            store: Arc::new(Temporary {
                file: folder.file(),
                _folder: folder,
            }),
            time: TestTime::Manual(ManualClock::default()),
        }
    });

    #[test]
    fn a_mark_outlives_the_handle_that_wrote_it() {
        let folder = Folder::new();
        assert_eq!(folder.file().replace(None, MARK).unwrap(), Replaced::Done);
        assert_eq!(folder.file().load().unwrap(), Some(MARK));
    }

    #[test]
    fn a_draft_that_a_crash_left_behind_is_ignored_and_overwritten() {
        let folder = Folder::new();
        let file = folder.file();
        file.replace(None, MARK).unwrap();
        let torn = "backplane high-water 1 17356896000009999999999999999999999";
        fs::write(file.beside("new"), torn).unwrap();
        assert_eq!(file.load().unwrap(), Some(MARK));
        let next = Mark { holder: 4, ..MARK };
        assert_eq!(file.replace(Some(MARK), next).unwrap(), Replaced::Done);
        assert_eq!(file.load().unwrap(), Some(next));
    }

    #[test]
    fn a_torn_or_foreign_file_is_corrupt_and_not_a_fresh_start() {
        let folder = Folder::new();
        let file = folder.file();
        let whole = render(MARK);
        let torn = (0..whole.len()).map(|len| whole[..len].to_owned());
        let foreign = [
            "backplane high-water 1 +5 1\n",
            "backplane high-water 2 5 1\n",
            "5",
        ];
        for text in torn.chain(foreign.map(String::from)) {
            fs::write(&file.path, &text).unwrap();
            assert_eq!(
                file.load().unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{text:?}"
            );
            let replaced = file.replace(None, MARK);
            assert_eq!(replaced.unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
