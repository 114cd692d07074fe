use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use axum::{Router, serve::ListenerExt};
use clap::Args;
use feed_core::{Feed, LiveFeeds};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::{Api, Stop, Store, Trigger, operations, serve::serve, telemetry};

/// The flags that every server of this kind takes.
#[derive(Args, Clone, Debug)]
#[non_exhaustive]
pub struct Arguments {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where to keep everything; made if it is missing [default: data/ and the program's name]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Keep everything on this Redis server, or on the Cluster of these, instead; all servers there are
    /// one service
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        conflicts_with = "data"
    )]
    pub redis: Vec<String>,
}

/// A server that is about to run: its store is open, and its port is taken.
#[derive(Debug)]
pub struct Server {
    store: Store,
    api: Api,
    trigger: Trigger,
    stop: Stop,
    listener: TcpListener,
}

/// How long requests that are under way at the end may take.
const GRACE: Duration = Duration::from_secs(10);

/// After what time a worker that failed begins again.
const PAUSE: Duration = Duration::from_secs(1);

impl Server {
    /// Opens the store and the port.
    ///
    /// # Errors
    ///
    /// If either cannot be had.
    pub async fn open(arguments: &Arguments, name: &str) -> anyhow::Result<Self> {
        let store = if arguments.redis.is_empty() {
            let default = || PathBuf::from("data").join(name);
            Store::open(&arguments.data.clone().unwrap_or_else(default)).await?
        } else {
            Store::on_redis(&arguments.redis).await?
        };
        let listener = TcpListener::bind(arguments.listen);
        let listener = listener
            .await
            .with_context(|| format!("cannot listen on {}", arguments.listen))?;
        let (trigger, stop) = Stop::new();
        let api = Api::new(&store, stop.clone());
        Ok(Self {
            store,
            api,
            trigger,
            stop,
            listener,
        })
    }

    /// The API, to build a site around.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api.clone()
    }

    /// Serves `site`, and works off the fanout beside, until SIGTERM or Ctrl-C. Then it takes no new
    /// request, ends the live streams, finishes what is under way, and returns once everything is on
    /// disk.
    ///
    /// It ends in the same way, with the reason, when a file takes no more writes, as after the disk was
    /// full: only a new process can write again, so let a supervisor start one. While Redis cannot be
    /// reached, it waits.
    ///
    /// # Errors
    ///
    /// If the system lets nobody wait for signals, a part of the server fails, or the last flush does.
    pub async fn run(self, site: Router) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let feed = self.api.feed().clone();
        let clock = Arc::clone(&feed.parts().clock);
        let site = operations(site, &self.api);
        announce(self.listener.local_addr()?);

        let mut tasks = JoinSet::new();
        tasks.spawn(work(feed, self.stop.clone()));
        if self.store.engine.bus().is_some() {
            tasks.spawn(listen(self.store.live.clone(), self.stop.clone()));
        }
        // An event of a live stream is small, and must not wait for company.
        let listener = self.listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        tasks.spawn(serve(listener, site, self.stop));
        let upkeep = tokio::spawn(telemetry::keep_up(Arc::clone(&clock)));
        let ended = tokio::select! {
            // In this order, since the parts end when the engine does.
            biased;
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            reason = self.store.engine.stopped() => {
                Err(reason).context("the database takes no more writes")
            }
            _ = tasks.join_next() => Err(anyhow!("a part of the server ended by itself")),
        };
        match &ended {
            Ok(()) => tracing::info!("stopping"),
            Err(reason) => tracing::error!(reason = format!("{reason:#}"), "stopping"),
        }
        self.trigger.pull();
        tokio::select! {
            () = async { while tasks.join_next().await.is_some() {} } => {}
            () = clock.sleep(GRACE) => tracing::warn!("some requests were cut off"),
        }
        upkeep.abort();
        let kept = self.store.engine.end().await;
        let kept = kept.context("the last writes may be lost");
        ended.and(kept)
    }
}

/// The first line on standard output, for whoever started this: a promise to scripts. It is as well if
/// nobody reads it.
fn announce(address: SocketAddr) {
    if let Err(error) = writeln!(io::stdout(), "listening on http://{address}") {
        tracing::warn!(%error, "nobody hears that it is listening on http://{address}");
    }
}

/// Brings here what happens at other servers, until this one stops.
async fn listen(live: LiveFeeds, stop: Stop) {
    tokio::select! {
        ended = live.run() => {
            if let Err(error) = ended {
                tracing::error!(%error, "nothing is heard of other servers any more");
            }
        }
        () = stop.wait() => {}
    }
}

async fn work(feed: Feed, stop: Stop) {
    while let Err(error) = feed.run(stop.clone().wait()).await {
        tracing::error!(%error, "fanout failed");
        let pause = feed.parts().clock.sleep(PAUSE);
        tokio::select! {
            () = pause => {}
            () = stop.clone().wait() => return,
        }
    }
}
