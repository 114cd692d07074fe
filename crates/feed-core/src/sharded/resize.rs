//! The three steps of a move, as one process takes them.

use std::{ptr, sync::Arc};

use crate::{MoveStep, Result, ShardedTimelines, TimelineShards, sharded::placement::out_of_step};

impl ShardedTimelines {
    /// Begins to move to `to`: new owners take writes from now on, and nothing is read from them.
    ///
    /// # Errors
    ///
    /// As [`Placement::begin`](crate::Placement::begin); nothing changed. Beginning the same move again
    /// is no error.
    pub fn begin_move(&self, to: TimelineShards) -> Result<()> {
        self.replace(|placement| {
            let target = placement.other().map(|other| other.ring().fingerprint());
            let begun = placement.step() == MoveStep::Begun;
            if begun && target == Some(to.ring().fingerprint()) {
                return Ok(None);
            }
            placement.begin(to).map(Some)
        })
    }

    /// Reads from new owners from now on; old ones still take writes. Only when every process has
    /// begun.
    ///
    /// Before that, the stores that gain timelines drop what they may have kept of them since an
    /// earlier move. Each of these stores is walked, which costs nothing for a new one.
    ///
    /// # Errors
    ///
    /// As [`Placement::switch`](crate::Placement::switch), or if a store that gains timelines fails;
    /// reads are not switched. Switching again is no error.
    ///
    /// # Cancel safety
    ///
    /// Reads are not switched.
    pub async fn switch_reads(&self) -> Result<()> {
        let begun = self.placement();
        if begun.step() == MoveStep::Switched {
            return Ok(());
        }
        let switched = begun.switch()?;
        drop_stale(begun.reads(), switched.reads()).await?;
        self.replace(|placement| match placement.step() {
            MoveStep::Switched => Ok(None),
            _ if ptr::eq(placement, Arc::as_ptr(&begun)) => Ok(Some(switched)),
            _ => Err(out_of_step("switch reads", "the move was given up")),
        })
    }

    /// Ends the move: old owners take no writes any more, and drop what has moved away. Only when every
    /// process has switched. Answers how many timelines were dropped.
    ///
    /// Walks every store that stays. One that has left the ring is not called, and may be gone.
    ///
    /// # Errors
    ///
    /// As [`Placement::finish`](crate::Placement::finish). If a store fails, the move has ended, and some
    /// timelines that moved away still take memory. Finishing again drops them.
    ///
    /// # Cancel safety
    ///
    /// As for a store that fails.
    pub async fn finish_move(&self) -> Result<usize> {
        self.replace(|placement| match placement.step() {
            MoveStep::Settled => Ok(None),
            _ => placement.finish().map(Some),
        })?;
        let placement = self.placement();
        let shards = placement.reads();
        let kept = |index, owner| shards.index(owner) == index;
        shards.retain(0..shards.len(), kept).await
    }

    /// Gives a move up that has begun: new owners take no writes any more. Only while no process has
    /// switched.
    ///
    /// # Errors
    ///
    /// As [`Placement::cancel`](crate::Placement::cancel); nothing changed. Giving up again is no error.
    pub fn cancel_move(&self) -> Result<()> {
        self.replace(|placement| match placement.step() {
            MoveStep::Settled => Ok(None),
            _ => placement.cancel().map(Some),
        })
    }
}

/// Has the stores that `to` gives more timelines drop all that they do not keep under `from`.
async fn drop_stale(from: &TimelineShards, to: &TimelineShards) -> Result<()> {
    let moved = from.ring().diff(to.ring());
    let gains = |&index: &usize| {
        let name = Some(to.name(index));
        moved.ranges().iter().any(|range| range.to() == name)
    };
    let kept = |index, owner| from.name(from.index(owner)) == to.name(index);
    to.retain((0..to.len()).filter(gains), kept).await?;
    Ok(())
}
