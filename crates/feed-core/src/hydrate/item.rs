use super::{answer::Lack, source::User};
use crate::{Entry, Post, PostId, UserId};

/// An entry of a page with what there is to show of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Item {
    /// The entry.
    pub entry: Entry,
    /// The post, or the original that was reposted.
    pub post: Post,
    /// Who wrote it.
    pub author: User,
    /// Who reposted it, if the entry is a repost.
    pub reposter: Option<User>,
}

/// A page of items.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Hydrated {
    /// The items, in the order of the entries.
    pub items: Vec<Item>,
    /// The entries of which something lacks, in their order. They are on no item.
    pub skipped: Vec<Skipped>,
}

/// An entry that cannot be shown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// The entry.
    pub entry: Entry,
    /// Which part of it lacks; the first, if there are several.
    pub part: Part,
    /// Why.
    pub lack: Lack,
}

/// What an item is made of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// The post, or the original that was reposted.
    Post(PostId),
    /// Its author, or who reposted it.
    User(UserId),
}
