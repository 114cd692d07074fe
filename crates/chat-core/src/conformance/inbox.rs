//! Cases that every [`Inbox`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod change;
mod copy;
mod cursor;
mod race;

pub use change::*;
pub use copy::*;
pub use cursor::*;
pub use race::*;

/// One test per guarantee of [`Inbox`](crate::Inbox), over the empty inboxes that `$fresh` makes: with
/// queues of 10 copies.
#[macro_export]
macro_rules! inbox_conformance {
    ($fresh:expr) => {
        $crate::conformance::conformance_cases!(inbox_conformance, [$crate::conformance::inbox], $fresh =>
            who_is_enrolled_learns_of_a_conversation,
            a_mark_is_for_everybody_who_is_enrolled,
            nobody_else_learns_of_it,
            changes_are_read_in_pages,
            pages_miss_nothing_beside_marks,
            who_knows_everything_learns_nothing,
            a_position_of_another_epoch_knows_nothing,
            tops_only_move_forward,
            another_epoch_takes_the_place_of_the_old_one,
            who_is_enrolled_again_is_marked,
            who_is_withdrawn_is_marked_no_more,
            who_comes_back_is_marked_again,
            who_comes_and_goes_is_told_late_and_in_any_order,
            entries_answer_in_order,
            ids_and_positions_are_exact,
            copies_come_with_the_change,
            copies_are_told_by_conversation,
            a_copy_is_put_once,
            a_queue_is_bounded_and_its_changes_are_not,
            what_was_deleted_is_taken_out_of_the_queue,
            copies_of_another_epoch_are_left_out,
            a_delivery_enrolls_nobody_for_marks,
            cursors_only_move_forward,
            a_device_moves_its_own_cursor,
            what_is_read_is_received,
            reading_is_a_change_and_receiving_is_none,
            a_cursor_follows_the_epoch,
            cursors_need_a_conversation,
            a_device_is_forgotten,
            a_reader_beside_marks_misses_none,
            a_reader_beside_deliveries_misses_none,
            concurrent_cursors_end_at_the_furthest,
        );
    };
}

use std::{collections::BTreeMap, sync::Arc};

use backplane::{Epoch, Position, Timestamp};

use super::{Fresh, ROUNDS};
use crate::{
    Advance, Advanced, ConversationId, Cursor, Device, DeviceId, Event, GroupId, Inbox, InboxEntry,
    InboxPage, Message, MessageId, MessageRef, START, UserId, What,
};

const ANN: UserId = UserId::new((1 << 53) + 1);
const BOB: UserId = UserId::new(0);
const CAT: UserId = UserId::new(u64::MAX);

const ONE: ConversationId = ConversationId::Group(GroupId::new(1));
const TWO: ConversationId = ConversationId::Group(GroupId::new(u64::MAX));

/// The place `seq` in the epoch of all conversations here.
const fn at(seq: u64) -> Position {
    Position::new(Epoch::new(7), seq)
}

/// The place `seq` in another.
const fn elsewhere(seq: u64) -> Position {
    Position::new(Epoch::new(u64::MAX), seq)
}

fn phone(user: UserId) -> Device {
    Device::new(user, DeviceId::new(1))
}

fn tablet(user: UserId) -> Device {
    Device::new(user, DeviceId::new(u64::MAX))
}

fn said(seq: u64) -> Event {
    let what = What::Message(Message::new(seq.to_string().into()));
    Event::new(seq, MessageId::new(seq), Timestamp::EPOCH, None, None, what)
}

/// An event that edits the one at `target`.
fn edits(seq: u64, target: u64) -> Event {
    let target = MessageRef {
        seq: target,
        id: MessageId::new(target),
    };
    let body = Some("edited".into());
    let what = What::Edit { target, body };
    Event::new(seq, MessageId::new(seq), Timestamp::EPOCH, None, None, what)
}

async fn enroll(inbox: &dyn Inbox, talk: ConversationId, users: &[UserId], seq: u64) {
    inbox.enroll(talk, users, at(seq)).await.unwrap();
}

async fn mark(inbox: &dyn Inbox, talk: ConversationId, seq: u64) {
    inbox.mark(&[(talk, at(seq))]).await.unwrap();
}

async fn deliver(inbox: &dyn Inbox, talk: ConversationId, users: &[UserId], events: &[Event]) {
    let top = events.last().unwrap().seq;
    inbox.deliver(talk, users, at(top), events).await.unwrap();
}

/// All changes since `since`.
async fn page(inbox: &dyn Inbox, user: UserId, since: Position) -> InboxPage {
    inbox.changes(user, since, usize::MAX).await.unwrap()
}

/// Where a reader stands who knows everything.
async fn caught_up(inbox: &dyn Inbox, user: UserId) -> Position {
    page(inbox, user, START).await.through
}

/// The conversations that changed since `since`, and where they end.
async fn tops(
    inbox: &dyn Inbox,
    user: UserId,
    since: Position,
) -> BTreeMap<ConversationId, Position> {
    let entries = page(inbox, user, since).await.entries;
    entries
        .iter()
        .map(|entry| (entry.conversation, entry.top))
        .collect()
}

async fn copies(
    inbox: &dyn Inbox,
    user: UserId,
    since: Position,
    talk: ConversationId,
) -> Vec<u64> {
    let entries = page(inbox, user, since).await.entries;
    let entry = entries.iter().find(|entry| entry.conversation == talk);
    entry.map_or_else(Vec::new, |entry| {
        entry.copies.iter().map(|copy| copy.seq).collect()
    })
}

async fn entry(inbox: &dyn Inbox, user: UserId, talk: ConversationId) -> Option<InboxEntry> {
    inbox.entries(&[(user, talk)]).await.unwrap().remove(0)
}

async fn advance(
    inbox: &dyn Inbox,
    device: Device,
    cursor: Cursor,
    talk: ConversationId,
    to: Position,
) -> Advanced {
    let advance = Advance {
        device,
        conversation: talk,
        cursor,
        to,
    };
    inbox.advance(&[advance]).await.unwrap()[0]
}

async fn received(inbox: &dyn Inbox, device: Device, talk: ConversationId) -> Position {
    inbox.received(&[(device, talk)]).await.unwrap()[0]
}
