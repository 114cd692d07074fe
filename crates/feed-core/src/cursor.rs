use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Error, ErrorKind, ListId, PostId, Result, Seek, UserId};

/// A place in one viewer's feed, as text for clients to hand back.
///
/// It names the last post that the scan has looked at, whether or not that post was shown or still
/// exists, so that a page goes on exactly where the last one ended. Its text is 46 characters of
/// the URL-safe base 64 alphabet: a version byte, the feed and the viewer as a hash, the direction,
/// the place, a hash of the entries around it and a checksum. The checksum finds accidents; it does
/// not keep secrets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Cursor {
    feed: u64,
    place: Place,
    recent: Recent,
}

impl Cursor {
    pub(crate) fn new(feed: FeedName, viewer: UserId, place: Place) -> Self {
        Self {
            feed: feed.fingerprint(viewer),
            place,
            recent: Recent::UNKNOWN,
        }
    }

    /// The same place, for a reader who knows these entries from there down.
    pub(crate) const fn with_recent(mut self, recent: Recent) -> Self {
        self.recent = recent;
        self
    }

    pub(crate) const fn recent(&self) -> Recent {
        self.recent
    }

    /// The place in a feed that is ordered by post, if the cursor belongs to it.
    pub(crate) fn seek_in(self, feed: FeedName, viewer: UserId) -> Result<Seek> {
        match self.place_in(feed, viewer)? {
            Place::Post(seek) => Ok(seek),
            Place::Ranked { .. } => Err(Error::bare(ErrorKind::InvalidCursor, "read")),
        }
    }

    /// The place, if the cursor belongs to this feed of this viewer.
    pub(crate) fn place_in(self, feed: FeedName, viewer: UserId) -> Result<Place> {
        if self.feed == feed.fingerprint(viewer) {
            Ok(self.place)
        } else {
            Err(Error::bare(ErrorKind::ForeignCursor, "read"))
        }
    }
}

/// What a cursor points at.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Place {
    /// The last scanned post of a feed that is ordered by post.
    Post(Seek),
    /// So many items into a ranked snapshot.
    Ranked { snapshot: u64, index: u32 },
}

/// Which entries a reader knows from some place down, to find out later whether others have come
/// between: posts of different nodes may appear in another order than that of their ids.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Recent(u64);

impl Recent {
    /// Nobody can tell what the reader knows.
    pub(crate) const UNKNOWN: Self = Self(0);

    /// How many entries count.
    pub(crate) const SPAN: usize = 100;

    /// Of a reader who knows all that there is; newest first.
    pub(crate) fn all(posts: impl Iterator<Item = PostId>) -> Self {
        Self::of(posts, Self::SPAN)
    }

    /// Of a reader who knows so many of a longer feed; newest first.
    pub(crate) fn some(posts: impl ExactSizeIterator<Item = PostId>) -> Self {
        match posts.len().min(Self::SPAN) {
            0 => Self::UNKNOWN,
            known => Self::of(posts, known),
        }
    }

    /// Whether these are the entries there are now, newest first.
    pub(crate) fn matches(self, posts: impl Iterator<Item = PostId>) -> bool {
        let known = self.0.to_be_bytes()[0];
        self != Self::UNKNOWN && self == Self::of(posts, usize::from(known))
    }

    /// The first byte tells how many count, the others are a hash.
    fn of(posts: impl Iterator<Item = PostId>, span: usize) -> Self {
        let mut bytes = [0; 8 * Self::SPAN];
        let mut len = 0;
        for (slot, post) in bytes.chunks_exact_mut(8).zip(posts.take(span)) {
            slot.copy_from_slice(&post.get().to_be_bytes());
            len += slot.len();
        }
        let mut bits = xxhash_rust::xxh3::xxh3_64(&bytes[..len]).to_be_bytes();
        bits[0] = u8::try_from(span).unwrap_or_default();
        Self(u64::from_be_bytes(bits))
    }

    const fn to_bits(self) -> u64 {
        self.0
    }

    const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A feed that cursors belong to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum FeedName {
    Home,
    Author(UserId),
    List(ListId),
    Ranked,
}

impl FeedName {
    /// Never changes between releases: clients keep cursors.
    fn fingerprint(self, viewer: UserId) -> u64 {
        let (kind, id) = match self {
            Self::Home => (0, 0),
            Self::Author(author) => (1, author.get()),
            Self::List(list) => (2, list.get()),
            Self::Ranked => (3, 0),
        };
        let mut bytes = [0; 17];
        bytes[0] = kind;
        bytes[1..9].copy_from_slice(&id.to_be_bytes());
        bytes[9..].copy_from_slice(&viewer.get().to_be_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}

const VERSION: u8 = 1;
const BODY: usize = 30;
const WHOLE: usize = BODY + 4;
const NEWEST: u8 = 0;
const BEFORE: u8 = 1;
const AFTER: u8 = 2;
const RANKED: u8 = 3;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tag, place, index) = match self.place {
            Place::Post(Seek::Newest) => (NEWEST, 0, 0),
            Place::Post(Seek::Before(post)) => (BEFORE, post.get(), 0),
            Place::Post(Seek::After(post)) => (AFTER, post.get(), 0),
            Place::Ranked { snapshot, index } => (RANKED, snapshot, index),
        };
        let mut bytes = [0; WHOLE];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.feed.to_be_bytes());
        bytes[9] = tag;
        bytes[10..18].copy_from_slice(&place.to_be_bytes());
        bytes[18..22].copy_from_slice(&index.to_be_bytes());
        bytes[22..BODY].copy_from_slice(&self.recent.to_bits().to_be_bytes());
        let sum = checksum(&bytes[..BODY]);
        bytes[BODY..].copy_from_slice(&sum);
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        decode(text).ok_or_else(|| Error::bare(ErrorKind::InvalidCursor, "parse cursor"))
    }
}

fn decode(text: &str) -> Option<Cursor> {
    let mut bytes = [0; WHOLE];
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let (body, sum) = bytes.split_at(BODY);
    if written != WHOLE || body[0] != VERSION || sum != checksum(body) {
        return None;
    }
    let number = |at: usize| body[at..at + 8].try_into().map(u64::from_be_bytes).ok();
    let place = number(10)?;
    let index = body[18..22].try_into().map(u32::from_be_bytes).ok()?;
    let place = match (body[9], place, index) {
        (NEWEST, 0, 0) => Place::Post(Seek::Newest),
        (BEFORE, post, 0) => Place::Post(Seek::Before(PostId::new(post))),
        (AFTER, post, 0) => Place::Post(Seek::After(PostId::new(post))),
        (RANKED, snapshot, index) => Place::Ranked { snapshot, index },
        _ => return None,
    };
    Some(Cursor {
        feed: number(1)?,
        place,
        recent: Recent::from_bits(number(22)?),
    })
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxhash_rust::xxh3::xxh3_64(body).to_be_bytes();
    [a, b, c, d]
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places() -> impl Strategy<Value = Place> {
        let posts = || prop_oneof![Just(0), Just(u64::MAX), Just((1 << 53) + 1), any::<u64>()];
        prop_oneof![
            Just(Place::Post(Seek::Newest)),
            posts().prop_map(|id| Place::Post(Seek::Before(PostId::new(id)))),
            posts().prop_map(|id| Place::Post(Seek::After(PostId::new(id)))),
            (posts(), any::<u32>()).prop_map(|(snapshot, index)| Place::Ranked { snapshot, index }),
        ]
    }

    fn feeds() -> impl Strategy<Value = FeedName> {
        prop_oneof![
            Just(FeedName::Home),
            Just(FeedName::Ranked),
            (0..4_u64).prop_map(|id| FeedName::Author(UserId::new(id))),
            (0..4_u64).prop_map(|id| FeedName::List(ListId::new(id))),
        ]
    }

    proptest! {
        #[test]
        fn text_and_back_is_exact(place in places(), feed in feeds(), viewer in 0..4_u64) {
            let cursor = Cursor::new(feed, UserId::new(viewer), place);
            let text = cursor.to_string();
            prop_assert_eq!(text.len(), 46);
            prop_assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn only_the_same_feed_of_the_same_viewer_reads_a_cursor(
            place in places(), mine in feeds(), other in feeds(), viewer in 0..3_u64, stranger in 0..3_u64,
        ) {
            let cursor = Cursor::new(mine, UserId::new(viewer), place);
            let read = cursor.place_in(other, UserId::new(stranger));
            if mine == other && viewer == stranger {
                prop_assert_eq!(read.unwrap(), place);
            } else {
                prop_assert_eq!(read.unwrap_err().kind(), ErrorKind::ForeignCursor);
            }
        }

        #[test]
        fn garbage_is_refused_without_panic(text in "\\PC{0,60}") {
            prop_assert_eq!(text.parse::<Cursor>().unwrap_err().kind(), ErrorKind::InvalidCursor);
        }

        #[test]
        fn a_changed_character_is_refused(place in places(), at in 0..46_usize, with in "[A-Za-z0-9_-]") {
            let text = Cursor::new(FeedName::Home, UserId::new(1), place).to_string();
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assume!(changed != text);
            prop_assert!(changed.parse::<Cursor>().is_err());
        }
    }

    #[test]
    fn a_kept_cursor_stays_readable() {
        let cursor = Cursor::new(
            FeedName::Home,
            UserId::new(7),
            Place::Post(Seek::Before(PostId::new(42))),
        );
        assert_eq!(
            cursor.to_string(),
            "ATPN_ektqObiAQAAAAAAAAAqAAAAAAAAAAAAAAAA6rEp5g"
        );
    }
}
