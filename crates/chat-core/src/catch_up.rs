//! A device's return: what it has missed.

use backplane::Position;
use hashbrown::HashSet;

use crate::{
    Answer, Chat, Device, InboxEntry, LogRead, Page, Result, Seek, UserId, Viewer,
    sync::{Delta, Head, SyncBatch, SyncRequest},
};

impl Chat {
    /// Answers what a device asks that may have missed something.
    ///
    /// A device that asks until nothing is left, as [`ClientSync`](crate::sync::ClientSync) does, has all
    /// that its user may read. Where it says nothing of a conversation that changed, the answer goes on
    /// from where the device has [acknowledged](Self::acknowledge) it last, if copies of what
    /// follows are at hand; else the device learns only how far the conversation has come, and asks.
    ///
    /// # Errors
    ///
    /// Fails if an engine does.
    pub async fn sync(&self, device: Device, request: &SyncRequest) -> Result<SyncBatch> {
        let limit = request.limit.clamp(1, self.parts.options.page);
        let mut deltas = self.missed(device.user, request, limit).await?;
        let Some(since) = request.inbox else {
            return Ok(SyncBatch::new(Vec::new(), deltas, None, false));
        };
        let changes = self.parts.options.changes;
        let page = self
            .parts
            .inbox
            .changes(device.user, since, changes)
            .await?;
        let named: HashSet<_> = request.have.iter().map(|(talk, _)| *talk).collect();
        let unnamed = page
            .entries
            .iter()
            .filter(|entry| !named.contains(&entry.conversation));
        deltas.extend(self.copied(device, unnamed, limit).await?);
        let heads = page.entries.iter().map(|entry| Head {
            conversation: entry.conversation,
            top: entry.top,
            read: entry.read,
        });
        Ok(SyncBatch::new(
            heads.collect(),
            deltas,
            Some(page.through),
            page.more,
        ))
    }

    /// What follows each position, or is newest where that is too much.
    async fn missed(
        &self,
        user: UserId,
        request: &SyncRequest,
        limit: usize,
    ) -> Result<Vec<Delta>> {
        let read = |talk, seek| LogRead::new(talk, Viewer::User(user), seek, limit);
        let have = request.have.iter();
        let reads: Vec<_> = have
            .map(|(talk, since)| read(*talk, Seek::After(*since)))
            .collect();
        let mut answers = self.parts.log.read(&reads).await?;

        let mut skips = Vec::new();
        for (place, answer) in answers.iter().enumerate() {
            let (talk, since) = request.have[place];
            if let Answer::Page(page) = answer
                && page.top.saturating_sub(since.offset) > request.most
            {
                skips.push((place, read(talk, Seek::Latest)));
            }
        }
        let newest: Vec<_> = skips.iter().map(|(_, read)| *read).collect();
        let newest = self.parts.log.read(&newest).await?;
        for ((place, _), newest) in skips.into_iter().zip(newest) {
            answers[place] = newest;
        }
        let deltas = request.have.iter().zip(answers);
        let deltas = deltas.map(|(&(conversation, since), answer)| Delta {
            conversation,
            since,
            answer,
        });
        Ok(deltas.collect())
    }

    /// What the copies in the inbox say of conversations, for a device that has acknowledged all before
    /// them.
    async fn copied(
        &self,
        device: Device,
        entries: impl Iterator<Item = &InboxEntry> + Send,
        limit: usize,
    ) -> Result<Vec<Delta>> {
        let entries: Vec<_> = entries.filter(|entry| !entry.copies.is_empty()).collect();
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let asks: Vec<_> = entries
            .iter()
            .map(|entry| (device, entry.conversation))
            .collect();
        let received = self.parts.inbox.received(&asks).await?;
        let deltas = entries.into_iter().zip(received);
        Ok(deltas
            .filter_map(|(entry, since)| follow(entry, since, limit))
            .collect())
    }
}

/// The copies that follow `since` without a hole, if there are any.
fn follow(entry: &InboxEntry, since: Position, limit: usize) -> Option<Delta> {
    let epoch = entry.top.epoch;
    if since.epoch != epoch {
        return None;
    }
    let later = entry.copies.iter().filter(|copy| copy.seq > since.offset);
    let numbered = later.zip(since.offset + 1..);
    let unbroken = numbered
        .take_while(|(copy, seq)| copy.seq == *seq)
        .take(limit);
    let events: Vec<_> = unbroken.map(|(copy, _)| copy.clone()).collect();
    let last = events.last()?.seq;
    let first = since.offset + 1;
    let top = entry.top.offset.max(last);
    Some(Delta {
        conversation: entry.conversation,
        since,
        answer: Answer::Page(Page::new(epoch, first, top, (first, last), events)),
    })
}
