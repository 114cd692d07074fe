//! The calls of a chat's stores.

use std::time::Duration;

use backend_redis::{RedisPresence, RedisPresenceOptions, RedisSequenceMarks};
use backplane::{Epoch, Timestamp, directory::Incarnation};
use chat_core::{
    ConversationId, GroupId, UserId,
    presence::{Mode, NodeJoined, Presence, PresenceState, Report, Setting, StateRead, Status},
    sequencer::{SequenceMark, SequenceMarks},
};

use super::meter::Meter;

const MINUTE: Duration = Duration::from_secs(60);

/// Nine users, who are in nine parts.
fn nine() -> Vec<UserId> {
    (1..10).map(UserId::new).collect()
}

pub(crate) async fn calls(meter: &mut Meter) {
    presence(meter).await;
    sequence_marks(meter).await;
}

async fn presence(meter: &mut Meter) {
    let presence = RedisPresence::new(meter.redis(), RedisPresenceOptions::default());
    let join = presence.join("a", Incarnation::new(1), MINUTE);
    let joined = meter.cost("`Presence::join`", join).await;
    let NodeJoined::Held(lease) = joined else {
        panic!("nobody else is there");
    };
    // The parts are found, once and for all.
    let users = nine();
    presence.own(&users).await.unwrap();
    let renew = presence.renew(&lease, MINUTE);
    meter.cost("`Presence::renew`", renew).await;
    let state = PresenceState::new(Status::Online, Some(Timestamp::EPOCH), true);
    let reports: Vec<_> = (1..)
        .zip(nine())
        .map(|(sequence, user)| Report::new(user, sequence, state))
        .collect();
    let report = presence.report(&lease, &reports);
    meter.cost("`Presence::report`, of 9 users", report).await;
    let busy = Setting::new(Mode::DoNotDisturb);
    let settings: Vec<_> = nine().into_iter().map(|user| (user, busy)).collect();
    let set = presence.set(&settings);
    meter.cost("`Presence::set`, of 9 users", set).await;
    let reads: Vec<_> = nine().into_iter().map(StateRead::new).collect();
    let states = presence.states(&reads);
    meter.cost("`Presence::states`, of 9 users", states).await;
    let own = presence.own(&users);
    meter.cost("`Presence::own`, of 9 users", own).await;
    // That the leases of the parts are held is noted.
    presence.lapsed(&[], 100).await.unwrap();
    let lapsed = presence.lapsed(&[], 100);
    let nobody = meter.cost("`Presence::lapsed`, without any", lapsed).await;
    assert_eq!(nobody, []);
    let erase = presence.erase(UserId::new(9));
    meter.cost("`Presence::erase`", erase).await;
    let leave = presence.leave(&lease);
    meter.cost("`Presence::leave`", leave).await;
    let lapsed = presence.lapsed(&[], 100);
    let gone = meter
        .cost(
            "`Presence::lapsed`, after a node of 8 users has left",
            lapsed,
        )
        .await;
    assert_eq!(gone.len(), 8);
}

async fn sequence_marks(meter: &mut Meter) {
    let marks = RedisSequenceMarks::new(meter.redis());
    let here = ConversationId::Group(GroupId::new(1));
    let mark = SequenceMark {
        epoch: Epoch::new(1),
        until: 10_000,
        settled: 0,
        holder: 1,
    };
    let replace = marks.replace(here, None, mark);
    meter.cost("`SequenceMarks::replace`", replace).await;
    let load = marks.load(here);
    meter.cost("`SequenceMarks::load`", load).await;
}
