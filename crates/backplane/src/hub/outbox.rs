//! What is queued for a connection whose sink keeps up.

use super::tenant::Tenant;

/// The frames queued for one connection since its sink last took them, and the way to that sink. One
/// cache line, so that a delivery waits for this line and for the sink's, and for no other.
///
/// It holds few frames, because a full one is flushed at once. What a sink does not take moves to a
/// [`Backlog`](super::backlog::Backlog), and the outbox stays shut until that is gone.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Outbox {
    /// `None` if the connection is closed.
    pub(super) tenant: Option<Box<Tenant>>,
    frames: [u32; Self::FRAMES],
    /// How many of `frames` are queued, or [`SHUT`](Self::SHUT).
    len: u32,
    /// The cost of everything queued for the connection, here or in its backlog.
    bytes: u32,
    budget: u32,
}

impl Outbox {
    /// What a cache line holds.
    const FRAMES: usize = 9;
    const SHUT: u32 = u32::MAX;

    pub(super) fn open(tenant: Box<Tenant>, budget: u32) -> Self {
        Self {
            tenant: Some(tenant),
            len: 0,
            budget,
            ..Self::shut()
        }
    }

    /// An outbox of nobody, which takes nothing.
    pub(super) fn shut() -> Self {
        Self {
            tenant: None,
            frames: [0; Self::FRAMES],
            len: Self::SHUT,
            bytes: 0,
            budget: 0,
        }
    }

    /// Whether a frame may pass straight to the sink: none waits before it, and the budget allows it.
    #[inline]
    pub(super) const fn may_pass(&self, cost: u32) -> bool {
        self.len == 0 && cost <= self.budget
    }

    /// Queues `frame`, unless the outbox is full or shut or the budget would be exceeded.
    #[inline]
    pub(super) fn push(&mut self, frame: u32, cost: u32) -> bool {
        let Some(place) = self.frames.get_mut(self.len as usize) else {
            return false;
        };
        let Some(bytes) = self.bytes.checked_add(cost) else {
            return false;
        };
        if bytes > self.budget {
            return false;
        }
        *place = frame;
        self.len += 1;
        self.bytes = bytes;
        true
    }

    /// Whether the first frame was just queued, so that the connection is due for a flush.
    #[inline]
    pub(super) const fn has_one(&self) -> bool {
        self.len == 1
    }

    pub(super) const fn is_shut(&self) -> bool {
        self.len == Self::SHUT
    }

    #[inline]
    pub(super) fn frames(&self) -> &[u32] {
        // Nothing, if the outbox is shut.
        self.frames.get(..self.len as usize).unwrap_or_default()
    }

    /// Who takes the frames, and the frames.
    #[inline]
    pub(super) fn tenant_and_frames(&mut self) -> Option<(&mut Tenant, &[u32])> {
        let queued = self.frames.get(..self.len as usize).unwrap_or_default();
        Some((self.tenant.as_deref_mut()?, queued))
    }

    /// Empties and shuts the outbox, for a copy of the frames.
    pub(super) fn take_frames(&mut self) -> impl Iterator<Item = u32> + use<> {
        let len = self.frames().len();
        self.shut_with(0);
        self.frames.into_iter().take(len)
    }

    /// Empties the outbox.
    pub(super) const fn clear(&mut self) {
        self.len = 0;
        self.bytes = 0;
    }

    /// Empties and shuts the outbox; `bytes` are queued in the backlog.
    pub(super) const fn shut_with(&mut self, bytes: u32) {
        self.len = Self::SHUT;
        self.bytes = bytes;
    }

    pub(super) const fn bytes(&self) -> u32 {
        self.bytes
    }

    pub(super) const fn budget(&self) -> u32 {
        self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_budget(budget: u32) -> Outbox {
        Outbox {
            len: 0,
            budget,
            ..Outbox::shut()
        }
    }

    #[test]
    fn an_outbox_is_one_cache_line() {
        assert_eq!(size_of::<Outbox>(), 64);
    }

    #[test]
    fn the_budget_is_never_exceeded() {
        let mut outbox = with_budget(100);
        assert!(outbox.push(1, 60));
        assert!(!outbox.push(2, 41));
        assert!(!outbox.push(3, u32::MAX));
        assert!(outbox.push(4, 40));
        assert_eq!((outbox.frames(), outbox.bytes()), (&[1, 4][..], 100));
    }

    #[test]
    fn a_shut_outbox_takes_nothing() {
        let mut outbox = with_budget(1 << 20);
        outbox.shut_with(10);
        assert!(!outbox.push(1, 1));
        assert!(outbox.frames().is_empty());
    }
}
