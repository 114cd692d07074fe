//! Stores whose calls fail, or whose caller dies, before or after they took effect.

#[path = "late.rs"]
mod late;

use std::{
    fmt,
    future::{Future, pending},
    mem,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backplane::{
    Timestamp,
    queue::{
        DeadLetter, Discarded, Enqueued, Extended, Lane, Lease, LeaseKey, NewTask, QueueStats,
        Settled, Settlement, TaskId, TaskQueue,
    },
};
use bytes::Bytes;
use feed_core::{
    Action, ActionKind, Actions, Activity, Appended, BuildStart, BuildTicket, Circle, Degree,
    EdgeRoute, Entry, Error, ErrorKind, FollowSettings, Followed, Follower, Graph, Habit, Hide,
    IdempotencyKey, ListId, Outbox, Post, PostId, PostState, Publication, PushReport, Recorded,
    Result, Retracted, Revised, Rhythm, Route, RouteStamp, Seek, TimelineState, TimelineStore,
    UserId, Window,
};
use futures::FutureExt as _;
use parking_lot::Mutex;

use self::late::Argument;

/// What happens at one call of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The engine refuses the call.
    FailBefore,
    /// The call takes effect, and its answer is lost.
    FailAfter,
    /// The call fails, and takes effect when so many more have been made.
    Late(u32),
    /// The caller's process ends before the call.
    DieBefore,
    /// The caller's process ends after the call.
    DieAfter,
}

/// What strikes at a call.
pub(crate) enum Strike {
    Fault(Fault),
    /// This call and all after it are refused, of one store or of any.
    Outage {
        store: Option<&'static str>,
    },
    /// The next call of this store is refused.
    Once {
        store: Option<&'static str>,
    },
    /// Others do this before the call.
    Meanwhile(Box<dyn FnOnce() + Send>),
}

type LateCall = Box<dyn FnOnce() + Send>;

/// Which call of any store is struck next, shared by all of them.
#[derive(Default)]
pub(crate) struct Faults {
    armed: Mutex<Option<(u32, Strike)>>,
    refused: AtomicU32,
    late: Mutex<Vec<(u32, LateCall)>>,
    /// Calls of the queue.
    queue_calls: AtomicU32,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

impl Faults {
    /// Lets `calls` calls pass and then strikes once.
    pub(crate) fn arm(&self, calls: u32, strike: Strike) {
        *self.armed.lock() = Some((calls, strike));
    }

    pub(crate) fn disarm(&self) {
        *self.armed.lock() = None;
    }

    /// How many calls outages refused.
    pub(crate) fn refused(&self) -> u32 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How often the queue was called, refused or not.
    pub(crate) fn queue_calls(&self) -> u32 {
        self.queue_calls.load(Ordering::Relaxed)
    }

    /// Lets the calls take effect that are late; says whether there were any.
    pub(crate) fn land(&self) -> bool {
        let late = mem::take(&mut *self.late.lock());
        let landed = !late.is_empty();
        for (_, call) in late {
            call();
        }
        landed
    }

    pub(crate) fn is_any_late(&self) -> bool {
        !self.late.lock().is_empty()
    }

    /// Lets those take effect that are so late by now.
    fn pass(&self) {
        let landing: Vec<_> = {
            let mut late = self.late.lock();
            for (calls, _) in &mut *late {
                *calls = calls.saturating_sub(1);
            }
            late.extract_if(.., |(calls, _)| *calls == 0).collect()
        };
        for (_, call) in landing {
            call();
        }
    }

    fn strike(&self, called: &'static str) -> Option<Fault> {
        self.pass();
        if called == "TaskQueue" {
            self.queue_calls.fetch_add(1, Ordering::Relaxed);
        }
        let struck = {
            let mut armed = self.armed.lock();
            match &mut *armed {
                Some((0, Strike::Outage { store })) => {
                    if store.is_some_and(|store| store != called) {
                        return None;
                    }
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    return Some(Fault::FailBefore);
                }
                Some((0, Strike::Once { store })) if store.is_some_and(|store| store != called) => {
                    return None;
                }
                Some((0, _)) => armed.take(),
                Some((calls, _)) => {
                    *calls -= 1;
                    None
                }
                None => None,
            }
        };
        match struck?.1 {
            Strike::Fault(fault) => Some(fault),
            Strike::Outage { .. } | Strike::Once { .. } => Some(Fault::FailBefore),
            Strike::Meanwhile(others) => {
                others();
                None
            }
        }
    }

    async fn around<T, E>(
        &self,
        struck: Option<Fault>,
        call: impl Future<Output = Result<T, E>> + Send,
        unavailable: impl Fn() -> E + Send,
    ) -> Result<T, E>
    where
        T: Send,
        E: Send,
    {
        match struck {
            None => call.await,
            Some(Fault::FailBefore | Fault::Late(_)) => Err(unavailable()),
            Some(Fault::FailAfter) => {
                call.await?;
                Err(unavailable())
            }
            Some(Fault::DieBefore) => pending().await,
            Some(Fault::DieAfter) => {
                call.await?;
                pending().await
            }
        }
    }
}

/// A store between which and its callers faults strike.
pub(crate) struct Flaky<T: ?Sized> {
    inner: Arc<T>,
    faults: Arc<Faults>,
}

impl<T: ?Sized> Flaky<T> {
    pub(crate) fn new(inner: Arc<T>, faults: &Arc<Faults>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            faults: Arc::clone(faults),
        })
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Flaky<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flaky").field(&&*self.inner).finish()
    }
}

macro_rules! flaky {
    (
        $store:ident, $error:expr,
        {
            $(fn $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*
            $(never late: fn $on_time:ident($($own:ident: $is:ty),*) -> $says:ty;)*
            $(never fails: fn $sure:ident() -> $fact:ty;)*
        }
    ) => {
        #[async_trait]
        impl $store for Flaky<dyn $store> {
            $(async fn $method(&self, $($arg: $type),*) -> $answer {
                let struck = self.faults.strike(stringify!($store));
                if let Some(Fault::Late(calls)) = struck {
                    let inner = Arc::clone(&self.inner);
                    $(let $arg = Argument::keep($arg);)*
                    let call = move || {
                        let call = inner.$method($(Argument::lend(&$arg)),*);
                        // Nobody hears the answer.
                        let _ = call.now_or_never();
                    };
                    self.faults.late.lock().push((calls, Box::new(call)));
                    return Err($error);
                }
                let call = self.inner.$method($($arg),*);
                self.faults.around(struck, call, || $error).await
            })*
            $(async fn $on_time(&self, $($own: $is),*) -> $says {
                let struck = self.faults.strike(stringify!($store));
                let call = self.inner.$on_time($($own),*);
                self.faults.around(struck, call, || $error).await
            })*
            $(fn $sure(&self) -> $fact {
                self.inner.$sure()
            })*
        }
    };
}

flaky!(
    TimelineStore,
    Error::bare(ErrorKind::Unavailable, "timelines"),
    {
        fn push_many(owners: &[UserId], entry: Entry) -> Result<PushReport>;
        fn remove_many(owners: &[UserId], post: PostId) -> Result<Vec<UserId>>;
        fn merge(owner: UserId, entries: &[Entry]) -> Result<TimelineState>;
        fn purge_many(owners: &[UserId], author: UserId) -> Result<()>;
        fn window(owner: UserId, seek: Seek, limit: usize) -> Result<Window>;
        fn begin_build(owner: UserId, now: Timestamp, stale: Timestamp) -> Result<BuildStart>;
        fn commit_build(ticket: BuildTicket, entries: &[Entry], floor: PostId) -> Result<bool>;
        fn drop_many(owners: &[UserId]) -> Result<Vec<UserId>>;
        never late: fn retain(keep: &(dyn Fn(UserId) -> bool + Send + Sync)) -> Result<usize>;
    }
);

flaky!(Outbox, Error::bare(ErrorKind::Unavailable, "outbox"), {
    fn append(items: &[Publication]) -> Result<Vec<Appended>>;
    fn revise(author: UserId, post: PostId, body: Bytes) -> Result<Revised>;
    fn retract(author: UserId, post: PostId) -> Result<Retracted>;
    fn latest(authors: &[UserId], seek: Seek, limit: usize) -> Result<Vec<Entry>>;
    fn heads(authors: &[UserId]) -> Result<Vec<Option<PostId>>>;
    fn lookup(posts: &[PostId]) -> Result<Vec<PostState>>;
    fn posts(posts: &[PostId]) -> Result<Vec<Option<Post>>>;
    fn published(author: UserId, key: &IdempotencyKey) -> Result<Option<PostId>>;
    fn erase(author: UserId, limit: usize) -> Result<usize>;
});

flaky!(Graph, Error::bare(ErrorKind::Unavailable, "graph"), {
    fn follow(viewer: UserId, author: UserId, settings: Option<FollowSettings>)
    -> Result<Followed>;
    fn unfollow(viewer: UserId, author: UserId) -> Result<bool>;
    fn reroute(edges: &[EdgeRoute]) -> Result<Vec<Option<RouteStamp>>>;
    fn route_author(author: UserId, stamp: RouteStamp, route: Route) -> Result<Option<RouteStamp>>;
    fn author_route(author: UserId) -> Result<(Route, RouteStamp)>;
    fn followers(author: UserId, after: Option<UserId>, limit: usize) -> Result<Vec<Follower>>;
    fn circles(viewers: &[UserId]) -> Result<Vec<Arc<Circle>>>;
    fn degrees(users: &[UserId]) -> Result<Vec<Degree>>;
    fn hide(viewer: UserId, other: UserId, how: Hide, on: bool) -> Result<bool>;
    fn hidden_from(author: UserId, viewers: &[UserId]) -> Result<Vec<bool>>;
    fn set_list(owner: UserId, list: ListId, members: &[UserId]) -> Result<()>;
    fn list(owner: UserId, list: ListId) -> Result<Vec<UserId>>;
    fn erase(user: UserId, limit: usize) -> Result<usize>;
});

flaky!(Activity, Error::bare(ErrorKind::Unavailable, "activity"), {
    fn note(habit: Habit, users: &[UserId], at: Timestamp) -> Result<()>;
    fn rhythms(habit: Habit, users: &[UserId]) -> Result<Vec<Option<Rhythm>>>;
    fn mark_read(viewer: UserId, post: PostId) -> Result<PostId>;
    fn marker(viewer: UserId) -> Result<PostId>;
    fn erase(user: UserId) -> Result<()>;
});

flaky!(Actions, Error::bare(ErrorKind::Unavailable, "actions"), {
    fn record(actions: &[Action]) -> Result<Vec<Recorded>>;
    fn withdraw(actions: &[Action]) -> Result<Vec<bool>>;
    fn acted(actor: UserId, kind: ActionKind, posts: &[PostId]) -> Result<Vec<Option<PostId>>>;
    fn withdraw_items(actor: UserId, items: &[PostId]) -> Result<Vec<Action>>;
    fn forget(posts: &[PostId], limit: usize) -> Result<usize>;
    fn erase(actor: UserId, limit: usize) -> Result<usize>;
});

type Queued<T> = backplane::Result<T>;

flaky!(
    TaskQueue,
    backplane::Error::bare(backplane::ErrorKind::Unavailable, "queue"),
    {
        fn enqueue(tasks: &[NewTask]) -> Queued<Enqueued>;
        fn lease(max: usize, ttl: Duration) -> Queued<Vec<Lease>>;
        fn extend(leases: &[LeaseKey], ttl: Duration) -> Queued<Vec<Extended>>;
        fn settle(settlements: &[(LeaseKey, Settlement)]) -> Queued<Vec<Settled>>;
        fn dead_letters(after: Option<TaskId>, limit: usize) -> Queued<Vec<DeadLetter>>;
        fn redrive(tasks: &[TaskId]) -> Queued<usize>;
        fn discard(tasks: &[TaskId]) -> Queued<Vec<Discarded>>;
        fn purge_lane(lane: Lane) -> Queued<usize>;
        fn stats() -> Queued<QueueStats>;
        fn ready() -> Queued<()>;
        never fails: fn max_attempts() -> u32;
    }
);
