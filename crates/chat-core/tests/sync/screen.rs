use std::collections::{BTreeMap, BTreeSet};

use chat_core::{ConversationId, Event, START, Seek, UserId, Viewer, What, sync::Step};

use super::server::{Server, talks};

/// What a device shows.
#[derive(Clone, Default)]
pub(super) struct Screens(BTreeMap<ConversationId, Screen>);

/// What it shows of a conversation.
#[derive(Clone, Default)]
struct Screen {
    events: BTreeMap<u64, Event>,
    /// Places that are left out, and whether they are retained.
    jumps: Vec<(u64, u64, bool)>,
    last: u64,
}

impl Screens {
    pub(super) fn show(&mut self, talk: ConversationId, step: Step, user: UserId) {
        let screen = self.0.entry(talk).or_default();
        match step {
            Step::Next(event) => screen.show(event, user),
            Step::Jump {
                from,
                until,
                is_retained,
            } => screen.jump(from, until, is_retained),
            Step::Reset => *screen = Screen::default(),
            Step::Refused(_) | Step::Read(_) => {}
        }
    }

    /// The last place that is shown of a conversation, or left out.
    pub(super) fn last(&self, talk: ConversationId) -> u64 {
        self.0.get(&talk).map_or(0, |screen| screen.last)
    }

    /// Compares them with what `user` may read. What is retained is left out only where it is too much, which is
    /// more than `most`.
    pub(super) fn check(&self, server: &Server, user: UserId, most: u64) {
        for talk in talks() {
            let viewer = Viewer::User(user);
            let readable = server.read(talk, viewer, Seek::After(START), usize::MAX);
            let none = Screen::default();
            let screen = self.0.get(&talk).unwrap_or(&none);
            let is_whole = screen.jumps.iter().all(|(.., is_retained)| !is_retained);
            assert!(most < u64::MAX || is_whole);
            screen.check(&readable, (user, talk));
        }
    }
}

impl Screen {
    /// Shows the next event, which may leave out what the user may not read.
    fn show(&mut self, event: Event, user: UserId) {
        assert!(event.seq > self.last, "{} after {}", event.seq, self.last);
        self.last = event.seq;
        if let Some(held) = event
            .target()
            .and_then(|target| self.events.get_mut(&target.seq))
        {
            held.amend(&event, user);
        }
        self.events.insert(event.seq, event);
    }

    fn jump(&mut self, from: u64, until: u64, is_retained: bool) {
        assert!(from > self.last);
        self.last = until;
        let from = if is_retained { 1 } else { from };
        self.events.retain(|seq, _| *seq < from);
        self.jumps.push((from, until, is_retained));
    }

    fn check(&self, readable: &[Event], whose: (UserId, ConversationId)) {
        let first = readable.first().map_or(u64::MAX, |event| event.seq);
        let is_left_out = |seq| {
            let mut jumps = self.jumps.iter();
            jumps.any(|(from, until, _)| (*from..=*until).contains(&seq))
        };
        // A deletion after a user has left is not told to the devices that hold the message.
        let in_sight: BTreeSet<_> = readable.iter().map(|event| event.seq).collect();
        let is_out_of_sight =
            |event: &&Event| matches!(event.what, What::Deleted { by } if !in_sight.contains(&by));
        let gone = readable.iter().filter(is_out_of_sight);
        let gone: BTreeSet<_> = gone.map(|event| event.seq).collect();
        let is_compared = |event: &&Event| {
            event.seq >= first && !gone.contains(&event.seq) && !is_left_out(event.seq)
        };
        let expected: Vec<_> = readable.iter().filter(is_compared).map(plain).collect();
        let shown = self.events.values().filter(is_compared);
        assert_eq!(shown.map(plain).collect::<Vec<_>>(), expected, "{whose:?}");
    }
}

/// An event but for what depends on when it was read: an edit of a message that is deleted later says
/// something until then.
fn plain(event: &Event) -> Event {
    let mut event = event.clone();
    if let What::Edit { body, .. } = &mut event.what {
        *body = None;
    }
    event
}
