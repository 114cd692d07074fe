use futures::channel::oneshot::{self, Receiver, Sender};

use crate::{ErrorKind, Position, Result};

/// Who waits for one topic to be joined. Dropping it tells them that the relay has stopped.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Sender<Result<Position, ErrorKind>>>);

impl Waiting {
    pub(super) fn join(&mut self) -> Receiver<Result<Position, ErrorKind>> {
        let (sender, receiver) = oneshot::channel();
        self.0.retain(|sender| !sender.is_canceled());
        self.0.push(sender);
        receiver
    }

    pub(super) fn answer(self, outcome: Result<Position, ErrorKind>) {
        for sender in self.0 {
            // Whoever waited may have gone.
            let _ = sender.send(outcome);
        }
    }
}
