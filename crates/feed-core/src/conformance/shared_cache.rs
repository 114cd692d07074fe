//! Cases that every [`SharedCache`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

/// One test per guarantee of [`SharedCache`](crate::SharedCache), over the empty cache that `$fresh`
/// makes, with room for 4 MiB, and which nothing makes forget during the case.
#[macro_export]
macro_rules! shared_cache_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(shared_cache_conformance, [$crate::conformance::shared_cache], $fresh =>
            what_was_put_is_found,
            answers_in_the_order_asked,
            any_bytes_are_kept_exactly,
            putting_again_replaces_the_value,
            the_last_item_of_a_batch_is_kept,
            an_item_is_gone_after_its_time,
            each_item_has_its_own_time,
            putting_again_starts_the_time_anew,
            reading_does_not_lengthen_the_time,
            adding_stores_only_what_is_absent,
            adding_does_not_lengthen_the_time,
            an_item_past_its_time_can_be_added,
            concurrent_adds_have_one_winner,
            replacing_stores_only_over_the_very_value,
            replacing_starts_the_time_anew,
            what_is_gone_cannot_be_replaced,
            each_item_of_a_batch_finds_what_those_before_left,
            concurrent_replaces_have_one_winner,
            a_claim_that_was_put_over_or_removed_stores_nothing,
            what_was_removed_is_gone_and_can_be_added,
            empty_batches_do_nothing,
        );
    };
}

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Fresh, ROUNDS};
use crate::{CacheItem, SharedCache};

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_millis(400);
/// Long enough for what lives for a short time to be gone.
const AFTER: Duration = Duration::from_millis(600);

fn item(key: &'static str, value: &'static str, ttl: Duration) -> CacheItem {
    CacheItem::new(key, value, ttl).unwrap()
}

async fn put(cache: &dyn SharedCache, key: &'static str, value: &'static str, ttl: Duration) {
    cache.put_many(&[item(key, value, ttl)]).await.unwrap();
}

async fn add(
    cache: &dyn SharedCache,
    key: &'static str,
    value: &'static str,
    ttl: Duration,
) -> bool {
    cache.add_many(&[item(key, value, ttl)]).await.unwrap()[0]
}

async fn replace(
    cache: &dyn SharedCache,
    key: &'static str,
    (old, new): (&'static str, &'static str),
    ttl: Duration,
) -> bool {
    let items = [(old.into(), item(key, new, ttl))];
    cache.replace_many(&items).await.unwrap()[0]
}

async fn get(cache: &dyn SharedCache, key: &'static str) -> Option<Bytes> {
    let mut found = cache.get_many(&[key.into()]).await.unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// What was put under a key is found there, and nothing under any other.
pub async fn what_was_put_is_found(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    assert_eq!(get(cache, "a").await, None);
    put(cache, "a", "1", LONG).await;
    assert_eq!(get(cache, "a").await, Some("1".into()));
    assert_eq!(get(cache, "A").await, None);
    assert_eq!(get(cache, "aa").await, None);
}

/// Values come in the order asked, also for keys that are absent or asked for twice.
pub async fn answers_in_the_order_asked(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    let items = [item("a", "1", LONG), item("b", "2", LONG)];
    cache.put_many(&items).await.unwrap();
    let keys = ["b", "none", "a", "b"].map(Bytes::from);
    let found = cache.get_many(&keys).await.unwrap();
    let expected = [Some("2"), None, Some("1"), Some("2")];
    assert_eq!(found, expected.map(|value| value.map(Bytes::from)));
}

/// Keys and values are any bytes, up to the longest that there may be, and come back exactly.
pub async fn any_bytes_are_kept_exactly(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let values = [Vec::new(), all.clone(), all.repeat(4_096)];
    assert_eq!(values[2].len(), CacheItem::MAX_VALUE);
    let keys = [vec![0], all[6..].to_vec(), b"a\r\n b\0".to_vec()];
    assert_eq!(keys[1].len(), CacheItem::MAX_KEY);
    let made = keys.iter().zip(&values);
    let items: Vec<_> = made
        .map(|(key, value)| CacheItem::new(key.clone(), value.clone(), LONG).unwrap())
        .collect();
    cache.put_many(&items).await.unwrap();
    let found = cache.get_many(&keys.map(Bytes::from)).await.unwrap();
    let expected = values.map(|value| Some(Bytes::from(value)));
    assert!(found == expected, "a value came back changed");
}

/// Putting a key again replaces its value.
pub async fn putting_again_replaces_the_value(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "a long first value", LONG).await;
    put(cache, "a", "2", LONG).await;
    assert_eq!(get(cache, "a").await, Some("2".into()));
}

/// Of a key that is twice in a batch, a put keeps the last item, and an add the first.
pub async fn the_last_item_of_a_batch_is_kept(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    let twice = |key| [item(key, "1", LONG), item(key, "2", LONG)];
    cache.put_many(&twice("a")).await.unwrap();
    assert_eq!(get(cache, "a").await, Some("2".into()));
    let added = cache.add_many(&twice("b")).await.unwrap();
    assert_eq!(added, [true, false]);
    assert_eq!(get(cache, "b").await, Some("1".into()));
}

/// An item is found while its time lasts, and never once it has passed.
pub async fn an_item_is_gone_after_its_time(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", SHORT).await;
    assert!(add(cache, "b", "2", SHORT).await);
    put(cache, "c", "3", LONG).await;
    fresh.time.pass(AFTER).await;
    assert_eq!(get(cache, "a").await, None);
    assert_eq!(get(cache, "b").await, None);
    assert_eq!(get(cache, "c").await, Some("3".into()));
}

/// Items of one batch may live for different times.
pub async fn each_item_has_its_own_time(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    let items = [item("a", "1", SHORT), item("b", "2", LONG)];
    cache.put_many(&items).await.unwrap();
    let items = [item("c", "3", LONG), item("d", "4", SHORT)];
    assert_eq!(cache.add_many(&items).await.unwrap(), [true, true]);
    fresh.time.pass(AFTER).await;
    let keys = ["a", "b", "c", "d"].map(Bytes::from);
    let found = cache.get_many(&keys).await.unwrap();
    assert_eq!(found, [None, Some("2".into()), Some("3".into()), None]);
}

/// Putting a key again lets it live for the new time, be it longer or shorter.
pub async fn putting_again_starts_the_time_anew(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", SHORT).await;
    put(cache, "a", "2", LONG).await;
    put(cache, "b", "1", LONG).await;
    put(cache, "b", "2", SHORT).await;
    fresh.time.pass(AFTER).await;
    assert_eq!(get(cache, "a").await, Some("2".into()));
    assert_eq!(get(cache, "b").await, None);
}

/// However often an item is read, it lives no longer.
pub async fn reading_does_not_lengthen_the_time(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", SHORT).await;
    for _ in 0..3 {
        get(cache, "a").await;
        fresh.time.pass(AFTER / 3).await;
    }
    assert_eq!(get(cache, "a").await, None);
}

/// Adding stores an item whose key has nothing under it, leaves every other alone, and says which
/// were stored.
pub async fn adding_stores_only_what_is_absent(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", LONG).await;
    let items = [
        item("b", "2", LONG),
        item("a", "3", LONG),
        item("c", "4", LONG),
    ];
    let added = cache.add_many(&items).await.unwrap();
    assert_eq!(added, [true, false, true]);
    let keys = ["a", "b", "c"].map(Bytes::from);
    let found = cache.get_many(&keys).await.unwrap();
    assert_eq!(found, ["1", "2", "4"].map(|value| Some(Bytes::from(value))));
}

/// An add that finds an item does not let it live longer.
pub async fn adding_does_not_lengthen_the_time(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", SHORT).await;
    add(cache, "a", "2", LONG).await;
    fresh.time.pass(AFTER).await;
    assert_eq!(get(cache, "a").await, None);
}

/// Once its time has passed, a key can be added again.
pub async fn an_item_past_its_time_can_be_added(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", SHORT).await;
    fresh.time.pass(AFTER).await;
    assert!(add(cache, "a", "2", LONG).await);
    assert_eq!(get(cache, "a").await, Some("2".into()));
}

/// Of several who add one key at the same time, one does, and all find its value.
pub async fn concurrent_adds_have_one_winner(fresh: &Fresh<dyn SharedCache>) {
    for round in 0..ROUNDS {
        let key = Bytes::from(format!("key {round}"));
        race(fresh, &key, Store::Add).await;
    }
}

/// How a value comes to be under a key if it may.
#[derive(Clone, Copy)]
enum Store {
    Add,
    /// In the place of `"old"`.
    Replace,
}

/// Makes several store a value of their own at once, of whom one may.
async fn race(fresh: &Fresh<dyn SharedCache>, key: &Bytes, how: Store) {
    let call = |cache: Arc<dyn SharedCache>, n: usize| {
        let key = key.clone();
        async move {
            let item = CacheItem::new(key.clone(), n.to_string(), LONG).unwrap();
            let stored = match how {
                Store::Add => cache.add_many(&[item]).await,
                Store::Replace => cache.replace_many(&[("old".into(), item)]).await,
            };
            (
                stored.unwrap()[0],
                cache.get_many(&[key]).await.unwrap().remove(0),
            )
        }
    };
    let answers = fresh.at_once(4, call).await;
    assert_eq!(answers.iter().filter(|(stored, _)| *stored).count(), 1);
    let winner = answers.iter().position(|(stored, _)| *stored);
    let value = winner.map(|winner| Bytes::from(winner.to_string()));
    assert!(answers.iter().all(|(_, found)| *found == value));
}

/// Replacing stores an item where exactly the expected bytes are, leaves every other alone, and says
/// which were stored.
pub async fn replacing_stores_only_over_the_very_value(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    let items = [
        item("a", "1", LONG),
        item("b", "22", LONG),
        item("c", "", LONG),
    ];
    cache.put_many(&items).await.unwrap();
    let items = [
        ("1".into(), item("a", "one", LONG)),
        ("2".into(), item("b", "two", LONG)),
        ("".into(), item("none", "three", LONG)),
        ("".into(), item("c", "four", LONG)),
    ];
    let replaced = cache.replace_many(&items).await.unwrap();
    assert_eq!(replaced, [true, false, false, true]);
    let keys = ["a", "b", "none", "c"].map(Bytes::from);
    let found = cache.get_many(&keys).await.unwrap();
    let expected = [Some("one"), Some("22"), None, Some("four")];
    assert_eq!(found, expected.map(|value| value.map(Bytes::from)));
}

/// What was replaced lives for the new time, be it longer or shorter; what was not, for its own.
pub async fn replacing_starts_the_time_anew(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", SHORT).await;
    put(cache, "b", "1", LONG).await;
    put(cache, "c", "1", SHORT).await;
    assert!(replace(cache, "a", ("1", "2"), LONG).await);
    assert!(replace(cache, "b", ("1", "2"), SHORT).await);
    assert!(!replace(cache, "c", ("other", "2"), LONG).await);
    fresh.time.pass(AFTER).await;
    assert_eq!(get(cache, "a").await, Some("2".into()));
    assert_eq!(get(cache, "b").await, None);
    assert_eq!(get(cache, "c").await, None);
}

/// Nothing is stored in place of what was removed, or whose time has passed.
pub async fn what_is_gone_cannot_be_replaced(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", SHORT).await;
    put(cache, "b", "1", LONG).await;
    cache.remove_many(&["b".into()]).await.unwrap();
    fresh.time.pass(AFTER).await;
    for key in ["a", "b"] {
        assert!(!replace(cache, key, ("1", "2"), LONG).await);
        assert_eq!(get(cache, key).await, None);
    }
}

/// Of a key that is twice in a batch, the second item replaces what the first has stored.
pub async fn each_item_of_a_batch_finds_what_those_before_left(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    put(cache, "a", "1", LONG).await;
    let items = [
        ("1".into(), item("a", "2", LONG)),
        ("1".into(), item("a", "3", LONG)),
        ("2".into(), item("a", "4", LONG)),
    ];
    let replaced = cache.replace_many(&items).await.unwrap();
    assert_eq!(replaced, [true, false, true]);
    assert_eq!(get(cache, "a").await, Some("4".into()));
}

/// Of several who replace one value at the same time, one does, and all find its value.
pub async fn concurrent_replaces_have_one_winner(fresh: &Fresh<dyn SharedCache>) {
    for round in 0..ROUNDS {
        let key = Bytes::from(format!("key {round}"));
        let old = CacheItem::new(key.clone(), "old", LONG).unwrap();
        fresh.store.put_many(&[old]).await.unwrap();
        race(fresh, &key, Store::Replace).await;
    }
}

/// Who claims a key, and finds it forgotten when they store what they have read, stores nothing:
/// neither while the mark of the forget is there, nor after it, nor over another's claim.
pub async fn a_claim_that_was_put_over_or_removed_stores_nothing(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    for key in ["put", "removed"] {
        assert!(add(cache, key, "claim 1", LONG).await);
    }
    put(cache, "put", "mark", SHORT).await;
    cache.remove_many(&["removed".into()]).await.unwrap();
    for (key, left) in [("put", Some("mark".into())), ("removed", None)] {
        assert!(!replace(cache, key, ("claim 1", "old"), LONG).await);
        assert_eq!(get(cache, key).await, left);
    }
    fresh.time.pass(AFTER).await;
    for key in ["put", "removed"] {
        assert!(!replace(cache, key, ("claim 1", "old"), LONG).await);
        assert!(add(cache, key, "claim 2", LONG).await);
        assert!(!replace(cache, key, ("claim 1", "old"), LONG).await);
        assert!(replace(cache, key, ("claim 2", "new"), LONG).await);
        assert_eq!(get(cache, key).await, Some("new".into()));
    }
}

/// What was removed is not found, removing what is absent does nothing, and the key can be added.
pub async fn what_was_removed_is_gone_and_can_be_added(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    let items = [item("a", "1", LONG), item("b", "2", LONG)];
    cache.put_many(&items).await.unwrap();
    cache
        .remove_many(&["a", "none"].map(Bytes::from))
        .await
        .unwrap();
    assert_eq!(get(cache, "a").await, None);
    assert_eq!(get(cache, "b").await, Some("2".into()));
    assert!(add(cache, "a", "3", LONG).await);
}

/// A call with nothing to do succeeds.
pub async fn empty_batches_do_nothing(fresh: &Fresh<dyn SharedCache>) {
    let cache = &*fresh.store;
    assert_eq!(
        cache.get_many(&[]).await.unwrap(),
        Vec::<Option<Bytes>>::new()
    );
    cache.put_many(&[]).await.unwrap();
    assert_eq!(cache.add_many(&[]).await.unwrap(), Vec::<bool>::new());
    assert_eq!(cache.replace_many(&[]).await.unwrap(), Vec::<bool>::new());
    cache.remove_many(&[]).await.unwrap();
}
