//! What the scripts of a bus answer, and what they send.

use backplane::{
    Epoch, Position,
    bus::{HistoryPage, Message, Published},
};
use bytes::Bytes;
use redis::{FromRedisValue, Value};

pub(super) fn page(answer: &Value) -> Option<HistoryPage> {
    let parts = Vec::<Vec<u8>>::from_redis_value_ref(answer).ok()?;
    let mut parts = parts.into_iter();
    let epoch: Epoch = text(&parts.next()?)?;
    let top = Position::new(epoch, text(&parts.next()?)?);
    let mut messages = Vec::with_capacity(parts.len() / 2);
    while let Some(offset) = parts.next() {
        let position = Position::new(epoch, text(&offset)?);
        messages.push(Message::new(position, Bytes::from(parts.next()?)));
    }
    Some(HistoryPage::new(messages, top))
}

pub(super) fn published(answer: &Value) -> Option<Vec<Published>> {
    let parts = Vec::<String>::from_redis_value_ref(answer).ok()?;
    let (epoch, messages) = parts.split_first()?;
    let epoch = epoch.parse().ok()?;
    let published = |pair: &[String]| {
        let [is_new, offset] = pair else {
            return None;
        };
        let position = Position::new(epoch, offset.parse().ok()?);
        Some(match &is_new[..] {
            "1" => Published::New(position),
            _ => Published::Duplicate(position),
        })
    };
    messages.chunks(2).map(published).collect()
}

/// The message of a push.
pub(super) fn message(push: Vec<u8>) -> Option<Message> {
    let (epoch, rest) = push.split_at_checked(16)?;
    let (offset, _) = rest.split_at_checked(20)?;
    let position = Position::new(text(epoch)?, text(offset)?);
    Some(Message::new(position, Bytes::from(push).slice(36..)))
}

fn text<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
