//! What holds for all [`SequenceMarks`].
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

use std::sync::Arc;

use backplane::{
    Epoch,
    conformance::{Fresh, ROUNDS},
};

use crate::{
    ConversationId, GroupId,
    sequencer::{MarkReplaced, SequenceMark, SequenceMarks},
};

/// One test per case, over the store without marks that `$fresh` makes.
#[macro_export]
macro_rules! sequence_marks_conformance {
    ($fresh:expr) => {
        ::backplane::conformance_cases!(sequence_marks_conformance, [$crate::conformance::sequence_marks], $fresh =>
            starts_without_a_mark,
            a_replaced_mark_is_read_back,
            a_mark_that_moved_is_left_alone,
            every_part_of_a_mark_is_compared,
            conversations_have_marks_of_their_own,
            one_of_many_concurrent_replacements_wins,
            extreme_marks_survive,
        );
    };
}

const HERE: ConversationId = ConversationId::Group(GroupId::new(1));

const fn mark(until: u64, holder: u64) -> SequenceMark {
    SequenceMark {
        epoch: Epoch::new(7),
        until,
        settled: 0,
        holder,
    }
}

const fn moved(mark: Option<SequenceMark>) -> MarkReplaced {
    MarkReplaced::Moved { mark }
}

/// A conversation that was never written has no mark.
pub async fn starts_without_a_mark(fresh: &Fresh<dyn SequenceMarks>) {
    assert_eq!(fresh.store.load(HERE).await.unwrap(), None);
}

/// A mark that was replaced, forward or back, is the mark that is read.
pub async fn a_replaced_mark_is_read_back(fresh: &Fresh<dyn SequenceMarks>) {
    let mut standing = None;
    for next in [mark(100, 1), mark(200, 1), mark(150, 1)] {
        let replaced = fresh.store.replace(HERE, standing, next).await.unwrap();
        assert_eq!(replaced, MarkReplaced::Done);
        standing = Some(next);
        assert_eq!(fresh.store.load(HERE).await.unwrap(), standing);
    }
}

/// A replacement that expects another mark changes nothing and returns the one that stands.
pub async fn a_mark_that_moved_is_left_alone(fresh: &Fresh<dyn SequenceMarks>) {
    let replace = async |expected, until| {
        let replaced = fresh.store.replace(HERE, expected, mark(until, 1));
        replaced.await.unwrap()
    };
    assert_eq!(replace(Some(mark(1, 1)), 2).await, moved(None));
    replace(None, 100).await;
    for stale in [None, Some(mark(99, 1)), Some(mark(101, 1))] {
        assert_eq!(replace(stale, 200).await, moved(Some(mark(100, 1))));
    }
    assert_eq!(fresh.store.load(HERE).await.unwrap(), Some(mark(100, 1)));
}

/// Marks that differ in one part are different marks.
pub async fn every_part_of_a_mark_is_compared(fresh: &Fresh<dyn SequenceMarks>) {
    let standing = mark(100, 2);
    fresh.store.replace(HERE, None, standing).await.unwrap();
    let others = [
        SequenceMark {
            epoch: Epoch::new(8),
            ..standing
        },
        SequenceMark {
            settled: 1,
            ..standing
        },
        SequenceMark {
            holder: 1,
            ..standing
        },
    ];
    for other in others {
        let replaced = fresh.store.replace(HERE, Some(other), mark(200, 3)).await;
        assert_eq!(replaced.unwrap(), moved(Some(standing)));
    }
}

/// A mark of one conversation is not another's.
pub async fn conversations_have_marks_of_their_own(fresh: &Fresh<dyn SequenceMarks>) {
    let there = ConversationId::Group(GroupId::new(2));
    fresh.store.replace(HERE, None, mark(1, 1)).await.unwrap();
    assert_eq!(fresh.store.load(there).await.unwrap(), None);
    fresh.store.replace(there, None, mark(2, 1)).await.unwrap();
    assert_eq!(fresh.store.load(HERE).await.unwrap(), Some(mark(1, 1)));
}

/// Of concurrent replacements that expect the same mark, exactly one is done, and the others learn
/// of it.
pub async fn one_of_many_concurrent_replacements_wins(fresh: &Fresh<dyn SequenceMarks>) {
    let mut standing = None;
    for until in 1..=ROUNDS {
        let replace = |store: Arc<dyn SequenceMarks>, n| async move {
            let replaced = store.replace(HERE, standing, mark(until, n as u64));
            replaced.await.unwrap()
        };
        let outcomes = fresh.at_once(4, replace).await;
        let won = outcomes.iter().position(|one| *one == MarkReplaced::Done);
        standing = Some(mark(until, won.unwrap() as u64));
        let lost = outcomes.iter().filter(|one| **one == moved(standing));
        assert_eq!(lost.count(), 3);
        assert_eq!(fresh.store.load(HERE).await.unwrap(), standing);
    }
}

/// The least and the greatest of every part are kept exactly.
pub async fn extreme_marks_survive(fresh: &Fresh<dyn SequenceMarks>) {
    let of = |raw| SequenceMark {
        epoch: Epoch::new(raw),
        until: raw,
        settled: raw,
        holder: raw,
    };
    let mut standing = None;
    for raw in [0, u64::MAX] {
        let next = of(raw);
        fresh.store.replace(HERE, standing, next).await.unwrap();
        standing = Some(next);
        assert_eq!(fresh.store.load(HERE).await.unwrap(), standing);
    }
}
