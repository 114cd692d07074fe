//! Two processes over the same stores, and the moves they take part in.

use std::sync::Arc;

use backplane::ring::{HashRing, Member, MemberName, RingOptions};
use feed_core::{
    MemoryTimelines, MemoryTimelinesOptions, Placement, Result, ShardedTimelines, TimelineShards,
    TimelineStore,
};
use futures::FutureExt as _;
use parking_lot::Mutex;

use crate::flaky::{Faults, Flaky};

/// How many stores there are, members of a ring or not.
const STORES: usize = 4;

pub(crate) type NamedStores = Vec<(MemberName, Arc<dyn TimelineStore>)>;

/// Stores called `s0`, `s1`, … with room for few entries in each timeline.
pub(crate) fn stores(count: usize, capacity: usize) -> NamedStores {
    let options = MemoryTimelinesOptions::default().with_capacity(capacity);
    let store = |n| {
        let name = MemberName::new(format!("s{n}")).expect("not empty");
        let store: Arc<dyn TimelineStore> = Arc::new(MemoryTimelines::new(options.clone()));
        (name, store)
    };
    (0..count).map(store).collect()
}

/// The same stores, whose calls `faults` strike.
pub(crate) fn flaky(stores: &NamedStores, faults: &Arc<Faults>) -> NamedStores {
    let flaky = |(name, store): &(MemberName, Arc<dyn TimelineStore>)| {
        let store: Arc<dyn TimelineStore> = Flaky::new(Arc::clone(store), faults);
        (name.clone(), store)
    };
    stores.iter().map(flaky).collect()
}

/// The ring of those of `stores` whose bits are set in `members`.
pub(crate) fn shards(stores: &NamedStores, members: u8) -> TimelineShards {
    let members = (0..)
        .zip(stores)
        .filter(|(n, _)| members >> n & 1 == 1)
        .map(|(_, (name, _))| Member::new(name).expect("not empty"));
    let ring = HashRing::build(members, 0, &RingOptions::default()).expect("names differ");
    TimelineShards::new(ring, stores.iter().cloned()).expect("every member has a store")
}

pub(crate) struct Fleet {
    /// The stores without their faults.
    pub(crate) sound: NamedStores,
    processes: [Process; 2],
    schedule: Mutex<Schedule>,
}

struct Process {
    stores: NamedStores,
    timelines: Arc<ShardedTimelines>,
}

/// What whoever runs the fleet has written down.
#[derive(Default)]
struct Schedule {
    strides: Vec<Stride>,
    /// How many of them somebody has started.
    started: usize,
    /// How many of them each process has completed.
    completed: [usize; 2],
}

#[derive(Clone, Copy)]
enum Stride {
    /// To the ring of these members.
    Begin(u8),
    Switch,
    Finish,
    Cancel,
}

impl Fleet {
    pub(crate) fn new(faults: &Arc<Faults>) -> Self {
        let sound = stores(STORES, 6);
        let process = || {
            let stores = flaky(&sound, faults);
            let settled = Placement::settled(shards(&stores, 0b0011));
            Process {
                timelines: Arc::new(ShardedTimelines::new(settled)),
                stores,
            }
        };
        Self {
            processes: [process(), process()],
            schedule: Mutex::default(),
            sound,
        }
    }

    pub(crate) fn timelines(&self, process: usize) -> Arc<dyn TimelineStore> {
        Arc::clone(&self.processes[process].timelines) as _
    }

    /// Lets a process take its next step, if the other has completed the one before. Where all steps
    /// are done, a move to the ring of `members` is next.
    pub(crate) fn advance(&self, process: usize, members: u8) {
        let Some((nth, stride)) = self.schedule.lock().next(process, members) else {
            return;
        };
        let Process { stores, timelines } = &self.processes[process];
        let taken: Option<Result<()>> = match stride {
            Stride::Begin(members) => Some(timelines.begin_move(shards(stores, members))),
            Stride::Switch => timelines.switch_reads().now_or_never(),
            Stride::Finish => {
                let finished = timelines.finish_move().now_or_never();
                finished.map(|dropped| dropped.map(drop))
            }
            Stride::Cancel => Some(timelines.cancel_move()),
        };
        let completed = &mut self.schedule.lock().completed[process];
        match taken {
            // Another attempt was faster, and this one has changed nothing.
            _ if *completed > nth => {}
            Some(Ok(())) => *completed += 1,
            Some(Err(error)) => assert!(error.is_retryable(), "{error:?}"),
            // The process died. It takes the step again.
            None => {}
        }
    }

    /// Gives the last move up, if nobody has switched.
    pub(crate) fn cancel(&self) {
        let mut schedule = self.schedule.lock();
        let Schedule {
            strides, started, ..
        } = &mut *schedule;
        if let [.., Stride::Begin(_), Stride::Switch, Stride::Finish] = strides[..]
            && *started == strides.len() - 2
        {
            strides.truncate(*started);
            strides.push(Stride::Cancel);
        }
    }
}

impl Schedule {
    /// The next step of a process, and which it is.
    fn next(&mut self, process: usize, members: u8) -> Option<(usize, Stride)> {
        let completed = self.completed[process];
        if completed > self.completed[1 - process] {
            return None;
        }
        if completed == self.strides.len() {
            let steps = [Stride::Begin(members), Stride::Switch, Stride::Finish];
            self.strides.extend(steps);
        }
        self.started = self.started.max(completed + 1);
        Some((completed, self.strides[completed]))
    }
}
