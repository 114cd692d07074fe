use crate::{Cursor, Entry, Error, ErrorKind, PostId, Result};

/// How many items a page may hold: 1 to [`MAX`](Self::MAX), 20 by default.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PageSize(u16);

impl PageSize {
    /// The largest page.
    pub const MAX: u16 = 200;

    /// A page of up to `items`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PageSize`] for 0 and for more than [`MAX`](Self::MAX).
    pub fn new(items: usize) -> Result<Self> {
        match u16::try_from(items) {
            Ok(size @ 1..=Self::MAX) => Ok(Self(size)),
            _ => Err(Error::bare(ErrorKind::PageSize, "page size")),
        }
    }

    /// The number of items.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(20)
    }
}

/// Which part of a feed to read.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PageRequest {
    /// Where to go on; the newest page if there is none.
    pub cursor: Option<Cursor>,
    /// How many items at most.
    pub size: PageSize,
}

impl PageRequest {
    /// The newest page, of the default size.
    #[must_use]
    pub fn newest() -> Self {
        Self::default()
    }

    /// The page that `cursor` names.
    #[must_use]
    pub fn at(cursor: Cursor) -> Self {
        Self {
            cursor: Some(cursor),
            size: PageSize::default(),
        }
    }

    /// The same part in pages of `size`.
    #[must_use]
    pub const fn with_size(mut self, size: PageSize) -> Self {
        self.size = size;
        self
    }
}

/// A part of a feed, newest first.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The entries that the viewer may see.
    pub entries: Vec<Entry>,
    /// Where older entries go on. `None`: there are none, now.
    ///
    /// A page may hold fewer entries than asked, even none, and have a next one: the scan stopped at
    /// its budget among entries that the viewer may not see.
    pub next: Option<Cursor>,
    /// Where newer entries go on, since more may come. `None` for an empty page whose scan stopped at
    /// its budget before it found anything that the viewer may see.
    pub prev: Option<Cursor>,
    /// How the page was made.
    pub source: PageSource,
}

impl Page {
    /// The newest post of the page.
    #[must_use]
    pub fn newest(&self) -> Option<PostId> {
        self.entries.first().map(|entry| entry.post)
    }
}

/// Where the entries of a page came from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PageSource {
    /// From the viewer's timeline, and the outboxes of pulled authors.
    Timeline,
    /// From outboxes alone: below the timeline's floor, or while it is being built, or for a feed
    /// that has no timeline.
    Outboxes,
    /// From a ranked order.
    Snapshot,
}
