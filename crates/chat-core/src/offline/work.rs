//! The worker: of each message, whom to notify now, and whom to look at again.

use std::{pin::pin, sync::Arc, time::Duration};

use backplane::{
    Position, Sleep,
    queue::{Lease, Settlement},
};
use futures::future::{Either, select};

use super::{
    Decision, Offline, OfflineNotice, Shared, Whereabouts, decide,
    errand::{Errand, Whom},
};
use crate::{
    Answer, Device, Error, Event, InboxEntry, LogRead, Result, Seek, UserId, Viewer, What,
    presence::{Mode, Status},
};

/// How many pieces are leased at once.
const BATCH: usize = 16;

impl Offline {
    /// Does up to `most` pieces of what is to be decided, and says how many there were.
    ///
    /// A piece that fails is tried again after a [delay](super::OfflineOptions::retry), as often as the queue allows;
    /// then it is a dead letter of the queue.
    ///
    /// # Errors
    ///
    /// Fails if the queue does.
    ///
    /// # Cancel safety
    ///
    /// As if the process had died: another worker does the piece, and some are notified twice.
    pub async fn work(&self, most: usize) -> Result<usize> {
        let shared = &*self.shared;
        let leases = shared.queue.lease(most, shared.options.lease).await?;
        for lease in &leases {
            let settlement = shared.attempt(lease).await;
            shared.queue.settle(&[(lease.key, settlement)]).await?;
        }
        Ok(leases.len())
    }

    /// Works until `stop` completes. While the queue is unavailable, it waits and tries again.
    ///
    /// # Errors
    ///
    /// Fails if the queue does for a reason that waiting cannot change.
    ///
    /// # Cancel safety
    ///
    /// As [`work`](Self::work).
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let mut stop = pin!(stop);
        loop {
            let turn = pin!(self.turn());
            match select(stop.as_mut(), turn).await {
                Either::Right((Ok(()), _)) => {}
                Either::Right((Err(error), _)) if !error.is_retryable() => return Err(error),
                Either::Right((Err(_), _)) => {
                    let retry = self.shared.options.retry.min(Sleep::LONGEST);
                    let pause = self.shared.clock.sleep(retry);
                    if let Either::Left(_) = select(stop.as_mut(), pause).await {
                        return Ok(());
                    }
                }
                Either::Left(_) => return Ok(()),
            }
        }
    }

    async fn turn(&self) -> Result<()> {
        if self.work(BATCH).await? == 0 {
            self.shared.queue.ready().await.map_err(Error::from)?;
        }
        Ok(())
    }
}

impl Shared {
    async fn attempt(&self, lease: &Lease) -> Settlement {
        let Ok(errand) = Errand::decode(&lease.payload) else {
            return Settlement::Bury {
                reason: "not an errand of this release".to_owned(),
            };
        };
        match self.run_errand(&errand).await {
            Ok(None) => Settlement::Ack,
            Ok(Some(rest)) => Settlement::Continue {
                payload: rest.encode(),
                delay: Duration::ZERO,
            },
            Err(error) => Settlement::Retry {
                delay: self.options.retry,
                reason: error.to_string(),
            },
        }
    }

    /// Does a piece, and answers what is left of it.
    async fn run_errand(&self, errand: &Errand) -> Result<Option<Errand>> {
        let Some(event) = self.message(errand).await? else {
            return Ok(None); // it was deleted, trimmed or lost
        };
        let (users, rest) = match &errand.whom {
            Whom::These(users) => (users.clone(), None),
            Whom::After(last) => {
                let (talk, since) = (errand.conversation, errand.position.offset);
                let crowd = self.options.crowd.max(1);
                let members = self.log.members(talk, since, *last, crowd).await?;
                let rest = members.last().filter(|_| members.len() == crowd);
                let rest = rest.map(|last| errand.after(last.user));
                // Those who went are not notified of what was said.
                let members = members
                    .into_iter()
                    .filter(|member| member.role.is_some() && member.windows.contains(since));
                (members.map(|member| member.user).collect(), rest)
            }
        };
        let is_author = |user: &UserId| event.from.is_some_and(|from: Device| from.user == *user);
        let others: Vec<_> = users.into_iter().filter(|user| !is_author(user)).collect();
        self.judge(errand, &event, &others).await?;
        Ok(rest)
    }

    /// The message, as it reads now.
    async fn message(&self, errand: &Errand) -> Result<Option<Event>> {
        let seek = Seek::Around(errand.position);
        let read = LogRead::new(errand.conversation, Viewer::Application, seek, 1);
        let Some(Answer::Page(page)) = self.log.read(&[read]).await?.pop() else {
            return Ok(None);
        };
        let mut events = page.events.into_iter();
        let event = events.find(|event| event.seq == errand.position.offset);
        Ok(event.filter(|event| matches!(event.what, What::Message(_))))
    }

    async fn judge(&self, errand: &Errand, event: &Event, users: &[UserId]) -> Result<()> {
        let conversation = errand.conversation;
        let wishes = self.wishes.wishes(conversation, event, users).await?;
        let had_time = matches!(errand.whom, Whom::These(_));
        let whereabouts = self.whereabouts(errand, users, had_time).await?;
        let (mut now, mut later) = (Vec::new(), Vec::new());
        let event = Arc::new(event.clone());
        for ((user, wish), whereabouts) in users.iter().zip(wishes).zip(whereabouts) {
            match decide(wish, whereabouts) {
                Decision::Notify => now.push(OfflineNotice {
                    user: *user,
                    conversation,
                    position: errand.position,
                    event: Arc::clone(&event),
                }),
                Decision::Wait => later.push(*user),
                Decision::Leave => {}
            }
        }
        if !now.is_empty() {
            self.sink.notify(&now).await?;
        }
        if !later.is_empty() {
            let later = errand.later(later, self.options.patience);
            self.enqueue(&[later]).await?;
        }
        Ok(())
    }

    async fn whereabouts(
        &self,
        errand: &Errand,
        users: &[UserId],
        had_time: bool,
    ) -> Result<Vec<Whereabouts>> {
        let presences = self.presence.own(users).await?;
        let asks = users.iter().map(|user| (*user, errand.conversation));
        let asks: Vec<_> = asks.collect();
        let entries = self.inbox.entries(&asks).await?;
        let both = presences.into_iter().zip(entries);
        let whereabouts = both.map(|(presence, entry)| Whereabouts {
            is_connected: presence.state.status != Status::Offline,
            is_busy: presence.setting.mode == Mode::DoNotDisturb,
            has_it: entry.is_some_and(|entry| has_it(&entry, errand.position)),
            had_time,
        });
        Ok(whereabouts.collect())
    }
}

/// Whether a user has received what is at `position`, as they have what they have read.
fn has_it(entry: &InboxEntry, position: Position) -> bool {
    let received = entry.received;
    received.epoch == position.epoch && received.offset >= position.offset
}
