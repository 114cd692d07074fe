//! Lists, and in which lists each user is.
//!
//! Before somebody is put into a list it is noted with them, and after they were taken out the note goes
//! too: so who is erased finds every list that has them. A note has the number of the change that it was
//! made for, so that it outlives the end of an older membership.

use std::{collections::HashSet, iter::zip};

use feed_core::{ListId, Result, UserId};
use redis::cmd;

use super::{RedisGraph, answer, row};
use crate::{
    answer::{Maybe, done},
    script::script,
};

script!(NUMBER, "../../lua/numbers.lua", "user.lua", "number.lua");
script!(ENLIST, "../../lua/numbers.lua", "user.lua", "enlist.lua");
script!(
    SET_LIST,
    "../../lua/numbers.lua",
    "user.lua",
    "list.lua",
    "set_list.lua"
);
script!(
    STRIKE,
    "../../lua/numbers.lua",
    "user.lua",
    "list.lua",
    "strike.lua"
);
script!(
    CUT_LIST,
    "../../lua/numbers.lua",
    "user.lua",
    "list.lua",
    "cut_list.lua"
);
script!(UNLIST, "../../lua/numbers.lua", "user.lua", "unlist.lua");

/// An owner and one of their lists.
type Listing = (UserId, ListId);

impl RedisGraph {
    pub(super) async fn replace_list(
        &self,
        owner: UserId,
        list: ListId,
        members: &[UserId],
    ) -> Result<()> {
        const OP: &str = "set list";
        let mut seen = HashSet::new();
        let mut members = members.to_vec();
        members.retain(|&member| seen.insert(member));
        let packed: Vec<_> = members
            .iter()
            .flat_map(|&member| row::bytes(member))
            .collect();
        let listing = (owner, list);
        loop {
            let call = self.call(&NUMBER, owner);
            let number = self.redis.ask(OP, &call, answer::next_number).await?;
            self.note(OP, listing, &members, number).await?;
            let call = self
                .call(&SET_LIST, owner)
                .bytes(list.get().to_be_bytes())
                .bytes(number.to_be_bytes())
                .bytes(&packed[..]);
            // Whoever changed the list meanwhile may have taken notes away that are of use.
            if let Maybe(Some(before)) = self.redis.ask(OP, &call, answer::replaced).await? {
                let gone = before.into_iter().filter(|member| !seen.contains(member));
                let gone: Vec<_> = gone.map(|member| (member, listing, number)).collect();
                return self.unnote(OP, &gone).await;
            }
        }
    }

    pub(super) async fn members(&self, owner: UserId, list: ListId) -> Result<Vec<UserId>> {
        let mut look = cmd("HGET");
        look.arg(self.key(owner, "lists"))
            .arg(&list.get().to_be_bytes());
        Ok(self.redis.read_one("list", look, answer::members).await?)
    }

    /// Takes up to `limit` members out of the user's lists, and says how many there were, if there are lists.
    pub(super) async fn cut_lists(&self, owner: UserId, limit: usize) -> Result<Option<usize>> {
        const OP: &str = "erase";
        let call = self.call(&CUT_LIST, owner).number(limit as u64);
        let Maybe(Some(cut)) = self.redis.ask(OP, &call, answer::cut).await? else {
            return Ok(None);
        };
        let (listing, count) = ((owner, cut.list), cut.members.len());
        let gone = cut.members.into_iter();
        let gone = gone.map(|member| (member, listing, cut.number));
        self.unnote(OP, &gone.collect::<Vec<_>>()).await?;
        Ok(Some(count))
    }

    /// Takes the user out of up to `limit` lists, and says of how many of them they were a member, if they are
    /// noted for any.
    pub(super) async fn leave_lists(&self, user: UserId, limit: usize) -> Result<Option<usize>> {
        const OP: &str = "erase";
        let mut look = cmd("ZRANGE");
        look.arg(self.key(user, "listed")).arg(0).arg(limit - 1);
        look.arg("WITHSCORES");
        let listings = self.redis.read_one(OP, look, answer::listings).await?;
        if listings.is_empty() {
            return Ok(None);
        }
        let strike = |&((owner, list), noted): &(Listing, f64)| {
            self.call(&STRIKE, owner)
                .bytes(list.get().to_be_bytes())
                .bytes(row::bytes(user))
                .bytes(noted.to_string())
        };
        let calls: Vec<_> = listings.iter().map(strike).collect();
        let answers = self.redis.ask_all(OP, &calls, answer::struck).await;
        let (mut struck, mut gone) = (0, Vec::new());
        for ((listing, _), answer) in zip(listings, answers) {
            let (was_there, number) = answer?;
            struck += usize::from(was_there);
            gone.push((user, listing, number));
        }
        self.unnote(OP, &gone).await?;
        Ok(Some(struck))
    }

    async fn note(
        &self,
        op: &'static str,
        listing: Listing,
        members: &[UserId],
        number: u64,
    ) -> Result<()> {
        let note = |&member| {
            self.call(&ENLIST, member)
                .bytes(bytes(&listing))
                .bytes(number.to_be_bytes())
        };
        let calls: Vec<_> = members.iter().map(note).collect();
        for noted in self.redis.ask_all(op, &calls, done).await {
            noted?;
        }
        Ok(())
    }

    /// Takes away the notes of members, unless they are of a later change.
    async fn unnote(&self, op: &'static str, gone: &[(UserId, Listing, u64)]) -> Result<()> {
        let call = |(member, listing, number): &(UserId, Listing, u64)| {
            self.call(&UNLIST, *member)
                .bytes(bytes(listing))
                .bytes(number.to_be_bytes())
        };
        let calls: Vec<_> = gone.iter().map(call).collect();
        for unnoted in self.redis.ask_all(op, &calls, done).await {
            unnoted?;
        }
        Ok(())
    }
}

/// As the note has it.
fn bytes((owner, list): &Listing) -> Vec<u8> {
    [row::bytes(*owner), list.get().to_be_bytes()].concat()
}
