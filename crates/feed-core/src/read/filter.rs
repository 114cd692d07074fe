//! What a viewer may see, decided at the moment of reading.

use crate::{Circle, Entry, Outbox, PostState, Result, UserId};

/// The feed that entries are to be shown in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    /// The viewer's home feed.
    Home,
    /// One of the viewer's lists.
    List,
    /// The page of this author.
    Author(UserId),
}

/// An entry that may be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) entry: Entry,
    /// Whether it was pulled for this very feed just now: it is live, and its author belongs here.
    pulled: bool,
}

impl Candidate {
    /// An entry that its author's outbox has just named, in a feed that the author belongs to.
    pub(crate) const fn pulled(entry: Entry) -> Self {
        Self {
            entry,
            pulled: true,
        }
    }

    /// An entry that was kept elsewhere.
    pub(crate) const fn kept(entry: Entry) -> Self {
        Self {
            entry,
            pulled: false,
        }
    }
}

/// Keeps what one viewer may see: nothing that was retracted, nothing across a block, and but for the
/// page of an author, which they chose to open, nobody they mute and no reposts they hide.
///
/// Timelines and fanout may be late; this is asked on every read and is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter<'a> {
    outbox: &'a dyn Outbox,
    circle: &'a Circle,
    scope: Scope,
}

impl<'a> Filter<'a> {
    pub(crate) const fn new(outbox: &'a dyn Outbox, circle: &'a Circle, scope: Scope) -> Self {
        Self {
            outbox,
            circle,
            scope,
        }
    }

    /// Appends those of `chunk` that the viewer may see, in order.
    ///
    /// It asks the outbox once, for the entries that it has not just named itself and the posts that
    /// reposts show; not at all, if there are none.
    pub(crate) async fn keep(
        &self,
        mut chunk: Vec<Candidate>,
        visible: &mut Vec<Entry>,
    ) -> Result<()> {
        chunk.retain(|candidate| self.may_see_author(candidate));
        let mut posts = Vec::with_capacity(chunk.len());
        for Candidate { entry, pulled } in &chunk {
            posts.extend((!pulled).then_some(entry.post));
            posts.extend(entry.is_repost().then_some(entry.origin));
        }
        let states = match posts.as_slice() {
            [] => Vec::new(),
            posts => self.outbox.lookup(posts).await?,
        };
        let mut states = states.iter();
        for Candidate { entry, pulled } in chunk {
            let own = if pulled { None } else { states.next() };
            let live = pulled || own.is_some_and(|own| own.live().is_some());
            let shown = if entry.is_repost() {
                states.next()
            } else {
                own
            };
            let known = pulled && !entry.is_repost();
            if live && (known || shown.is_some_and(|shown| self.may_see_origin(shown))) {
                visible.push(entry);
            }
        }
        Ok(())
    }

    /// Keeps those of `gone`, entries that were retracted, that the viewer may have been shown.
    ///
    /// It asks the outbox once, for what reposts showed; not at all, if there are none.
    pub(crate) async fn keep_gone(&self, mut gone: Vec<Entry>) -> Result<Vec<Entry>> {
        gone.retain(|entry| self.may_see_author(&Candidate::kept(*entry)));
        let reposts = gone.iter().filter(|entry| entry.is_repost());
        let origins: Vec<_> = reposts.map(|entry| entry.origin).collect();
        if origins.is_empty() {
            return Ok(gone);
        }
        let states = self.outbox.lookup(&origins).await?;
        let mut states = states.iter();
        gone.retain(|entry| {
            let origin = entry.is_repost().then(|| states.next()).flatten();
            // Nobody knows whose it was, if it is gone too.
            origin.is_none_or(|origin| origin.live().is_none() || self.may_see_origin(origin))
        });
        Ok(gone)
    }

    /// Whether the viewer may see what this author posts and reposts here.
    fn may_see_author(&self, candidate: &Candidate) -> bool {
        let (circle, entry) = (self.circle, candidate.entry);
        if entry.author == circle.viewer() {
            return true;
        }
        let wanted = match self.scope {
            Scope::Home => {
                (candidate.pulled || circle.follows(entry.author)) && self.is_wanted(&entry)
            }
            Scope::List => self.is_wanted(&entry),
            Scope::Author(_) => true,
        };
        wanted && !circle.blocks(entry.author)
    }

    /// Whether the viewer neither mutes the author of an entry nor hides what the author reposts.
    fn is_wanted(&self, entry: &Entry) -> bool {
        let hides_reposts = || {
            let settings = self.circle.settings(entry.author);
            settings.is_some_and(|edge| edge.hide_reposts)
        };
        let hidden = entry.is_repost() && hides_reposts();
        !hidden && !self.circle.mutes(entry.author)
    }

    /// Whether what an entry shows is still there, and by somebody the viewer may see.
    fn may_see_origin(&self, origin: &PostState) -> bool {
        let circle = self.circle;
        origin.live().is_some_and(|origin| match self.scope {
            Scope::Author(author) if origin.author == author => true,
            _ => !circle.blocks(origin.author) && !circle.mutes(origin.author),
        })
    }
}
