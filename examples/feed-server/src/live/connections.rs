use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use feed_core::UserId;
use metrics::gauge;

use super::SILENCE;
use crate::{Problem, Reason};

/// How many live connections each viewer has.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<HashMap<UserId, usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Connected {
    connections: Arc<Connections>,
    viewer: UserId,
}

/// How many a viewer may have: tabs and devices.
const MAX: usize = 16;

impl Connections {
    pub(crate) fn connect(self: &Arc<Self>, viewer: UserId) -> Result<Connected, Problem> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(viewer).or_default();
        if *count >= MAX {
            let detail = format!("a viewer may have {MAX}");
            let problem = Problem::new(Reason::TooManyConnections).with_detail(detail);
            // By then each has been written to, by which one is noticed whose client has gone.
            return Err(problem.with_retry_after(SILENCE));
        }
        *count += 1;
        gauge!("feed_live_connections").increment(1);
        Ok(Connected {
            connections: Arc::clone(self),
            viewer,
        })
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        gauge!("feed_live_connections").decrement(1);
        let counts = self.connections.0.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.viewer) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_has_so_many_and_no_more_and_nothing_is_left_behind() {
        let connections = Arc::new(Connections::default());
        let viewer = UserId::new(1);
        let open: Vec<_> = (0..MAX).map(|_| connections.connect(viewer)).collect();
        assert!(open.iter().all(Result::is_ok));
        let problem = connections.connect(viewer).unwrap_err();
        assert_eq!(problem.reason(), Reason::TooManyConnections);
        assert!(connections.connect(UserId::new(2)).is_ok());
        drop(open);
        assert!(connections.0.lock().unwrap().is_empty());
    }
}
