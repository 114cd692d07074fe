use super::{
    ANN, Act, Answer, BOB, Bytes, CAT, ConversationId, DAN, Fresh, GROUP, GroupId, HistoryStart,
    LogRead, Member, MessageLog, NewGroup, Refusal, Role, START, Seek, TALK, Unread, UnreadAsk,
    UserId, Viewer, What, Windows, answer, direct, does, done, found, found_as, join, page,
    reaction, refusal, says, seqs, stamp, stored, what, words,
};

/// Who is no member says and changes nothing.
pub async fn only_members_talk(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, ANN, 2)).await;
    let about = Bytes::from("x");
    for act in [
        Act::Message(words(3)),
        Act::Edit {
            target,
            body: words(3),
        },
        Act::Delete { target },
        Act::React {
            target,
            reaction: reaction("a"),
            on: true,
        },
        join(CAT),
        Act::Leave { user: BOB },
        Act::Describe(about),
    ] {
        let refused = refusal(log, does(TALK, CAT, 3, act)).await;
        assert_eq!(refused, Refusal::NotMember);
    }
    assert_eq!(
        refusal(log, says(direct(), CAT, 3)).await,
        Refusal::NotMember
    );
    assert_eq!(seqs(log, TALK, ANN).await, [1, 2]);
}

/// A new member reads from the event of their joining on.
pub async fn who_joins_reads_from_then_on(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    stored(log, says(TALK, ANN, 2)).await;
    stored(log, does(TALK, ANN, 3, join(CAT))).await;
    stored(log, says(TALK, BOB, 4)).await;
    assert_eq!(seqs(log, TALK, CAT).await, [3, 4]);
    assert_eq!(seqs(log, TALK, BOB).await, [1, 2, 3, 4]);
    stored(log, says(TALK, CAT, 5)).await;
}

/// Where the group says so, a new member reads all there is.
pub async fn who_joins_reads_from_the_beginning_where_the_group_says_so(
    fresh: &Fresh<dyn MessageLog>,
) {
    let log = &*fresh.store;
    let group = NewGroup::new(GROUP, Some(ANN)).with_history(HistoryStart::Beginning);
    found_as(log, group).await;
    stored(log, says(TALK, ANN, 2)).await;
    stored(log, does(TALK, ANN, 3, join(CAT))).await;
    assert_eq!(seqs(log, TALK, CAT).await, [1, 2, 3]);
}

/// Who has left reads what there was up to their leaving, which they read too, and says nothing more.
pub async fn who_leaves_reads_up_to_it(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    stored(log, does(TALK, BOB, 2, Act::Leave { user: BOB })).await;
    stored(log, says(TALK, ANN, 3)).await;
    assert_eq!(seqs(log, TALK, BOB).await, [1, 2]);
    let read = LogRead::new(TALK, Viewer::User(BOB), Seek::Latest, 9);
    let page = page(log, read).await;
    assert_eq!((page.top, page.until, page.has_after()), (2, 2, false));
    assert_eq!(refusal(log, says(TALK, BOB, 4)).await, Refusal::NotMember);
}

/// Who comes back reads both stretches, and what happened meanwhile only where the group says so.
pub async fn who_comes_back_reads_both_stretches(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let other = GroupId::new(9);
    let open = NewGroup::new(other, Some(ANN)).with_members([BOB]);
    let open = open.with_history(HistoryStart::Beginning);
    found(log).await;
    log.found(&[(open, stamp(1))]).await.unwrap();
    for (talk, read) in [
        (TALK, vec![1, 2, 4, 5]),
        (ConversationId::Group(other), vec![1, 2, 3, 4, 5]),
    ] {
        stored(log, does(talk, ANN, 2, Act::Leave { user: BOB })).await;
        stored(log, says(talk, ANN, 3)).await;
        stored(log, does(talk, ANN, 4, join(BOB))).await;
        stored(log, says(talk, BOB, 5)).await;
        assert_eq!(seqs(log, talk, BOB).await, read);
    }
}

/// Who never was in a conversation reads nothing of it.
pub async fn nobody_else_reads(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    stored(log, says(direct(), ANN, 1)).await;
    for talk in [TALK, direct()] {
        for seek in [Seek::Latest, Seek::After(START)] {
            let read = LogRead::new(talk, Viewer::User(CAT), seek, 9);
            assert_eq!(answer(log, read).await, Answer::Refused(Refusal::NotMember));
        }
    }
    let asks = [TALK, direct()].map(|conversation| UnreadAsk {
        conversation,
        user: CAT,
        read: START,
        cap: 9,
    });
    assert_eq!(log.unread(&asks).await.unwrap(), [Unread::NONE; 2]);
}

/// Admins bring, appoint and send away; others bring nobody and go only by themselves.
pub async fn admins_bring_appoint_and_send_away(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let group = NewGroup::new(GROUP, Some(ANN)).with_members([BOB, CAT]);
    found_as(log, group).await;
    let appoint = |user, role| Act::Appoint { user, role };
    for act in [
        join(DAN),
        Act::Leave { user: CAT },
        appoint(BOB, Role::Admin),
        Act::Describe("x".into()),
    ] {
        assert_eq!(
            refusal(log, does(TALK, BOB, 2, act)).await,
            Refusal::NotAdmin
        );
    }
    stored(log, does(TALK, ANN, 2, appoint(BOB, Role::Admin))).await;
    stored(log, does(TALK, BOB, 3, join(DAN))).await;
    stored(log, does(TALK, BOB, 4, Act::Leave { user: CAT })).await;
    stored(log, does(TALK, BOB, 5, appoint(ANN, Role::Member))).await;
    let refused = refusal(log, does(TALK, ANN, 6, Act::Leave { user: BOB })).await;
    assert_eq!(refused, Refusal::NotAdmin);
    let role = |member: Option<Member>| member.and_then(|member| member.role);
    let asks = [ANN, BOB, CAT, DAN].map(|user| (TALK, user));
    let roles: Vec<_> = log
        .lookup(&asks)
        .await
        .unwrap()
        .into_iter()
        .map(role)
        .collect();
    let (member, admin) = (Some(Role::Member), Some(Role::Admin));
    assert_eq!(roles, [member, admin, None, member]);
    let appointed = What::Appoint {
        user: BOB,
        role: Role::Admin,
    };
    assert_eq!(
        what(log, TALK, DAN, 3).await,
        What::Join {
            user: DAN,
            role: Role::Member
        }
    );
    assert_eq!(what(log, TALK, ANN, 2).await, appointed);
    assert_eq!(what(log, TALK, ANN, 4).await, What::Leave { user: CAT });
}

/// The application brings, appoints and sends away whom it likes.
pub async fn the_application_brings_and_sends_away(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found_as(log, NewGroup::new(GROUP, None)).await;
    stored(log, done(TALK, 2, join(CAT))).await;
    let role = Role::Admin;
    stored(log, done(TALK, 3, Act::Appoint { user: CAT, role })).await;
    stored(log, does(TALK, CAT, 4, join(BOB))).await;
    stored(log, done(TALK, 5, Act::Leave { user: CAT })).await;
    assert_eq!(refusal(log, says(TALK, CAT, 6)).await, Refusal::NotMember);
}

/// A full group takes a member when another has left.
pub async fn a_group_takes_no_more_than_its_limit(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let group = NewGroup::new(GROUP, Some(ANN)).with_members([BOB]);
    found_as(log, group.with_limit(2)).await;
    assert_eq!(
        refusal(log, done(TALK, 2, join(CAT))).await,
        Refusal::GroupFull
    );
    stored(log, done(TALK, 3, Act::Leave { user: BOB })).await;
    stored(log, done(TALK, 4, join(CAT))).await;
    assert_eq!(
        refusal(log, done(TALK, 5, join(BOB))).await,
        Refusal::GroupFull
    );
}

/// What is so already does not happen again, and who is no member is not sent away or appointed.
pub async fn it_is_so_already(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, ANN, 2)).await;
    let react = |on| Act::React {
        target,
        reaction: reaction("a"),
        on,
    };
    let appoint = |user, role| Act::Appoint { user, role };
    for act in [join(BOB), appoint(ANN, Role::Admin), react(false)] {
        assert_eq!(
            refusal(log, does(TALK, ANN, 3, act)).await,
            Refusal::Already
        );
    }
    stored(log, does(TALK, ANN, 3, react(true))).await;
    assert_eq!(
        refusal(log, does(TALK, ANN, 4, react(true))).await,
        Refusal::Already
    );
    for act in [Act::Leave { user: CAT }, appoint(CAT, Role::Admin)] {
        let refused = refusal(log, does(TALK, ANN, 5, act)).await;
        assert_eq!(refused, Refusal::UnknownMember);
    }
}

/// The two of a direct conversation stay, whoever says otherwise.
pub async fn nobody_comes_or_goes_in_a_direct_conversation(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    stored(log, says(direct(), ANN, 1)).await;
    let role = Role::Admin;
    for act in [
        join(CAT),
        Act::Leave { user: ANN },
        Act::Appoint { user: ANN, role },
        Act::Describe("x".into()),
    ] {
        let refused = refusal(log, does(direct(), ANN, 2, act.clone())).await;
        assert_eq!(refused, Refusal::Direct);
        assert_eq!(refusal(log, done(direct(), 2, act)).await, Refusal::Direct);
    }
    let member = |user| Member::new(user, Some(Role::Member), Windows::all());
    let members = log.members(direct(), u64::MAX, None, 9).await.unwrap();
    assert_eq!(members, [member(BOB), member(ANN)]);
}

/// A user's conversation with themselves has one member.
pub async fn one_talks_to_oneself(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let notes = ConversationId::direct(ANN, ANN);
    stored(log, says(notes, ANN, 1)).await;
    assert_eq!(seqs(log, notes, ANN).await, [1]);
    assert_eq!(refusal(log, says(notes, BOB, 2)).await, Refusal::NotMember);
    let members = log.members(notes, u64::MAX, None, 9).await.unwrap();
    assert_eq!(members.len(), 1);
}

/// Pages of members, in the order of their ids, show each once.
pub async fn members_are_listed_in_pages(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let users: Vec<_> = [0, 1, 9, 10, (1 << 53) + 1, (1 << 53) + 2, 1 << 63, u64::MAX]
        .map(UserId::new)
        .into();
    let group = NewGroup::new(GROUP, None).with_members(users.iter().rev().copied());
    found_as(log, group).await;
    for limit in 1..=users.len() + 1 {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = log.members(TALK, u64::MAX, after, limit).await.unwrap();
            assert!(page.len() <= limit);
            listed.extend(page.iter().map(|member| member.user));
            after = listed.last().copied();
            if page.len() < limit {
                break;
            }
        }
        assert_eq!(listed, users);
    }
}

/// Who has left is among those whom earlier events concern, and not among the members.
pub async fn who_has_left_is_listed_as_far_back_as_it_concerns_them(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    stored(log, does(TALK, ANN, 2, Act::Leave { user: BOB })).await;
    stored(log, does(TALK, ANN, 3, join(CAT))).await;
    for (since, expected) in [
        (1, vec![BOB, ANN, CAT]),
        (2, vec![BOB, ANN, CAT]),
        (3, vec![ANN, CAT]),
        (u64::MAX, vec![ANN, CAT]),
    ] {
        let listed = log.members(TALK, since, None, 9).await.unwrap();
        let users: Vec<_> = listed.iter().map(|member| member.user).collect();
        assert_eq!(users, expected, "since {since}");
        let bob = listed.iter().find(|member| member.user == BOB);
        assert!(bob.is_none_or(|bob| bob.role.is_none() && !bob.windows.is_open()));
    }
}

/// Lookups say who is, who was and who never was a member, in the order asked.
pub async fn lookups_answer_in_order(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    stored(log, does(TALK, ANN, 2, Act::Leave { user: BOB })).await;
    stored(log, does(TALK, ANN, 3, join(DAN))).await;
    let unknown = ConversationId::Group(GroupId::new(9));
    let asks = [
        (TALK, BOB),
        (direct(), BOB),
        (TALK, CAT),
        (unknown, ANN),
        (TALK, DAN),
    ];
    let answers = log.lookup(&asks).await.unwrap();
    let bounds = |member: &Option<Member>| {
        let member = member.as_ref()?;
        Some((
            member.user,
            member.role,
            member.windows.bounds().collect::<Vec<_>>(),
        ))
    };
    let answers: Vec<_> = answers.iter().map(bounds).collect();
    let member = Some(Role::Member);
    assert_eq!(
        answers,
        [
            Some((BOB, None, vec![(1, 2)])),
            Some((BOB, member, vec![(1, u64::MAX)])),
            None,
            None,
            Some((DAN, member, vec![(3, u64::MAX)])),
        ]
    );
}

/// A group says how many members it has, and what was said of it last.
pub async fn a_group_is_described(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let group = NewGroup::new(GROUP, Some(ANN))
        .with_members([BOB])
        .with_limit(7);
    let group = group
        .with_history(HistoryStart::Beginning)
        .with_about("one");
    found_as(log, group).await;
    stored(log, does(TALK, ANN, 2, join(CAT))).await;
    stored(
        log,
        does(TALK, ANN, 3, Act::Describe(Bytes::from_static(b"\0two"))),
    )
    .await;
    let groups = log.groups(&[GroupId::new(9), GROUP]).await.unwrap();
    let group = groups[1].as_ref().unwrap();
    assert_eq!(groups[0], None);
    assert_eq!((group.members, group.limit), (3, 7));
    assert_eq!(group.history, HistoryStart::Beginning);
    assert_eq!(group.about, Bytes::from_static(b"\0two"));
    let about = Bytes::from_static(b"\0two");
    assert_eq!(what(log, TALK, CAT, 3).await, What::Describe(about));
}
