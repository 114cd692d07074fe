use super::*;
use crate::Epoch;

#[test]
fn a_check_ends_however_often_it_is_asked_for() {
    let topic: Topic = "a".parse().unwrap();
    let start = Position::new(Epoch::new(1), 3);
    let options = RelayOptions::default().with_check_every(Duration::ZERO);
    let mut links = Links::new(options, 10);
    links.wish(&topic, true, Duration::ZERO);
    assert!(links.next_control().is_some());
    let mut out = Vec::new();
    links.subscribed(vec![topic], vec![start], Duration::ZERO, &mut out);
    let due = links.next_tick().unwrap();
    links.tick(due);
    assert!(links.next_tick() > Some(due));
}

#[test]
fn a_message_that_overtakes_its_subscription_needs_no_history() {
    let topic: Topic = "a".parse().unwrap();
    let at = |offset| Position::new(Epoch::new(1), offset);
    let mut links = Links::new(RelayOptions::default(), 10);
    let mut out = Vec::new();
    links.wish(&topic, true, Duration::ZERO);
    let control = links.next_control();
    assert_eq!(control, Some(Control::Subscribe(vec![topic.clone()])));
    for offset in 3..=4 {
        let message = Message::new(at(offset), "x".into());
        let topic = topic.clone();
        links.event(BusEvent::Message { topic, message }, &mut out);
    }
    assert_eq!(out, []);
    links.subscribed(vec![topic.clone()], vec![at(3)], Duration::ZERO, &mut out);
    let overtaker = Message::new(at(4), "x".into());
    let expected = [
        Output::Joined(topic.clone(), at(3)),
        Output::Message(topic, overtaker),
    ];
    assert_eq!(out, expected);
    assert!(links.next_reads().is_none());
}
