use std::error::Error as StdError;

use bytes::Bytes;
use feed_core::{Post, PostId, UserId};
use serde::{Deserialize, Serialize};

use crate::{Problem, Reason};

/// The longest text of a post, in bytes of UTF-8.
pub const MAX_TEXT: usize = 8 * 1024;

/// What this application keeps of a post. The feed stores it as bytes and never looks inside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Content {
    /// What the author wrote: 1 to [`MAX_TEXT`] bytes, not only white space.
    pub body: String,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Parent>,
}

/// The post that another answers, with its author, so that a page can name them without a look-up.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a post and who wrote it")]
pub struct Parent {
    /// The post.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
}

impl Content {
    /// Checks the text.
    ///
    /// # Errors
    ///
    /// [`Reason::EmptyPost`] and [`Reason::OversizedPost`].
    pub fn new(text: String, reply_to: Option<Parent>) -> Result<Self, Problem> {
        if text.trim().is_empty() {
            return Err(Problem::new(Reason::EmptyPost));
        }
        if text.len() > MAX_TEXT {
            let detail = format!("{} bytes, of at most {MAX_TEXT}", text.len());
            return Err(Problem::new(Reason::OversizedPost).with_detail(detail));
        }
        Ok(Self {
            body: text,
            reply_to,
        })
    }

    /// As the feed is to store it.
    pub(crate) fn to_bytes(&self) -> Result<Bytes, Problem> {
        let bytes = serde_json::to_vec(self);
        bytes
            .map(Bytes::from)
            .map_err(|error| Problem::internal(&error))
    }

    /// What the feed has stored. `None`, with an error event, for what is damaged or was put into the
    /// feed by another part of the application: it is nobody's to see here, and in nobody's way.
    pub(crate) fn of(post: &Post) -> Option<Self> {
        let content = Self::from_bytes(&post.body);
        let told = content.inspect_err(|error| {
            let (post, error) = (post.entry.post, error as &dyn StdError);
            tracing::error!(%post, error, "the body of a post is none of this server's");
        });
        told.ok()
    }

    fn from_bytes(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_text_fits_a_post_however_it_is_escaped() {
        let text = "\u{1}".repeat(MAX_TEXT);
        let parent = Parent {
            post: PostId::MAX,
            author: UserId::new(u64::MAX),
        };
        let content = Content::new(text, Some(parent)).unwrap();
        let bytes = content.to_bytes().unwrap();
        assert!(bytes.len() <= feed_core::FeedOptions::default().max_body);
        assert_eq!(Content::from_bytes(&bytes).unwrap(), content);
    }

    #[test]
    fn white_space_alone_is_no_text() {
        for text in ["", " ", "\n\t\u{2003}"] {
            let problem = Content::new(text.to_owned(), None).unwrap_err();
            assert_eq!(problem.reason(), Reason::EmptyPost);
        }
    }
}
