use std::sync::Arc;

use backplane::ManualClock;
use feed_core::{
    Entry,
    conformance::{Fresh, TestTime, actions::Subject},
};

use super::*;
use crate::scratch::Scratch;

const ANN: UserId = UserId::new(1);

fn like(post: PostId) -> Action {
    Action::like(ANN, Entry::original(post, UserId::new(2)))
}

async fn open(writer: &Writer, options: RedbActionsOptions) -> RedbActions {
    RedbActions::open(writer, "test", options).await.unwrap()
}

async fn fresh() -> Fresh<Subject> {
    let actions = open(&Scratch::new().writer(), RedbActionsOptions::default()).await;
    let actions = Arc::new(actions);
    Fresh {
        store: Arc::new(Subject {
            actions: Arc::clone(&actions) as _,
            counters: actions,
        }),
        time: TestTime::Manual(ManualClock::default()),
    }
}

feed_core::actions_conformance!(fresh());

#[test]
fn rows_lie_on_disk_as_they_always_have() {
    let mut counts = Counts::default();
    (counts.likes, counts.replies, counts.reposts) = (0x0102, 3, u64::MAX);
    let count = Count {
        author: 0x0405,
        counts,
    };
    let bytes = [
        2, 5, 4, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255,
        255, 255, 255, 255, 255,
    ];
    assert_eq!(encode(&count), bytes);
    assert_eq!(decode(&bytes), Some(count));
    assert_eq!(decode(&bytes[..32]), None);
    assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
    let kinds = [ActionKind::Like, ActionKind::Reply, ActionKind::Repost];
    assert_eq!(kinds.map(number_of), [Some(0), Some(1), Some(2)]);
}

#[tokio::test]
async fn a_full_store_refuses_new_actions_and_no_retry() {
    let options = RedbActionsOptions::default().with_max_actions(1);
    let actions = open(&Scratch::new().writer(), options).await;
    let likes = [1, 2].map(|raw| like(PostId::new(raw)));
    let refused = actions.record(&likes).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    assert_eq!(
        actions.counts(&[PostId::new(1)]).await.unwrap(),
        [Counts::default()]
    );
    for expected in [Recorded::New, Recorded::Existing(PostId::new(1))] {
        assert_eq!(actions.record(&likes[..1]).await.unwrap(), [expected]);
    }
    actions.withdraw(&likes[..1]).await.unwrap();
    assert_eq!(actions.record(&likes[1..]).await.unwrap(), [Recorded::New]);
}

async fn likes(actions: &RedbActions, posts: &[PostId]) -> Vec<u64> {
    let counts = actions.counts(posts).await.unwrap();
    counts.iter().map(|counts| counts.likes).collect()
}

async fn set_count(writer: &Writer, post: PostId, row: Vec<u8>) {
    let tables = ActionTables::new("test");
    let set = writer.run(move |txn| {
        tables.counts.write(txn)?.insert(post.get(), &*row)?;
        Ok(())
    });
    set.await.unwrap();
}

#[tokio::test]
async fn counts_that_are_damaged_are_none_to_reads_and_counted_anew_by_writes() {
    let (post, sound) = (PostId::new(10), PostId::new(11));
    let [bob, cat] = [20, 3].map(UserId::new);
    let like = |actor, post| Action::like(actor, Entry::original(post, bob));
    let low = Count {
        author: bob.get(),
        counts: Counts::default(),
    };
    for row in [vec![9], encode(&low)] {
        let writer = Scratch::new().writer();
        let actions = open(&writer, RedbActionsOptions::default()).await;
        let others = Action::like(cat, Entry::original(PostId::new(12), UserId::new(2)));
        let all = [like(ANN, post), like(cat, post), like(cat, sound), others];
        actions.record(&all).await.unwrap();
        set_count(&writer, post, row.clone()).await;
        assert_eq!(likes(&actions, &[post, sound]).await, [0, 1]);

        assert_eq!(actions.withdraw(&all[..1]).await.unwrap(), [true]);
        assert_eq!(likes(&actions, &[post, sound]).await, [1, 1]);
        set_count(&writer, post, vec![9]).await;
        assert_eq!(actions.record(&all[..1]).await.unwrap(), [Recorded::New]);
        assert_eq!(likes(&actions, &[post]).await, [2]);
        set_count(&writer, post, row).await;
        assert_eq!(actions.erase(bob, 9).await.unwrap(), 3);
        assert_eq!(likes(&actions, &[post, sound]).await, [0, 0]);
    }
}

#[tokio::test]
async fn a_post_whose_counts_do_not_decode_is_forgotten() {
    let writer = Scratch::new().writer();
    let actions = open(&writer, RedbActionsOptions::default()).await;
    let post = PostId::new(10);
    for (likes, forgotten) in [(1, [1, 0]), (2, [1, 1]), (0, [0, 0])] {
        let actors = (1..=likes).map(UserId::new);
        let like = |actor| Action::like(actor, Entry::original(post, UserId::new(7)));
        let all: Vec<_> = actors.map(like).collect();
        actions.record(&all).await.unwrap();
        set_count(&writer, post, vec![9]).await;
        for expected in forgotten {
            assert_eq!(actions.forget(&[post], 1).await.unwrap(), expected);
        }
        let tables = ActionTables::new("test");
        let rows = writer.run(move |txn| {
            Ok((
                tables.counts.write(txn)?.len()?,
                tables.drawn.write(txn)?.len()?,
            ))
        });
        assert_eq!(rows.await.unwrap(), (0, 0));
    }
}
