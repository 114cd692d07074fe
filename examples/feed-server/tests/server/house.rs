use std::net::{Ipv4Addr, SocketAddr};

use backend_redb::Writer;
use backplane::rate::Quota;
use feed_core::{Feed, FeedParts};
use feed_server::{Api, Engine, Stop, Store, Trigger, operations, page, router};
use tokio::net::TcpListener;

use crate::client::Client;

/// The whole server inside the test, without a worker: fanout happens when the test says so.
pub(crate) struct House {
    pub(crate) feed: Feed,
    pub(crate) writer: Writer,
    pub(crate) address: SocketAddr,
    pub(crate) trigger: Trigger,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other parts.
    pub(crate) async fn with(change: impl FnOnce(&mut FeedParts)) -> Self {
        Self::built(change, |api| api).await
    }

    /// The same with this quota of what an account may do.
    pub(crate) async fn with_action_quota(quota: Option<Quota>) -> Self {
        Self::built(|_| {}, |api| api.with_action_quota(quota)).await
    }

    async fn built(change: impl FnOnce(&mut FeedParts), adapt: impl FnOnce(Api) -> Api) -> Self {
        let mut store = Store::in_memory().await.unwrap();
        change(&mut store.parts);
        let (trigger, stop) = Stop::new();
        let api = adapt(Api::new(&store, stop.clone()));
        let feed = api.feed().clone();
        let site = operations(page::site().merge(router(api.clone())), &api);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = axum::serve(listener, site).with_graceful_shutdown(stop.wait());
        tokio::spawn(served.into_future());
        let Engine::File(writer) = store.engine else {
            panic!("a file in memory");
        };
        Self {
            feed,
            writer,
            address,
            trigger,
        }
    }

    pub(crate) const fn stranger(&self) -> Client {
        Client::new(self.address)
    }

    pub(crate) async fn person(&self, name: &str) -> Client {
        self.stranger().sign_in(name).await
    }

    /// Does all fanout that is due.
    pub(crate) async fn settle(&self) {
        self.feed.work_all().await.unwrap();
    }
}
