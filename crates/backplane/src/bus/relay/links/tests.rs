use super::*;
use crate::{
    Epoch,
    bus::{BusLimits, GapReason, HistoryPage, RecoveryOptions},
};

fn topic() -> Topic {
    "a".parse().unwrap()
}

fn at(offset: u64) -> Position {
    Position::new(Epoch::new(1), offset)
}

fn arrival(offset: u64) -> BusEvent {
    let message = Message::new(at(offset), "x".into());
    let topic = topic();
    BusEvent::Message { topic, message }
}

/// Links that have joined the topic at `start`.
fn joined(options: RelayOptions, start: Position) -> Links {
    let mut links = Links::new(options, &BusLimits::new());
    links.wish(&topic(), true, Duration::ZERO);
    let subscribe = Control::Subscribe(vec![topic()]);
    assert_eq!(links.next_control(), Some(subscribe));
    let mut out = Vec::new();
    links.subscribed(
        Control::Subscribe(vec![topic()]),
        vec![start],
        Duration::ZERO,
        &mut out,
    );
    assert_eq!(out, [Output::Joined(topic(), start)]);
    links
}

#[test]
fn what_cannot_be_read_any_more_is_a_gap_before_what_arrived() {
    let mut links = joined(RelayOptions::default(), at(3));
    let mut out = Vec::new();
    for offset in [6, 7] {
        links.event(arrival(offset), &mut out);
    }
    links.abandon(&mut out);
    let gap = Gap::new(Some(at(3)), at(5), GapReason::Lost);
    let message = |offset| Output::Message(topic(), Message::new(at(offset), "x".into()));
    let expected = [Output::Gap(topic(), gap), message(6), message(7)];
    assert_eq!(out, expected);
}

fn dropped(until: Position) -> BusEvent {
    let gap = Gap::new(None, until, GapReason::Overflow);
    let topic = topic();
    BusEvent::Gap { topic, gap }
}

fn lost(after: Position, until: Position, reason: GapReason) -> Output {
    Output::Gap(topic(), Gap::new(Some(after), until, reason))
}

#[test]
fn a_gap_that_the_bus_told_is_passed_on_if_no_history_heals_it() {
    let mut links = joined(RelayOptions::default(), at(3));
    let mut out = Vec::new();
    links.event(dropped(at(5)), &mut out);
    links.event(dropped(at(8)), &mut out);
    links.abandon(&mut out);
    assert_eq!(out, [lost(at(3), at(8), GapReason::Lost)]);

    let anew = Position::new(Epoch::new(2), 0);
    let mut links = joined(RelayOptions::default(), at(3));
    let mut out = Vec::new();
    links.event(dropped(anew), &mut out);
    links.abandon(&mut out);
    assert_eq!(out, [lost(at(3), anew, GapReason::EpochChanged)]);
}

#[test]
fn what_a_check_found_missing_is_told_if_no_history_heals_it() {
    let mut links = joined(RelayOptions::default(), at(3));
    let mut out = Vec::new();
    let check = links.next_tick().unwrap();
    links.tick(check);
    let top = links.next_reads().unwrap();
    links.paged(top, vec![HistoryPage::new(vec![], at(5))], &mut out);
    links.abandon(&mut out);
    assert_eq!(out, [lost(at(3), at(5), GapReason::Lost)]);
}

#[test]
fn what_was_not_held_for_a_subscription_is_told_if_no_history_heals_it() {
    let recovery = RecoveryOptions::default().with_buffered(1, 10);
    let options = RelayOptions::default().with_recovery(recovery);
    for missed in [arrival(6), dropped(at(6))] {
        let mut links = Links::new(options.clone(), &BusLimits::new());
        let mut out = Vec::new();
        links.wish(&topic(), true, Duration::ZERO);
        assert!(links.next_control().is_some());
        links.event(arrival(4), &mut out);
        links.event(missed, &mut out);
        links.event(arrival(5), &mut out);
        links.subscribed(
            Control::Subscribe(vec![topic()]),
            vec![at(3)],
            Duration::ZERO,
            &mut out,
        );
        links.abandon(&mut out);
        let message = Output::Message(topic(), Message::new(at(4), "x".into()));
        let gap = lost(at(4), at(6), GapReason::Lost);
        assert_eq!(out, [Output::Joined(topic(), at(3)), message, gap]);
    }
}

#[test]
fn a_check_ends_however_often_it_is_asked_for() {
    let options = RelayOptions::default().with_check_every(Duration::ZERO);
    let mut links = joined(options, at(3));
    let due = links.next_tick().unwrap();
    links.tick(due);
    assert!(links.next_tick() > Some(due));
}

#[test]
fn a_message_that_overtakes_its_subscription_needs_no_history() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    let mut out = Vec::new();
    links.wish(&topic(), true, Duration::ZERO);
    assert!(links.next_control().is_some());
    for offset in 3..=4 {
        links.event(arrival(offset), &mut out);
    }
    assert_eq!(out, []);
    links.subscribed(
        Control::Subscribe(vec![topic()]),
        vec![at(3)],
        Duration::ZERO,
        &mut out,
    );
    let overtaker = Message::new(at(4), "x".into());
    let expected = [
        Output::Joined(topic(), at(3)),
        Output::Message(topic(), overtaker),
    ];
    assert_eq!(out, expected);
    assert!(links.next_reads().is_none());
}

#[test]
fn what_overtakes_its_subscription_is_held_within_bounds_and_read_beyond_them() {
    let recovery = RecoveryOptions::default().with_buffered(10, 2);
    let options = RelayOptions::default().with_recovery(recovery);
    let mut links = Links::new(options, &BusLimits::new());
    let mut out = Vec::new();
    links.wish(&topic(), true, Duration::ZERO);
    assert!(links.next_control().is_some());
    for offset in 4..=7 {
        links.event(arrival(offset), &mut out);
    }
    links.subscribed(
        Control::Subscribe(vec![topic()]),
        vec![at(3)],
        Duration::ZERO,
        &mut out,
    );
    let message = |offset| Output::Message(topic(), Message::new(at(offset), "x".into()));
    let expected = [Output::Joined(topic(), at(3)), message(4), message(5)];
    assert_eq!(out, expected, "two bytes are held");
    let reads = links.next_reads().unwrap();
    assert_eq!(reads.reads[0].since, Some(at(5)));
}

#[test]
fn one_call_to_the_history_asks_for_no_more_bytes_than_it_may() {
    let topics: Vec<Topic> = (0..10).map(|i| format!("t:{i}").parse().unwrap()).collect();
    let recovery = RecoveryOptions::default().with_recovered(1_000, 100);
    let options = RelayOptions::default()
        .with_recovery(recovery)
        .with_max_read_bytes(399);
    let mut limits = BusLimits::new();
    (limits.batch, limits.payload) = (10, 70);
    let mut links = Links::new(options, &limits);
    for topic in &topics {
        links.wish(topic, true, Duration::ZERO);
    }
    assert!(links.next_control().is_some());
    let mut out = Vec::new();
    let starts = vec![at(3); topics.len()];
    links.subscribed(
        Control::Subscribe(topics.clone()),
        starts,
        Duration::ZERO,
        &mut out,
    );
    links.tick(RelayOptions::default().check_every);
    let tops = links.next_reads().unwrap();
    assert_eq!(tops.reads.len(), 10, "they bring nothing");
    let pages = vec![HistoryPage::new(vec![], at(4)); topics.len()];
    links.paged(tops, pages, &mut out);
    let mut seen = 0;
    while let Some(reads) = links.next_reads() {
        let asked: usize = reads.reads.iter().map(|read| read.bytes.max(70)).sum();
        assert!(asked <= 399, "{asked}");
        seen += reads.reads.len();
    }
    assert_eq!(seen, topics.len());
}

#[test]
fn a_topic_that_is_joined_anew_is_read_once() {
    let mut links = joined(RelayOptions::default(), at(3));
    let mut out = Vec::new();
    links.event(BusEvent::Resubscribed { topic: topic() }, &mut out);
    links.wish(&topic(), false, Duration::ZERO);
    let left = links.next_tick().unwrap();
    links.tick(left);
    links.wish(&topic(), true, left);
    let unsubscribe = Control::Unsubscribe(vec![topic()]);
    assert_eq!(links.next_control(), Some(unsubscribe));
    links.unsubscribed(vec![topic()]);
    assert!(links.next_control().is_some());
    links.subscribed(
        Control::Subscribe(vec![topic()]),
        vec![at(5)],
        left,
        &mut out,
    );
    links.event(arrival(8), &mut out);
    let reads = links.next_reads().unwrap();
    let read: Vec<_> = reads.reads.iter().map(|read| read.since).collect();
    assert_eq!(read, [Some(at(5))]);
    assert!(links.next_reads().is_none());
}

#[test]
fn what_was_never_asked_of_the_bus_leaves_nothing_behind() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    for i in 0..1_000 {
        let topic: Topic = format!("t:{i}").parse().unwrap();
        links.wish(&topic, true, Duration::ZERO);
        links.wish(&topic, false, Duration::ZERO);
    }
    assert_eq!((links.len(), links.next_tick()), (0, None));
    assert_eq!(links.next_control(), None);
}

#[test]
fn what_may_have_reached_the_bus_is_left_there() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    links.wish(&topic(), true, Duration::ZERO);
    let subscribe = links.next_control().unwrap();
    links.retry(subscribe.clone());
    links.wish(&topic(), false, Duration::ZERO);
    let left = links.next_tick().unwrap();
    links.tick(left);
    assert_eq!(links.next_control(), Some(subscribe));
    links.subscribed(
        Control::Subscribe(vec![topic()]),
        vec![at(3)],
        left,
        &mut Vec::new(),
    );
    let unsubscribe = Control::Unsubscribe(vec![topic()]);
    assert_eq!(links.next_control(), Some(unsubscribe));
}

#[test]
fn a_call_that_failed_is_made_again_in_smaller_parts() {
    let topics: Vec<Topic> = (0..8).map(|i| format!("t:{i}").parse().unwrap()).collect();
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    for topic in &topics {
        links.wish(topic, true, Duration::ZERO);
    }
    let all = links.next_control().unwrap();
    links.retry(all);
    let mut out = Vec::new();
    for half in topics.chunks(4) {
        let subscribe = Control::Subscribe(half.to_vec());
        assert_eq!(links.next_control(), Some(subscribe));
    }
    links.subscribed(
        Control::Subscribe(topics),
        vec![at(3); 8],
        Duration::ZERO,
        &mut out,
    );
    links.tick(RelayOptions::default().check_every);
    let tops = links.next_reads().unwrap();
    assert_eq!(tops.reads.len(), 8);
    links.reread(tops);
    assert_eq!(links.next_reads().unwrap().reads.len(), 4);
}

#[test]
fn what_is_refused_keeps_no_messages_and_reads_them_once_it_is_joined() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    let mut out = Vec::new();
    links.wish(&topic(), true, Duration::ZERO);
    let subscribe = links.next_control().unwrap();
    links.event(arrival(4), &mut out);
    links.refused(subscribe, ErrorKind::Full, Duration::ZERO, &mut out);
    let again = links.next_tick().unwrap();
    links.tick(again);
    assert!(links.next_control().is_some());
    links.subscribed(
        Control::SubscribeAgain(vec![topic()]),
        vec![at(3)],
        again,
        &mut out,
    );
    assert_eq!(out, [Output::Joined(topic(), at(3))]);
    let reads = links.next_reads().unwrap();
    assert_eq!(reads.reads[0].since, Some(at(3)));
}

#[test]
fn a_new_topic_waits_for_few_that_were_refused() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    for i in 0..100 {
        let topic: Topic = format!("t:{i}").parse().unwrap();
        links.wish(&topic, true, Duration::ZERO);
    }
    let mut out = Vec::new();
    while let Some(control) = links.next_control() {
        links.refused(control, ErrorKind::Full, Duration::ZERO, &mut out);
    }
    links.tick(Duration::from_secs(30));
    links.wish(&topic(), true, Duration::ZERO);
    let subscribe = Control::Subscribe(vec![topic()]);
    let mut first_calls = std::iter::from_fn(|| links.next_control()).take(3);
    assert!(first_calls.any(|control| control == subscribe));
}

#[test]
fn what_is_left_leaves_no_timer_behind() {
    let options = RelayOptions::default().with_check_every(Duration::MAX);
    let mut links = joined(options, at(3));
    links.wish(&topic(), false, Duration::ZERO);
    let left = links.next_tick().unwrap();
    links.tick(left);
    assert!(links.next_control().is_some());
    links.wish(&topic(), true, left);
    links.wish(&topic(), false, left);
    links.unsubscribed(vec![topic()]);
    assert_eq!((links.len(), links.next_tick()), (0, None));
}

#[test]
fn a_topic_lingers_from_its_last_release_and_no_longer() {
    let [a, b]: [Topic; 2] = ["a", "b"].map(|name| name.parse().unwrap());
    let second = Duration::from_secs(1);
    let options = RelayOptions::default().with_linger(second);
    let mut links = joined(options, at(3));
    links.wish(&b, true, Duration::ZERO);
    assert!(links.next_control().is_some());
    links.subscribed(
        Control::Subscribe(vec![b.clone()]),
        vec![at(3)],
        Duration::ZERO,
        &mut Vec::new(),
    );
    links.wish(&a, false, Duration::ZERO);
    links.wish(&a, true, second / 10);
    links.wish(&a, false, second / 5);
    links.wish(&b, false, second / 2);
    links.tick(second);
    assert_eq!(links.next_control(), None);
    let due = second + second / 5;
    assert_eq!(links.next_tick(), Some(due));
    links.tick(due);
    let unsubscribe = Control::Unsubscribe(vec![a]);
    assert_eq!(links.next_control(), Some(unsubscribe));
}

#[test]
fn a_topic_that_is_left_as_soon_as_it_is_joined_is_not_joined() {
    let options = RelayOptions::default().with_linger(Duration::from_secs(1));
    let mut links = Links::new(options, &BusLimits::new());
    links.wish(&topic(), true, Duration::ZERO);
    let subscribe = links.next_control().unwrap();
    links.wish(&topic(), false, Duration::ZERO);
    let late = Duration::from_secs(2);
    let mut out = Vec::new();
    links.subscribed(
        Control::Subscribe(vec![topic()]),
        vec![at(3)],
        late,
        &mut out,
    );
    assert_eq!(
        out,
        [],
        "who wants it now must not take this for the answer"
    );

    links.wish(&topic(), true, late);
    assert_eq!(links.outcome(&topic()), None);
    let unsubscribe = Control::Unsubscribe(vec![topic()]);
    assert_eq!(links.next_control(), Some(unsubscribe));
    links.unsubscribed(vec![topic()]);
    assert_eq!(links.next_control(), Some(subscribe));
    links.subscribed(
        Control::Subscribe(vec![topic()]),
        vec![at(9)],
        late,
        &mut out,
    );
    assert_eq!(out, [Output::Joined(topic(), at(9))]);
}

#[test]
fn topics_that_were_joined_together_are_checked_one_after_another() {
    let topics: Vec<Topic> = (0..100)
        .map(|i| format!("t:{i}").parse().unwrap())
        .collect();
    let every = Duration::from_secs(40);
    let options = RelayOptions::default().with_check_every(every);
    let mut links = Links::new(options.with_seed(7), &BusLimits::new());
    for topic in &topics {
        links.wish(topic, true, Duration::ZERO);
    }
    assert!(links.next_control().is_some());
    let starts = vec![at(3); topics.len()];
    links.subscribed(
        Control::Subscribe(topics),
        starts,
        Duration::ZERO,
        &mut Vec::new(),
    );
    links.tick(every * 7 / 8);
    let early = links.next_reads().unwrap().reads.len();
    assert!((20..80).contains(&early), "{early}");
    links.tick(every);
    let late = links.next_reads().unwrap().reads.len();
    assert!(early + late >= 100, "each is checked in time");
}
