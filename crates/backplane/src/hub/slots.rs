//! Dense numbers that are given out and taken back.

/// Gives out the numbers from 0 up, those that came back first.
#[derive(Debug, Default)]
pub(super) struct Slots {
    next: u32,
    free: Vec<u32>,
}

impl Slots {
    /// A number below `limit` that nobody holds, if there is one.
    pub(super) fn take(&mut self, limit: u32) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if self.next >= limit {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    pub(super) fn give_back(&mut self, slots: impl IntoIterator<Item = u32>) {
        self.free.extend(slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_held_once_and_the_limit_holds() {
        let mut slots = Slots::default();
        assert_eq!(
            [slots.take(2), slots.take(2), slots.take(2)],
            [Some(0), Some(1), None]
        );
        slots.give_back([0]);
        assert_eq!([slots.take(2), slots.take(2)], [Some(0), None]);
    }
}
