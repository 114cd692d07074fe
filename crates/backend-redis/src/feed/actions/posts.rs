//! What was done to posts.

use std::iter::zip;

use feed_core::{Action, Counts, PostId, Result, UserId};
use redis::{Cmd, cmd};

use super::{
    Deed, Kind, RedisActions, answer, by_post,
    notes::{Note, Stale},
};
use crate::{
    batches::BATCH,
    script::{Call, script},
};

script!(PUT, "post.lua", "put.lua");
script!(TAKE, "post.lua", "take.lua");
script!(FORGET, "post.lua", "forget.lua");

/// Actions on one post that are to be put there together.
pub(super) struct Group {
    pub(super) post: PostId,
    pub(super) places: Vec<usize>,
    /// Above what the numbers of their notes must be.
    pub(super) least: u64,
    /// Whether the author is to note the post.
    pub(super) notes_author: bool,
    pub(super) numbers: Vec<u64>,
    pub(super) author_note: Option<u64>,
}

/// What became of a [`Group`].
pub(super) enum Put {
    /// Of each action the item that was there before, if one was.
    Done(Vec<Option<PostId>>),
    /// Nothing yet: the author must note the post first.
    NoteAuthor,
    /// Nothing yet: all numbers must be above this.
    Above(u64),
}

/// What a post still says once something was taken back.
pub(super) struct Left {
    pub(super) author: Option<UserId>,
    /// The number of the author's note, if nothing is left to note.
    pub(super) note: Option<u64>,
}

/// A post of which something is to be forgotten, and if it must be, whose, with the number of their note.
pub(super) type Share = (PostId, Option<(UserId, u64)>);

impl From<(PostId, Vec<usize>)> for Group {
    fn from((post, places): (PostId, Vec<usize>)) -> Self {
        Self {
            post,
            places,
            least: 0,
            notes_author: false,
            numbers: Vec::new(),
            author_note: None,
        }
    }
}

impl RedisActions {
    pub(super) async fn put(
        &self,
        deeds: &[Deed],
        groups: &[Group],
        author: impl Fn(&Group) -> UserId,
    ) -> Vec<backplane::Result<Put>> {
        let call = |group: &Group| {
            let note = group
                .author_note
                .map(|number| number.to_be_bytes().to_vec());
            let call = Call::of(&PUT)
                .family(self.post_key(group.post))
                .bytes(author(group).get().to_be_bytes())
                .bytes(note.unwrap_or_default());
            let placed = zip(&group.places, &group.numbers);
            placed.fold(call, |call, (&place, number)| {
                deeds[place].add_to(call).bytes(number.to_be_bytes())
            })
        };
        let calls: Vec<_> = groups.iter().map(call).collect();
        self.redis.ask_all("record", &calls, answer::put).await
    }

    /// Takes actions back, and answers of each what it was if it was there.
    pub(super) async fn take_back(
        &self,
        op: &'static str,
        deeds: &[Deed],
    ) -> Result<Vec<Option<Action>>> {
        let mut taken = Vec::with_capacity(deeds.len());
        for deeds in deeds.chunks(BATCH) {
            taken.extend(self.take_some(op, deeds).await?);
        }
        Ok(taken)
    }

    async fn take_some(&self, op: &'static str, deeds: &[Deed]) -> Result<Vec<Option<Action>>> {
        let groups = by_post(deeds);
        let call = |(&post, places): (&PostId, &Vec<usize>)| {
            let call = Call::of(&TAKE).family(self.post_key(post));
            places.iter().fold(call, |call, &place| {
                let noted = deeds[place]
                    .noted
                    .map(|number| number.to_be_bytes().to_vec());
                deeds[place].add_to(call).bytes(noted.unwrap_or_default())
            })
        };
        let calls: Vec<_> = groups.iter().map(call).collect();
        let answers = self.redis.ask_all(op, &calls, answer::taken).await;
        let mut taken = vec![None; deeds.len()];
        let mut stale = Stale::new();
        for ((post, places), answer) in zip(groups, answers) {
            let (left, numbers) = answer?;
            for (place, number) in zip(places, numbers) {
                let deed = &deeds[place];
                taken[place] = number.and(left.author).map(|author| deed.action(author));
                let note = Note::of(deed.kind, deed.post, deed.item);
                if let Some(number) = number.max(deed.noted) {
                    stale.entry(deed.actor).or_default().push((note, number));
                }
            }
            disown(&mut stale, post, left.author, left.note);
        }
        self.unnote(op, stale).await?;
        Ok(taken)
    }

    /// Forgets up to `limit` actions on posts, or a batch, and says how many there were.
    pub(super) async fn forget_some(
        &self,
        op: &'static str,
        posts: &[Share],
        limit: usize,
    ) -> Result<usize> {
        let shares = self.shares(op, posts, limit.min(BATCH)).await?;
        self.forget_shares(op, shares).await
    }

    /// Forgets so much of each post. What is forgotten nothing of is closed if nothing is left.
    pub(super) async fn forget_shares(
        &self,
        op: &'static str,
        shares: Vec<(Share, usize)>,
    ) -> Result<usize> {
        let call = |&((post, whose), share): &(Share, usize)| {
            let (user, number) = whose.unzip();
            let bytes = |number: Option<u64>| number.map(|number| number.to_be_bytes().to_vec());
            Call::of(&FORGET)
                .family(self.post_key(post))
                .number(share as u64)
                .bytes(bytes(user.map(UserId::get)).unwrap_or_default())
                .bytes(bytes(number).unwrap_or_default())
        };
        let calls: Vec<_> = shares.iter().map(call).collect();
        let answers = self.redis.ask_all(op, &calls, answer::forgotten).await;
        let (mut forgotten, mut stale) = (0, Stale::new());
        for (((post, whose), _), answer) in zip(shares, answers) {
            let (left, taken) = answer?;
            forgotten += taken.len();
            for gone in taken {
                let note = Note::of(gone.kind, post, gone.item.unwrap_or(post));
                stale
                    .entry(gone.actor)
                    .or_default()
                    .push((note, gone.noted));
            }
            let whose = whose.map(|(user, _)| user);
            disown(&mut stale, post, left.author.or(whose), left.note);
        }
        self.unnote(op, stale).await?;
        Ok(forgotten)
    }

    /// How much to forget of each post. Those with nothing are left out, unless they are to be noted no more.
    async fn shares(
        &self,
        op: &'static str,
        posts: &[Share],
        mut limit: usize,
    ) -> Result<Vec<(Share, usize)>> {
        let asked: Vec<_> = posts.iter().map(|&(post, _)| post).collect();
        let mut shares = Vec::new();
        for (&post, counts) in zip(posts, self.count(op, &asked).await?) {
            let all = counts.likes + counts.replies + counts.reposts;
            let share = usize::try_from(all).unwrap_or(usize::MAX).min(limit);
            limit -= share;
            if share > 0 || post.1.is_some() {
                shares.push((post, share));
            }
        }
        Ok(shares)
    }

    pub(super) async fn count(&self, op: &'static str, posts: &[PostId]) -> Result<Vec<Counts>> {
        let looks = |&post| {
            let base = self.post_key(post);
            [("HLEN", "likes"), ("ZCARD", "replies"), ("HLEN", "reposts")].map(|(name, set)| {
                let mut look = cmd(name);
                look.arg(format!("{base}:{set}"));
                look
            })
        };
        let looks: Vec<_> = posts.iter().flat_map(looks).collect();
        let answers = self.redis.read_all(op, &looks, answer::count).await;
        let numbers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        let counts = |numbers: &[u64]| {
            let mut counts = Counts::default();
            if let &[likes, replies, reposts] = numbers {
                (counts.likes, counts.replies, counts.reposts) = (likes, replies, reposts);
            }
            counts
        };
        Ok(numbers.chunks(3).map(counts).collect())
    }

    /// Asks for the item by which an actor did this to a post.
    pub(super) fn look(&self, actor: UserId, kind: Kind, post: PostId) -> Cmd {
        let (base, actor) = (self.post_key(post), actor.get().to_be_bytes());
        match kind {
            Kind::Like => {
                let mut look = cmd("HEXISTS");
                look.arg(format!("{base}:likes")).arg(&actor);
                look
            }
            Kind::Reply => {
                let mut look = cmd("ZRANGEBYLEX");
                let [from, to] = [0, u8::MAX].map(|byte| [b"[", &actor[..], &[byte; 17]].concat());
                look.arg(format!("{base}:replies")).arg(from).arg(to);
                look.arg("LIMIT").arg(0).arg(1);
                look
            }
            Kind::Repost => {
                let mut look = cmd("HGET");
                look.arg(format!("{base}:reposts")).arg(&actor);
                look
            }
        }
    }
}

impl Deed {
    fn add_to(&self, call: Call) -> Call {
        call.bytes(self.kind.name())
            .bytes(self.actor.get().to_be_bytes())
            .bytes(self.item.get().to_be_bytes())
    }
}

/// The author has nothing to note of a post with nothing left.
fn disown(stale: &mut Stale, post: PostId, author: Option<UserId>, note: Option<u64>) {
    if let (Some(author), Some(number)) = (author, note) {
        let notes = stale.entry(author).or_default();
        notes.push((Note::of_own(post), number));
    }
}
