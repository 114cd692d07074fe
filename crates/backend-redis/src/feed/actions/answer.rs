//! What the scripts and commands of actions answer.

use feed_core::{PostId, UserId};
use redis::{FromRedisValue, Value};

use super::{
    Deed, Kind,
    posts::{Left, Put},
};
use crate::answer::{Maybe, bytes, maybe_number, number, rows};

/// An action that was taken back.
pub(super) struct Forgotten {
    pub(super) kind: Kind,
    pub(super) actor: UserId,
    /// Which a like has none of.
    pub(super) item: Option<PostId>,
    pub(super) noted: u64,
}

/// Whether something was done, and the item, which a like has none of.
pub(super) enum Acted {
    Not,
    ByItself,
    By(PostId),
}

pub(super) fn put(answer: &Value) -> Option<Put> {
    match answer {
        Value::Int(0) => Some(Put::NoteAuthor),
        Value::BulkString(least) => {
            let least = std::str::from_utf8(least).ok()?;
            Some(Put::Above(least.parse().ok()?))
        }
        existing => {
            let item = |row| maybe_number(row).map(|Maybe(item)| item.map(PostId::new));
            let existing = rows(existing)?.into_iter().map(item);
            Some(Put::Done(existing.collect::<Option<_>>()?))
        }
    }
}

/// What is left of a post, and of each action the number of its note, if it was there.
pub(super) fn taken(answer: &Value) -> Option<(Left, Vec<Option<u64>>)> {
    let rows = rows(answer)?;
    let (left, numbers) = left(&rows)?;
    let number = |row: &&[u8]| maybe_number(row).map(|Maybe(number)| number);
    Some((left, numbers.iter().map(number).collect::<Option<_>>()?))
}

/// What is left of a post, and what was forgotten.
pub(super) fn forgotten(answer: &Value) -> Option<(Left, Vec<Forgotten>)> {
    let rows = rows(answer)?;
    let (left, taken) = left(&rows)?;
    let one = |parts: &[&[u8]]| {
        let [kind, actor, item, noted] = parts else {
            return None;
        };
        Some(Forgotten {
            kind: Kind::named(kind)?,
            actor: UserId::new(number(actor)?),
            item: maybe_number(item)?.0.map(PostId::new),
            noted: number(noted)?,
        })
    };
    Some((left, taken.chunks(4).map(one).collect::<Option<_>>()?))
}

/// What an actor is noted to have done.
pub(super) fn deeds(actor: UserId, answer: &Value) -> Option<Vec<Deed>> {
    let deed = |parts: &[&[u8]]| {
        let [kind, post, item, noted] = parts else {
            return None;
        };
        Some(Deed {
            kind: Kind::named(kind)?,
            actor,
            post: PostId::new(number(post)?),
            item: PostId::new(number(item)?),
            noted: Some(number(noted)?),
        })
    };
    rows(answer)?.chunks(4).map(deed).collect()
}

/// What an actor is noted to have done by one item.
pub(super) fn made(actor: UserId, answer: &Value) -> Option<Vec<Deed>> {
    let deed = |member: &&[u8]| {
        let (item, rest) = member.split_at_checked(8)?;
        let (kind, rest) = rest.split_at_checked(1)?;
        let (post, noted) = rest.split_at_checked(8)?;
        Some(Deed {
            kind: Kind::named(kind)?,
            actor,
            post: PostId::new(number(post)?),
            item: PostId::new(number(item)?),
            noted: Some(number(noted)?),
        })
    };
    rows(answer)?.iter().map(deed).collect()
}

/// Posts, and the numbers of the notes of them.
pub(super) fn posts(answer: &Value) -> Option<Vec<(PostId, u64)>> {
    let posts = Vec::<(Vec<u8>, Vec<u8>)>::from_redis_value_ref(answer).ok()?;
    let noted =
        |(post, noted): (Vec<u8>, Vec<u8>)| Some((PostId::new(number(&post)?), number(&noted)?));
    posts.into_iter().map(noted).collect()
}

pub(super) fn acted(answer: &Value) -> Option<Acted> {
    let by = |row: Option<&[u8]>| Some(Acted::By(PostId::new(number(row?)?)));
    match answer {
        Value::Int(0) | Value::Nil => Some(Acted::Not),
        Value::Int(1) => Some(Acted::ByItself),
        Value::BulkString(repost) => by(repost.get(..8)),
        replies => match rows(replies)?[..] {
            [] => Some(Acted::Not),
            [reply] => by(reply.get(8..16)),
            _ => None,
        },
    }
}

pub(super) fn count(answer: &Value) -> Option<u64> {
    u64::from_redis_value_ref(answer).ok()
}

pub(super) fn next_number(answer: &Value) -> Option<u64> {
    number(bytes(answer)?)
}

fn left<'a>(rows: &'a [&'a [u8]]) -> Option<(Left, &'a [&'a [u8]])> {
    let [author, note, rest @ ..] = rows else {
        return None;
    };
    let left = Left {
        author: maybe_number(author)?.0.map(UserId::new),
        note: maybe_number(note)?.0,
    };
    Some((left, rest))
}
