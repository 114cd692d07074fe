//! What a heartbeat writes, under every interleaving that the memory model allows.
#![cfg(loom)]

use beat::Beat;
use loom::{sync::Arc, thread};

#[path = "../src/presence/beat.rs"]
mod beat;

const TIMEOUT: u32 = 10;

/// Expiry as the sweep does it: a look, and an end if nobody was heard of since.
fn expire(beat: &Beat, now: u32) -> bool {
    let (generation, tick) = beat.read();
    generation % 2 == 1 && now - tick > TIMEOUT && beat.end_if(generation, tick)
}

#[test]
fn a_heartbeat_that_is_answered_keeps_its_session() {
    loom::model(|| {
        let beat = Arc::new(Beat::new());
        beat.begin(1, 1);
        let heard = Arc::clone(&beat);
        let client = thread::spawn(move || heard.touch(1, 20));
        let has_expired = expire(&beat, 20);
        let answer = client.join().expect("no panic");
        assert_ne!(has_expired, answer.is_some());
        assert_eq!(
            expire(&beat, 25),
            false,
            "it was heard of at 20, or is gone"
        );
    });
}

#[test]
fn a_late_heartbeat_never_touches_the_next_session_of_its_slot() {
    loom::model(|| {
        let beat = Arc::new(Beat::new());
        beat.begin(1, 1);
        let heard = Arc::clone(&beat);
        // Held up anywhere between looking and writing.
        let stale = thread::spawn(move || heard.touch(1, 2));
        if expire(&beat, 20) {
            beat.begin(3, 20);
            assert_eq!(beat.touch(3, 40), Some(20));
            stale.join().expect("no panic");
            assert_eq!(beat.read(), (3, 40));
            assert!(!expire(&beat, 45));
        }
    });
}

#[test]
fn a_slot_has_one_end_whoever_ends_it() {
    loom::model(|| {
        let beat = Arc::new(Beat::new());
        beat.begin(1, 1);
        let (closed, heard) = (Arc::clone(&beat), Arc::clone(&beat));
        let close = thread::spawn(move || closed.end(1).is_some());
        let touch = thread::spawn(move || heard.touch(1, 15));
        let has_expired = expire(&beat, 20);
        let was_closed = close.join().expect("no panic");
        touch.join().expect("no panic");
        assert_eq!(u32::from(has_expired) + u32::from(was_closed), 1);
        assert_eq!(beat.read(), (2, 0));
    });
}

#[test]
fn activity_keeps_a_session_awake_or_is_told_that_it_slept() {
    loom::model(|| {
        let beat = Arc::new(Beat::new());
        beat.begin(1, 1);
        let heard = Arc::clone(&beat);
        let client = thread::spawn(move || heard.touch(1, 20));
        let has_slept = beat.sleep_if(1, 1);
        let before = client.join().expect("no panic");
        assert_eq!(before == Some(0), has_slept);
        assert_eq!(beat.read(), (1, 20));
    });
}
