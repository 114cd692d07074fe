use std::collections::BTreeSet;

use crate::{Action, ActionKind, Entry, PostId, UserId};

/// What one actor did.
#[derive(Default)]
pub(super) struct Doings {
    done: BTreeSet<Done>,
    /// The replies and reposts among them.
    made: BTreeSet<Made>,
}

/// An [`Action`] in the order in which it is looked for.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Done {
    pub(super) kind: ActionKind,
    pub(super) post: PostId,
    pub(super) item: PostId,
}

/// A reply or repost in the order in which it is looked for by its item.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Made {
    item: PostId,
    kind: ActionKind,
    post: PostId,
}

impl Doings {
    pub(super) fn insert(&mut self, new: Done) {
        self.done.insert(new);
        self.made.extend(new.made());
    }

    pub(super) fn remove(&mut self, gone: Done) -> bool {
        if let Some(made) = gone.made() {
            self.made.remove(&made);
        }
        self.done.remove(&gone)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    pub(super) fn first(&self) -> Option<Done> {
        self.done.first().copied()
    }

    /// The item of an action that stands in the way of a new one.
    pub(super) fn existing(&self, new: Done) -> Option<PostId> {
        match new.kind {
            ActionKind::Like | ActionKind::Repost => self.first_item(new.kind, new.post),
            ActionKind::Reply => self.done.get(&new).map(|reply| reply.item),
        }
    }

    pub(super) fn first_item(&self, kind: ActionKind, post: PostId) -> Option<PostId> {
        let at = |item| Done { kind, post, item };
        let mut items = self.done.range(at(PostId::MIN)..=at(PostId::MAX));
        items.next().map(|first| first.item)
    }

    pub(super) fn acted_on(&self, post: PostId) -> bool {
        self.first_on(post).is_some()
    }

    pub(super) fn first_on(&self, post: PostId) -> Option<Done> {
        KINDS.into_iter().find_map(|kind| {
            let item = self.first_item(kind, post)?;
            Some(Done { kind, post, item })
        })
    }

    /// An action whose reply or repost `item` is.
    pub(super) fn made_as(&self, item: PostId) -> Option<Done> {
        let at = |kind, post| Made { item, kind, post };
        let all = at(ActionKind::Like, PostId::MIN)..=at(ActionKind::Repost, PostId::MAX);
        let &Made { kind, post, .. } = self.made.range(all).next()?;
        Some(Done { kind, post, item })
    }
}

impl Done {
    const fn made(self) -> Option<Made> {
        let Self { kind, post, item } = self;
        match kind {
            ActionKind::Like => None,
            ActionKind::Reply | ActionKind::Repost => Some(Made { item, kind, post }),
        }
    }

    pub(super) const fn action(self, actor: UserId, original: Entry) -> Action {
        match self.kind {
            ActionKind::Like => Action::like(actor, original),
            ActionKind::Reply => Action::reply(actor, original, self.item),
            ActionKind::Repost => Action::repost(actor, original, self.item),
        }
    }
}

impl From<&Action> for Done {
    fn from(action: &Action) -> Self {
        Self {
            kind: action.kind,
            post: action.post,
            item: action.item,
        }
    }
}

const KINDS: [ActionKind; 3] = [ActionKind::Like, ActionKind::Reply, ActionKind::Repost];
