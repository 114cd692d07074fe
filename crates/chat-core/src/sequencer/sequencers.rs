use std::{fmt, sync::Arc};

use backplane::Epoch;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{SequenceKeeper, SequenceMarks, SequencerOptions, Tombstones};
use crate::{Coalescer, ConversationId, Error, ErrorKind, Result};

/// The keepers of many conversations, each opened when it is first asked for.
///
/// Whoever has messages for one conversation resolves its keeper once and holds it. Callers who ask at
/// once for one that is not open share its opening, and a caller that is dropped does not disturb it.
///
/// A keeper that has lost its conversation to another process is opened again when it is asked for:
/// which process has which conversations is for the application to decide.
#[derive(Debug)]
pub struct Sequencers {
    shelf: Arc<Shelf>,
    opening: Coalescer<ConversationId, Result<Arc<SequenceKeeper>, Arc<Error>>>,
}

/// The bounds of [`Sequencers`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SequencersOptions {
    /// Those of each.
    pub each: SequencerOptions,
    /// How many conversations may be open: a million unless set. They are spread over 64 shards, and
    /// what is more than its share of these is refused as [`ErrorKind::Full`], until some are
    /// [closed](Sequencers::close).
    pub conversations: usize,
}

impl Default for SequencersOptions {
    fn default() -> Self {
        Self {
            each: SequencerOptions::default(),
            conversations: 1_000_000,
        }
    }
}

impl SequencersOptions {
    /// Sets [`each`](Self::each).
    #[must_use]
    pub const fn with_each(mut self, each: SequencerOptions) -> Self {
        self.each = each;
        self
    }

    /// Sets [`conversations`](Self::conversations).
    #[must_use]
    pub const fn with_conversations(mut self, conversations: usize) -> Self {
        self.conversations = conversations;
        self
    }
}

struct Shelf {
    marks: Arc<dyn SequenceMarks>,
    tombstones: Arc<dyn Tombstones>,
    epochs: Box<dyn Fn() -> Epoch + Send + Sync>,
    options: SequencersOptions,
    shards: [Mutex<HashMap<ConversationId, Arc<SequenceKeeper>>>; SHARDS],
}

const SHARDS: usize = 64;

impl Sequencers {
    /// None is open. A conversation without a mark begins in an epoch of `epochs`, which answers
    /// another at each call: random ones.
    pub fn new(
        marks: Arc<dyn SequenceMarks>,
        tombstones: Arc<dyn Tombstones>,
        epochs: impl Fn() -> Epoch + Send + Sync + 'static,
        options: SequencersOptions,
    ) -> Self {
        let shelf = Shelf {
            marks,
            tombstones,
            epochs: Box::new(epochs),
            options,
            shards: std::array::from_fn(|_| Mutex::default()),
        };
        Self {
            shelf: Arc::new(shelf),
            opening: Coalescer::new(),
        }
    }

    /// The keeper of `conversation`, if it is open.
    #[must_use]
    pub fn find(&self, conversation: ConversationId) -> Option<Arc<SequenceKeeper>> {
        self.shelf.find(conversation)
    }

    /// The keeper of `conversation`, which is opened if it is not.
    ///
    /// # Errors
    ///
    /// As for [`SequenceKeeper::open`]; [`ErrorKind::Full`] if too many are open.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the opening to those who share it. If there are none, it may have
    /// taken the conversation over from a former keeper; the next call opens it.
    pub async fn resolve(&self, conversation: ConversationId) -> Result<Arc<SequenceKeeper>> {
        if let Some(keeper) = self.find(conversation) {
            return Ok(keeper);
        }
        let shelf = Arc::clone(&self.shelf);
        let open = async move { shelf.open(conversation).await.map_err(Arc::new) };
        let opened = self.opening.run(conversation, 0, open).await;
        opened.map_err(|error| Error::new(error.kind(), "resolve", error))
    }

    /// Forgets the keeper of `conversation` and [closes](SequenceKeeper::close) it, if it is open.
    ///
    /// # Errors
    ///
    /// As stated there.
    ///
    /// # Cancel safety
    ///
    /// As stated there. It is forgotten all the same.
    pub async fn close(&self, conversation: ConversationId) -> Result<()> {
        let keeper = self.shelf.shard(conversation).lock().remove(&conversation);
        match keeper {
            Some(keeper) => keeper.close().await,
            None => Ok(()),
        }
    }
}

impl Shelf {
    fn shard(
        &self,
        conversation: ConversationId,
    ) -> &Mutex<HashMap<ConversationId, Arc<SequenceKeeper>>> {
        // Fibonacci hashing: ids that follow each other spread evenly.
        let hash = conversation.mixed().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.shards[usize::try_from(hash >> 58).unwrap_or_default()]
    }

    fn find(&self, conversation: ConversationId) -> Option<Arc<SequenceKeeper>> {
        let shard = self.shard(conversation).lock();
        let keeper = shard.get(&conversation)?;
        (!keeper.sequencer().is_closed()).then(|| Arc::clone(keeper))
    }

    async fn open(&self, conversation: ConversationId) -> Result<Arc<SequenceKeeper>> {
        // Another opening may have ended between a caller's look and this.
        if let Some(keeper) = self.find(conversation) {
            return Ok(keeper);
        }
        let each = self.options.conversations.div_ceil(SHARDS);
        let is_full = {
            let shard = self.shard(conversation).lock();
            shard.len() >= each && !shard.contains_key(&conversation)
        };
        if is_full {
            return Err(Error::bare(ErrorKind::Full, "open"));
        }
        let (marks, tombstones) = (Arc::clone(&self.marks), Arc::clone(&self.tombstones));
        let (epoch, options) = ((self.epochs)(), self.options.each);
        let opened = SequenceKeeper::open(marks, tombstones, conversation, epoch, options);
        let keeper = Arc::new(opened.await?);
        let mut shard = self.shard(conversation).lock();
        shard.insert(conversation, Arc::clone(&keeper));
        Ok(keeper)
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("marks", &self.marks)
            .field("tombstones", &self.tombstones)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
