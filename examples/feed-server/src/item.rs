//! Entries of the feed, made into what people see: one look-up of each kind for a whole page.

use std::collections::HashMap;

use backplane::id::{Id, Layout};
use feed_core::{Entry, Lack, PostId, UserId};
use serde::Serialize;

use crate::{Account, Api, Content, Problem, Reason, problem::MOMENT};

/// One item of a feed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Item {
    /// The entry: the post itself, or the repost.
    id: PostId,
    /// Who reposted it, if this is a repost.
    reposted_by: Option<Account>,
    pub(crate) post: PostView,
}

/// A post, as one viewer sees it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PostView {
    id: PostId,
    author: Account,
    body: String,
    reply_to: Option<ReplyTo>,
    /// 1 when published, one more with each edit.
    version: u32,
    /// In milliseconds since 1970.
    created_at: Option<u64>,
    #[serde(flatten)]
    pub(crate) reactions: Reactions,
}

#[derive(Clone, Debug, Serialize)]
struct ReplyTo {
    post: PostId,
    author: Option<Account>,
}

/// What people did to a post.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Reactions {
    likes: u64,
    replies: u64,
    reposts: u64,
    /// Whether the viewer likes it.
    liked: bool,
    /// Whether the viewer has reposted it.
    reposted: bool,
}

impl Api {
    /// The items of `entries`, without those whose post has gone meanwhile or is none of this
    /// server's.
    pub(crate) async fn items(
        &self,
        viewer: UserId,
        entries: &[Entry],
    ) -> Result<Vec<Item>, Problem> {
        let hydrated = self.hydrator().hydrate(entries).await?;
        for skipped in hydrated.skipped {
            if let Lack::Failed(error) = skipped.lack {
                tracing::warn!(%error, part = ?skipped.part, "a page cannot be shown whole");
                return Err(Problem::new(Reason::Unavailable).with_retry_after(MOMENT));
            }
        }
        let written = |item: &feed_core::Item| Content::of(&item.post);
        let shown = hydrated.items.into_iter();
        let shown = shown.filter_map(|item| Some((written(&item)?, item)));
        let (contents, shown): (Vec<_>, Vec<_>) = shown.unzip();
        let parents = self.authors_answered(&contents).await;
        let posts: Vec<_> = shown.iter().map(|item| item.post.entry.post).collect();
        let reactions = self.reactions(viewer, &posts).await?;
        let items = shown.iter().zip(contents).zip(reactions);
        let items = items
            .filter_map(|((shown, content), reactions)| item(shown, content, reactions, &parents));
        Ok(items.collect())
    }

    /// The item of one entry, if its post is there.
    pub(crate) async fn item(&self, viewer: UserId, entry: Entry) -> Result<Option<Item>, Problem> {
        Ok(self.items(viewer, &[entry]).await?.pop())
    }

    /// What was done to each post, in the order asked.
    pub(crate) async fn reactions(
        &self,
        viewer: UserId,
        posts: &[PostId],
    ) -> Result<Vec<Reactions>, Problem> {
        let reactions = self.feed().reactions(viewer, posts).await?;
        Ok(reactions.into_iter().map(Reactions::from).collect())
    }

    /// Who wrote the posts that these answer.
    async fn authors_answered(&self, contents: &[Content]) -> HashMap<UserId, Account> {
        let parents = contents.iter().filter_map(|content| content.reply_to);
        let mut authors: Vec<_> = parents.map(|parent| parent.author).collect();
        authors.sort_unstable();
        authors.dedup();
        let users = self.hydrator().users(&authors).await;
        let accounts = users.iter().flatten().filter_map(Account::of_user);
        accounts.map(|account| (account.id, account)).collect()
    }
}

impl From<feed_core::Reactions> for Reactions {
    fn from(reactions: feed_core::Reactions) -> Self {
        Self {
            likes: reactions.counts.likes,
            replies: reactions.counts.replies,
            reposts: reactions.counts.reposts,
            liked: reactions.liked,
            reposted: reactions.repost.is_some(),
        }
    }
}

fn item(
    shown: &feed_core::Item,
    content: Content,
    reactions: Reactions,
    parents: &HashMap<UserId, Account>,
) -> Option<Item> {
    let post = shown.post.entry.post;
    let reply_to = content.reply_to.map(|parent| ReplyTo {
        post: parent.post,
        author: parents.get(&parent.author).cloned(),
    });
    Some(Item {
        id: shown.entry.post,
        reposted_by: shown.reposter.as_ref().and_then(Account::of_user),
        post: PostView {
            id: post,
            author: Account::of_user(&shown.author)?,
            body: content.body,
            reply_to,
            version: shown.post.version,
            created_at: created_at(post),
            reactions,
        },
    })
}

/// The time that is in the post's id.
fn created_at(post: PostId) -> Option<u64> {
    let parts = Layout::TWITTER.decode(Id::from(post)).ok()?;
    Some(parts.time.as_millis())
}
