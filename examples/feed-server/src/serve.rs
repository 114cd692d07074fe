//! Connections, and how long a client may take over them.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::sync::Semaphore;

use crate::Stop;

/// How many there may be. Who comes next waits until one has ended.
const MAX: u16 = 4_096;

/// How long the head of a request may take, and a connection may wait for the next.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves `site` until `stop`. Then it takes no new connection, and completes once the requests that
/// are under way have been answered.
///
/// It is what `axum::serve` does, with bounds: that one waits for any client without end.
pub(crate) async fn serve(mut listener: impl Listener, site: Router, stop: Stop) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let room = Arc::new(Semaphore::new(MAX.into()));
    let mut stopped = pin!(stop.clone().wait());
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await.0)
        };
        let (place, io) = tokio::select! {
            next = next => next,
            () = &mut stopped => break,
        };
        let service = TowerToHyperService::new(site.clone());
        let connection = http.serve_connection(TokioIo::new(io), service);
        let stop = stop.clone().wait();
        tokio::spawn(async move {
            let mut connection = pin!(connection.with_upgrades());
            // An error is a client that went away, took too long, or does not speak HTTP.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = stop => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(place);
        });
    }
    drop(listener);
    let _ = room.acquire_many(MAX.into()).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use futures::future::{join_all, pending};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        sync::mpsc,
        task::JoinHandle,
        time::{sleep, timeout},
    };

    use super::*;
    use crate::Trigger;

    /// Where clients of a test come in.
    struct Door(mpsc::UnboundedReceiver<DuplexStream>);

    impl Listener for Door {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            match self.0.recv().await {
                Some(client) => (client, ()),
                None => pending().await,
            }
        }

        fn local_addr(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A server with a page that takes its time and one that does not.
    struct Server {
        door: mpsc::UnboundedSender<DuplexStream>,
        trigger: Trigger,
        served: JoinHandle<()>,
    }

    impl Server {
        fn start() -> Self {
            let slow = get(|| async {
                sleep(PATIENCE * 3).await;
                "slow"
            });
            let site = Router::new()
                .route("/", get(|| async { "fast" }))
                .route("/slow", slow);
            let (door, clients) = mpsc::unbounded_channel();
            let (trigger, stop) = Stop::new();
            let served = tokio::spawn(serve(Door(clients), site, stop));
            Self {
                door,
                trigger,
                served,
            }
        }

        /// A client that sends this and waits.
        async fn client(&self, sends: &str) -> DuplexStream {
            let (mut near, far) = duplex(1_024);
            self.door.send(far).unwrap();
            near.write_all(sends.as_bytes()).await.unwrap();
            near
        }
    }

    /// What comes until the server closes the connection.
    async fn all(client: &mut DuplexStream) -> String {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_nothing_is_sent_away_and_one_that_waits_is_not() {
        let server = Server::start();
        for (sends, answer) in [
            ("", ""),
            ("GET / HTTP/1.1\r\nhost: a\r\n", ""),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "fast"),
            ("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n", "slow"),
        ] {
            let mut client = server.client(sends).await;
            let answered = timeout(PATIENCE * 5, all(&mut client)).await.unwrap();
            assert!(answered.ends_with(answer), "{sends}: {answered}");
            assert_eq!(answered.is_empty(), answer.is_empty(), "{sends}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_requests_are_answered_and_nobody_holds_it_up() {
        let server = Server::start();
        let mut slow = server.client("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let _silent = server.client("").await;
        let _half = server.client("GET / HTTP/1.1\r\n").await;
        sleep(PATIENCE / 2).await;
        server.trigger.pull();
        assert!(all(&mut slow).await.ends_with("slow"));
        timeout(PATIENCE, server.served).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_there_are_too_many_waits_until_one_has_ended() {
        let server = Server::start();
        let others = join_all((0..MAX).map(|_| server.client(""))).await;
        let mut late = server.client("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        timeout(PATIENCE / 2, late.read_u8()).await.unwrap_err();
        drop(others);
        timeout(PATIENCE / 4, late.read_u8())
            .await
            .unwrap()
            .unwrap();
    }
}
