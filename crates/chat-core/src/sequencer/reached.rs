use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::Sequencer;

/// Waits until the watermark is at a number or past it. Dropping it leaves nothing behind.
#[must_use = "it waits only when awaited"]
#[derive(Debug)]
pub struct Reached<'a> {
    sequencer: &'a Sequencer,
    number: u64,
    ticket: Option<u64>,
}

impl<'a> Reached<'a> {
    pub(super) const fn new(sequencer: &'a Sequencer, number: u64) -> Self {
        Self {
            sequencer,
            number,
            ticket: None,
        }
    }
}

impl Future for Reached<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (sequencer, number) = (self.sequencer, self.number);
        if sequencer.watermark() >= number {
            return Poll::Ready(());
        }
        let mut ledger = sequencer.ledger.lock();
        let ticket = ledger.wait(&sequencer.progress, number, self.ticket, cx.waker());
        drop(ledger);
        if ticket.is_none() {
            return Poll::Ready(());
        }
        self.ticket = ticket;
        Poll::Pending
    }
}

impl Drop for Reached<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let left = self.sequencer.ledger.lock().leave(self.number, ticket);
            drop(left); // whose own drop is not under the lock
        }
    }
}
