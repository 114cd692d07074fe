//! Generators of unique identifiers. Each function makes one and returns a call for its next id.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ferroid::{
    generator::{AtomicSnowflakeGenerator, BasicSnowflakeGenerator, LockSnowflakeGenerator},
    id::SnowflakeDiscordId,
    time::{DISCORD_EPOCH, MonotonicClock},
};
use snowflake::SnowflakeIdGenerator;
use ulid::Generator;
use uuid::Uuid;

const DISCORD_MILLIS: u64 = 1_420_070_400_000;

/// `ferroid`, lock-free and shared; its clock is a thread of its own that ticks once a millisecond.
pub fn ferroid_atomic() -> impl Fn() -> u64 + Sync {
    let clock = MonotonicClock::<1>::with_epoch(DISCORD_EPOCH);
    let ids = AtomicSnowflakeGenerator::<SnowflakeDiscordId, _>::new(1, clock);
    move || ids.next_id(|_| std::thread::yield_now()).to_raw()
}

/// `ferroid`, shared behind its mutex.
///
/// # Panics
///
/// If a caller panicked while it held the mutex.
pub fn ferroid_lock() -> impl Fn() -> u64 + Sync {
    let clock = MonotonicClock::<1>::with_epoch(DISCORD_EPOCH);
    let ids = LockSnowflakeGenerator::<SnowflakeDiscordId, _>::new(1, clock);
    move || {
        ids.try_next_id(|_| std::thread::yield_now())
            .expect("no caller panics inside the generator")
            .to_raw()
    }
}

/// `ferroid`, for one thread.
pub fn ferroid_basic() -> impl Fn() -> u64 {
    let clock = MonotonicClock::<1>::with_epoch(DISCORD_EPOCH);
    let ids = BasicSnowflakeGenerator::<SnowflakeDiscordId, _>::new(1, clock);
    move || ids.next_id(|_| std::thread::yield_now()).to_raw()
}

/// `snowflaked`, lock-free and shared; it spins while the sequence of a millisecond is used up.
pub fn snowflaked() -> impl Fn() -> u64 + Sync {
    let ids: snowflaked::sync::Generator = snowflaked::sync::Generator::builder()
        .instance(1)
        .epoch(discord_epoch())
        .build();
    move || ids.generate::<u64>()
}

/// `rs-snowflake` in real time, shared behind a mutex as it needs `&mut`.
///
/// # Panics
///
/// If a caller panicked while it held the mutex.
pub fn rs_snowflake() -> impl Fn() -> u64 + Sync {
    let ids = Mutex::new(SnowflakeIdGenerator::with_epoch(1, 1, discord_epoch()));
    move || {
        let mut ids = ids.lock().expect("no caller panics inside the generator");
        ids.real_time_generate().cast_unsigned()
    }
}

/// `ulid`, strictly increasing, shared behind a mutex as it needs `&mut`.
///
/// # Panics
///
/// If a caller panicked while it held the mutex, or 2^80 identifiers were drawn in a millisecond.
pub fn ulid() -> impl Fn() -> u128 + Sync {
    let ids = Mutex::new(Generator::new());
    move || {
        let mut ids = ids.lock().expect("no caller panics inside the generator");
        ids.generate().expect("a burst is far below 2^80").0
    }
}

/// `uuid` version 7 from its process-wide context.
pub fn uuid_v7() -> impl Fn() -> u128 + Sync {
    || Uuid::now_v7().as_u128()
}

fn discord_epoch() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(DISCORD_MILLIS)
}
