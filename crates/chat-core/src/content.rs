//! What messages say: to a log, bytes. Here is a form of them for applications that have none of their own, and one for
//! those that encrypt from end to end.

mod attachment;
mod sealed;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::{
    attachment::{Attachment, Digest, ParseDigestError, Thumbnail},
    sealed::{Devices, Sealed, StaleDevices},
};
use crate::{
    Error, ErrorKind, MAX_BODY, MessageRef, Result,
    codec::{self, Input, Wire},
};

/// A text, and what is attached to it.
///
/// ```
/// use chat_core::content::{Attachment, Content, Digest};
/// let cat = Attachment::new("blobs/7", "image/png", 20_480, Digest::new([7; 32])).with_name("cat.png");
/// let content = Content::new("look").with_attachments(vec![cat]);
/// let body = content.encode()?;
/// assert_eq!(Content::decode(&body)?, content);
/// # Ok::<(), chat_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Content {
    /// The text.
    pub text: String,
    /// What is attached, at most [`MAX_ATTACHMENTS`](Self::MAX_ATTACHMENTS).
    pub attachments: Vec<Attachment>,
    /// The message of the same conversation that it answers.
    pub reply_to: Option<MessageRef>,
}

impl Content {
    /// The most attachments of a message.
    pub const MAX_ATTACHMENTS: usize = 32;

    /// A text alone.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// Attaches these.
    #[must_use]
    pub fn with_attachments(mut self, attachments: Vec<Attachment>) -> Self {
        self.attachments = attachments;
        self
    }

    /// Answers a message.
    #[must_use]
    pub const fn with_reply_to(mut self, message: MessageRef) -> Self {
        self.reply_to = Some(message);
        self
    }

    /// The body of a message that says this, in the form of the [codec].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if there are more attachments than allowed, or one breaks the limits of
    /// [`Attachment`]; [`ErrorKind::OversizedBody`] if it is longer than [`MAX_BODY`].
    pub fn encode(&self) -> Result<Bytes> {
        let fits = self.attachments.len() <= Self::MAX_ATTACHMENTS
            && self.attachments.iter().all(Attachment::is_within_limits);
        if !fits {
            return Err(Error::bare(ErrorKind::Invalid, "encode a message"));
        }
        encoded(self)
    }

    /// What a body says that was encoded so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] if it was not.
    pub fn decode(body: &Bytes) -> Result<Self> {
        codec::decode(body.clone())
    }
}

fn encoded(value: &impl Wire) -> Result<Bytes> {
    let mut body = Vec::new();
    codec::encode(value, &mut body);
    if body.len() > MAX_BODY {
        return Err(Error::bare(ErrorKind::OversizedBody, "encode a message"));
    }
    Ok(body.into())
}

impl Wire for Content {
    fn put(&self, out: &mut Vec<u8>) {
        self.text.put(out);
        self.attachments.put(out);
        self.reply_to.put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        Ok(Self {
            text: Wire::take(input)?,
            attachments: Wire::take(input)?,
            reply_to: Wire::take(input)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;

    fn attachment() -> Attachment {
        let thumbnail = Thumbnail::new("blobs/8", "image/webp", (64, 48), 900);
        Attachment::new("blobs/7", "image/png", 20_480, Digest::new([7; 32]))
            .with_name("cat.png")
            .with_thumbnail(thumbnail)
    }

    #[test]
    fn a_body_says_what_was_put_into_it() {
        let target = MessageRef {
            seq: 3,
            id: MessageId::new(99),
        };
        let whole = Content::new("look")
            .with_attachments(vec![attachment(), attachment()])
            .with_reply_to(target);
        for content in [Content::default(), Content::new("é"), whole] {
            let body = content.encode().unwrap();
            assert_eq!(Content::decode(&body).unwrap(), content);
            let json = serde_json::to_string(&content).unwrap();
            assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
            for cut in 0..body.len() {
                let refused = Content::decode(&body.slice(..cut)).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Corrupt, "{cut}");
            }
        }
    }

    #[test]
    fn what_breaks_the_limits_is_no_body() {
        let many = vec![attachment(); 1 + Content::MAX_ATTACHMENTS];
        let long = "x".repeat(1 + Attachment::MAX_TEXT);
        let named = attachment().with_name(long);
        let typed = Attachment::new("blobs/7", "png", 1, Digest::new([7; 32]));
        for attachments in [many, vec![named], vec![typed]] {
            let content = Content::new("look").with_attachments(attachments);
            let refused = content.encode().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
        }
        let long = Content::new("x".repeat(MAX_BODY));
        let refused = long.encode().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::OversizedBody);
    }
}
