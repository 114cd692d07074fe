use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{
    Clock, Error, ErrorKind, FencingToken, Result, Signal, SystemClock,
    directory::{
        Directory, DirectoryOptions, Joined, Membership, Node, NodeChange, Tenure, View, ViewEpoch,
        check_name, check_node,
    },
};

#[cfg(test)]
mod oracle;

/// A [`Directory`] in process memory; share it in an `Arc`.
///
/// The methods are synchronous; only [`changed`](Self::changed) waits. Leases go by the clock's
/// monotonic time. Nothing runs in the background: whoever looks at a service first ends the
/// leases that passed, and whoever waits for a change wakes up when the next one may pass.
#[derive(Debug)]
pub struct MemoryDirectory {
    clock: Arc<dyn Clock>,
    options: DirectoryOptions,
    services: Mutex<HashMap<Arc<str>, Service>>,
    changed: Signal,
}

#[derive(Debug, Default)]
struct Service {
    members: BTreeMap<Arc<str>, Member>,
    epoch: ViewEpoch,
    last_token: u64,
    /// No lease passes before this.
    soonest: Option<Duration>,
    /// What `members` amounts to, if somebody asked since it changed.
    view: Option<View>,
}

#[derive(Debug)]
struct Member {
    node: Node,
    token: FencingToken,
    until: Duration,
}

impl MemoryDirectory {
    /// An empty directory that lives in the time of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, mut options: DirectoryOptions) -> Self {
        // A service that is entered takes a node in: it counts from then on.
        options.nodes = options.nodes.max(1);
        Self {
            clock,
            options,
            services: Mutex::default(),
            changed: Signal::default(),
        }
    }

    /// See [`Directory::join`].
    ///
    /// # Errors
    ///
    /// `Invalid`, as stated there.
    pub fn join(&self, service: &str, node: Node, ttl: Duration) -> Result<Joined> {
        check_name("join", service)?;
        check_node("join", &node)?;
        if ttl.is_zero() {
            return Err(Error::new(ErrorKind::Invalid, "join", "a lease of no time"));
        }
        let Some(service) = self.enter(service) else {
            return Ok(Joined::Full);
        };
        let most = self.options.nodes;
        let joined = self.apply(&service, |state, now| {
            state.join(Arc::clone(&service), node, now.saturating_add(ttl), most)
        });
        // Also without a change: the new lease may pass before the one that it replaced.
        self.changed.raise();
        Ok(joined.unwrap_or(Joined::Full))
    }

    /// See [`Directory::renew`].
    pub fn renew(&self, membership: &Membership, ttl: Duration) -> Tenure {
        let until = self.clock.monotonic().saturating_add(ttl);
        self.with_held(membership, |service| {
            if let Some(member) = service.members.get_mut(&membership.node) {
                member.until = member.until.max(until);
            }
        })
    }

    /// See [`Directory::update`].
    pub fn update(&self, membership: &Membership, changes: &[NodeChange]) -> Tenure {
        self.with_held(membership, |service| {
            let Some(member) = service.members.get_mut(&membership.node) else {
                return;
            };
            let before = (member.node.state, member.node.weight);
            for change in changes {
                match *change {
                    NodeChange::State(state) => member.node.state = state,
                    NodeChange::Weight(weight) => member.node.weight = weight,
                }
            }
            if before != (member.node.state, member.node.weight) {
                service.turn();
            }
        })
    }

    /// See [`Directory::leave`].
    pub fn leave(&self, membership: &Membership) -> Tenure {
        self.with_held(membership, |service| {
            service.members.remove(&membership.node);
            service.turn();
        })
    }

    /// See [`Directory::members`].
    ///
    /// # Errors
    ///
    /// `Invalid`, as stated there.
    pub fn members(&self, service: &str) -> Result<View> {
        check_name("members", service)?;
        Ok(self.look(service).0)
    }

    /// See [`Directory::changed`].
    ///
    /// # Errors
    ///
    /// `Invalid`, as stated there.
    pub async fn changed(&self, service: &str, since: ViewEpoch) -> Result<View> {
        check_name("changed", service)?;
        loop {
            let changed = self.changed.listen();
            let (view, wait) = self.look(service);
            if view.epoch != since {
                return Ok(view);
            }
            changed.or_after(wait, &*self.clock).await;
        }
    }

    /// The name of a service that is there from now on, if there is room for it.
    fn enter(&self, service: &str) -> Option<Arc<str>> {
        let mut services = self.services.lock();
        if let Some((name, _)) = services.get_key_value(service) {
            return Some(Arc::clone(name));
        }
        if services.len() >= self.options.services {
            return None;
        }
        let name: Arc<str> = service.into();
        services.insert(Arc::clone(&name), Service::default());
        Some(name)
    }

    /// The view of a service, and how long no lease of it passes.
    fn look(&self, service: &str) -> (View, Option<Duration>) {
        let look = |service: &mut Service, now| (service.view(), service.wait(now));
        let found = self.apply(service, look);
        found.unwrap_or_else(|| (Service::default().view(), None))
    }

    fn with_held(&self, membership: &Membership, act: impl FnOnce(&mut Service)) -> Tenure {
        let tenure = self.apply(&membership.service, |service, _| {
            let tenure = service.tenure(membership);
            if tenure == Tenure::Held {
                act(service);
            }
            tenure
        });
        tenure.unwrap_or(Tenure::Lost)
    }

    /// Does something to a service whose leases that passed have ended; `None` if it never was.
    fn apply<R>(&self, service: &str, act: impl FnOnce(&mut Service, Duration) -> R) -> Option<R> {
        let now = self.clock.monotonic();
        let mut services = self.services.lock();
        let service = services.get_mut(service)?;
        let before = service.epoch;
        service.expire(now);
        let result = act(service, now);
        let has_changed = service.epoch != before;
        drop(services);
        if has_changed {
            self.changed.raise();
        }
        Some(result)
    }
}

impl Default for MemoryDirectory {
    /// An empty directory on the machine's clock, with the default bounds.
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::new()), DirectoryOptions::default())
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn join(&self, service: &str, node: Node, ttl: Duration) -> Result<Joined> {
        self.join(service, node, ttl)
    }

    async fn renew(&self, membership: &Membership, ttl: Duration) -> Result<Tenure> {
        Ok(self.renew(membership, ttl))
    }

    async fn update(&self, membership: &Membership, changes: &[NodeChange]) -> Result<Tenure> {
        Ok(self.update(membership, changes))
    }

    async fn leave(&self, membership: &Membership) -> Result<Tenure> {
        Ok(self.leave(membership))
    }

    async fn members(&self, service: &str) -> Result<View> {
        self.members(service)
    }

    async fn changed(&self, service: &str, since: ViewEpoch) -> Result<View> {
        self.changed(service, since).await
    }
}

impl Service {
    fn join(&mut self, service: Arc<str>, node: Node, until: Duration, most: usize) -> Joined {
        let current = self.members.get(&node.name).map(|member| &member.node);
        match current {
            Some(current) if current.incarnation > node.incarnation => {
                let by = current.incarnation;
                return Joined::Superseded { by };
            }
            None if self.members.len() >= most => return Joined::Full,
            _ => {}
        }
        if current != Some(&node) {
            self.turn();
        }
        self.last_token += 1;
        let token = FencingToken::new(self.last_token);
        let name = Arc::clone(&node.name);
        let member = Member { node, token, until };
        self.members.insert(Arc::clone(&name), member);
        self.soonest = Some(self.soonest.map_or(until, |soonest| soonest.min(until)));
        Joined::Member(Membership {
            service,
            node: name,
            token,
        })
    }

    fn tenure(&self, membership: &Membership) -> Tenure {
        match self.members.get(&membership.node) {
            Some(member) if member.token == membership.token => Tenure::Held,
            _ => Tenure::Lost,
        }
    }

    /// Ends the leases that passed. Looks at the members only if one may have.
    fn expire(&mut self, now: Duration) {
        if self.soonest.is_none_or(|soonest| now < soonest) {
            return;
        }
        let before = self.members.len();
        self.members.retain(|_, member| member.until > now);
        self.soonest = self.members.values().map(|member| member.until).min();
        if self.members.len() != before {
            self.turn();
        }
    }

    fn wait(&self, now: Duration) -> Option<Duration> {
        Some(self.soonest?.saturating_sub(now))
    }

    /// Begins the next epoch.
    fn turn(&mut self) {
        self.epoch = self.epoch.next();
        self.view = None;
    }

    fn view(&mut self) -> View {
        let epoch = self.epoch;
        let members = &self.members;
        let view = self.view.get_or_insert_with(|| View {
            epoch,
            nodes: members.values().map(|member| member.node.clone()).collect(),
        });
        view.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ManualClock,
        conformance::{Fresh, TestTime, directory::options},
        directory::Incarnation,
    };

    fn fresh() -> Fresh<dyn Directory> {
        let clock = ManualClock::default();
        let store = MemoryDirectory::new(Arc::new(clock.clone()), options());
        Fresh {
            store: Arc::new(store),
            time: TestTime::Manual(clock),
        }
    }

    crate::directory_conformance!(async { fresh() });

    #[test]
    fn a_service_of_no_nodes_is_one_of_one() {
        let mut options = options();
        options.nodes = 0;
        let directory = MemoryDirectory::new(Arc::new(ManualClock::default()), options.clone());
        let join = |service: &str, name: &str| {
            let node = Node::new(name, Incarnation::new(1), "");
            directory
                .join(service, node, Duration::from_secs(1))
                .unwrap()
        };
        for service in 0..options.services {
            let joined = join(&service.to_string(), "a");
            assert!(matches!(joined, Joined::Member(_)), "{joined:?}");
            assert_eq!(join(&service.to_string(), "b"), Joined::Full);
        }
        assert_eq!(join("one more", "a"), Joined::Full);
        assert_eq!(directory.services.lock().len(), options.services);
    }

    #[tokio::test]
    async fn a_watcher_learns_of_a_lease_that_a_rejoin_made_shorter() {
        let clock = ManualClock::default();
        let directory = MemoryDirectory::new(Arc::new(clock.clone()), options());
        let node = Node::new("a", Incarnation::new(1), "");
        let join = |secs| directory.join("s", node.clone(), Duration::from_secs(secs));
        join(60).unwrap();
        let seen = directory.members("s").unwrap().epoch;
        let shorten = async {
            tokio::task::yield_now().await;
            join(1).unwrap();
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
        };
        let (view, ()) = futures::join!(directory.changed("s", seen), shorten);
        assert_eq!(view.unwrap().nodes.len(), 0);
    }
}
