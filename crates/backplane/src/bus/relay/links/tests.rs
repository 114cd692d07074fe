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

/// Links that are to join `topics`.
fn wanting(topics: &[Topic]) -> Links {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    for topic in topics {
        links.wish(topic, true, Duration::ZERO);
    }
    links
}

/// Lets the bus answer that none of `topics` can be reached.
fn fail(links: &mut Links, line: Line, topics: &[Topic], out: &mut Vec<Output>) {
    let outcomes = vec![Err(ErrorKind::Unavailable); topics.len()];
    links.subscribed(line, topics.to_vec(), outcomes, Duration::ZERO, out);
}

/// Lets the bus answer that every topic stands at `top`, and that nothing is kept of it.
fn paged(links: &mut Links, reads: Reads, top: Position, out: &mut Vec<Output>) {
    let pages = vec![Ok(HistoryPage::new(vec![], top)); reads.reads.len()];
    links.paged(Line::Read, reads, pages, Duration::ZERO, out);
}

fn many(count: usize) -> Vec<Topic> {
    (0..count)
        .map(|i| format!("t:{i}").parse().unwrap())
        .collect()
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
    assert_eq!(asked(&mut links, Line::Subscribe), [topic()]);
    let mut out = Vec::new();
    subscribed(&mut links, &[topic()], start, Duration::ZERO, &mut out);
    assert_eq!(out, [Output::Joined(topic(), start)]);
    links
}

/// The topics of the next call on `line`, if there is one.
fn asked(links: &mut Links, line: Line) -> Vec<Topic> {
    match links.errand(line) {
        Some(Errand::Subscribe(topics) | Errand::Unsubscribe(topics)) => topics,
        Some(Errand::Read(reads)) => panic!("{reads:?}"),
        None => Vec::new(),
    }
}

/// Lets the bus answer that `topics` are subscribed, and stand at `start`.
fn subscribed(
    links: &mut Links,
    topics: &[Topic],
    start: Position,
    now: Duration,
    out: &mut Vec<Output>,
) {
    let outcomes = vec![Ok(start); topics.len()];
    links.subscribed(Line::Subscribe, topics.to_vec(), outcomes, now, out);
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
    let top = links.next_reads(Line::Read).unwrap();
    paged(&mut links, top, at(5), &mut out);
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
        assert!(!asked(&mut links, Line::Subscribe).is_empty());
        links.event(arrival(4), &mut out);
        links.event(missed, &mut out);
        links.event(arrival(5), &mut out);
        subscribed(&mut links, &[topic()], at(3), Duration::ZERO, &mut out);
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
    assert!(!asked(&mut links, Line::Subscribe).is_empty());
    for offset in 3..=4 {
        links.event(arrival(offset), &mut out);
    }
    assert_eq!(out, []);
    subscribed(&mut links, &[topic()], at(3), Duration::ZERO, &mut out);
    let overtaker = Message::new(at(4), "x".into());
    let expected = [
        Output::Joined(topic(), at(3)),
        Output::Message(topic(), overtaker),
    ];
    assert_eq!(out, expected);
    assert!(links.next_reads(Line::Read).is_none());
}

#[test]
fn what_overtakes_its_subscription_is_held_within_bounds_and_read_beyond_them() {
    let recovery = RecoveryOptions::default().with_buffered(10, 2);
    let options = RelayOptions::default().with_recovery(recovery);
    let mut links = Links::new(options, &BusLimits::new());
    let mut out = Vec::new();
    links.wish(&topic(), true, Duration::ZERO);
    assert!(!asked(&mut links, Line::Subscribe).is_empty());
    for offset in 4..=7 {
        links.event(arrival(offset), &mut out);
    }
    subscribed(&mut links, &[topic()], at(3), Duration::ZERO, &mut out);
    let message = |offset| Output::Message(topic(), Message::new(at(offset), "x".into()));
    let expected = [Output::Joined(topic(), at(3)), message(4), message(5)];
    assert_eq!(out, expected, "two bytes are held");
    let reads = links.next_reads(Line::Read).unwrap();
    assert_eq!(reads.reads[0].since, Some(at(5)));
}

#[test]
fn one_call_to_the_history_asks_for_no_more_bytes_than_it_may() {
    let topics = many(10);
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
    assert!(!asked(&mut links, Line::Subscribe).is_empty());
    let mut out = Vec::new();
    subscribed(&mut links, &topics, at(3), Duration::ZERO, &mut out);
    links.tick(RelayOptions::default().check_every);
    let tops = links.next_reads(Line::Read).unwrap();
    assert_eq!(tops.reads.len(), 10, "they bring nothing");
    paged(&mut links, tops, at(4), &mut out);
    let mut seen = 0;
    while let Some(reads) = links.next_reads(Line::Read) {
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
    assert_eq!(asked(&mut links, Line::Unsubscribe), [topic()]);
    links.unsubscribed(vec![topic()], Ok(()), Duration::ZERO);
    assert!(!asked(&mut links, Line::Subscribe).is_empty());
    subscribed(&mut links, &[topic()], at(5), left, &mut out);
    links.event(arrival(8), &mut out);
    let reads = links.next_reads(Line::Read).unwrap();
    let read: Vec<_> = reads.reads.iter().map(|read| read.since).collect();
    assert_eq!(read, [Some(at(5))]);
    assert!(links.next_reads(Line::Read).is_none());
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
    let mut lines = Line::ALL.into_iter();
    assert!(lines.all(|line| links.errand(line).is_none()));
}

#[test]
fn what_may_have_reached_the_bus_is_left_there() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    links.wish(&topic(), true, Duration::ZERO);
    let topics = asked(&mut links, Line::Subscribe);
    fail(&mut links, Line::Subscribe, &topics, &mut Vec::new());
    links.wish(&topic(), false, Duration::ZERO);
    while let Some(due) = links.next_tick() {
        links.tick(due);
    }
    assert_eq!(asked(&mut links, Line::Unsubscribe), [topic()]);
}

#[test]
fn a_call_that_brings_nothing_is_made_again_in_smaller_parts() {
    let topics = many(8);
    let mut links = wanting(&topics);
    let mut out = Vec::new();
    let all = asked(&mut links, Line::Subscribe);
    fail(&mut links, Line::Subscribe, &all, &mut out);
    for expected in [8, 4, 2] {
        let due = links.next_tick().unwrap();
        links.tick(due);
        let again = asked(&mut links, Line::SubscribeAgain);
        assert_eq!(again.len(), expected);
        fail(&mut links, Line::SubscribeAgain, &again, &mut out);
    }
}

#[test]
fn a_page_that_cannot_be_read_keeps_no_other_back_and_is_read_later() {
    let topics = many(8);
    let mut links = wanting(&topics);
    let mut out = Vec::new();
    assert_eq!(asked(&mut links, Line::Subscribe), topics);
    subscribed(&mut links, &topics, at(3), Duration::ZERO, &mut out);
    let now = RelayOptions::default().check_every;
    links.tick(now);
    let reads = links.next_reads(Line::Read).unwrap();
    let hanging = reads.reads[5].topic.clone();
    let mut pages = vec![Ok(HistoryPage::new(vec![], at(3))); 8];
    pages[5] = Err(ErrorKind::Unavailable);
    links.paged(Line::Read, reads, pages, now, &mut out);
    assert!(links.next_reads(Line::Read).is_none());
    let due = links.next_tick().unwrap();
    assert!(due > now);
    links.tick(due);
    let again = links.next_reads(Line::ReadAgain).unwrap();
    assert_eq!(again.reads.len(), 1);
    assert_eq!(again.reads[0].topic, hanging);
}

#[test]
fn who_was_told_that_a_topic_is_not_joined_hears_of_a_gap_when_it_is() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    let mut out = Vec::new();
    links.wish(&topic(), true, Duration::ZERO);
    let topics = asked(&mut links, Line::Subscribe);
    fail(&mut links, Line::Subscribe, &topics, &mut out);
    let unavailable = Err(ErrorKind::Unavailable);
    assert_eq!(links.outcome(&topic()), Some(unavailable));
    out.clear();
    subscribed(&mut links, &topics, at(3), Duration::ZERO, &mut out);
    let gap = Gap::new(None, at(3), GapReason::Late);
    let expected = [Output::Joined(topic(), at(3)), Output::Gap(topic(), gap)];
    assert_eq!(out, expected);
}

#[test]
fn a_topic_that_missed_a_message_is_subscribed_anew_before_it_can_be_left() {
    let mut links = joined(RelayOptions::default(), at(3));
    let mut out = Vec::new();
    let check = links.next_tick().unwrap();
    links.tick(check);
    let top = links.next_reads(Line::Read).unwrap();
    paged(&mut links, top, at(5), &mut out);
    assert_eq!(asked(&mut links, Line::SubscribeAgain), [topic()]);

    links.wish(&topic(), false, check);
    let left = check + RelayOptions::default().linger;
    links.tick(left);
    assert!(asked(&mut links, Line::Unsubscribe).is_empty());
    let outcomes = vec![Ok(at(5))];
    links.subscribed(
        Line::SubscribeAgain,
        vec![topic()],
        outcomes,
        left,
        &mut out,
    );
    assert_eq!(asked(&mut links, Line::Unsubscribe), [topic()]);
    assert_eq!(out, []);
}

#[test]
fn what_is_refused_keeps_no_messages_and_reads_them_once_it_is_joined() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    let mut out = Vec::new();
    links.wish(&topic(), true, Duration::ZERO);
    let topics = asked(&mut links, Line::Subscribe);
    links.event(arrival(4), &mut out);
    fail(&mut links, Line::Subscribe, &topics, &mut out);
    let again = links.next_tick().unwrap();
    links.tick(again);
    assert_eq!(asked(&mut links, Line::SubscribeAgain), [topic()]);
    out.clear();
    subscribed(&mut links, &[topic()], at(3), again, &mut out);
    assert_eq!(out, [Output::Joined(topic(), at(3))]);
    let reads = links.next_reads(Line::Read).unwrap();
    assert_eq!(reads.reads[0].since, Some(at(3)));
}

#[test]
fn a_new_topic_waits_for_none_that_was_refused() {
    let mut links = Links::new(RelayOptions::default(), &BusLimits::new());
    let topics = many(100);
    for topic in &topics {
        links.wish(topic, true, Duration::ZERO);
    }
    let all = asked(&mut links, Line::Subscribe);
    fail(&mut links, Line::Subscribe, &all, &mut Vec::new());
    links.tick(Duration::from_secs(30));
    links.wish(&topic(), true, Duration::ZERO);
    assert_eq!(asked(&mut links, Line::SubscribeAgain).len(), 100);
    assert_eq!(asked(&mut links, Line::Subscribe), [topic()]);
}

#[test]
fn what_is_left_leaves_no_timer_behind() {
    let options = RelayOptions::default().with_check_every(Duration::MAX);
    let mut links = joined(options, at(3));
    links.wish(&topic(), false, Duration::ZERO);
    let left = links.next_tick().unwrap();
    links.tick(left);
    assert_eq!(asked(&mut links, Line::Unsubscribe), [topic()]);
    links.wish(&topic(), true, left);
    links.wish(&topic(), false, left);
    links.unsubscribed(vec![topic()], Ok(()), Duration::ZERO);
    assert_eq!((links.len(), links.next_tick()), (0, None));
}

#[test]
fn a_topic_lingers_from_its_last_release_and_no_longer() {
    let [a, b]: [Topic; 2] = ["a", "b"].map(|name| name.parse().unwrap());
    let second = Duration::from_secs(1);
    let options = RelayOptions::default().with_linger(second);
    let mut links = joined(options, at(3));
    links.wish(&b, true, Duration::ZERO);
    assert!(!asked(&mut links, Line::Subscribe).is_empty());
    subscribed(
        &mut links,
        std::slice::from_ref(&b),
        at(3),
        Duration::ZERO,
        &mut Vec::new(),
    );
    links.wish(&a, false, Duration::ZERO);
    links.wish(&a, true, second / 10);
    links.wish(&a, false, second / 5);
    links.wish(&b, false, second / 2);
    links.tick(second);
    assert!(asked(&mut links, Line::Unsubscribe).is_empty());
    let due = second + second / 5;
    assert_eq!(links.next_tick(), Some(due));
    links.tick(due);
    assert_eq!(asked(&mut links, Line::Unsubscribe), [a]);
}

#[test]
fn a_topic_that_is_left_as_soon_as_it_is_joined_is_not_joined() {
    let options = RelayOptions::default().with_linger(Duration::from_secs(1));
    let mut links = Links::new(options, &BusLimits::new());
    links.wish(&topic(), true, Duration::ZERO);
    assert_eq!(asked(&mut links, Line::Subscribe), [topic()]);
    links.wish(&topic(), false, Duration::ZERO);
    let late = Duration::from_secs(2);
    let mut out = Vec::new();
    subscribed(&mut links, &[topic()], at(3), late, &mut out);
    assert_eq!(
        out,
        [],
        "who wants it now must not take this for the answer"
    );

    links.wish(&topic(), true, late);
    assert_eq!(links.outcome(&topic()), None);
    assert_eq!(asked(&mut links, Line::Unsubscribe), [topic()]);
    links.unsubscribed(vec![topic()], Ok(()), Duration::ZERO);
    assert_eq!(asked(&mut links, Line::Subscribe), [topic()]);
    subscribed(&mut links, &[topic()], at(9), late, &mut out);
    assert_eq!(out, [Output::Joined(topic(), at(9))]);
}

#[test]
fn topics_that_were_joined_together_are_checked_one_after_another() {
    let topics = many(100);
    let every = Duration::from_secs(40);
    let options = RelayOptions::default().with_check_every(every);
    let mut links = Links::new(options.with_seed(7), &BusLimits::new());
    for topic in &topics {
        links.wish(topic, true, Duration::ZERO);
    }
    assert!(!asked(&mut links, Line::Subscribe).is_empty());
    subscribed(&mut links, &topics, at(3), Duration::ZERO, &mut Vec::new());
    links.tick(every * 7 / 8);
    let early = links.next_reads(Line::Read).unwrap().reads.len();
    assert!((20..80).contains(&early), "{early}");
    links.tick(every);
    let late = links.next_reads(Line::Read).unwrap().reads.len();
    assert!(early + late >= 100, "each is checked in time");
}
