use std::time::Duration;

/// The bounds of a [`Chat`](crate::Chat).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChatOptions {
    /// The longest body of a message, in bytes. 65,536 by default, at most [`MAX_BODY`](crate::MAX_BODY).
    pub max_body: usize,
    /// Up to how many members each has copies of what is said in their [inbox](crate::Inbox). In larger
    /// conversations one mark tells all. 100 by default, at most [`MAX_QUEUED`](Self::MAX_QUEUED); 0 for
    /// marks in all groups.
    pub queue_limit: u32,
    /// The most events of one conversation that one answer brings. 100 by default.
    pub page: usize,
    /// The most changes of an inbox that one answer brings. 100 by default.
    pub changes: usize,
    /// How long an event may be on its way to those whom it concerns, before somebody else sees to it
    /// that they are told. 5 seconds by default.
    pub owed_after: Duration,
}

impl ChatOptions {
    /// The highest [`queue_limit`](Self::queue_limit): copies for more would cost more than they save.
    pub const MAX_QUEUED: u32 = 500;

    /// The same with what is out of bounds brought within, whichever way it was set.
    pub(crate) fn workable(mut self) -> Self {
        self.max_body = self.max_body.min(crate::MAX_BODY);
        self.queue_limit = self.queue_limit.min(Self::MAX_QUEUED);
        self.page = self.page.max(1);
        self.changes = self.changes.max(1);
        self
    }

    /// Takes bodies of up to `bytes`.
    #[must_use]
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Gives members of conversations of up to so many copies of what is said.
    #[must_use]
    pub const fn with_queue_limit(mut self, members: u32) -> Self {
        self.queue_limit = members;
        self
    }

    /// Brings up to so many events of one conversation at once.
    #[must_use]
    pub const fn with_page(mut self, events: usize) -> Self {
        self.page = events;
        self
    }

    /// Brings up to so many changes of an inbox at once.
    #[must_use]
    pub const fn with_changes(mut self, changes: usize) -> Self {
        self.changes = changes;
        self
    }

    /// Sees after so long that everybody was told.
    #[must_use]
    pub const fn with_owed_after(mut self, time: Duration) -> Self {
        self.owed_after = time;
        self
    }
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self {
            max_body: 64 << 10,
            queue_limit: 100,
            page: 100,
            changes: 100,
            owed_after: Duration::from_secs(5),
        }
    }
}
