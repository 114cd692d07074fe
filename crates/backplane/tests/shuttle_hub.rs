//! The hub under random schedules, in which every lock and every atomic step may let another thread
//! run: `RUSTFLAGS="--cfg shuttle" cargo test -p backplane --test shuttle_hub`.
#![cfg(shuttle)]

use std::sync::{Arc, Mutex};

use backplane::{
    Epoch, Position, Topic,
    bus::{HistoryPage, Message, RecoveryOptions},
    hub::{
        Batch, CloseReason, Connection, ConnectionOptions, ConnectionSink, Delivery, Drive, Flow,
        Hub, HubOptions, Outgoing, Progress, SubscribeOptions,
    },
};
use shuttle::{Config, Runner, scheduler::RandomScheduler, thread};

const SCHEDULES: usize = 2_000;

/// A sink that records. Its lock is the standard library's: no schedule hangs on it.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<Delivery>>>);

impl Recorder {
    fn payloads(&self) -> Vec<u64> {
        let seen = self.0.lock().unwrap();
        let payloads = seen.iter().filter_map(|delivery| match delivery {
            Delivery::Message { payload, .. } => {
                Some(String::from_utf8_lossy(payload).parse().unwrap())
            }
            Delivery::Closed(_) => None,
            other => panic!("{other:?}"),
        });
        payloads.collect()
    }

    fn closed(&self) -> usize {
        let seen = self.0.lock().unwrap();
        let closed = seen
            .iter()
            .filter(|delivery| matches!(delivery, Delivery::Closed(_)));
        closed.count()
    }
}

impl ConnectionSink for Recorder {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        while let Some(delivery) = batch.next() {
            self.0.lock().unwrap().push(delivery.to_owned());
        }
        Flow::Ready
    }

    fn close(&mut self, reason: CloseReason) {
        self.0.lock().unwrap().push(Delivery::Closed(reason));
    }
}

fn explore(test: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // A batch is sorted on the stack.
    config.stack_size = 1 << 18;
    Runner::new(RandomScheduler::new(SCHEDULES), config).run(test);
}

fn topic() -> Topic {
    "shuttle".parse().unwrap()
}

fn hub(shards: usize) -> Hub {
    let options = HubOptions::inline().with_shards(shards).with_seed(1);
    Hub::new(options)
}

fn connect(hub: &Hub, sink: &Recorder) -> Connection {
    hub.connect(sink.clone(), &ConnectionOptions::default())
        .unwrap()
}

fn subscribe(connection: &Connection) {
    connection
        .subscribe(&topic(), &SubscribeOptions::default())
        .unwrap();
}

fn publish(hub: &Hub, number: u64) {
    let _ = hub.publish(&topic(), number.to_string().into());
}

fn settle(hub: &Hub) {
    while hub.run_once() > 0 {}
}

#[test]
fn racing_publishers_are_seen_in_one_order_by_all_shards() {
    explore(|| {
        let hub = hub(2);
        let sinks = [(); 4].map(|()| Recorder::default());
        let connections = sinks.each_ref().map(|sink| connect(&hub, sink));
        connections.iter().for_each(subscribe);
        let publishers = [10, 20].map(|first| {
            let hub = hub.clone();
            thread::spawn(move || {
                publish(&hub, first);
                hub.run_once();
                let next = Outgoing::new(topic(), (first + 1).to_string().into());
                hub.publish_batch(&mut [next]);
            })
        });
        hub.run_once();
        publishers
            .into_iter()
            .for_each(|publisher| publisher.join().unwrap());
        settle(&hub);
        let order = sinks[0].payloads();
        assert_eq!(order.len(), 4);
        assert!(sinks.iter().all(|sink| sink.payloads() == order));
        for first in [10, 20] {
            let place = |number| order.iter().position(|&seen| seen == number);
            assert!(place(first) < place(first + 1));
        }
    });
}

#[test]
fn a_message_reaches_exactly_the_subscribers_of_its_moment() {
    explore(|| {
        let hub = hub(1);
        let sink = Recorder::default();
        let connection = Arc::new(connect(&hub, &sink));
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || (1..=3).for_each(|number| publish(&hub, number)))
        };
        let runner = {
            let hub = hub.clone();
            thread::spawn(move || {
                hub.run_once();
                hub.run_once();
            })
        };
        subscribe(&connection);
        publish(&hub, 100);
        connection.unsubscribe(&topic());
        publish(&hub, 200);
        publisher.join().unwrap();
        runner.join().unwrap();
        settle(&hub);
        let seen = sink.payloads();
        assert_eq!(seen.iter().filter(|&&number| number == 100).count(), 1);
        assert!(!seen.contains(&200));
        let raced: Vec<_> = seen.into_iter().filter(|&number| number < 100).collect();
        assert!(
            raced.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{raced:?}"
        );
        assert_eq!(hub.stats().topics, 0);
    });
}

#[test]
fn subscribing_races_closing_and_leaves_nothing_behind() {
    explore(|| {
        let hub = hub(2);
        let sinks = [(); 2].map(|()| Recorder::default());
        let threads = sinks.each_ref().map(|sink| {
            let (hub, sink) = (hub.clone(), sink.clone());
            thread::spawn(move || {
                let connection = connect(&hub, &sink);
                subscribe(&connection);
                connection.unsubscribe(&topic());
                subscribe(&connection);
                publish(&hub, 1);
                hub.run_once();
            })
        });
        publish(&hub, 2);
        hub.run_once();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        settle(&hub);
        let stats = hub.stats();
        assert_eq!(
            (stats.connections, stats.subscriptions, stats.topics),
            (0, 0, 0)
        );
        assert!(sinks.iter().all(|sink| sink.closed() == 1));
    });
}

/// The deadlock of centrifuge's issue 639 in its general form: recovery, broadcast and close.
#[test]
fn catching_up_races_broadcasts_and_misses_nothing() {
    explore(|| {
        let hub = hub(1);
        let sink = Recorder::default();
        let connection = connect(&hub, &sink);
        let stored = Arc::new(shuttle::sync::Mutex::new(1));
        let at = |offset| Position::new(Epoch::new(1), offset);
        let publisher = {
            let (hub, stored) = (hub.clone(), Arc::clone(&stored));
            thread::spawn(move || {
                for offset in 2..=4 {
                    *stored.lock().unwrap() = offset;
                    let payload = offset.to_string().into();
                    let _ = hub.publish_at(&topic(), payload, at(offset));
                    hub.run_once();
                }
            })
        };
        let options = SubscribeOptions::default();
        let bounds = RecoveryOptions::default();
        let mut catch_up = connection
            .catch_up(&topic(), at(0), &options, bounds)
            .unwrap();
        loop {
            let top = *stored.lock().unwrap();
            let missed = catch_up.at().offset + 1..=top;
            let missed = missed.map(|offset| Message::new(at(offset), offset.to_string().into()));
            if catch_up.page(HistoryPage::new(missed.collect(), at(top))) == Progress::CaughtUp {
                break;
            }
        }
        publisher.join().unwrap();
        settle(&hub);
        assert_eq!(sink.payloads(), [1, 2, 3, 4]);
    });
}

#[test]
fn a_sleeping_shard_is_always_woken_and_always_ends() {
    explore(|| {
        let options = HubOptions::default()
            .with_shards(2)
            .with_drive(Drive::Threads);
        let hub = Hub::new(options.with_seed(1));
        let sinks = [(); 2].map(|()| Recorder::default());
        let connections = sinks.each_ref().map(|sink| connect(&hub, sink));
        connections.iter().for_each(subscribe);
        publish(&hub, 1);
        publish(&hub, 2);
        // Ends only if both threads wake, obey and see that they are to stop.
        drop(hub);
        for sink in &sinks {
            assert_eq!(sink.payloads(), [1, 2]);
            assert_eq!(sink.closed(), 1);
        }
    });
}
