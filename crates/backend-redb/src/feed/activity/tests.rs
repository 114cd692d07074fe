use std::{pin::pin, sync::atomic::Ordering, thread};

use ::backplane::ManualClock;
use feed_core::conformance::{Fresh, TestTime};
use redb::ReadableDatabase;

use super::*;
use crate::{
    CorruptRow, WriterOptions,
    scratch::{BreakingDisk, Scratch},
};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const FIRST: Option<Rhythm> = Some(Rhythm::first(NOON));

async fn open(
    writer: &Writer,
    clock: &ManualClock,
    options: RedbActivityOptions,
) -> Result<RedbActivity> {
    RedbActivity::open(writer, "test", Arc::new(clock.clone()), options).await
}

async fn fresh() -> Fresh<dyn Activity> {
    let clock = ManualClock::default();
    let options = RedbActivityOptions::default();
    let activity = open(&Scratch::new().writer(), &clock, options).await;
    Fresh {
        store: Arc::new(activity.unwrap()),
        time: TestTime::Manual(clock),
    }
}

feed_core::activity_conformance!(fresh());

/// What a process would find that opened the file now.
async fn on_disk(writer: &Writer, user: UserId) -> Record {
    writer.flush().await.unwrap();
    let tables = ActivityTables::new("test");
    let users = tables.users.read(&writer.database().begin_read().unwrap());
    tables.record(&users.unwrap(), user).unwrap()
}

async fn damage(writer: &Writer, user: UserId) {
    let garbage = writer.run(move |txn| {
        let users = ActivityTables::new("test").users;
        users.write(txn)?.insert(user.get(), &[9][..])?;
        Ok(())
    });
    garbage.await.unwrap();
}

async fn visit(activity: &RedbActivity, user: UserId) {
    activity.note(Habit::Visit, &[user], NOON).await.unwrap();
}

async fn visits(activity: &RedbActivity, user: UserId) -> Option<Rhythm> {
    activity.rhythms(Habit::Visit, &[user]).await.unwrap()[0]
}

#[tokio::test]
async fn notes_wait_for_the_lag_and_go_together() {
    let writer = Scratch::new().writer();
    let clock = ManualClock::default();
    let options = RedbActivityOptions::default();
    let lag = options.lag;
    let activity = open(&writer, &clock, options).await.unwrap();
    visit(&activity, ANN).await;
    assert_eq!(on_disk(&writer, ANN).await, Record::NONE);
    assert_eq!(visits(&activity, ANN).await, FIRST);
    clock.advance(lag);
    visit(&activity, BOB).await;
    for user in [ANN, BOB] {
        assert_eq!(on_disk(&writer, user).await.rhythm(Habit::Visit), FIRST);
        assert_eq!(visits(&activity, user).await, FIRST);
    }
    visit(&activity, BOB).await;
    let state = activity.state.lock();
    assert_eq!(state.unsaved.len(), 0, "what is on disk takes no memory");
}

#[tokio::test]
async fn a_marker_is_on_disk_when_it_is_answered_and_takes_notes_along() {
    let writer = Scratch::new().writer();
    let options = RedbActivityOptions::default();
    let activity = open(&writer, &ManualClock::default(), options)
        .await
        .unwrap();
    visit(&activity, BOB).await;
    activity.mark_read(ANN, PostId::new(9)).await.unwrap();
    assert_eq!(on_disk(&writer, ANN).await.marker, PostId::new(9));
    assert_eq!(on_disk(&writer, BOB).await.rhythm(Habit::Visit), FIRST);
    activity.erase(ANN).await.unwrap();
    assert_eq!(on_disk(&writer, ANN).await, Record::NONE);
}

#[tokio::test]
async fn a_dropped_store_leaves_every_note_on_disk() {
    let writer = Scratch::new().writer();
    let options = RedbActivityOptions::default();
    let activity = open(&writer, &ManualClock::default(), options)
        .await
        .unwrap();
    visit(&activity, ANN).await;
    drop(activity);
    assert_eq!(on_disk(&writer, ANN).await.rhythm(Habit::Visit), FIRST);
}

#[tokio::test]
async fn a_store_that_is_dropped_while_the_line_is_full_leaves_every_note_on_disk() {
    let disk = redb::backends::InMemoryBackend::new();
    let database = redb::Database::builder().create_with_backend(disk).unwrap();
    let options = WriterOptions::default().with_pending(1);
    let writer = Writer::start(Arc::new(database), options).unwrap();
    let options = RedbActivityOptions::default();
    let activity = open(&writer, &ManualClock::default(), options)
        .await
        .unwrap();
    visit(&activity, ANN).await;
    let last = writer.permit().unwrap();
    drop(activity);
    // The line is empty again once this is answered.
    last.flush().await.unwrap();
    assert_eq!(on_disk(&writer, ANN).await.rhythm(Habit::Visit), FIRST);
}

#[tokio::test]
async fn notes_do_not_pile_up() {
    let writer = Scratch::new().writer();
    let options = RedbActivityOptions::default().with_max_unsaved(3);
    let activity = open(&writer, &ManualClock::default(), options)
        .await
        .unwrap();
    for raw in 0..50 {
        visit(&activity, UserId::new(raw)).await;
        assert!(activity.state.lock().unsaved.len() <= 3);
    }
    for raw in 0..50 {
        assert_eq!(visits(&activity, UserId::new(raw)).await, FIRST);
    }
}

#[tokio::test]
async fn room_for_no_note_counts_as_room_for_one() {
    let writer = Scratch::new().writer();
    let options = RedbActivityOptions {
        max_unsaved: 0,
        ..RedbActivityOptions::default()
    };
    let activity = open(&writer, &ManualClock::default(), options).await;
    let activity = activity.unwrap();
    let mut note = pin!(activity.note(Habit::Visit, &[ANN], NOON));
    // By the number of looks: a call that waits for room that never comes ends no wait.
    let noted = (0..1_000).find_map(|_| note.as_mut().now_or_never());
    noted.expect("there is room").unwrap();
    assert_eq!(visits(&activity, ANN).await, FIRST);
}

#[tokio::test]
async fn markers_that_nobody_waited_for_do_not_pile_up() {
    let writer = Scratch::new().writer();
    let options = RedbActivityOptions::default().with_max_unsaved(3);
    let activity = open(&writer, &ManualClock::default(), options)
        .await
        .unwrap();
    for post in 1..50 {
        let _ = activity.mark_read(ANN, PostId::new(post)).now_or_never();
        assert!(activity.state.lock().unsaved.len() <= 3);
    }
    let marker = activity.marker(ANN).await.unwrap();
    assert!(marker >= PostId::new(3));
    writer.flush().await.unwrap();
    assert_eq!(on_disk(&writer, ANN).await.marker, marker);
}

#[tokio::test]
async fn a_full_store_refuses_strangers_alone() {
    let writer = Scratch::new().writer();
    let clock = ManualClock::default();
    let options = RedbActivityOptions::default().with_max_users(1);
    let activity = open(&writer, &clock, options.clone()).await.unwrap();
    let refused = activity.note(Habit::Visit, &[ANN, BOB], NOON).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
    drop(activity);
    let activity = open(&writer, &clock, options).await.unwrap();
    assert!(activity.mark_read(BOB, PostId::MAX).await.is_err());
    activity.mark_read(ANN, PostId::MAX).await.unwrap();
    activity.erase(ANN).await.unwrap();
    visit(&activity, BOB).await;
}

#[tokio::test]
async fn a_store_is_open_once_at_a_time() {
    let writer = Scratch::new().writer();
    let (clock, options) = (ManualClock::default(), RedbActivityOptions::default());
    let activity = open(&writer, &clock, options.clone()).await.unwrap();
    let second = open(&writer, &clock, options.clone()).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Invalid);
    drop(activity);
    open(&writer, &clock, options).await.unwrap();
}

#[tokio::test]
async fn a_row_that_does_not_decode_is_named() {
    let writer = Scratch::new().writer();
    let options = RedbActivityOptions::default();
    let activity = open(&writer, &ManualClock::default(), options)
        .await
        .unwrap();
    damage(&writer, ANN).await;
    let read = activity.marker(ANN).await.unwrap_err();
    let write = activity.mark_read(ANN, PostId::MAX).await.unwrap_err();
    for error in [read, write] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let row = CorruptRow::behind(&error).expect("a row is the cause");
        assert_eq!(row.table, "feed.activity.test.users");
    }
    let both = [ANN, BOB];
    activity.note(Habit::Visit, &both, NOON).await.unwrap();
    let rhythms = activity.rhythms(Habit::Visit, &both).await;
    assert_eq!(rhythms.unwrap(), [None, FIRST]);
}

#[tokio::test]
async fn a_user_whose_row_does_not_decode_is_erased_and_makes_room() {
    let writer = Scratch::new().writer();
    let clock = ManualClock::default();
    let options = RedbActivityOptions::default().with_max_users(1);
    drop(open(&writer, &clock, options.clone()).await.unwrap());
    damage(&writer, ANN).await;
    let activity = open(&writer, &clock, options).await.unwrap();
    let refused = activity.note(Habit::Visit, &[BOB], NOON).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
    activity.erase(ANN).await.unwrap();
    assert_eq!(on_disk(&writer, ANN).await, Record::NONE);
    visit(&activity, BOB).await;
}

#[tokio::test]
async fn after_a_failed_commit_nothing_is_promised() {
    let (disk, broken) = BreakingDisk::new();
    let writer = disk.writer();
    let clock = ManualClock::default();
    let options = RedbActivityOptions::default();
    let lag = options.lag;
    let activity = open(&writer, &clock, options).await.unwrap();
    visit(&activity, ANN).await;
    broken.store(true, Ordering::Relaxed);
    clock.advance(lag);
    visit(&activity, BOB).await;
    // Nobody waits for the write that fails, so that it takes a while to be known.
    while activity.note(Habit::Visit, &[BOB], NOON).await.is_ok() {
        thread::yield_now();
    }
    let calls = [
        activity.note(Habit::Visit, &[ANN], NOON).await.unwrap_err(),
        activity.mark_read(ANN, PostId::MAX).await.unwrap_err(),
        activity.marker(ANN).await.unwrap_err(),
    ];
    for error in calls {
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}
