//! What is cached: posts and users, alike but for where they come from and how they are written.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes};

use super::{
    answer::Want,
    source::{PostSource, PostVersion, User, UserSource},
};
use crate::{Entry, Post, PostId, Result, UserId};

/// One kind of content. Ids are raw, so that the caches need not know their types.
#[async_trait]
pub(super) trait Kind: fmt::Debug + Send + Sync + 'static {
    type Value: Clone + fmt::Debug + Send + Sync + 'static;

    /// The first byte of this kind's keys in the shared cache.
    const LETTER: u8;

    /// Asks the source.
    async fn fetch(&self, wants: &[Want]) -> Result<Vec<Option<Self::Value>>>;

    fn id(value: &Self::Value) -> u64;

    /// Rises with every edit, if the kind has versions.
    fn version(value: &Self::Value) -> u32;

    /// The bytes that the value owns.
    fn bytes(value: &Self::Value) -> usize;

    fn encode(value: &Self::Value, into: &mut Vec<u8>);

    /// `None` for what `encode` has not written. Copies, since a slice would keep the whole answer of
    /// the shared cache in memory.
    fn decode(id: u64, bytes: &[u8]) -> Option<Self::Value>;
}

#[derive(Debug)]
pub(super) struct Posts(pub(super) Arc<dyn PostSource>);

#[async_trait]
impl Kind for Posts {
    type Value = Post;

    const LETTER: u8 = b'p';

    async fn fetch(&self, wants: &[Want]) -> Result<Vec<Option<Post>>> {
        let wanted = wants
            .iter()
            .map(|want| PostVersion::new(PostId::new(want.id), want.version));
        self.0.posts(&wanted.collect::<Vec<_>>()).await
    }

    fn id(post: &Post) -> u64 {
        post.entry.post.get()
    }

    fn version(post: &Post) -> u32 {
        post.version
    }

    fn bytes(post: &Post) -> usize {
        post.body.len()
    }

    fn encode(post: &Post, into: &mut Vec<u8>) {
        into.put_u32(post.version);
        into.put_u64(post.entry.author.get());
        into.put_u64(post.entry.origin.get());
        into.put_u8(u8::from(post.reply_to.is_some()));
        if let Some(original) = post.reply_to {
            into.put_u64(original.get());
        }
        into.put_slice(&post.body);
    }

    fn decode(id: u64, mut bytes: &[u8]) -> Option<Post> {
        let version = bytes.try_get_u32().ok()?;
        let author = UserId::new(bytes.try_get_u64().ok()?);
        let origin = PostId::new(bytes.try_get_u64().ok()?);
        let reply_to = match bytes.try_get_u8().ok()? {
            0 => None,
            1 => Some(PostId::new(bytes.try_get_u64().ok()?)),
            _ => return None,
        };
        let entry = Entry::repost(PostId::new(id), author, origin);
        let post = Post::new(entry, version, Bytes::copy_from_slice(bytes));
        Some(post.in_reply_to(reply_to))
    }
}

#[derive(Debug)]
pub(super) struct Users(pub(super) Arc<dyn UserSource>);

#[async_trait]
impl Kind for Users {
    type Value = User;

    const LETTER: u8 = b'u';

    async fn fetch(&self, wants: &[Want]) -> Result<Vec<Option<User>>> {
        let users: Vec<_> = wants.iter().map(|want| UserId::new(want.id)).collect();
        self.0.users(&users).await
    }

    fn id(user: &User) -> u64 {
        user.id.get()
    }

    fn version(_: &User) -> u32 {
        0
    }

    fn bytes(user: &User) -> usize {
        user.profile.len()
    }

    fn encode(user: &User, into: &mut Vec<u8>) {
        into.put_slice(&user.profile);
    }

    fn decode(id: u64, bytes: &[u8]) -> Option<User> {
        Some(User::new(UserId::new(id), Bytes::copy_from_slice(bytes)))
    }
}
