//! Telling those whom events concern, and seeing to it that they are told.

use backplane::Position;

use crate::{
    Answer, Chat, ConversationId, Event, LogRead, Member, News, Owed, Receipt, Result, Seek,
    UserId, Viewer, What,
};

/// How many members are told at once.
const CROWD: usize = 1_000;

impl Chat {
    /// Tells of one event that was just stored. Should that fail, it is owed.
    pub(super) async fn tell_soon(
        &self,
        talk: ConversationId,
        receipt: Receipt,
        event: Event,
        members: u32,
    ) {
        let Position { epoch, offset } = receipt.position;
        let events = [event];
        let news = News::new(talk, epoch, (offset, offset), &events).with_members(members);
        drop(self.tell(&news).await);
    }

    /// Tells of events of which somebody may not have been told, in up to `limit` conversations, and
    /// says in how many. To be called now and then by the application.
    ///
    /// Events are told more than once where several processes do this, or a telling was slow. That does
    /// no harm.
    ///
    /// # Errors
    ///
    /// Fails as the first telling does that fails, after it has tried all others; what it is about stays
    /// owed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rest owed.
    pub async fn redeliver(&self, limit: usize) -> Result<usize> {
        let since = self
            .parts
            .clock
            .now()
            .saturating_sub(self.parts.options.owed_after);
        let owed = self.parts.log.owed(since, limit).await?;
        let mut failed = None;
        for owed in &owed {
            // One that fails holds up none of the others.
            failed = failed.or(self.pay(owed).await.err());
        }
        failed.map_or(Ok(owed.len()), Err)
    }

    async fn pay(&self, owed: &Owed) -> Result<()> {
        let talk = owed.conversation;
        let members = self.count_members(talk).await?;
        let mut settled = owed.settled;
        while settled < owed.top.offset {
            let seek = Seek::After(Position::new(owed.top.epoch, settled));
            let page = self.parts.options.page;
            let read = LogRead::new(talk, Viewer::Application, seek, page);
            let Some(Answer::Page(page)) = self.parts.log.read(&[read]).await?.pop() else {
                return Ok(()); // the log has lost it, or its epoch
            };
            let stretch = (settled + 1, page.until);
            let news = News::new(talk, page.epoch, stretch, &page.events).with_members(members);
            if page.until <= settled {
                return Ok(());
            }
            self.tell(&news).await?;
            settled = page.until;
        }
        Ok(())
    }

    async fn count_members(&self, talk: ConversationId) -> Result<u32> {
        match talk {
            ConversationId::Direct(pair) => Ok(pair.size()),
            ConversationId::Group(group) => {
                let groups = self.parts.log.groups(&[group]).await?;
                let group = groups.into_iter().flatten().next();
                Ok(group.map_or(0, |group| group.members))
            }
        }
    }

    async fn tell(&self, news: &News<'_>) -> Result<()> {
        self.erase(news).await?;
        if let Some(pair) = news.conversation.pair() {
            self.copy_to(news, &pair.users().collect::<Vec<_>>())
                .await?;
        } else {
            self.enroll(news).await?;
            if news.members <= self.parts.options.queue_limit {
                self.copy_to_members(news).await?;
            } else {
                self.parts
                    .inbox
                    .mark(&[(news.conversation, news.top())])
                    .await?;
            }
        }
        for listener in &self.parts.events {
            listener.happened(news).await?;
        }
        self.parts.log.settle(&[news.told()]).await
    }

    /// Takes what was deleted out of the queues of all who may have copies of it, also if they have left.
    async fn erase(&self, news: &News<'_>) -> Result<()> {
        let deleted = news.events.iter().filter_map(|event| match event.what {
            What::Delete { target } => Some(target.seq),
            _ => None,
        });
        let deleted: Vec<_> = deleted.collect();
        let Some(first) = deleted.iter().copied().min() else {
            return Ok(());
        };
        let mut crowds = Crowds::since(news.conversation, first);
        while let Some(crowd) = crowds.next(self).await? {
            let users: Vec<_> = crowd.into_iter().map(|member| member.user).collect();
            self.parts
                .inbox
                .erase(news.conversation, &users, &deleted)
                .await?;
        }
        Ok(())
    }

    /// Notes who came and went.
    async fn enroll(&self, news: &News<'_>) -> Result<()> {
        let (talk, inbox) = (news.conversation, &self.parts.inbox);
        for event in news.events {
            let at = Position::new(news.epoch, event.seq);
            match &event.what {
                What::Found { members, .. } => {
                    let users: Vec<_> = members.iter().map(|(user, _)| *user).collect();
                    inbox.enroll(talk, &users, at).await?;
                }
                What::Join { user, .. } => inbox.enroll(talk, &[*user], at).await?,
                What::Leave { user } => inbox.withdraw(talk, &[*user], at).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn copy_to_members(&self, news: &News<'_>) -> Result<()> {
        let (first, last) = (news.first, news.last);
        let mut crowds = Crowds::since(news.conversation, first);
        while let Some(crowd) = crowds.next(self).await? {
            let sees_all = |member: &Member| member.windows.is_whole(first..=last);
            let (whole, some): (Vec<_>, Vec<_>) = crowd.into_iter().partition(sees_all);
            let users: Vec<_> = whole.into_iter().map(|member| member.user).collect();
            self.copy_to(news, &users).await?;
            for member in some {
                self.copy_some(news, &member).await?;
            }
        }
        Ok(())
    }

    /// Gives a user copies of what they may see.
    async fn copy_some(&self, news: &News<'_>, member: &Member) -> Result<()> {
        let events = news
            .events
            .iter()
            .filter(|event| member.windows.contains(event.seq));
        let events: Vec<_> = events.filter(|event| event.is_fresh()).cloned().collect();
        let end = member.windows.end(news.last);
        let top = Position::new(news.epoch, end);
        let users = [member.user];
        self.parts
            .inbox
            .deliver(news.conversation, &users, top, &events)
            .await
    }

    /// Gives users copies of everything.
    async fn copy_to(&self, news: &News<'_>, users: &[UserId]) -> Result<()> {
        let (inbox, top) = (&self.parts.inbox, news.top());
        if news.events.iter().all(Event::is_fresh) {
            return inbox
                .deliver(news.conversation, users, top, news.events)
                .await;
        }
        let events: Vec<_> = news
            .events
            .iter()
            .filter(|event| event.is_fresh())
            .cloned()
            .collect();
        inbox.deliver(news.conversation, users, top, &events).await
    }
}

/// All whom anything from some place on concerns, a crowd at a time.
struct Crowds {
    talk: ConversationId,
    since: u64,
    after: Option<UserId>,
    is_last: bool,
}

impl Crowds {
    const fn since(talk: ConversationId, since: u64) -> Self {
        Self {
            talk,
            since,
            after: None,
            is_last: false,
        }
    }

    async fn next(&mut self, chat: &Chat) -> Result<Option<Vec<Member>>> {
        if self.is_last {
            return Ok(None);
        }
        let log = &chat.parts.log;
        let crowd = log
            .members(self.talk, self.since, self.after, CROWD)
            .await?;
        self.is_last = crowd.len() < CROWD;
        self.after = crowd.last().map(|member| member.user);
        Ok(Some(crowd))
    }
}
