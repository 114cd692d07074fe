use std::fmt::Debug;

use backplane::{Epoch, Position, Timestamp};
use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::{
    Act, ClientId, ConversationId, Device, DeviceId, Event, Group, GroupId, HistoryStart, InboxRow,
    Member, Message, MessageId, MessageRef, NewEvent, Reaction, Reactions, Receipt, Role, UserId,
    What, Windows,
};

fn number() -> impl Strategy<Value = u64> {
    let edges = select(vec![0, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX >> 1, u64::MAX]);
    prop_oneof![edges, 0..200_u64, any::<u64>()]
}

fn user() -> impl Strategy<Value = UserId> {
    number().prop_map(UserId::new)
}

fn role() -> impl Strategy<Value = Role> {
    select(vec![Role::Member, Role::Admin])
}

fn time() -> impl Strategy<Value = Timestamp> {
    number().prop_map(Timestamp::from_millis)
}

fn message_id() -> impl Strategy<Value = MessageId> {
    number().prop_map(MessageId::new)
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn key() -> impl Strategy<Value = ClientId> {
    "[a-z0é]{1,18}".prop_map(|text| text.parse().unwrap())
}

fn reaction() -> impl Strategy<Value = Reaction> {
    "[a-z0é]{1,16}".prop_map(|text| text.parse().unwrap())
}

fn device() -> impl Strategy<Value = Device> {
    (user(), number()).prop_map(|(user, id)| Device::new(user, DeviceId::new(id)))
}

fn position() -> impl Strategy<Value = Position> {
    (number(), number()).prop_map(|(epoch, offset)| Position::new(Epoch::new(epoch), offset))
}

fn target() -> impl Strategy<Value = MessageRef> {
    (number(), message_id()).prop_map(|(seq, id)| MessageRef { seq, id })
}

fn talk() -> impl Strategy<Value = ConversationId> {
    prop_oneof![
        (user(), user()).prop_map(|(one, other)| ConversationId::direct(one, other)),
        number().prop_map(|group| ConversationId::Group(GroupId::new(group))),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let reactions = (reaction(), number(), any::<bool>())
        .prop_map(|(reaction, count, mine)| Reactions::new(reaction, count, mine));
    (body(), number(), number(), vec(reactions, 0..4)).prop_map(
        |(body, edited, revised, reactions)| Message {
            body,
            edited,
            revised,
            reactions,
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        body().prop_map(Act::Message),
        (target(), body()).prop_map(|(target, body)| Act::Edit { target, body }),
        target().prop_map(|target| Act::Delete { target }),
        (target(), reaction(), any::<bool>()).prop_map(|(target, reaction, on)| Act::React {
            target,
            reaction,
            on
        }),
        (user(), role()).prop_map(|(user, role)| Act::Join { user, role }),
        user().prop_map(|user| Act::Leave { user }),
        (user(), role()).prop_map(|(user, role)| Act::Appoint { user, role }),
        body().prop_map(Act::Describe),
    ]
}

fn what() -> impl Strategy<Value = What> {
    let done = new_event().prop_map(|new| new.into_event(1).what).boxed();
    prop_oneof![
        8 => done,
        4 => message().prop_map(What::Message),
        1 => target().prop_map(|target| What::Edit { target, body: None }),
        1 => number().prop_map(|by| What::Deleted { by }),
        1 => (vec((user(), role()), 0..5), body())
            .prop_map(|(members, about)| What::Found { members, about }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let from = option::of(device());
    (
        number(),
        message_id(),
        time(),
        from,
        option::of(key()),
        what(),
    )
        .prop_map(|(seq, id, at, from, key, what)| Event::new(seq, id, at, from, key, what))
}

fn new_event() -> impl Strategy<Value = NewEvent> {
    let from = option::of(device());
    (talk(), message_id(), time(), from, option::of(key()), act()).prop_map(
        |(talk, id, at, from, key, act)| {
            let mut event = NewEvent::new(talk, id, at, from, act);
            event.key = key;
            event
        },
    )
}

fn member() -> impl Strategy<Value = Member> {
    let windows = vec((number(), number()), 0..=Windows::MAX).prop_map(Windows::from_bounds);
    (user(), option::of(role()), windows)
        .prop_map(|(user, role, windows)| Member::new(user, role, windows))
}

fn group() -> impl Strategy<Value = Group> {
    let history = select(vec![HistoryStart::Beginning, HistoryStart::Joining]);
    (any::<u32>(), any::<u32>(), history, body())
        .prop_map(|(members, limit, history, about)| Group::new(members, limit, history, about))
}

fn row() -> impl Strategy<Value = InboxRow> {
    let received = vec((number().prop_map(DeviceId::new), position()), 0..4);
    let places = (position(), position(), position(), position());
    (places, number(), any::<bool>(), received).prop_map(
        |((top, decided, read, queued), changed, is_enrolled, received)| InboxRow {
            top,
            changed,
            is_enrolled,
            decided,
            read,
            queued,
            received,
        },
    )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (message_id(), position(), time()).prop_map(|(id, position, at)| Receipt { id, position, at })
}

fn encoded(value: &impl Wire) -> Bytes {
    let mut bytes = Vec::new();
    encode(value, &mut bytes);
    bytes.into()
}

/// The value reads back, and nothing that is left of it when its end is lost.
fn reads_back<T: Wire + Debug + PartialEq>(value: &T) {
    let bytes = encoded(value);
    assert_eq!(&decode::<T>(bytes.clone()).unwrap(), value);
    for len in 0..bytes.len() {
        is_corrupt::<T>(&bytes[..len]);
    }
    is_corrupt::<T>(&[&bytes[..], &[0]].concat());
    is_corrupt::<T>(&[&[VERSION + 1], &bytes[1..]].concat());
}

fn is_corrupt<T: Wire + Debug>(bytes: &[u8]) {
    let refused = decode::<T>(Bytes::copy_from_slice(bytes)).expect_err("it is no value");
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{bytes:?}");
}

/// The bytes are no value, or the only ones of theirs.
fn is_refused_or_exact<T: Wire>(bytes: &Bytes) {
    if let Ok(value) = decode::<T>(bytes.clone()) {
        assert_eq!(&encoded(&value), bytes);
    }
}

#[test]
fn an_event_has_the_bytes_it_always_had() {
    let target = MessageRef {
        seq: 300,
        id: MessageId::new(5),
    };
    let phone = Device::new(UserId::new(1), DeviceId::new(2));
    let what = What::Edit {
        target,
        body: Some("no".into()),
    };
    let at = Timestamp::from_millis(128);
    let key = Some("k".parse().unwrap());
    let edit = Event::new(9, MessageId::new(7), at, Some(phone), key, what);
    let bytes = [
        &[1][..],            // version
        &[9, 7, 0x80, 1],    // seq, id, at
        &[1, 1, 2],          // from
        &[1, 1, b'k'],       // key
        &[1, 0xac, 2, 5],    // an edit, of what
        &[1, 2, b'n', b'o'], // body
    ]
    .concat();
    assert_eq!(encoded(&edit), bytes);
    assert_eq!(decode::<Event>(bytes.into()).unwrap(), edit);
}

#[test]
fn a_number_has_one_form() {
    for number in [&[0x80, 0][..], &[0xff; 10], &[0xff; 11]] {
        is_corrupt::<u64>(&[&[VERSION], number].concat());
    }
    let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(encoded(&u64::MAX)[1..], most);
    is_corrupt::<u64>(&[&[VERSION][..], &most[..9], &[2]].concat());
    is_corrupt::<u32>(&encoded(&(1_u64 << 32)));
}

/// A length that is damaged costs no more than the bytes that are there.
#[test]
fn a_list_is_no_longer_than_what_it_is_read_from() {
    let mut bytes = vec![VERSION];
    u64::MAX.put(&mut bytes);
    bytes.extend([0; 64]);
    is_corrupt::<Vec<(UserId, Role)>>(&bytes);
    is_corrupt::<Bytes>(&bytes);
}

#[test]
fn a_pair_is_in_order_and_windows_are_bounded() {
    is_corrupt::<ConversationId>(&[VERSION, 0, 2, 1]);
    let bounds = vec![(1_u64, 2_u64); Windows::MAX + 1];
    is_corrupt::<Windows>(&encoded(&bounds));
}

proptest! {
    #[test]
    fn everything_reads_back(
        event in event(), new in new_event(), member in member(), group in group(), receipt in receipt(), row in row(),
    ) {
        reads_back(&event);
        reads_back(&new);
        reads_back(&member);
        reads_back(&group);
        reads_back(&receipt);
        reads_back(&row);
    }

    #[test]
    fn what_an_event_says_is_not_copied(body in vec(any::<u8>(), 1..200), about in target()) {
        let body = Some(Bytes::from(body));
        let what = What::Edit { target: about, body };
        let bytes = encoded(&Event::new(1, MessageId::new(1), Timestamp::EPOCH, None, None, what));
        let What::Edit { body: Some(body), .. } = decode::<Event>(bytes.clone()).unwrap().what else {
            panic!("it is an edit");
        };
        let (part, whole) = (body.as_ptr_range(), bytes.as_ptr_range());
        prop_assert!(whole.start <= part.start && part.end == whole.end);
    }

    #[test]
    fn a_damaged_event_is_refused_or_another(event in event(), at: prop::sample::Index, to: u8) {
        let mut bytes = encoded(&event).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        is_refused_or_exact::<Event>(&bytes.into());
    }

    #[test]
    fn garbage_is_refused_or_was_a_value(bytes in vec(prop_oneof![0..4_u8, any::<u8>()], 0..60)) {
        let bytes = Bytes::from([&[VERSION], &bytes[..]].concat());
        is_refused_or_exact::<Event>(&bytes);
        is_refused_or_exact::<NewEvent>(&bytes);
        is_refused_or_exact::<Member>(&bytes);
        is_refused_or_exact::<Group>(&bytes);
        is_refused_or_exact::<Receipt>(&bytes);
    }
}
