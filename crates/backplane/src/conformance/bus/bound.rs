use super::{
    BTreeMap, BusEvent, BusNetwork, Fresh, IdempotencyKey, Outgoing, Published, StreamExt, all,
    history, offsets, publish, subscribe, topic,
};

/// A node that does not read its events receives of each topic every message or a gap that covers it,
/// in order, and what follows a gap.
pub async fn an_overflowing_queue_says_what_it_dropped(fresh: &Fresh<dyn BusNetwork>) {
    let (reader, writer) = (fresh.store.join().await, fresh.store.join().await);
    let names = ["a", "b", "c"];
    let (mut at, mut tops) = (BTreeMap::new(), BTreeMap::new());
    for name in names {
        at.insert(name, subscribe(&*reader, name).await);
    }
    for _ in 0..reader.limits().queue + 10 {
        for name in names {
            tops.insert(name, publish(&*writer, name, 1).await[0]);
        }
    }
    let mut events = reader.events();
    let mut gaps = BTreeMap::new();
    while at != tops {
        let event = events.next().await.expect("the node goes on");
        let name = names
            .into_iter()
            .find(|name| *name == event.topic().as_str());
        let name = name.unwrap();
        let seen = at.get_mut(name).unwrap();
        match event {
            BusEvent::Message { message, .. } => {
                assert_eq!(message.position, seen.next());
                *seen = message.position;
            }
            BusEvent::Gap { gap, .. } => {
                assert!(gap.after.is_none_or(|after| after == *seen));
                assert!(gap.until.offset > seen.offset && gap.until.epoch == seen.epoch);
                *seen = gap.until;
                *gaps.entry(name).or_insert(0) += 1;
                tops.insert(name, publish(&*writer, name, 1).await[0]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(gaps.keys().eq(&names), "more was published than fits");
}

/// A topic knows the last keys again, as many as its limit says.
pub async fn a_topic_remembers_as_many_keys_as_it_says(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let limits = node.limits();
    let keyed = |n: usize| {
        let key = IdempotencyKey::of(n.to_string());
        Outgoing::new(topic("a"), "x").with_key(key)
    };
    let messages: Vec<_> = (0..=limits.idempotency_keys).map(keyed).collect();
    let mut positions = Vec::new();
    for batch in messages.chunks(limits.batch) {
        let published = all(node.publish(batch).await);
        positions.extend(published.into_iter().map(Published::position));
    }
    for (message, position) in messages.iter().zip(positions).skip(1) {
        let again = all(node.publish(std::slice::from_ref(message)).await);
        assert_eq!(again, [Published::Duplicate(position)]);
    }
}

/// A page of history holds no more messages than its limit, whatever is asked for, and the next page
/// goes on from there.
pub async fn a_page_is_no_longer_than_its_limit(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let limits = node.limits();
    assert!(limits.page < limits.history, "nothing to see otherwise");
    publish(&*node, "a", limits.history).await;
    let (mut read, mut since) = (Vec::new(), None);
    while read.len() < limits.history {
        let page = history(&*node, "a", since, usize::MAX).await;
        assert!((1..=limits.page).contains(&page.messages.len()));
        read.extend(page.messages);
        since = read.last().map(|message| message.position);
    }
    assert_eq!(
        offsets(&read),
        (1..=limits.history as u64).collect::<Vec<_>>()
    );
}
