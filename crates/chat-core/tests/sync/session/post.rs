use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use backplane::Epoch;
use chat_core::{
    Advance, ChatEvents, ConversationId, Error, ErrorKind, Event, News, Result, session::Sessions,
};

/// The way from a chat to its sessions, which loses, doubles and reorders what is on it.
#[derive(Debug)]
pub(super) struct Post {
    sessions: Sessions,
    on_its_way: Mutex<Vec<Letter>>,
    fails: AtomicBool,
}

#[derive(Clone, Debug)]
struct Letter {
    conversation: ConversationId,
    epoch: Epoch,
    stretch: (u64, u64),
    events: Vec<Event>,
    members: u32,
}

impl Post {
    pub(super) fn new(sessions: Sessions) -> Arc<Self> {
        Arc::new(Self {
            sessions,
            on_its_way: Mutex::default(),
            fails: AtomicBool::new(false),
        })
    }

    /// Takes nothing, once.
    pub(super) fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    pub(super) async fn deliver(&self, index: usize, twice: bool) {
        let letter = {
            let mut on_its_way = self.on_its_way.lock().unwrap();
            let Some(letter) = on_its_way.get(index).cloned() else {
                return;
            };
            if !twice {
                on_its_way.remove(index);
            }
            letter
        };
        let (first, last) = letter.stretch;
        let news = News::new(
            letter.conversation,
            letter.epoch,
            (first, last),
            &letter.events,
        );
        let news = news.with_members(letter.members);
        self.sessions.happened(&news).await.unwrap();
    }

    pub(super) fn lose(&self, index: usize) {
        let mut on_its_way = self.on_its_way.lock().unwrap();
        if index < on_its_way.len() {
            on_its_way.remove(index);
        }
    }

    pub(super) fn lose_all(&self) {
        self.on_its_way.lock().unwrap().clear();
    }
}

#[async_trait]
impl ChatEvents for Post {
    async fn happened(&self, news: &News<'_>) -> Result<()> {
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(Error::bare(ErrorKind::Unavailable, "push"));
        }
        let letter = Letter {
            conversation: news.conversation,
            epoch: news.epoch,
            stretch: (news.first, news.last),
            events: news.events.to_vec(),
            members: news.members,
        };
        self.on_its_way.lock().unwrap().push(letter);
        Ok(())
    }

    async fn acknowledged(&self, advance: &Advance) -> Result<()> {
        self.sessions.acknowledged(advance).await
    }
}
