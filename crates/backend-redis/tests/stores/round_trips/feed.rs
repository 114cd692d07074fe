//! The calls of a feed's stores.

use std::time::Duration;

use backend_redis::{
    RedisActions, RedisActivity, RedisGraph, RedisOutbox, RedisOutboxOptions, RedisSharedCache,
    RedisTimelines, RedisTimelinesOptions,
};
use backplane::Timestamp;
use bytes::Bytes;
use feed_core::{
    Action, ActionKind, Actions, Activity, BuildStart, CacheItem, Counters, EdgeRoute, Entry,
    Followed, Graph, Habit, Hide, IdempotencyKey, ListId, Outbox, PostId, Publication, Route, Seek,
    SharedCache, TimelineStore, UserId,
};

use super::meter::Meter;

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const POST: PostId = PostId::new(1);

/// Nine users, who are in the slots of several masters.
fn nine() -> Vec<UserId> {
    (1..10).map(UserId::new).collect()
}

/// A post of each of them.
fn posts() -> Vec<Entry> {
    let users = nine().into_iter();
    users
        .map(|user| Entry::original(PostId::new(user.get()), user))
        .collect()
}

fn ids() -> Vec<PostId> {
    posts().iter().map(|entry| entry.post).collect()
}

pub(crate) async fn calls(meter: &mut Meter) {
    timelines(meter).await;
    outbox(meter).await;
    shared_cache(meter).await;
    activity(meter).await;
    graph(meter).await;
    actions(meter).await;
}

async fn timelines(meter: &mut Meter) {
    let timelines = RedisTimelines::new(meter.redis(), RedisTimelinesOptions::default());
    let (owners, entry) = (nine(), posts()[0]);
    for &owner in &owners {
        let begin = timelines.begin_build(owner, Timestamp::EPOCH, Timestamp::EPOCH);
        let begun = meter.cost("`TimelineStore::begin_build`", begin).await;
        let BuildStart::Started(ticket) = begun else {
            panic!("nobody else builds");
        };
        let built = timelines.commit_build(ticket, &[], PostId::MIN);
        meter.cost("`TimelineStore::commit_build`", built).await;
    }
    let push = timelines.push_many(&owners, entry);
    meter
        .cost("`TimelineStore::push_many`, to 9 owners", push)
        .await;
    let window = timelines.window(ANN, Seek::Newest, 20);
    meter.cost("`TimelineStore::window`", window).await;
    let merge = timelines.merge(ANN, std::slice::from_ref(&entry));
    meter.cost("`TimelineStore::merge`", merge).await;
    let remove = timelines.remove_many(&owners, entry.post);
    meter
        .cost("`TimelineStore::remove_many`, of 9 owners", remove)
        .await;
    let purge = timelines.purge_many(&owners, BOB);
    meter
        .cost("`TimelineStore::purge_many`, of 9 owners", purge)
        .await;
    let drop = timelines.drop_many(&owners);
    meter
        .cost("`TimelineStore::drop_many`, of 9 owners", drop)
        .await;
    let retain = timelines.retain(&|_| false);
    meter
        .cost("`TimelineStore::retain`, where there are few keys", retain)
        .await;
}

async fn outbox(meter: &mut Meter) {
    let outbox = RedisOutbox::new(meter.redis(), RedisOutboxOptions::default());
    let key: IdempotencyKey = "key".parse().unwrap();
    let items = posts().into_iter();
    let items: Vec<_> = items
        .map(|entry| Publication::new(entry, "body".into()).with_key(key.clone()))
        .collect();
    meter
        .cost("`Outbox::append`, for 9 authors", outbox.append(&items))
        .await;
    let authors = nine();
    let latest = outbox.latest(&authors, Seek::Newest, 20);
    meter.cost("`Outbox::latest`, of 9 authors", latest).await;
    meter
        .cost("`Outbox::heads`, of 9 authors", outbox.heads(&authors))
        .await;
    meter
        .cost("`Outbox::lookup`, of 9 posts", outbox.lookup(&ids()))
        .await;
    meter
        .cost("`Outbox::posts`, of 9 posts", outbox.posts(&ids()))
        .await;
    meter
        .cost("`Outbox::published`", outbox.published(ANN, &key))
        .await;
    let revise = outbox.revise(ANN, POST, "other".into());
    let _ = meter.cost("`Outbox::revise`", revise).await;
    meter
        .cost("`Outbox::retract`", outbox.retract(BOB, PostId::new(2)))
        .await;
    meter
        .cost(
            "`Outbox::erase`, of an author of one post",
            outbox.erase(ANN, 9),
        )
        .await;
}

async fn shared_cache(meter: &mut Meter) {
    let cache = RedisSharedCache::new(meter.redis());
    let keys: Vec<Bytes> = (0..9)
        .map(|key| Bytes::from(format!("key {key}")))
        .collect();
    let item = |key: &Bytes| CacheItem::new(key.clone(), "value", Duration::from_secs(60)).unwrap();
    let items: Vec<_> = keys.iter().map(item).collect();
    let swaps: Vec<_> = items
        .iter()
        .map(|item| (Bytes::from("value"), item.clone()))
        .collect();
    meter
        .cost(
            "`SharedCache::put_many`, of 9 items",
            cache.put_many(&items),
        )
        .await;
    meter
        .cost("`SharedCache::get_many`, of 9 items", cache.get_many(&keys))
        .await;
    meter
        .cost(
            "`SharedCache::add_many`, of 9 items",
            cache.add_many(&items),
        )
        .await;
    let replace = cache.replace_many(&swaps);
    meter
        .cost("`SharedCache::replace_many`, of 9 items", replace)
        .await;
    let remove = cache.remove_many(&keys);
    meter
        .cost("`SharedCache::remove_many`, of 9 items", remove)
        .await;
}

async fn activity(meter: &mut Meter) {
    let activity = RedisActivity::new(meter.redis());
    let (users, at) = (nine(), Timestamp::from_millis(1));
    let note = activity.note(Habit::Visit, &users, at);
    meter.cost("`Activity::note`, of 9 users", note).await;
    let rhythms = activity.rhythms(Habit::Visit, &users);
    meter.cost("`Activity::rhythms`, of 9 users", rhythms).await;
    meter
        .cost("`Activity::mark_read`", activity.mark_read(ANN, POST))
        .await;
    meter.cost("`Activity::marker`", activity.marker(ANN)).await;
    meter.cost("`Activity::erase`", activity.erase(ANN)).await;
}

async fn graph(meter: &mut Meter) {
    let graph = RedisGraph::new(meter.redis());
    let (users, list) = (nine(), ListId::new(1));
    let followed = meter
        .cost("`Graph::follow`", graph.follow(ANN, BOB, None))
        .await;
    let Followed::Added(stamp) = followed else {
        panic!("nobody followed");
    };
    let edge = EdgeRoute {
        viewer: ANN,
        author: BOB,
        stamp,
        route: Route::PUSH,
    };
    meter
        .cost("`Graph::reroute`, of one edge", graph.reroute(&[edge]))
        .await;
    let (_, stamp) = meter
        .cost("`Graph::author_route`", graph.author_route(BOB))
        .await;
    let route = graph.route_author(BOB, stamp, Route::Pull);
    meter.cost("`Graph::route_author`", route).await;
    let followers = graph.followers(BOB, None, 1_000);
    meter
        .cost("`Graph::followers`, up to 1,000", followers)
        .await;
    meter
        .cost("`Graph::circles`, of one viewer", graph.circles(&[ANN]))
        .await;
    meter
        .cost("`Graph::degrees`, of 9 users", graph.degrees(&users))
        .await;
    meter
        .cost("`Graph::hide`", graph.hide(ANN, BOB, Hide::Block, true))
        .await;
    let hidden = graph.hidden_from(BOB, &users);
    meter
        .cost("`Graph::hidden_from`, of 9 viewers", hidden)
        .await;
    let set = graph.set_list(ANN, list, &[BOB]);
    meter.cost("`Graph::set_list`, of one member", set).await;
    meter.cost("`Graph::list`", graph.list(ANN, list)).await;
    meter
        .cost("`Graph::unfollow`", graph.unfollow(ANN, BOB))
        .await;
    meter
        .cost(
            "`Graph::erase`, of a user with a block and a list",
            graph.erase(ANN, 9),
        )
        .await;
}

async fn actions(meter: &mut Meter) {
    let actions = RedisActions::new(meter.redis());
    let post = posts()[0];
    let first = [Action::like(BOB, post)];
    meter
        .cost(
            "`Actions::record`, the first of a post",
            actions.record(&first),
        )
        .await;
    let next = [Action::like(UserId::new(3), post)];
    meter
        .cost("`Actions::record`, another", actions.record(&next))
        .await;
    let ids = ids();
    let acted = actions.acted(BOB, ActionKind::Like, &ids);
    meter.cost("`Actions::acted`, on 9 posts", acted).await;
    meter
        .cost("`Counters::counts`, of 9 posts", actions.counts(&ids))
        .await;
    meter
        .cost("`Actions::withdraw`, of one", actions.withdraw(&next))
        .await;
    let repost = [PostId::new(77)];
    let made = [Action::repost(BOB, post, repost[0])];
    actions.record(&made).await.unwrap();
    let withdraw = actions.withdraw_items(BOB, &repost);
    meter
        .cost("`Actions::withdraw_items`, of one", withdraw)
        .await;
    meter
        .cost(
            "`Actions::forget`, of a post with a like",
            actions.forget(&[POST], 9),
        )
        .await;
    actions.record(&first).await.unwrap();
    meter
        .cost(
            "`Actions::erase`, of a user with a like",
            actions.erase(BOB, 9),
        )
        .await;
}
