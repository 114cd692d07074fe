use super::{
    ANN, Act, BOB, CAT, Device, DeviceId, Fresh, GROUP, MAX_REACTIONS, Message, MessageLog,
    MessageRef, NewEvent, NewGroup, Reactions, Refusal, Role, TALK, Viewer, What, all, at, direct,
    does, done, found, found_as, id, join, message, reaction, refusal, says, seqs, stored, what,
    words,
};

fn edit(target: MessageRef, raw: u64) -> Act {
    let body = words(raw);
    Act::Edit { target, body }
}

fn react(target: MessageRef, text: &str, on: bool) -> Act {
    let reaction = reaction(text);
    Act::React {
        target,
        reaction,
        on,
    }
}

/// After an edit the message reads as edited, and the edit is an event with what it says.
pub async fn an_edit_replaces_what_was_said(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let target = stored(log, says(direct(), ANN, 1)).await;
    stored(log, says(direct(), BOB, 2)).await;
    stored(log, does(direct(), ANN, 3, edit(target, 3))).await;
    let edited = message(log, direct(), BOB, 1).await;
    assert_eq!(
        (edited.body, edited.edited, edited.revised),
        (words(3), 3, 3)
    );
    let body = Some(words(3));
    assert_eq!(
        what(log, direct(), BOB, 3).await,
        What::Edit { target, body }
    );
}

/// Of several edits each says what it said, and the last what the message says.
pub async fn every_edit_says_what_it_said(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let target = stored(log, says(direct(), ANN, 1)).await;
    for raw in 2..=4 {
        stored(log, does(direct(), ANN, raw, edit(target, raw))).await;
    }
    for seq in 2..=4 {
        let body = Some(words(seq));
        assert_eq!(
            what(log, direct(), BOB, seq).await,
            What::Edit { target, body }
        );
    }
    assert_eq!(message(log, direct(), BOB, 1).await.body, words(4));
}

/// Nobody edits what another has said, not even an admin.
pub async fn only_the_author_edits(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, BOB, 2)).await;
    let refused = refusal(log, does(TALK, ANN, 3, edit(target, 3))).await;
    assert_eq!(refused, Refusal::NotAuthor);
    let tablet = Device::new(BOB, DeviceId::new(2));
    let by_tablet = NewEvent::new(TALK, id(4), at(4), Some(tablet), edit(target, 4));
    stored(log, by_tablet).await;
    assert_eq!(message(log, TALK, ANN, 2).await.body, words(4));
}

/// What a deleted message said is nowhere: not in its place, not in its edits.
pub async fn a_deleted_message_says_nothing_anywhere(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let target = stored(log, says(direct(), ANN, 1)).await;
    stored(log, does(direct(), ANN, 2, edit(target, 2))).await;
    stored(log, does(direct(), BOB, 3, react(target, "+1", true))).await;
    stored(log, does(direct(), ANN, 4, Act::Delete { target })).await;
    for viewer in [Viewer::User(BOB), Viewer::Application] {
        let events = all(log, direct(), viewer).await;
        let whats: Vec<_> = events.into_iter().map(|event| event.what).collect();
        let reaction = reaction("+1");
        let expected = [
            What::Deleted { by: 4 },
            What::Edit { target, body: None },
            What::React {
                target,
                reaction,
                on: true,
            },
            What::Delete { target },
        ];
        assert_eq!(whats, expected);
    }
}

/// An author deletes what they said, an admin what anybody said, and nobody else does.
pub async fn authors_and_admins_delete(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let group = NewGroup::new(GROUP, Some(ANN)).with_members([BOB, CAT]);
    found_as(log, group).await;
    let bobs = stored(log, says(TALK, BOB, 2)).await;
    let cats = stored(log, says(TALK, CAT, 3)).await;
    let delete = |target| Act::Delete { target };
    let refused = refusal(log, does(TALK, CAT, 4, delete(bobs))).await;
    assert_eq!(refused, Refusal::NotAuthor);
    stored(log, does(TALK, ANN, 5, delete(bobs))).await;
    stored(log, does(TALK, CAT, 6, delete(cats))).await;
    assert_eq!(what(log, TALK, CAT, 2).await, What::Deleted { by: 4 });
    assert_eq!(what(log, TALK, BOB, 3).await, What::Deleted { by: 5 });
}

/// What is deleted is not edited, reacted to or deleted again.
pub async fn a_deleted_message_is_changed_no_more(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let target = stored(log, says(direct(), ANN, 1)).await;
    stored(log, does(direct(), ANN, 2, Act::Delete { target })).await;
    for act in [
        edit(target, 3),
        react(target, "+1", true),
        Act::Delete { target },
    ] {
        let refused = refusal(log, does(direct(), ANN, 3, act)).await;
        assert_eq!(refused, Refusal::UnknownMessage);
    }
    assert_eq!(seqs(log, direct(), ANN).await, [1, 2]);
}

/// A message says how many react how, and to each reader which of these are theirs.
pub async fn reactions_are_counted_and_taken_back(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let target = stored(log, says(direct(), ANN, 1)).await;
    stored(log, does(direct(), ANN, 2, react(target, "z", true))).await;
    stored(log, does(direct(), BOB, 3, react(target, "z", true))).await;
    stored(log, does(direct(), BOB, 4, react(target, "é", true))).await;
    stored(log, does(direct(), ANN, 5, react(target, "z", false))).await;
    let expected = |mine| {
        let reaction = |text, count| Reactions::new(reaction(text), count, mine);
        vec![reaction("z", 1), reaction("é", 1)]
    };
    assert_eq!(
        message(log, direct(), BOB, 1).await.reactions,
        expected(true)
    );
    assert_eq!(
        message(log, direct(), ANN, 1).await.reactions,
        expected(false)
    );
    stored(log, does(direct(), BOB, 6, react(target, "z", false))).await;
    stored(log, does(direct(), BOB, 7, react(target, "é", false))).await;
    assert_eq!(message(log, direct(), BOB, 1).await.reactions, []);
}

/// There are only so many different reactions to a message; of those that it has, there may be more.
pub async fn a_message_has_a_bounded_set_of_reactions(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let target = stored(log, says(direct(), ANN, 1)).await;
    for n in 0..MAX_REACTIONS as u64 {
        stored(
            log,
            does(direct(), ANN, 2 + n, react(target, &n.to_string(), true)),
        )
        .await;
    }
    let refused = refusal(log, does(direct(), BOB, 99, react(target, "new", true))).await;
    assert_eq!(refused, Refusal::TooManyReactions);
    stored(log, does(direct(), BOB, 100, react(target, "7", true))).await;
    stored(log, does(direct(), ANN, 101, react(target, "9", false))).await;
    stored(log, does(direct(), BOB, 102, react(target, "new", true))).await;
}

/// A message says which event changed it last, be it an edit or a reaction.
pub async fn a_change_counts_as_the_last_revision(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let target = stored(log, says(direct(), ANN, 1)).await;
    let acts = [
        (edit(target, 2), 2),
        (react(target, "a", true), 2),
        (react(target, "a", false), 2),
        (edit(target, 5), 5),
    ];
    for (raw, (act, edited)) in (2..).zip(acts) {
        stored(log, does(direct(), ANN, raw, act)).await;
        let now = message(log, direct(), BOB, 1).await;
        assert_eq!((now.revised, now.edited), (raw, edited));
    }
}

/// To who was away, or has left, a message reads as what they may see of what was done to it.
pub async fn what_happens_out_of_sight_changes_nothing_for_the_reader(
    fresh: &Fresh<dyn MessageLog>,
) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, ANN, 2)).await;
    stored(log, does(TALK, BOB, 3, react(target, "a", true))).await;
    stored(log, does(TALK, ANN, 4, edit(target, 4))).await;
    stored(log, does(TALK, BOB, 5, Act::Leave { user: BOB })).await;
    stored(log, does(TALK, ANN, 6, edit(target, 6))).await;
    stored(log, does(TALK, ANN, 7, react(target, "a", true))).await;
    stored(log, does(TALK, ANN, 8, react(target, "b", true))).await;

    let read = |edited, revised, reactions: &[(&str, u64, bool)]| Message {
        body: words(edited),
        edited,
        revised,
        reactions: (reactions.iter())
            .map(|(text, count, mine)| Reactions::new(reaction(text), *count, *mine))
            .collect(),
    };
    let before = read(4, 4, &[("a", 1, true)]);
    assert_eq!(message(log, TALK, BOB, 2).await, before);
    let now = read(6, 8, &[("a", 2, true), ("b", 1, true)]);
    assert_eq!(message(log, TALK, ANN, 2).await, now);

    stored(log, does(TALK, ANN, 9, join(BOB))).await;
    assert_eq!(message(log, TALK, BOB, 2).await, before);
    stored(log, does(TALK, BOB, 10, react(target, "b", true))).await;
    let after = read(4, 10, &[("a", 1, true), ("b", 1, true)]);
    assert_eq!(message(log, TALK, BOB, 2).await, after);
}

/// What is deleted is gone for those who have left, too.
pub async fn a_deletion_reaches_whoever_has_left(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, ANN, 2)).await;
    stored(log, does(TALK, ANN, 3, edit(target, 3))).await;
    stored(log, does(TALK, BOB, 4, Act::Leave { user: BOB })).await;
    stored(log, does(TALK, ANN, 5, Act::Delete { target })).await;
    assert_eq!(what(log, TALK, BOB, 2).await, What::Deleted { by: 5 });
    assert_eq!(
        what(log, TALK, BOB, 3).await,
        What::Edit { target, body: None }
    );
}

/// To who came later, what was said before is no message to react to or to delete.
pub async fn who_may_not_read_a_message_does_not_change_it(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, ANN, 2)).await;
    let role = Role::Admin;
    stored(log, done(TALK, 3, Act::Join { user: CAT, role })).await;
    for act in [react(target, "a", true), Act::Delete { target }] {
        let refused = refusal(log, does(TALK, CAT, 4, act)).await;
        assert_eq!(refused, Refusal::UnknownMessage);
    }
}

/// A reference with another place or another id is to no message.
pub async fn a_reference_names_place_and_id(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    stored(log, says(direct(), ANN, 1)).await;
    stored(log, says(direct(), ANN, 2)).await;
    for (seq, raw) in [(1, 2), (2, 1), (0, 1), (3, 3), (u64::MAX, 1), (1, 0)] {
        let target = MessageRef { seq, id: id(raw) };
        for act in [
            edit(target, 9),
            Act::Delete { target },
            react(target, "a", true),
        ] {
            let refused = refusal(log, does(direct(), ANN, 9, act)).await;
            assert_eq!(refused, Refusal::UnknownMessage, "{target:?}");
        }
    }
}

/// Events that are no messages are not edited, reacted to or deleted.
pub async fn only_messages_are_changed(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let joined = stored(log, does(TALK, ANN, 2, join(CAT))).await;
    for act in [
        edit(joined, 3),
        Act::Delete { target: joined },
        react(joined, "a", true),
    ] {
        let refused = refusal(log, does(TALK, ANN, 3, act)).await;
        assert_eq!(refused, Refusal::UnknownMessage);
    }
}
