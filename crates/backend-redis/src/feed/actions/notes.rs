//! What users are noted to have done, and what of theirs others may have done something to.

use std::{collections::BTreeMap, iter::zip};

use feed_core::{PostId, Result, UserId};
use redis::{Cmd, cmd};

use super::{Deed, Kind, RedisActions, answer, posts::Group};
use crate::{
    answer::done,
    script::{Call, script},
};

script!(NOTE, "../../lua/numbers.lua", "user.lua", "note.lua");
script!(UNNOTE, "../../lua/numbers.lua", "user.lua", "unnote.lua");
script!(NOTES, "../../lua/numbers.lua", "user.lua", "notes.lua");

/// What a note is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    name: &'static str,
    post: PostId,
    item: PostId,
}

/// Notes of nothing, by whose they are, each with the number up to which it is of nothing.
pub(super) type Stale = BTreeMap<UserId, Vec<(Note, u64)>>;

impl Note {
    pub(super) const fn of(kind: Kind, post: PostId, item: PostId) -> Self {
        let name = kind.name();
        Self { name, post, item }
    }

    /// That somebody did something to a post of the user's.
    pub(super) const fn of_own(post: PostId) -> Self {
        let (name, item) = ("0", post);
        Self { name, post, item }
    }

    fn add_to(self, call: Call) -> Call {
        call.bytes(self.name)
            .bytes(self.post.get().to_be_bytes())
            .bytes(self.item.get().to_be_bytes())
    }
}

impl RedisActions {
    /// Notes what is about to be put to posts, and tells each group the numbers of the notes.
    pub(super) async fn note_all(
        &self,
        deeds: &[Deed],
        groups: &mut [Group],
        author: impl Fn(&Group) -> UserId,
    ) -> Result<()> {
        let mut least = 0;
        let mut notes = BTreeMap::<_, Vec<_>>::new();
        for group in &*groups {
            least = least.max(group.least);
            for deed in group.places.iter().map(|&place| &deeds[place]) {
                let note = Note::of(deed.kind, deed.post, deed.item);
                notes.entry(deed.actor).or_default().push(note);
            }
            if group.notes_author {
                let own = notes.entry(author(group)).or_default();
                own.push(Note::of_own(group.post));
            }
        }
        let call = |(&user, notes): (&UserId, &Vec<Note>)| {
            let call = Call::of(&NOTE).family(self.user_key(user)).number(least);
            notes.iter().fold(call, |call, note| note.add_to(call))
        };
        let calls: Vec<_> = notes.iter().map(call).collect();
        let answers = self
            .redis
            .ask_all("record", &calls, answer::next_number)
            .await;
        let mut numbers = BTreeMap::new();
        for (&user, answer) in zip(notes.keys(), answers) {
            numbers.insert(user, answer?);
        }
        for group in groups {
            let number = |&place: &usize| numbers[&deeds[place].actor];
            group.numbers = group.places.iter().map(number).collect();
            group.author_note = group.notes_author.then(|| numbers[&author(group)]);
        }
        Ok(())
    }

    /// Forgets notes of nothing, unless they have been made again since.
    pub(super) async fn unnote(&self, op: &'static str, stale: Stale) -> Result<()> {
        let call = |(user, notes): (UserId, Vec<(Note, u64)>)| {
            let call = Call::of(&UNNOTE).family(self.user_key(user));
            notes.into_iter().fold(call, |call, (note, number)| {
                note.add_to(call).bytes(number.to_be_bytes())
            })
        };
        let calls: Vec<_> = stale.into_iter().map(call).collect();
        for unnoted in self.redis.ask_all(op, &calls, done).await {
            unnoted?;
        }
        Ok(())
    }

    /// Some of what a user is noted to have done.
    pub(super) async fn deeds(&self, user: UserId, limit: usize) -> Result<Vec<Deed>> {
        let call = Call::reading(&NOTES)
            .family(self.user_key(user))
            .number(limit as u64);
        let read = |answer: &_| answer::deeds(user, answer);
        Ok(self.redis.ask("erase", &call, read).await?)
    }

    /// Some of the posts of a user that somebody is noted to have done something to, with the numbers of the
    /// notes.
    pub(super) async fn posts_of(&self, user: UserId, limit: usize) -> Result<Vec<(PostId, u64)>> {
        let mut look = cmd("HRANDFIELD");
        look.arg(format!("{}:posts", self.user_key(user)))
            .arg(limit)
            .arg("WITHVALUES");
        Ok(self.redis.read_one("erase", look, answer::posts).await?)
    }

    /// Asks what a reply or repost was of.
    pub(super) fn look_item(&self, actor: UserId, item: PostId) -> Cmd {
        let item = item.get().to_be_bytes();
        let [from, to] =
            [Kind::Reply, Kind::Repost].map(|kind| [&item, kind.name().as_bytes()].concat());
        let mut look = cmd("ZRANGEBYLEX");
        look.arg(format!("{}:made", self.user_key(actor)))
            .arg([b"[", &from[..]].concat())
            .arg([b"[", &to[..], &[u8::MAX; 17]].concat());
        look
    }
}
