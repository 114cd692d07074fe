//! Two nodes against what the tables say, while posts and users are edited, forgotten and erased,
//! time goes by, and cache and source fail now and then.

use std::{collections::BTreeMap, time::Duration};

use feed_core::{
    Entry, Hydrated, Hydrator, HydratorOptions, Lack, Part, PostId, PostVersion, UserId,
};
use futures::FutureExt;
use proptest::{collection::vec, prelude::*};

use crate::world::{Mood, World};

const TTL: Duration = Duration::from_secs(50);
const USERS: u64 = 3;
const POSTS: u64 = 6;

#[derive(Clone, Copy, Debug)]
enum Op {
    Publish(u64),
    Edit(u64),
    /// Retracts and erases a post, and tells one node.
    Erase(u64, usize),
    /// Changes a profile, and tells one node.
    Rename(u64, usize),
    /// Removes a user, and tells one node.
    Leave(u64, usize),
    Pass(u64),
    Cache(bool),
    Source(bool),
    Read(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let (post, user, node) = (0..POSTS, 0..USERS, 0_usize..2);
    prop_oneof![
        3 => post.clone().prop_map(Op::Publish),
        2 => post.clone().prop_map(Op::Edit),
        1 => (post, node.clone()).prop_map(|(post, node)| Op::Erase(post, node)),
        3 => (user.clone(), node.clone()).prop_map(|(user, node)| Op::Rename(user, node)),
        1 => (user, node.clone()).prop_map(|(user, node)| Op::Leave(user, node)),
        3 => (0_u64..30).prop_map(Op::Pass),
        1 => any::<bool>().prop_map(Op::Cache),
        1 => any::<bool>().prop_map(Op::Source),
        8 => node.prop_map(Op::Read),
    ]
}

/// What a user was shown as, from one change to the next.
#[derive(Clone, Debug)]
struct Era {
    profile: Option<String>,
    /// When it ended, as a number of changes and as a time; `None` for the present one.
    ended: Option<(usize, Duration)>,
}

struct Model {
    world: World,
    nodes: [Hydrator; 2],
    now: Duration,
    changes: usize,
    source_works: bool,
    /// Entry, version and body of what is live.
    posts: BTreeMap<u64, (Entry, u32, String)>,
    users: BTreeMap<u64, Vec<Era>>,
    /// At which change each node last forgot each user.
    forgot: BTreeMap<(usize, u64), usize>,
}

fn done<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits")
}

impl Model {
    fn new() -> Self {
        let mut options = HydratorOptions::default();
        options.posts = options.posts.with_ttl(TTL);
        options.users = options.users.with_ttl(TTL).with_shared_ttl(4 * TTL);
        let world = World::new(options);
        let stranger = vec![Era {
            profile: None,
            ended: None,
        }];
        Self {
            nodes: [world.node(), world.node()],
            world,
            now: Duration::ZERO,
            changes: 0,
            source_works: true,
            posts: BTreeMap::new(),
            users: (0..USERS).map(|user| (user, stranger.clone())).collect(),
            forgot: BTreeMap::new(),
        }
    }

    fn apply(&mut self, op: Op) {
        self.changes += 1;
        match op {
            Op::Publish(post) => self.publish(post),
            Op::Edit(post) => {
                let Some((entry, version, body)) = self.posts.get_mut(&post) else {
                    return;
                };
                *version += 1;
                *body = format!("{post} in version {version}");
                self.world.edit(*entry, *version, body);
            }
            Op::Erase(post, node) => self.erase(post, node),
            Op::Rename(user, node) => {
                let profile = format!("{user} as of {}", self.changes);
                self.world.tables.set_user(UserId::new(user), &profile);
                self.change_user(user, Some(profile), node);
            }
            Op::Leave(user, node) => {
                self.world.tables.remove_user(UserId::new(user));
                self.change_user(user, None, node);
            }
            Op::Pass(seconds) => {
                self.world.pass(Duration::from_secs(seconds));
                self.now += Duration::from_secs(seconds);
            }
            Op::Cache(well) => self
                .world
                .cache
                .set(if well { Mood::Well } else { Mood::Failing }),
            Op::Source(works) => {
                self.world.tables.fail(!works);
                self.source_works = works;
            }
            Op::Read(node) => self.read(node),
        }
    }

    fn publish(&mut self, post: u64) {
        if self.posts.contains_key(&post) {
            return;
        }
        let (id, author) = (self.changes as u64, UserId::new(post % USERS));
        let body = format!("{post} in version 1");
        let entry = self.world.publish(author, id, &body);
        self.posts.insert(post, (entry, 1, body));
    }

    fn erase(&mut self, post: u64, node: usize) {
        let Some((entry, ..)) = self.posts.remove(&post) else {
            return;
        };
        self.world.outbox.retract(entry.author, entry.post);
        self.world.tables.remove_post(entry.post);
        self.tell(|node| done(node.forget_posts(&[entry.post])).is_ok(), node);
        if self.source_works {
            for other in &self.nodes[node..=node] {
                let gone = done(other.posts(&[PostVersion::new(entry.post, 1)])).remove(0);
                assert!(matches!(gone, Err(Lack::Absent)), "{gone:?}");
            }
        }
    }

    fn change_user(&mut self, user: u64, profile: Option<String>, node: usize) {
        let eras = self
            .users
            .get_mut(&user)
            .expect("every user has a first era");
        let present = eras.last_mut().expect("every user has a first era");
        present.ended = Some((self.changes, self.now));
        eras.push(Era {
            profile,
            ended: None,
        });
        let ids = [UserId::new(user)];
        self.tell(|node| done(node.forget_users(&ids)).is_ok(), node);
        self.forgot.insert((node, user), self.changes);
    }

    /// Tells a node until it has heard: where the shared cache fails, once more when it is well.
    fn tell(&self, told: impl Fn(&Hydrator) -> bool, node: usize) {
        if !told(&self.nodes[node]) {
            self.world.cache.set(Mood::Well);
            assert!(told(&self.nodes[node]), "the cache is well");
        }
    }

    fn read(&self, node: usize) {
        let entries: Vec<_> = self
            .posts
            .values()
            .rev()
            .map(|(entry, ..)| *entry)
            .collect();
        self.world.tables.calls();
        let page = done(self.nodes[node].hydrate(&entries)).expect("the outbox answers");
        let (posts, users) = self.world.tables.calls();
        assert!(
            posts <= 1 && users <= 1,
            "{posts} and {users} calls for a page"
        );
        assert_eq!(merged(&page, &entries), entries);
        for item in &page.items {
            let mut live = self.posts.values();
            let (_, version, body) = live
                .find(|(entry, ..)| *entry == item.entry)
                .expect("asked for");
            assert_eq!(
                (&item.post.body[..], item.post.version),
                (body.as_bytes(), *version)
            );
            let profile = std::str::from_utf8(&item.author.profile).expect("text");
            self.check_user(node, item.author.id, Some(profile));
        }
        for skip in &page.skipped {
            match (&skip.lack, skip.part) {
                (Lack::Failed(_), _) => assert!(!self.source_works),
                (Lack::Absent, Part::User(user)) => self.check_user(node, user, None),
                lack => panic!("{lack:?} of a live post"),
            }
        }
    }

    /// A node may show a profile from before its last forget never, and any other for its time.
    fn check_user(&self, node: usize, user: UserId, profile: Option<&str>) {
        let eras = &self.users[&user.get()];
        let forgot = self.forgot.get(&(node, user.get())).copied();
        let allowed = eras.iter().any(|era| {
            era.profile.as_deref() == profile
                && era.ended.is_none_or(|(change, at)| {
                    forgot.is_none_or(|forgot| change > forgot) && self.now < at + TTL
                })
        });
        assert!(allowed, "node {node} shows {user} as {profile:?}: {eras:?}");
    }

    fn check_stats(&self) {
        for node in &self.nodes {
            for stats in [node.post_stats(), node.user_stats()] {
                assert!(stats.stale + stats.joined + stats.shared_hits <= 2 * stats.misses);
                assert!(stats.source_failures <= stats.source_calls);
                assert!(stats.source_calls <= stats.misses);
                assert_eq!((stats.evictions, stats.joined), (0, 0));
            }
        }
    }
}

/// Items and skipped entries together, in the order in which both went on.
fn merged(page: &Hydrated, entries: &[Entry]) -> Vec<Entry> {
    let mut items = page.items.iter().map(|item| item.entry).peekable();
    let mut skipped = page.skipped.iter().map(|skip| skip.entry).peekable();
    let mut merged = Vec::new();
    for entry in entries {
        merged.extend(items.next_if_eq(entry));
        merged.extend(skipped.next_if_eq(entry));
    }
    assert!(items.next().is_none() && skipped.next().is_none());
    merged
}

proptest! {
    #[test]
    fn nodes_show_no_old_body_and_no_profile_beyond_its_time(ops in vec(op(), 0..120)) {
        let mut model = Model::new();
        for op in ops {
            model.apply(op);
        }
        model.check_stats();
    }
}

#[test]
fn awkward_ids_are_told_apart() {
    let world = World::default();
    let node = world.node();
    let ids = [
        0,
        1,
        (1 << 53) + 1,
        (1 << 53) + 2,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    for id in ids {
        world.tables.set_user(UserId::new(id), &id.to_string());
    }
    let users = ids.map(UserId::new);
    for node in [&node, &node, &world.node()] {
        for (user, found) in users.iter().zip(done(node.users(&users))) {
            assert_eq!(found.expect("the user is there").profile, user.to_string());
        }
    }
    assert_eq!(world.tables.calls(), (0, 1));
    assert!(matches!(
        done(node.posts(&[PostVersion::new(PostId::MAX, 0)]))[..],
        [Err(Lack::Absent)]
    ));
}
