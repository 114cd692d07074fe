//! What was forgotten a moment ago.

use std::time::Duration;

use hashbrown::HashMap;

/// The ids of which nothing is kept for now, apart from what is kept: no lack of room there ends a
/// hold.
///
/// It notes up to [`MOST`](Self::MOST) one by one. Where more are held at a time, everything is, until
/// the last of them is not.
#[derive(Debug, Default)]
pub(super) struct Holds {
    until: HashMap<u64, Duration>,
    all_until: Duration,
}

impl Holds {
    const MOST: usize = 1_024;

    /// Holds an id that was forgotten at `now`.
    pub(super) fn hold(&mut self, id: u64, now: Duration, until: Duration) {
        self.until.insert(id, until);
        if self.until.len() < Self::MOST {
            return;
        }
        self.until.retain(|_, until| now < *until);
        // With less to spare, the next few would look through all of them again.
        if self.until.len() > Self::MOST / 2 {
            let last = self.until.drain().map(|(_, until)| until).max();
            self.all_until = self.all_until.max(last.unwrap_or_default());
        }
    }

    pub(super) fn is_held(&self, id: u64, now: Duration) -> bool {
        now < self.all_until || self.until.get(&id).is_some_and(|&until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_held_for_its_time_and_others_only_where_there_are_too_many() {
        let (mut holds, hold) = (Holds::default(), Duration::from_secs(5));
        for second in 0..1_000 {
            let now = Duration::from_secs(second);
            // As many in five seconds as there is room for, and then more.
            let many = if second < 500 { 100 } else { 300 };
            for n in 0..many {
                holds.hold(second * 1_000 + n, now, now.saturating_add(hold));
            }
            for before in 0..5.min(second + 1) {
                let earlier = second - before;
                let many = if earlier < 500 { 100 } else { 300 };
                assert!((0..many).all(|n| holds.is_held(earlier * 1_000 + n, now)));
            }
            assert!(holds.until.len() < Holds::MOST);
            let others = holds.is_held(u64::MAX, now);
            assert!((500..505).contains(&second) || others == (second >= 505));
        }
        assert!(!holds.is_held(999_000, Duration::from_secs(1_004)));
    }
}
