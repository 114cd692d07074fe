//! How a task lies on disk.
//!
//! Version 1, integers in little endian: version `u8`, lane `u64`, priority `u8`, attempts `u32`,
//! accepted at `u64` (ms), standing (a tag `u8` and its fields), key (`u8` present, then text),
//! and the payload to the end. One that waits says until when, and how long that was when it was
//! written. A duration is seconds `u64` and nanoseconds `u32`; text is its
//! length `u32` and its bytes.

use std::time::Duration;

use ::backplane::{
    Timestamp,
    queue::{Cause, Lane, Priority, Standing, TaskId, TaskRecord},
};
use bytes::Bytes;

use crate::{CorruptRow, Failure, row::Reader};

const VERSION: u8 = 1;

/// A task as its row has it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) record: TaskRecord,
    /// How long it was told to wait, if it waits.
    delay: Option<Duration>,
}

impl Stored {
    /// Lets nothing wait longer from `now` on than it was told to, and no key be remembered longer than
    /// for `retention`; says whether that changed anything. It does if the clock was ahead by which
    /// it was written.
    pub(super) fn shorten(&mut self, now: Duration, retention: Duration) -> bool {
        let (time, most) = match (&mut self.record.standing, self.delay) {
            (Standing::Waiting { due }, Some(delay)) => (due, delay),
            (Standing::Settled { until }, _) => (until, retention),
            _ => return false,
        };
        let latest = now.saturating_add(most);
        let is_later = *time > latest;
        *time = latest.min(*time);
        is_later
    }
}

/// The row of a task that is written `now`, by the ledger's time.
pub(super) fn encode(record: &TaskRecord, now: Duration) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + record.payload.len());
    out.push(VERSION);
    out.extend(record.lane.get().to_le_bytes());
    out.push(match record.priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
    });
    out.extend(record.attempts.to_le_bytes());
    out.extend(record.enqueued_at.as_millis().to_le_bytes());
    put_standing(&mut out, &record.standing, now);
    match &record.key {
        None => out.push(0),
        Some(key) => {
            out.push(1);
            put_text(&mut out, key);
        }
    }
    out.extend_from_slice(&record.payload);
    out
}

/// What the row of `task` in `table` holds.
pub(super) fn decode(table: &str, task: u64, row: &[u8]) -> Result<Stored, Failure> {
    let corrupt = || CorruptRow::failure(table, task.to_string());
    stored(row, TaskId::new(task)).ok_or_else(corrupt)
}

fn put_standing(out: &mut Vec<u8>, standing: &Standing, now: Duration) {
    match standing {
        Standing::Waiting { due } => {
            out.push(5);
            put_duration(out, *due);
            put_duration(out, due.saturating_sub(now));
        }
        Standing::Leased => out.push(1),
        Standing::Ready { since } => {
            out.push(4);
            put_duration(out, *since);
        }
        Standing::Dead { cause, died_at } => {
            out.push(2);
            out.extend(died_at.as_millis().to_le_bytes());
            put_cause(out, cause);
        }
        Standing::Settled { until } => {
            out.push(3);
            put_duration(out, *until);
        }
    }
}

fn put_cause(out: &mut Vec<u8>, cause: &Cause) {
    let (tag, reason) = match cause {
        Cause::Buried(reason) => (0, Some(reason)),
        Cause::Failed(reason) => (1, Some(reason)),
        // A cause that a later ledger knows and this version does not is told as the vaguest.
        _ => (2, None),
    };
    out.push(tag);
    if let Some(reason) = reason {
        put_text(out, reason.as_bytes());
    }
}

fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    out.extend(duration.as_secs().to_le_bytes());
    out.extend(duration.subsec_nanos().to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let len = u32::try_from(text.len()).expect("keys and reasons are limited to 1 KiB");
    out.extend(len.to_le_bytes());
    out.extend_from_slice(text);
}

fn stored(row: &[u8], task: TaskId) -> Option<Stored> {
    let mut row = Reader::of_version(VERSION, row)?;
    let mut delay = None;
    let record = TaskRecord {
        task,
        lane: Lane::new(row.long()?),
        priority: match row.byte()? {
            0 => Priority::Low,
            1 => Priority::Normal,
            2 => Priority::High,
            _ => return None,
        },
        attempts: row.int()?,
        enqueued_at: Timestamp::from_millis(row.long()?),
        standing: standing(&mut row, &mut delay)?,
        key: match row.byte()? {
            0 => None,
            1 => Some(Bytes::copy_from_slice(row.text()?)),
            _ => return None,
        },
        payload: Bytes::copy_from_slice(row.0),
    };
    Some(Stored { record, delay })
}

fn standing(row: &mut Reader<'_>, delay: &mut Option<Duration>) -> Option<Standing> {
    Some(match row.byte()? {
        // Once written without the delay.
        0 => Standing::Waiting {
            due: duration(row)?,
        },
        5 => {
            let due = duration(row)?;
            *delay = Some(duration(row)?);
            Standing::Waiting { due }
        }
        1 => Standing::Leased,
        2 => Standing::Dead {
            died_at: Timestamp::from_millis(row.long()?),
            cause: cause(row)?,
        },
        3 => Standing::Settled {
            until: duration(row)?,
        },
        4 => Standing::Ready {
            since: duration(row)?,
        },
        _ => return None,
    })
}

fn cause(row: &mut Reader<'_>) -> Option<Cause> {
    let tag = row.byte()?;
    if tag == 2 {
        return Some(Cause::Expired);
    }
    let reason = String::from_utf8(row.text()?.to_vec()).ok()?;
    match tag {
        0 => Some(Cause::Buried(reason)),
        1 => Some(Cause::Failed(reason)),
        _ => None,
    }
}

fn duration(row: &mut Reader<'_>) -> Option<Duration> {
    let (secs, nanos) = (row.long()?, row.int()?);
    (nanos < 1_000_000_000).then(|| Duration::new(secs, nanos))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn duration() -> impl Strategy<Value = Duration> {
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
    }

    fn standing() -> impl Strategy<Value = Standing> {
        let cause = prop_oneof![
            ".*".prop_map(Cause::Buried),
            ".*".prop_map(Cause::Failed),
            Just(Cause::Expired),
        ];
        prop_oneof![
            duration().prop_map(|since| Standing::Ready { since }),
            duration().prop_map(|due| Standing::Waiting { due }),
            Just(Standing::Leased),
            (cause, any::<u64>()).prop_map(|(cause, died_at)| Standing::Dead {
                cause,
                died_at: Timestamp::from_millis(died_at),
            }),
            duration().prop_map(|until| Standing::Settled { until }),
        ]
    }

    fn record() -> impl Strategy<Value = TaskRecord> {
        let priority = prop_oneof![
            Just(Priority::Low),
            Just(Priority::Normal),
            Just(Priority::High)
        ];
        let key = proptest::option::of(vec(any::<u8>(), 0..20));
        let numbers = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>());
        let record = (numbers, priority, vec(any::<u8>(), 0..40), key, standing());
        record.prop_map(
            |((task, lane, attempts, at), priority, payload, key, standing)| TaskRecord {
                task: TaskId::new(task),
                lane: Lane::new(lane),
                priority,
                payload: payload.into(),
                key: key.map(Bytes::from),
                attempts,
                enqueued_at: Timestamp::from_millis(at),
                standing,
            },
        )
    }

    #[test]
    fn a_record_lies_on_disk_as_it_always_has() {
        let before = [
            &[1][..],                                 // version
            &[5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0], // lane, priority, attempts
            &[3, 1, 0, 0, 0, 0, 0, 0],                // accepted at
        ];
        let due = [9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0];
        let delay = [4, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0];
        let after = [1, 1, 0, 0, 0, b'k', b'p']; // key, payload
        let bytes = [&before.concat(), &[5][..], &due, &delay, &after].concat();
        let without_delay = [&before.concat(), &[0][..], &due, &after].concat();
        let record = TaskRecord {
            task: TaskId::new(8),
            lane: Lane::new(5),
            priority: Priority::Normal,
            payload: Bytes::from_static(b"p"),
            key: Some(Bytes::from_static(b"k")),
            attempts: 2,
            enqueued_at: Timestamp::from_millis(0x0103),
            standing: Standing::Waiting {
                due: Duration::new(9, 7),
            },
        };
        assert_eq!(encode(&record, Duration::from_secs(5)), bytes);
        for bytes in [bytes, without_delay] {
            assert_eq!(decode("t", 8, &bytes).unwrap().record, record);
        }
    }

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(record in record(), now in duration()) {
            let bytes = encode(&record, now);
            let mut stored = decode("t", record.task.get(), &bytes).unwrap();
            prop_assert_eq!(&stored.record, &record);
            prop_assert!(!stored.shorten(now, Duration::MAX));
            prop_assert_eq!(stored.record, record);
        }

        #[test]
        fn a_record_cut_short_before_its_payload_is_refused(record in record(), cut in 0..30_usize) {
            let mut record = record;
            record.payload = Bytes::new();
            let bytes = encode(&record, Duration::ZERO);
            let short = &bytes[..cut.min(bytes.len() - 1)];
            prop_assert!(decode("t", record.task.get(), short).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..80)) {
            if let Ok(Stored { record, delay }) = decode("t", 7, &bytes) {
                // When it was written, if that can have been.
                let now = match record.standing {
                    Standing::Waiting { due } => delay.and_then(|delay| due.checked_sub(delay)),
                    _ => Some(Duration::ZERO),
                };
                if let Some(now) = now {
                    prop_assert_eq!(encode(&record, now), bytes);
                }
            }
        }
    }
}
