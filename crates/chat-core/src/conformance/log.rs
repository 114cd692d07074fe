//! Cases that every [`MessageLog`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod amend;
mod append;
mod key;
mod member;
mod owed;
mod race;
mod read;
mod trim;
mod unread;

pub use amend::*;
pub use append::*;
pub use key::*;
pub use member::*;
pub use owed::*;
pub use race::*;
pub use read::*;
pub use trim::*;
pub use unread::*;

/// One test per guarantee of [`MessageLog`](crate::MessageLog), over the empty log that `$fresh` makes.
#[macro_export]
macro_rules! message_log_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(message_log_conformance, [$crate::conformance::log], $fresh =>
            events_are_numbered_without_holes,
            each_conversation_has_numbers_of_its_own,
            a_batch_is_answered_and_stored_in_order,
            a_group_begins_with_its_founding,
            a_group_is_founded_once,
            a_group_beyond_its_limits_is_not_founded,
            an_event_reads_as_it_was_appended,
            bodies_are_bytes,
            an_event_that_is_too_long_is_refused,
            the_application_speaks_without_being_a_member,
            a_retry_answers_the_first_receipt,
            a_key_holds_within_a_batch,
            another_act_under_the_same_key_is_a_conflict,
            a_key_is_its_devices_and_its_conversations,
            keys_are_told_apart_to_the_last_byte,
            a_refused_event_takes_no_key,
            a_retry_is_known_whatever_has_happened_since,
            an_edit_replaces_what_was_said,
            every_edit_says_what_it_said,
            only_the_author_edits,
            a_deleted_message_says_nothing_anywhere,
            authors_and_admins_delete,
            a_deleted_message_is_changed_no_more,
            reactions_are_counted_and_taken_back,
            a_message_has_a_bounded_set_of_reactions,
            a_change_counts_as_the_last_revision,
            what_happens_out_of_sight_changes_nothing_for_the_reader,
            a_deletion_reaches_whoever_has_left,
            who_may_not_read_a_message_does_not_change_it,
            a_reference_names_place_and_id,
            only_messages_are_changed,
            only_members_talk,
            who_joins_reads_from_then_on,
            who_joins_reads_from_the_beginning_where_the_group_says_so,
            who_leaves_reads_up_to_it,
            who_comes_back_reads_both_stretches,
            nobody_else_reads,
            admins_bring_appoint_and_send_away,
            the_application_brings_and_sends_away,
            a_group_takes_no_more_than_its_limit,
            it_is_so_already,
            nobody_comes_or_goes_in_a_direct_conversation,
            one_talks_to_oneself,
            members_are_listed_in_pages,
            who_has_left_is_listed_as_far_back_as_it_concerns_them,
            lookups_answer_in_order,
            a_group_is_described,
            pages_lead_to_both_ends,
            a_page_lies_around_a_position,
            a_page_ends_where_its_bytes_do,
            an_empty_page_says_where_it_is,
            a_page_passes_over_what_is_not_for_the_viewer,
            a_position_of_another_epoch_is_stale,
            a_position_beyond_the_end_is_stale,
            the_start_is_never_stale,
            a_direct_conversation_is_empty_before_it_begins,
            a_group_that_was_never_founded_is_unknown,
            counts_what_others_said,
            counts_up_to_a_cap,
            counts_nothing_that_was_deleted_or_is_not_for_the_reader,
            counts_everything_where_the_epoch_is_another,
            trims_from_the_oldest_on,
            trims_nothing_that_has_not_happened,
            a_cursor_before_the_oldest_event_is_truncated,
            numbers_go_on_after_a_trim,
            a_trimmed_event_takes_its_key_along,
            what_was_trimmed_is_changed_no_more,
            what_nobody_was_told_is_owed,
            what_was_told_is_owed_no_more,
            a_debt_is_listed_from_when_its_oldest_event_happened,
            settling_goes_forward_only,
            a_stretch_does_not_settle_what_lies_before_it,
            concurrent_retries_store_one_event,
            concurrent_events_have_numbers_of_their_own,
            a_reader_never_finds_a_hole,
            concurrent_joins_keep_to_the_limit,
            concurrent_foundings_found_one_group,
            concurrent_reactions_count_once_each,
            a_member_who_is_sent_away_says_nothing_after_it,
        );
    };
}

use std::sync::Arc;

use backplane::{Epoch, Position, Timestamp};
use bytes::Bytes;

use super::{Fresh, ROUNDS};
use crate::{
    Act, Answer, Appended, ClientId, ConversationId, Device, DeviceId, ErrorKind, Event, Founded,
    GroupId, HistoryStart, LogRead, MAX_ABOUT, MAX_BODY, MAX_REACTIONS, Member, Message, MessageId,
    MessageLog, MessageRef, NewEvent, NewGroup, Owed, Page, Reaction, Reactions, Receipt, Refusal,
    Role, START, Seek, Stamp, Told, Unread, UnreadAsk, UserId, Viewer, What, Windows,
};

const ANN: UserId = UserId::new((1 << 53) + 1);
const BOB: UserId = UserId::new(2);
const CAT: UserId = UserId::new(u64::MAX);
const DAN: UserId = UserId::new(0);

const GROUP: GroupId = GroupId::new((1 << 53) + 1);
const TALK: ConversationId = ConversationId::Group(GROUP);

const fn id(raw: u64) -> MessageId {
    MessageId::new(raw)
}

/// A time that says which event it is of.
fn at(raw: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + raw)
}

fn stamp(raw: u64) -> Stamp {
    Stamp {
        id: id(raw),
        at: at(raw),
    }
}

fn phone(user: UserId) -> Device {
    Device::new(user, DeviceId::new(1))
}

fn direct() -> ConversationId {
    ConversationId::direct(ANN, BOB)
}

fn key(text: &str) -> ClientId {
    text.parse().unwrap()
}

fn reaction(text: &str) -> Reaction {
    text.parse().unwrap()
}

/// `user` does `act` by their phone, as event `raw`.
fn does(talk: ConversationId, user: UserId, raw: u64, act: Act) -> NewEvent {
    NewEvent::new(talk, id(raw), at(raw), Some(phone(user)), act)
}

/// The application does it.
fn done(talk: ConversationId, raw: u64, act: Act) -> NewEvent {
    NewEvent::new(talk, id(raw), at(raw), None, act)
}

fn says(talk: ConversationId, user: UserId, raw: u64) -> NewEvent {
    does(talk, user, raw, Act::Message(words(raw)))
}

fn words(raw: u64) -> Bytes {
    Bytes::from(format!("message {raw}"))
}

fn join(user: UserId) -> Act {
    Act::Join {
        user,
        role: Role::Member,
    }
}

/// Founds [`GROUP`] by Ann, with Bob, as event 1.
async fn found(log: &dyn MessageLog) -> Receipt {
    found_as(log, NewGroup::new(GROUP, Some(ANN)).with_members([BOB])).await
}

async fn found_as(log: &dyn MessageLog, group: NewGroup) -> Receipt {
    match log.found(&[(group, stamp(1))]).await.unwrap()[0] {
        Founded::New(receipt) => receipt,
        Founded::Existing => panic!("the log was not empty"),
    }
}

async fn append(log: &dyn MessageLog, event: NewEvent) -> Appended {
    log.append(&[event]).await.unwrap()[0]
}

/// Appends what cannot be refused, and answers where it is.
async fn stored(log: &dyn MessageLog, event: NewEvent) -> MessageRef {
    match append(log, event).await {
        Appended::Stored { receipt, .. } => MessageRef {
            seq: receipt.position.offset,
            id: receipt.id,
        },
        other => panic!("{other:?}"),
    }
}

async fn refusal(log: &dyn MessageLog, event: NewEvent) -> Refusal {
    match append(log, event).await {
        Appended::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

async fn answer(log: &dyn MessageLog, read: LogRead) -> Answer {
    log.read(&[read]).await.unwrap().remove(0)
}

async fn page(log: &dyn MessageLog, read: LogRead) -> Page {
    match answer(log, read).await {
        Answer::Page(page) => page,
        other => panic!("{other:?}"),
    }
}

/// All that `viewer` may read.
async fn all(log: &dyn MessageLog, talk: ConversationId, viewer: Viewer) -> Vec<Event> {
    let read = LogRead::new(talk, viewer, Seek::After(START), usize::MAX);
    page(log, read).await.events
}

/// The numbers of all that `user` may read.
async fn seqs(log: &dyn MessageLog, talk: ConversationId, user: UserId) -> Vec<u64> {
    numbers(&all(log, talk, Viewer::User(user)).await)
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

/// What the event at `seq` reads for `user`.
async fn what(log: &dyn MessageLog, talk: ConversationId, user: UserId, seq: u64) -> What {
    let events = all(log, talk, Viewer::User(user)).await;
    let event = events.into_iter().find(|event| event.seq == seq);
    event.unwrap().what
}

/// The message at `seq` as `user` reads it.
async fn message(log: &dyn MessageLog, talk: ConversationId, user: UserId, seq: u64) -> Message {
    match what(log, talk, user, seq).await {
        What::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

async fn epoch(log: &dyn MessageLog, talk: ConversationId) -> Epoch {
    let read = LogRead::new(talk, Viewer::Application, Seek::Latest, 1);
    page(log, read).await.epoch
}

/// The place `offset` in the epoch of `talk`.
async fn place(log: &dyn MessageLog, talk: ConversationId, offset: u64) -> Position {
    Position::new(epoch(log, talk).await, offset)
}
