use backplane::{Error, ErrorKind, Result};
use bytes::Bytes;
use feed_core::{Entry, Post, PostId, PostState, Publication, Seek, UserId};
use redis::{Cmd, Value, cmd};

use crate::answer::rows;

/// A live post as its author's set holds it, but for the author.
///
/// Its bytes: post `u64`, version `u32`, tag `u8`, then the origin `u64` of a repost (bit 0 of the tag),
/// then the post that is answered `u64` (bit 1). Integers are in big endian, so lines are ordered by post.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) post: PostId,
    origin: PostId,
    version: u32,
    reply_to: Option<PostId>,
}

const REPOST: u8 = 1;
const REPLY: u8 = 2;

/// After all that a line of a post may go on with.
const BEYOND: [u8; 5] = [u8::MAX; 5];

impl Line {
    /// The line of a post that is new.
    pub(super) const fn first(item: &Publication) -> Self {
        Self {
            post: item.entry.post,
            origin: item.entry.origin,
            version: 1,
            reply_to: item.reply_to,
        }
    }

    pub(super) const fn entry(self, author: UserId) -> Entry {
        Entry {
            post: self.post,
            author,
            origin: self.origin,
        }
    }

    pub(super) const fn state(self, author: UserId) -> PostState {
        PostState::Live {
            entry: self.entry(author),
            version: self.version,
        }
    }

    pub(super) fn whole(self, author: UserId, body: Bytes) -> Post {
        Post::new(self.entry(author), self.version, body).in_reply_to(self.reply_to)
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut line = Vec::with_capacity(29);
        line.extend(bytes_of(self.post));
        line.extend(self.version.to_be_bytes());
        let is_repost = self.origin != self.post;
        let repost = if is_repost { REPOST } else { 0 };
        let reply = if self.reply_to.is_some() { REPLY } else { 0 };
        line.push(repost | reply);
        if is_repost {
            line.extend(bytes_of(self.origin));
        }
        line.extend(self.reply_to.into_iter().flat_map(bytes_of));
        line
    }

    pub(super) fn decode(line: &[u8]) -> Option<Self> {
        let (post, rest) = take_post(line)?;
        let (version, rest) = rest.split_first_chunk()?;
        let (&tag, rest) = rest.split_first()?;
        let (origin, rest) = match tag & REPOST {
            0 => (post, rest),
            _ => take_post(rest)?,
        };
        let (reply_to, rest) = match tag & REPLY {
            0 => (None, rest),
            _ => take_post(rest).map(|(post, rest)| (Some(post), rest))?,
        };
        let line = Self {
            post,
            origin,
            version: u32::from_be_bytes(*version),
            reply_to,
        };
        (tag <= REPOST | REPLY && rest.is_empty()).then_some(line)
    }

    /// Reads the lines that [`range`] asks for.
    pub(super) fn read_all(answer: &Value) -> Option<Vec<Self>> {
        let Value::Array(lines) = answer else {
            return None;
        };
        let line = |line: &Value| match line {
            Value::BulkString(line) => Self::decode(line),
            _ => None,
        };
        lines.iter().map(line).collect()
    }
}

/// Reads the same, but for what does not decode of which only the post does.
pub(super) fn read_each(answer: &Value) -> Option<Vec<(PostId, Result<Line>)>> {
    let line = |line: &&[u8]| {
        let (post, _) = take_post(line)?;
        let decoded = Line::decode(line);
        let corrupt = || Error::bare(ErrorKind::Corrupt, "latest");
        Some((post, decoded.ok_or_else(corrupt)))
    };
    rows(answer)?.iter().map(line).collect()
}

pub(super) const fn bytes_of(post: PostId) -> [u8; 8] {
    post.get().to_be_bytes()
}

fn take_post(from: &[u8]) -> Option<(PostId, &[u8])> {
    let (post, rest) = from.split_first_chunk()?;
    Some((PostId::new(u64::from_be_bytes(*post)), rest))
}

/// The lines under `key` next to `seek`, at most `limit`, in its direction. At least one.
pub(super) fn range(key: &str, seek: Seek, limit: usize) -> Cmd {
    let by_bytes = |name, from: Vec<u8>, to| {
        let mut range = cmd(name);
        range.arg(key).arg(from).arg(to);
        range.arg("LIMIT").arg(0).arg(limit);
        range
    };
    match seek {
        Seek::Newest => {
            let mut newest = cmd("ZREVRANGE");
            newest.arg(key).arg(0).arg(limit.saturating_sub(1));
            newest
        }
        Seek::Before(bound) => {
            let from = [b"(", &bytes_of(bound)[..]].concat();
            by_bytes("ZREVRANGEBYLEX", from, "-")
        }
        Seek::After(bound) => by_bytes("ZRANGEBYLEX", beyond(bound), "+"),
    }
}

/// The line of `post` under `key`.
pub(super) fn one(key: &str, post: PostId) -> Cmd {
    let mut one = cmd("ZRANGEBYLEX");
    one.arg(key)
        .arg([b"[", &bytes_of(post)[..]].concat())
        .arg(beyond(post));
    one.arg("LIMIT").arg(0).arg(1);
    one
}

/// As a bound of a range, which it is not in: the end of what a line of `post` may be.
fn beyond(post: PostId) -> Vec<u8> {
    [b"(", &bytes_of(post)[..], &BEYOND[..]].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line() -> impl Strategy<Value = Line> {
        let reply_to = prop::option::of(any::<u64>());
        let line = (any::<u64>(), any::<u64>(), any::<u32>(), reply_to);
        line.prop_map(|(post, origin, version, reply_to)| Line {
            post: PostId::new(post),
            origin: PostId::new(origin),
            version,
            reply_to: reply_to.map(PostId::new),
        })
    }

    #[test]
    fn lines_lie_on_the_server_as_they_always_have() {
        let mut line = Line {
            post: PostId::new(0x0102),
            origin: PostId::new(0x0102),
            version: 3,
            reply_to: None,
        };
        let original = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 0];
        assert_eq!(line.encode(), original);
        line.reply_to = Some(PostId::new(4));
        let reply = [&original[..12], &[2, 0, 0, 0, 0, 0, 0, 0, 4]].concat();
        assert_eq!(line.encode(), reply);
        (line.origin, line.reply_to) = (PostId::new(5), None);
        let repost = [&original[..12], &[1, 0, 0, 0, 0, 0, 0, 0, 5]].concat();
        assert_eq!(line.encode(), repost);
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(line in line()) {
            prop_assert_eq!(Line::decode(&line.encode()), Some(line));
        }

        #[test]
        fn lines_are_in_the_order_of_their_posts(a in line(), b in line()) {
            prop_assume!(a.post != b.post);
            prop_assert_eq!(a.encode() < b.encode(), a.post < b.post);
            let end = [&bytes_of(a.post)[..], &BEYOND[..]].concat();
            prop_assert!(a.encode() < end);
            prop_assert_eq!(end < b.encode(), a.post < b.post);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            if let Some(line) = Line::decode(&bytes) {
                prop_assert_eq!(line.encode().len() <= bytes.len(), true);
            }
        }
    }
}
