//! Cases that every [`Outbox`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod body;
mod key;
mod race;
mod retraction;

pub use body::*;
pub use key::*;
pub use race::*;
pub use retraction::*;

/// One test per guarantee of [`Outbox`](crate::Outbox), over the empty outbox that `$fresh` makes:
/// with room for 2,000 posts, and for 100 keys and retractions of each author.
#[macro_export]
macro_rules! outbox_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(outbox_conformance, [$crate::conformance::outbox], $fresh =>
            an_appended_post_is_seen_everywhere,
            answers_in_the_order_asked,
            a_live_post_is_not_stored_again,
            a_retry_under_the_same_key_stores_nothing,
            a_key_holds_within_a_batch,
            another_authors_key_is_another_key,
            a_refused_item_takes_no_key,
            a_key_outlives_its_post,
            keys_are_told_apart_to_the_last_byte,
            a_body_may_be_empty,
            a_revision_replaces_the_body_and_raises_the_version,
            only_the_author_revises,
            a_retracted_post_cannot_be_revised,
            a_retracted_post_is_gone_everywhere,
            retracting_again_changes_nothing,
            only_the_author_retracts,
            a_retraction_beats_a_late_append,
            no_retraction_is_forgotten_for_lack_of_room,
            merges_in_both_directions,
            the_merge_leaves_no_nearer_entry_out,
            a_busy_author_is_not_cut_short,
            pages_show_every_entry_once,
            awkward_ids_are_exact,
            no_post_has_the_id_0,
            a_late_append_is_sorted_in,
            a_page_goes_on_after_a_retracted_post,
            a_short_page_is_the_last,
            knows_reposts_from_originals,
            heads_are_the_newest_live_posts,
            erases_in_slices,
            an_erased_post_can_be_published_anew,
            erasing_forgets_retractions_however_many,
            erasing_leaves_others_alone,
            concurrent_retries_store_one_post,
            concurrent_appends_of_one_post_store_one_body,
            concurrent_revisions_have_versions_of_their_own,
            concurrent_retractions_remove_once,
            a_retraction_beats_an_append_beside_it,
        );
    };
}

use std::sync::Arc;

use bytes::Bytes;

use super::{Fresh, ROUNDS, awkward_ids};
use crate::{
    Appended, Entry, ErrorKind, IdempotencyKey, Outbox, Post, PostId, PostState, Publication,
    Retracted, Revised, Seek, UserId,
};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(u64::MAX);
const CAT: UserId = UserId::new(1 << 53);

const fn post(raw: u64) -> PostId {
    PostId::new(raw)
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn item(author: UserId, raw: u64) -> Publication {
    let body = Bytes::from(format!("post {raw}"));
    Publication::new(Entry::original(post(raw), author), body)
}

async fn append(outbox: &dyn Outbox, item: Publication) -> Appended {
    outbox.append(&[item]).await.unwrap()[0]
}

async fn publish(outbox: &dyn Outbox, author: UserId, posts: impl IntoIterator<Item = u64>) {
    let items: Vec<_> = posts.into_iter().map(|raw| item(author, raw)).collect();
    let answers = outbox.append(&items).await.unwrap();
    assert_eq!(answers, vec![Appended::Stored; items.len()]);
}

async fn retract(outbox: &dyn Outbox, author: UserId, raw: u64) -> Retracted {
    outbox.retract(author, post(raw)).await.unwrap()
}

async fn state(outbox: &dyn Outbox, raw: u64) -> PostState {
    outbox.lookup(&[post(raw)]).await.unwrap()[0]
}

async fn body(outbox: &dyn Outbox, raw: u64) -> Option<Bytes> {
    let mut found = outbox.posts(&[post(raw)]).await.unwrap();
    found.remove(0).map(|post| post.body)
}

async fn latest(outbox: &dyn Outbox, authors: &[UserId], seek: Seek, limit: usize) -> Vec<u64> {
    let entries = outbox.latest(authors, seek, limit).await.unwrap();
    entries.iter().map(|entry| entry.post.get()).collect()
}

const fn live(author: UserId, raw: u64, version: u32) -> PostState {
    PostState::Live {
        entry: Entry::original(post(raw), author),
        version,
    }
}

/// A post that was appended is found by id and in its author's outbox, at version 1.
pub async fn an_appended_post_is_seen_everywhere(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    assert_eq!(append(outbox, item(ANN, 7)).await, Appended::Stored);
    let entry = Entry::original(post(7), ANN);
    assert_eq!(state(outbox, 7).await, live(ANN, 7, 1));
    let whole = Post::new(entry, 1, Bytes::from_static(b"post 7"));
    assert_eq!(outbox.posts(&[post(7)]).await.unwrap(), [Some(whole)]);
    assert_eq!(
        outbox.latest(&[ANN], Seek::Newest, 9).await.unwrap(),
        [entry]
    );
    assert_eq!(outbox.heads(&[ANN]).await.unwrap(), [Some(post(7))]);
}

/// A batch is answered in the order asked, also where things are absent or named twice.
pub async fn answers_in_the_order_asked(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [5]).await;
    publish(outbox, BOB, [9]).await;
    let items = [item(CAT, 8), item(ANN, 5), item(CAT, 3)];
    let answers = outbox.append(&items).await.unwrap();
    let expected = [
        Appended::Stored,
        Appended::Duplicate(post(5)),
        Appended::Stored,
    ];
    assert_eq!(answers, expected);

    let asked = [9, 4, 5, 9].map(post);
    let states = [
        live(BOB, 9, 1),
        PostState::Absent,
        live(ANN, 5, 1),
        live(BOB, 9, 1),
    ];
    assert_eq!(outbox.lookup(&asked).await.unwrap(), states);
    let bodies = outbox.posts(&asked).await.unwrap();
    let found: Vec<_> = bodies
        .iter()
        .map(|post| post.as_ref().map(|post| post.entry))
        .collect();
    assert_eq!(found, states.map(|state| state.live()));
    let heads = outbox
        .heads(&[BOB, UserId::new(77), CAT, ANN])
        .await
        .unwrap();
    assert_eq!(heads, [Some(post(9)), None, Some(post(8)), Some(post(5))]);
}

/// Appending a live post again stores nothing, whatever the body and whoever the author.
pub async fn a_live_post_is_not_stored_again(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [7]).await;
    for author in [ANN, BOB] {
        let again = Publication::new(Entry::original(post(7), author), "other".into());
        assert_eq!(append(outbox, again).await, Appended::Duplicate(post(7)));
    }
    assert_eq!(body(outbox, 7).await.unwrap(), "post 7");
    assert_eq!(latest(outbox, &[ANN, BOB], Seek::Newest, 9).await, [7]);
    assert_eq!(state(outbox, 7).await, live(ANN, 7, 1));
}

/// Each revision replaces the body and raises the version by one; the entry stays, and what it answers.
pub async fn a_revision_replaces_the_body_and_raises_the_version(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let answered = post(u64::MAX);
    append(outbox, item(ANN, 7).in_reply_to(answered)).await;
    for version in 2..5 {
        let text = Bytes::from(format!("version {version}"));
        let revised = outbox.revise(ANN, post(7), text.clone()).await.unwrap();
        assert_eq!(revised, Revised::Stored(version));
        assert_eq!(state(outbox, 7).await, live(ANN, 7, version));
        let whole = Post::new(Entry::original(post(7), ANN), version, text);
        let whole = whole.in_reply_to(Some(answered));
        assert_eq!(outbox.posts(&[post(7)]).await.unwrap(), [Some(whole)]);
    }
}

/// A revision by somebody else, or of a post that does not exist, changes nothing.
pub async fn only_the_author_revises(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [7]).await;
    let foreign = outbox.revise(BOB, post(7), "mine".into()).await.unwrap();
    assert_eq!(foreign, Revised::NotAuthor);
    assert_eq!(body(outbox, 7).await.unwrap(), "post 7");
    assert_eq!(state(outbox, 7).await, live(ANN, 7, 1));
    let absent = outbox.revise(ANN, post(8), "new".into()).await.unwrap();
    assert_eq!(absent, Revised::Gone);
    assert_eq!(state(outbox, 8).await, PostState::Absent);
}

/// A revision that comes after the retraction does not bring the post back.
pub async fn a_retracted_post_cannot_be_revised(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [7]).await;
    retract(outbox, ANN, 7).await;
    let revised = outbox.revise(ANN, post(7), "late".into()).await.unwrap();
    assert_eq!(revised, Revised::Gone);
    assert_eq!(state(outbox, 7).await, PostState::Retracted);
    assert_eq!(body(outbox, 7).await, None);
}

/// A retracted post is in no outbox, has no body, and is known as retracted.
pub async fn a_retracted_post_is_gone_everywhere(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [7, 8, 9]).await;
    let removed = Retracted::Removed(Entry::original(post(8), ANN));
    assert_eq!(retract(outbox, ANN, 8).await, removed);
    assert_eq!(state(outbox, 8).await, PostState::Retracted);
    assert_eq!(body(outbox, 8).await, None);
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, [9, 7]);
    assert_eq!(latest(outbox, &[ANN], Seek::After(post(7)), 9).await, [9]);
}

/// Retracting a post that is retracted already, by whomever, answers that it is absent.
pub async fn retracting_again_changes_nothing(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [7]).await;
    retract(outbox, ANN, 7).await;
    for author in [ANN, BOB, ANN] {
        assert_eq!(retract(outbox, author, 7).await, Retracted::Absent);
        assert_eq!(state(outbox, 7).await, PostState::Retracted);
    }
}

/// A retraction by somebody else leaves the post live.
pub async fn only_the_author_retracts(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [7]).await;
    assert_eq!(retract(outbox, BOB, 7).await, Retracted::NotAuthor);
    assert_eq!(state(outbox, 7).await, live(ANN, 7, 1));
    assert_eq!(latest(outbox, &[ANN, BOB], Seek::Newest, 9).await, [7]);
}

/// A post that was retracted before it arrived is never shown.
pub async fn a_retraction_beats_a_late_append(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    assert_eq!(retract(outbox, ANN, 7).await, Retracted::Absent);
    assert_eq!(state(outbox, 7).await, PostState::Retracted);
    for _ in 0..2 {
        assert_eq!(append(outbox, item(ANN, 7)).await, Appended::Retracted);
    }
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, []);
    assert_eq!(outbox.heads(&[ANN]).await.unwrap(), [None]);
    assert_eq!(body(outbox, 7).await, None);
}

/// The merge runs from the newest, from a bound to older ones, and from a bound to newer ones.
pub async fn merges_in_both_directions(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [1, 4, 7]).await;
    publish(outbox, BOB, [2, 5, 8]).await;
    publish(outbox, CAT, [3, 6, 9]).await;
    let all = [CAT, ANN, BOB];
    assert_eq!(latest(outbox, &all, Seek::Newest, 4).await, [9, 8, 7, 6]);
    assert_eq!(
        latest(outbox, &all, Seek::Before(post(6)), 3).await,
        [5, 4, 3]
    );
    assert_eq!(latest(outbox, &all, Seek::After(post(6)), 2).await, [7, 8]);
    assert_eq!(
        latest(outbox, &all, Seek::After(post(2)), 3).await,
        [3, 4, 5]
    );
    assert_eq!(
        latest(outbox, &[ANN, CAT], Seek::Newest, 3).await,
        [9, 7, 6]
    );
}

/// Of every subset of authors, at every place, a page holds exactly the nearest entries.
pub async fn the_merge_leaves_no_nearer_entry_out(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let author = |raw: u64| UserId::new(10 + (raw * raw / 3) % 5);
    for raw in 1..=60 {
        publish(outbox, author(raw), [raw]).await;
    }
    for subset in 0_u64..32 {
        let authors: Vec<_> = (0..5).filter(|n| subset >> n & 1 == 1).collect();
        let authors: Vec<_> = authors.into_iter().map(|n| UserId::new(10 + n)).collect();
        for bound in [0, 1, 17, 33, 60, 61] {
            let newer = (1..=60).filter(|&raw| raw > bound && authors.contains(&author(raw)));
            let older = (1..=60)
                .rev()
                .filter(|&raw| raw < bound && authors.contains(&author(raw)));
            let (newer, older): (Vec<_>, Vec<_>) =
                (newer.take(7).collect(), older.take(7).collect());
            let bound = post(bound);
            assert_eq!(latest(outbox, &authors, Seek::After(bound), 7).await, newer);
            assert_eq!(
                latest(outbox, &authors, Seek::Before(bound), 7).await,
                older
            );
        }
    }
}

/// An author with many posts in a row among many others is shown with all of them.
pub async fn a_busy_author_is_not_cut_short(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let others: Vec<_> = (100..150).map(UserId::new).collect();
    for (raw, &other) in (1..).zip(&others) {
        publish(outbox, other, [raw, 1_000 + raw]).await;
    }
    publish(outbox, ANN, 101..=130).await;
    let authors = [&others[..], &[ANN]].concat();
    let page = latest(outbox, &authors, Seek::Before(post(1_000)), 50).await;
    let own = (101..=130).rev();
    let expected: Vec<_> = own.chain((31..=50).rev()).collect();
    assert_eq!(page, expected);
}

/// Pages, each from the last post of the one before, show every entry once, in both directions.
pub async fn pages_show_every_entry_once(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let ids = post_ids();
    for (n, &raw) in ids.iter().enumerate() {
        publish(outbox, [ANN, BOB, CAT][n % 3], [raw]).await;
    }
    for limit in [1, 5, 7] {
        let (mut down, mut up) = (Vec::new(), Vec::new());
        let mut seek = Seek::Newest;
        loop {
            let page = latest(outbox, &[ANN, BOB, CAT], seek, limit).await;
            let Some(&last) = page.last() else { break };
            down.extend(page);
            seek = Seek::Before(post(last));
        }
        down.reverse();
        assert_eq!(down, ids);
        loop {
            let newest = up.last().map_or(PostId::MIN, |&last| post(last));
            let page = latest(outbox, &[ANN, BOB, CAT], Seek::After(newest), limit).await;
            if page.is_empty() {
                break;
            }
            up.extend(page);
        }
        assert_eq!(up, ids);
    }
}

/// Bounds are exclusive and exact for every 64-bit id but 0, as are lookups.
pub async fn awkward_ids_are_exact(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let ids = post_ids();
    publish(outbox, BOB, ids.iter().copied()).await;
    for (n, &raw) in ids.iter().enumerate() {
        assert_eq!(state(outbox, raw).await, live(BOB, raw, 1));
        let older = ids[..n].last().copied();
        let newer = ids.get(n + 1).copied();
        let before = latest(outbox, &[BOB], Seek::Before(post(raw)), 1).await;
        let after = latest(outbox, &[BOB], Seek::After(post(raw)), 1).await;
        assert_eq!(
            (before, after),
            (Vec::from_iter(older), Vec::from_iter(newer))
        );
    }
    assert_eq!(outbox.heads(&[BOB]).await.unwrap(), [Some(PostId::MAX)]);
    for &raw in ids.iter().rev() {
        let removed = Retracted::Removed(Entry::original(post(raw), BOB));
        assert_eq!(retract(outbox, BOB, raw).await, removed);
    }
    assert_eq!(latest(outbox, &[BOB], Seek::Newest, 9).await, []);
}

/// The awkward ids that posts can have: all but 0, the least.
fn post_ids() -> Vec<u64> {
    awkward_ids().split_off(1)
}

/// An item of post 0 is refused, and with it whatever is in the same batch.
pub async fn no_post_has_the_id_0(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    for batch in [[0, 1], [2, 0]] {
        let refused = outbox.append(&batch.map(|raw| item(ANN, raw))).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ReservedPostId);
    }
    let states = outbox.lookup(&[0, 1, 2].map(post)).await.unwrap();
    assert_eq!(states, [PostState::Absent; 3]);
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, []);
}

/// A post that arrives after newer ones takes its place by id.
pub async fn a_late_append_is_sorted_in(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    for raw in [5, 9, 7, 1, 8] {
        publish(outbox, ANN, [raw]).await;
    }
    assert_eq!(
        latest(outbox, &[ANN], Seek::Newest, 9).await,
        [9, 8, 7, 5, 1]
    );
    assert_eq!(outbox.heads(&[ANN]).await.unwrap(), [Some(post(9))]);
}

/// Retracting the post that a page starts from moves no other entry across the page's edge.
pub async fn a_page_goes_on_after_a_retracted_post(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, 1..=9).await;
    retract(outbox, ANN, 5).await;
    assert_eq!(
        latest(outbox, &[ANN], Seek::Before(post(5)), 2).await,
        [4, 3]
    );
    assert_eq!(
        latest(outbox, &[ANN], Seek::After(post(5)), 2).await,
        [6, 7]
    );
    assert_eq!(
        latest(outbox, &[ANN], Seek::Before(post(6)), 2).await,
        [4, 3]
    );
}

/// Fewer entries than asked mean that there are no more; nobody has none.
pub async fn a_short_page_is_the_last(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, 1..=3).await;
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 3).await, [3, 2, 1]);
    assert_eq!(
        latest(outbox, &[ANN], Seek::Newest, 4_000_000).await,
        [3, 2, 1]
    );
    assert_eq!(latest(outbox, &[ANN, BOB], Seek::Newest, 0).await, []);
    assert_eq!(latest(outbox, &[BOB], Seek::Newest, 9).await, []);
    assert_eq!(latest(outbox, &[], Seek::Newest, 9).await, []);
}

/// A repost is an entry of its own that names its original, which need not be there.
pub async fn knows_reposts_from_originals(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [3]).await;
    let reposts = [(4, 3), (5, 2)];
    let reposts = reposts.map(|(raw, origin)| Entry::repost(post(raw), BOB, post(origin)));
    for entry in reposts {
        let repost = Publication::new(entry, Bytes::new());
        assert_eq!(append(outbox, repost).await, Appended::Stored);
    }
    let original = Entry::original(post(3), ANN);
    let page = outbox.latest(&[ANN, BOB], Seek::Newest, 9).await.unwrap();
    assert_eq!(page, [reposts[1], reposts[0], original]);
    let states = outbox.lookup(&[post(4), post(5)]).await.unwrap();
    let entries: Vec<_> = states.iter().filter_map(PostState::live).collect();
    assert_eq!(entries, reposts);
    let removed = Retracted::Removed(reposts[0]);
    assert_eq!(retract(outbox, BOB, 4).await, removed);
    assert_eq!(state(outbox, 3).await, live(ANN, 3, 1));
}

/// An author's head is their newest post that is live, whatever was retracted above it.
pub async fn heads_are_the_newest_live_posts(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, 1..=3).await;
    for (retracted, head) in [(3, Some(2)), (1, Some(2)), (2, None)] {
        retract(outbox, ANN, retracted).await;
        assert_eq!(outbox.heads(&[ANN]).await.unwrap(), [head.map(post)]);
    }
}

/// Erasing takes no more posts at once than asked, and ends at zero with nothing left.
pub async fn erases_in_slices(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, 1..=7).await;
    append(outbox, item(ANN, 8).with_key(key("k"))).await;
    retract(outbox, ANN, 4).await;
    retract(outbox, ANN, 20).await;
    let mut slices = Vec::new();
    loop {
        let erased = outbox.erase(ANN, 4).await.unwrap();
        slices.push(erased);
        if erased == 0 {
            break;
        }
    }
    assert!(slices.iter().all(|&erased| erased <= 4), "{slices:?}");
    assert_eq!(slices.iter().sum::<usize>(), 9);
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, []);
    let posts: Vec<_> = (1..=20).map(post).collect();
    let states = outbox.lookup(&posts).await.unwrap();
    assert_eq!(states, [PostState::Absent; 20]);
    assert_eq!(outbox.posts(&posts).await.unwrap(), vec![None; 20]);
    assert_eq!(outbox.published(ANN, &key("k")).await.unwrap(), None);
}

/// What was erased, with its key and its retraction, can be published as if it were new.
pub async fn an_erased_post_can_be_published_anew(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    append(outbox, item(ANN, 7).with_key(key("k"))).await;
    retract(outbox, ANN, 6).await;
    while outbox.erase(ANN, 10).await.unwrap() > 0 {}
    let again = item(ANN, 7).with_key(key("k"));
    assert_eq!(append(outbox, again).await, Appended::Stored);
    assert_eq!(append(outbox, item(ANN, 6)).await, Appended::Stored);
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, [7, 6]);
    assert_eq!(state(outbox, 7).await, live(ANN, 7, 1));
}

/// Erasing one author touches nobody else's posts and keys.
pub async fn erasing_leaves_others_alone(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [1, 3]).await;
    append(outbox, item(BOB, 2).with_key(key("k"))).await;
    retract(outbox, BOB, 4).await;
    assert_eq!(outbox.erase(CAT, 10).await.unwrap(), 0);
    while outbox.erase(ANN, 10).await.unwrap() > 0 {}
    assert_eq!(latest(outbox, &[ANN, BOB], Seek::Newest, 9).await, [2]);
    assert_eq!(state(outbox, 4).await, PostState::Retracted);
    let published = outbox.published(BOB, &key("k")).await.unwrap();
    assert_eq!(published, Some(post(2)));
}
