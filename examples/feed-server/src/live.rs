//! `/v1/me/feed/live`: the home feed as server-sent events.

mod connections;
mod reactions;

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName},
    response::sse::{Event, KeepAlive, Sse},
};
use feed_core::{Cursor, Entry, LiveChange, LiveEvent, LiveFeed, LiveRequest, PostId, UserId};
use futures::{
    Stream, StreamExt,
    future::{Either, select},
    stream,
};
use serde::Serialize;

use self::{connections::Connected, reactions::Watched};
pub(crate) use self::{connections::Connections, reactions::Announcer};
use crate::{Api, Problem, Reason, extract::Viewer, item::Reactions};

/// What a browser sends when it connects again: the `id` of the last event it has had.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a stream is silent at most. Then comes a comment, by which both ends notice a connection
/// that is dead.
const SILENCE: Duration = Duration::from_secs(15);

/// Events are `reset` (a page that replaces everything), `added` and `revised` (an item), `removed`
/// (an id) and `reactions` (the counts of a post among the newest that this connection was shown).
pub(crate) async fn stream(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let connected = api.connections().connect(viewer)?;
    let mut request = LiveRequest::default();
    if let Some(id) = headers.get(LAST_EVENT_ID) {
        let text = id
            .to_str()
            .map_err(|_| Problem::new(Reason::InvalidCursor))?;
        request.resume = Some(text.parse::<Cursor>()?);
    }
    let feed = api.live().watch(api.feed(), viewer, request).await?;
    let watched = Watched::new(api.live().hub())?;
    let stop = api.stop().clone();
    let screen = Screen {
        api,
        viewer,
        feed,
        watched,
        _connected: connected,
    };
    let events = stream::unfold(screen, Screen::next).take_until(stop.wait());
    let comments = KeepAlive::new().interval(SILENCE);
    Ok(Sse::new(events.map(Ok)).keep_alive(comments))
}

/// One open page, seen from here.
struct Screen {
    api: Api,
    viewer: UserId,
    feed: LiveFeed,
    watched: Watched,
    _connected: Connected,
}

/// What woke a screen up.
enum Wake {
    Feed(LiveEvent),
    Reactions(PostId),
    End,
}

/// What the client sees of it.
enum Step {
    Tell(Event),
    Nothing,
    End,
}

#[derive(Serialize)]
struct Removed {
    id: PostId,
}

#[derive(Serialize)]
struct Reacted {
    post: PostId,
    #[serde(flatten)]
    reactions: Reactions,
}

impl Screen {
    /// The next event. After a failure the stream ends: the client connects again, and goes on where
    /// it was.
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            match self.advance().await {
                Ok(Step::Tell(event)) => return Some((event, self)),
                Ok(Step::Nothing) => {}
                Ok(Step::End) => return None,
                Err(problem) => {
                    tracing::warn!(reason = problem.reason().slug(), "a live stream ends early");
                    return None;
                }
            }
        }
    }

    /// Waits for something to happen.
    async fn advance(&mut self) -> Result<Step, Problem> {
        let told = match self.wake().await? {
            Wake::Feed(event) => self.tell(event).await?,
            Wake::Reactions(post) => self.tell_reactions(post).await?,
            Wake::End => return Ok(Step::End),
        };
        Ok(told.map_or(Step::Nothing, Step::Tell))
    }

    async fn wake(&mut self) -> Result<Wake, Problem> {
        let feed = std::pin::pin!(self.feed.next());
        let reacted = std::pin::pin!(self.watched.next());
        match select(feed, reacted).await {
            Either::Left((event, _)) => Ok(event?.map_or(Wake::End, Wake::Feed)),
            Either::Right((post, _)) => Ok(post.map_or(Wake::End, Wake::Reactions)),
        }
    }

    async fn tell(&mut self, event: LiveEvent) -> Result<Option<Event>, Problem> {
        let told = match event.change {
            LiveChange::Reset(page) => {
                // What is not on the new page may be hidden from the viewer by now.
                self.watched.clear();
                for entry in page.entries.iter().rev() {
                    self.watched.add(entry.origin)?;
                }
                let page = self.api.page(self.viewer, page).await?;
                named("reset", &page)?
            }
            LiveChange::Added(entry) => {
                self.watched.add(entry.origin)?;
                match self.item("added", entry).await? {
                    Some(event) => event,
                    None => return Ok(None),
                }
            }
            LiveChange::Revised { entry, .. } => match self.item("revised", entry).await? {
                Some(event) => event,
                None => return Ok(None),
            },
            LiveChange::Removed(entry) => named("removed", &Removed { id: entry.post })?,
            _ => return Ok(None),
        };
        Ok(Some(told.id(event.resume.to_string())))
    }

    async fn item(&self, name: &str, entry: Entry) -> Result<Option<Event>, Problem> {
        let item = self.api.item(self.viewer, entry).await?;
        item.map(|item| named(name, &item)).transpose()
    }

    async fn tell_reactions(&self, post: PostId) -> Result<Option<Event>, Problem> {
        let Some(original) = self.api.feed().original(post).await? else {
            return Ok(None);
        };
        let graph = &self.api.feed().parts().graph;
        // Asked of the author, since a post may be on many screens, and a circle is much to read.
        let hidden = graph.hidden_from(original.author, &[self.viewer]).await?;
        if hidden != [false] {
            return Ok(None);
        }
        let reactions = self.api.reactions(self.viewer, &[post]).await?.pop();
        let reacted = reactions.map(|reactions| Reacted { post, reactions });
        reacted
            .map(|reacted| named("reactions", &reacted))
            .transpose()
    }
}

fn named(name: &str, data: &impl Serialize) -> Result<Event, Problem> {
    let event = Event::default().event(name).json_data(data);
    event.map_err(|error| Problem::internal(&error))
}
