//! What the scripts of a queue answer.

use std::time::Duration;

use backplane::{
    FencingToken, Timestamp,
    queue::{
        Admission, Cause, DeadLetter, Discarded, Extended, Lane, Lease, LeaseKey, Priority,
        QueueStats, Settled, TaskId,
    },
};
use bytes::{Buf, Bytes};
use redis::{FromRedisValue, Value};

/// One small number for each thing that was asked about.
pub(super) fn each<T>(answer: &Value, read: impl Fn(i64) -> Option<T>) -> Option<Vec<T>> {
    let numbers = Vec::<i64>::from_redis_value_ref(answer).ok()?;
    numbers.into_iter().map(read).collect()
}

pub(super) fn count(answer: &Value) -> Option<usize> {
    usize::from_redis_value_ref(answer).ok()
}

/// What became of new tasks.
pub(super) enum Answer {
    Admitted(Vec<Admission>),
    /// There is no room now.
    Full,
    /// There never is so much room.
    Never,
}

/// The id of the first that is new, and of each that is not which one it is, from one, and its id.
pub(super) fn admitted(answer: &Value, tasks: usize) -> Option<Answer> {
    match answer {
        Value::Int(0) => return Some(Answer::Full),
        Value::Int(1) => return Some(Answer::Never),
        _ => {}
    }
    let parts = parts(answer)?;
    let (first, known) = parts.split_first()?;
    let known = known.chunks_exact(2).map(|known| match known {
        [which, id] => Some((number(which)?, TaskId::new(number(id)?))),
        _ => None,
    });
    let known: Option<Vec<(usize, _)>> = known.collect();
    let mut known = known?.into_iter().peekable();
    let mut next = number::<u64>(first);
    let admission = |which| {
        if let Some((_, id)) = known.next_if(|known| known.0 == which) {
            return Some(Admission::Known(id));
        }
        let id = next?;
        next = Some(id + 1);
        Some(Admission::New(TaskId::new(id)))
    };
    let admissions: Option<_> = (1..=tasks).map(admission).collect();
    admissions.map(Answer::Admitted)
}

pub(super) fn leases(answer: &Value) -> Option<Vec<Lease>> {
    let lease = |parts: &[Bytes]| {
        let [id, task, payload] = parts else {
            return None;
        };
        let task = Task::read(task)?;
        Some(Lease {
            key: LeaseKey {
                task: TaskId::new(number(id)?),
                token: FencingToken::new(task.token),
            },
            payload: payload.clone(),
            attempt: task.attempts,
            enqueued_at: Timestamp::from_millis(task.enqueued_at),
            lane: Lane::new(task.lane),
        })
    };
    parts(answer)?.chunks(3).map(lease).collect()
}

pub(super) fn dead_letters(answer: &Value) -> Option<Vec<DeadLetter>> {
    let letter = |parts: &[Bytes]| {
        let [id, task, payload, reason] = parts else {
            return None;
        };
        let task = Task::read(task)?;
        let mut reason = &reason[..];
        let (cause, died_at) = (reason.try_get_u8().ok()?, reason.try_get_uint(6).ok()?);
        let reason = String::from_utf8_lossy(reason).into_owned();
        Some(DeadLetter {
            task: TaskId::new(number(id)?),
            payload: payload.clone(),
            lane: Lane::new(task.lane),
            priority: task.priority,
            attempts: task.attempts,
            enqueued_at: Timestamp::from_millis(task.enqueued_at),
            died_at: Timestamp::from_millis(died_at),
            cause: match cause {
                b'b' => Cause::Buried(reason),
                b'f' => Cause::Failed(reason),
                b'x' => Cause::Expired,
                _ => return None,
            },
        })
    };
    parts(answer)?.chunks(4).map(letter).collect()
}

/// A task as the scripts keep it.
struct Task {
    attempts: u32,
    token: u64,
    enqueued_at: u64,
    priority: Priority,
    lane: u64,
}

impl Task {
    fn read(mut packed: &[u8]) -> Option<Self> {
        let attempts = packed.try_get_u32().ok()?;
        let token = packed.try_get_u64().ok()?;
        let enqueued_at = packed.try_get_uint(6).ok()?;
        let length = packed.try_get_u8().ok()?;
        let priority = match packed.try_get_u16().ok()?.to_be_bytes() {
            [b'0', b':'] => Priority::High,
            [b'1', b':'] => Priority::Normal,
            [b'2', b':'] => Priority::Low,
            _ => return None,
        };
        let lane = packed.get(..usize::from(length).checked_sub(2)?)?;
        Some(Self {
            attempts,
            token,
            enqueued_at,
            priority,
            lane: number(lane)?,
        })
    }
}

pub(super) const fn extended(answer: i64) -> Option<Extended> {
    match answer {
        0 => Some(Extended::Lost),
        1 => Some(Extended::Held),
        _ => None,
    }
}

pub(super) const fn settled(answer: i64) -> Option<Settled> {
    match answer {
        0 => Some(Settled::Lost),
        1 => Some(Settled::Done),
        2 => Some(Settled::Buried),
        _ => None,
    }
}

pub(super) const fn discarded(answer: i64) -> Option<Discarded> {
    match answer {
        0 => Some(Discarded::Unknown),
        1 => Some(Discarded::Gone),
        2 => Some(Discarded::Leased),
        _ => None,
    }
}

/// What a purge has yet to look through, and from where on which server.
pub(super) struct Rest {
    pub(super) looked_through: &'static str,
    pub(super) from: String,
    pub(super) server: String,
}

const TASKS: &str = "tasks";
const SETTLED: &str = "settled";

impl Rest {
    pub(super) fn all() -> Self {
        Self {
            looked_through: TASKS,
            from: "0".into(),
            server: String::new(),
        }
    }
}

/// How many tasks are gone, and what is left, if there is something.
pub(super) fn purged(answer: &Value) -> Option<(usize, Option<Rest>)> {
    let (purged, looked_through, from, server): (_, String, _, _) =
        FromRedisValue::from_redis_value_ref(answer).ok()?;
    let looked_through = match &looked_through[..] {
        "nothing" => return Some((purged, None)),
        TASKS => TASKS,
        SETTLED => SETTLED,
        _ => return None,
    };
    let rest = Rest {
        looked_through,
        from,
        server,
    };
    Some((purged, Some(rest)))
}

/// How much there is, how long until a task is due, and whether that was all that was due.
pub(super) fn stats(answer: &Value) -> Option<(QueueStats, Option<Duration>, bool)> {
    let parts = parts(answer)?;
    let [
        ready,
        delayed,
        leased,
        dead,
        oldest_ready,
        next_due,
        is_late,
    ] = &parts[..]
    else {
        return None;
    };
    let stats = QueueStats {
        ready: number(ready)?,
        delayed: number(delayed)?,
        leased: number(leased)?,
        dead: number(dead)?,
        oldest_ready: number(oldest_ready).map(Duration::from_micros),
    };
    Some((
        stats,
        number(next_due).map(Duration::from_micros),
        number::<u8>(is_late)? == 0,
    ))
}

fn parts(answer: &Value) -> Option<Vec<Bytes>> {
    let Value::Array(parts) = answer else {
        return None;
    };
    let part = |part: &Value| match part {
        Value::BulkString(bytes) => Some(Bytes::copy_from_slice(bytes)),
        Value::Int(number) => Some(Bytes::from(number.to_string())),
        Value::Nil => Some(Bytes::new()),
        _ => None,
    };
    parts.iter().map(part).collect()
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
