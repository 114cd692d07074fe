//! What the scripts of a queue answer.

use std::time::Duration;

use backplane::{
    FencingToken, Timestamp,
    queue::{
        Admission, Cause, DeadLetter, Discarded, Extended, Lane, Lease, LeaseKey, Priority,
        QueueStats, Settled, TaskId,
    },
};
use bytes::Bytes;
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

pub(super) fn admitted(answer: &Value) -> Option<Answer> {
    match answer {
        Value::Int(0) => return Some(Answer::Full),
        Value::Int(1) => return Some(Answer::Never),
        _ => {}
    }
    let numbers = Vec::<u64>::from_redis_value_ref(answer).ok()?;
    let admission = |pair: &[u64]| match *pair {
        [1, id] => Some(Admission::New(TaskId::new(id))),
        [0, id] => Some(Admission::Known(TaskId::new(id))),
        _ => None,
    };
    let admissions: Option<_> = numbers.chunks(2).map(admission).collect();
    admissions.map(Answer::Admitted)
}

pub(super) fn leases(answer: &Value) -> Option<Vec<Lease>> {
    let lease = |parts: &[Bytes]| {
        let [task, token, attempt, lane, enqueued_at, payload] = parts else {
            return None;
        };
        Some(Lease {
            key: LeaseKey {
                task: TaskId::new(number(task)?),
                token: FencingToken::new(number(token)?),
            },
            payload: payload.clone(),
            attempt: number(attempt)?,
            enqueued_at: Timestamp::from_millis(number(enqueued_at)?),
            lane: Lane::new(number(lane)?),
        })
    };
    parts(answer)?.chunks(6).map(lease).collect()
}

pub(super) fn dead_letters(answer: &Value) -> Option<Vec<DeadLetter>> {
    let letter = |parts: &[Bytes]| {
        let [
            task,
            lane,
            class,
            attempts,
            enqueued_at,
            payload,
            cause,
            reason,
            died_at,
        ] = parts
        else {
            return None;
        };
        let reason = String::from_utf8_lossy(reason).into_owned();
        Some(DeadLetter {
            task: TaskId::new(number(task)?),
            payload: payload.clone(),
            lane: Lane::new(number(lane)?),
            priority: match number::<u8>(class)? {
                0 => Priority::High,
                1 => Priority::Normal,
                _ => Priority::Low,
            },
            attempts: number(attempts)?,
            enqueued_at: Timestamp::from_millis(number(enqueued_at)?),
            died_at: Timestamp::from_millis(number(died_at)?),
            cause: match &cause[..] {
                b"b" => Cause::Buried(reason),
                b"f" => Cause::Failed(reason),
                b"x" => Cause::Expired,
                _ => return None,
            },
        })
    };
    parts(answer)?.chunks(9).map(letter).collect()
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

/// How many tasks, and whether that was all.
pub(super) fn purged(answer: &Value) -> Option<(usize, bool)> {
    let (purged, more) = <(usize, u8)>::from_redis_value_ref(answer).ok()?;
    Some((purged, more == 0))
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
