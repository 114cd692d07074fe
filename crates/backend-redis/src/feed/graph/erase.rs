//! Whatever mentions a user, in slices.

use feed_core::{Result, Route, UserId};

use super::{RedisGraph, answer};
use crate::{batches::BATCH, script::script};

const OP: &str = "erase";

script!(ENDS, "../../lua/numbers.lua", "user.lua", "ends.lua");

impl RedisGraph {
    pub(super) async fn erase_some(&self, user: UserId, limit: usize) -> Result<usize> {
        if limit == 0 {
            return Ok(0);
        }
        let mut erased = 0;
        while erased < limit {
            let some = BATCH.min(limit - erased);
            if let Some(cut) = self.cut_ties(user, some).await? {
                erased += cut;
            } else if let Some(cut) = self.cut_lists(user, some).await? {
                erased += cut;
            } else if let Some(cut) = self.leave_lists(user, some).await? {
                erased += cut;
            } else {
                break;
            }
        }
        if erased == 0 {
            self.pay_all(OP, user).await?;
            self.set_route(OP, user, None, Route::PUSH).await?;
        }
        Ok(erased)
    }

    /// Removes up to `limit` ties that the user has an end of, and says how many there were, if there are
    /// ends.
    async fn cut_ties(&self, user: UserId, limit: usize) -> Result<Option<usize>> {
        let call = self.reading(&ENDS, user).number(limit as u64);
        let read = |answer: &_| answer::ends(user, answer);
        let ties = self.redis.ask(OP, &call, read).await?;
        if ties.is_empty() {
            return Ok(None);
        }
        self.cut_all(OP, &ties).await.map(Some)
    }
}
