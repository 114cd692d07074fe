use std::time::Duration;

use feed_core::PostId;

/// Operations that are due one after the other in equal steps, however long each takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// The id that a post at the first place has.
    pub(super) first: PostId,
    /// When the first is due, by the clock that all share.
    pub(super) start: Duration,
    pub(super) step: Duration,
}

impl Beat {
    /// When the operation at this place is due.
    pub(super) fn due(&self, place: usize) -> Duration {
        self.start + self.step * u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// When this post was due; `None` for one from before.
    pub(super) fn post_due(&self, post: PostId) -> Option<Duration> {
        let place = post.get().checked_sub(self.first.get())?;
        Some(self.due(usize::try_from(place).unwrap_or(usize::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_due_at_its_place() {
        let beat = Beat {
            first: PostId::new(100),
            start: Duration::from_secs(5),
            step: Duration::from_millis(2),
        };
        let due = beat.post_due(PostId::new(103));
        assert_eq!(due, Some(Duration::from_millis(5_006)));
        assert_eq!(beat.post_due(PostId::new(99)), None);
    }
}
