use backplane::id::{Bits, Parts};
use proptest::prelude::*;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn discord() -> TimeBuckets {
    TimeBuckets::new(Layout::DISCORD, TimeBuckets::TEN_DAYS).unwrap()
}

fn floor(buckets: &TimeBuckets, time: u64) -> MessageId {
    let floor = buckets.layout.floor(Timestamp::from_millis(time));
    floor.unwrap().into()
}

#[test]
fn a_published_message_lies_where_its_author_puts_it() {
    // (175928847299117063 >> 22) / (1000 * 60 * 60 * 24 * 10)
    let bucket = discord().of(MessageId::new(175_928_847_299_117_063));
    assert_eq!(bucket, Ok(Bucket::new(48)));
}

#[test]
fn a_bucket_begins_and_ends_on_the_millisecond() {
    let (buckets, epoch) = (discord(), Layout::DISCORD.epoch().as_millis());
    let width = 864_000_000;
    for number in [1, 48, 5_089] {
        let start = epoch + number * width;
        let at = |time| buckets.at(Timestamp::from_millis(time)).unwrap().get();
        assert_eq!((at(start - 1), at(start)), (number - 1, number));
        assert_eq!(
            (at(start + width - 1), at(start + width)),
            (number, number + 1)
        );
        let ids = buckets.ids(Bucket::new(number)).unwrap();
        assert_eq!(*ids.start(), floor(&buckets, start));
        assert_eq!(ids.end().get() + 1, floor(&buckets, start + width).get());
    }
}

#[test]
fn the_last_bucket_ends_with_the_layout() {
    let buckets = discord();
    let (least, greatest) = (MessageId::new(0), MessageId::new(u64::MAX));
    let last = buckets.of(greatest).unwrap();
    assert_eq!(buckets.at(Layout::DISCORD.end()), Ok(last));
    assert_eq!(buckets.ids(last).map(|ids| *ids.end()), Some(greatest));
    assert_eq!(buckets.ids(Bucket::new(last.get() + 1)), None);
    let wraps = u64::MAX / 864_000_000 + 1;
    assert_eq!(buckets.ids(Bucket::new(wraps)), None);
    assert_eq!(buckets.of(least), Ok(Bucket::new(0)));

    let span = buckets.span(Timestamp::EPOCH, Timestamp::from_millis(u64::MAX));
    assert_eq!(span.newest().next(), Some(last));
    assert_eq!(span.oldest().next(), Some(Bucket::new(0)));
    assert_eq!(span.before(least).unwrap().next(), None);
    assert_eq!(span.after(greatest).unwrap().next(), None);
    assert_eq!(span.after(least).unwrap().next(), Some(Bucket::new(0)));
    assert_eq!(span.before(greatest).unwrap().next(), Some(last));
}

#[test]
fn a_time_or_an_id_of_no_bucket_is_an_error() {
    let buckets = discord();
    let before = buckets.at(Timestamp::EPOCH);
    assert_eq!(before, Err(PartsError::BeforeEpoch));
    let after = buckets.at(Timestamp::from_millis(u64::MAX));
    assert_eq!(after, Err(PartsError::AfterEnd));

    let buckets = TimeBuckets::new(Layout::TWITTER, DAY).unwrap();
    let foreign = MessageId::new(1 << 63);
    let span = buckets.span(Layout::TWITTER.epoch(), Layout::TWITTER.end());
    assert_eq!(buckets.of(foreign), Err(PartsError::Foreign));
    assert!(span.before(foreign).is_err() && span.after(foreign).is_err());
    // The id before it is the last of the layout.
    let last = MessageId::new((1 << 63) - 1);
    assert_eq!(span.after(last).unwrap().next(), None);
}

#[test]
fn a_width_that_ids_cannot_tell_is_refused() {
    let unit = Duration::from_millis(10);
    let bits = Bits {
        time: 39,
        node: 16,
        sequence: 8,
    };
    let layout = Layout::new(Timestamp::EPOCH, unit, bits);
    for width in [
        Duration::ZERO,
        Duration::from_millis(15),
        Duration::from_nanos(10_000_001),
        Duration::MAX,
    ] {
        let refused = TimeBuckets::new(layout, width).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{width:?}");
    }
    assert!(TimeBuckets::new(layout, unit).is_ok());
}

#[test]
fn a_conversation_from_the_future_has_one_bucket() {
    let (created, now) = (Timestamp::from_millis(1_500_000_000_000), Timestamp::EPOCH);
    assert_eq!(discord().span(created, now).newest().count(), 1);
}

#[test]
fn the_first_id_of_a_bucket_has_nothing_before_it_there() {
    let buckets = discord();
    let span = buckets.span(Layout::DISCORD.epoch(), Layout::DISCORD.end());
    let ids = buckets.ids(Bucket::new(48)).unwrap();
    let numbers = |walk: BucketWalk| walk.map(Bucket::get).next();
    assert_eq!(numbers(span.before(*ids.start()).unwrap()), Some(47));
    assert_eq!(numbers(span.after(*ids.start()).unwrap()), Some(48));
    assert_eq!(numbers(span.before(*ids.end()).unwrap()), Some(48));
    assert_eq!(numbers(span.after(*ids.end()).unwrap()), Some(49));
}

/// Buckets over layouts with and without a node, of which some end within a bucket.
fn any_buckets() -> impl Strategy<Value = TimeBuckets> {
    let layouts = (8..=12_u8, 0..=4_u8, 0..=4_u8, 0..5_000_u64, 1..=20_u64);
    (layouts, 1..=60_u64).prop_map(|((time, node, sequence, epoch, unit), width)| {
        let bits = Bits {
            time,
            node,
            sequence,
        };
        let (epoch, unit) = (Timestamp::from_millis(epoch), Duration::from_millis(unit));
        let layout = Layout::new(epoch, unit, bits);
        let width = unit * u32::try_from(width).expect("small");
        TimeBuckets::new(layout, width).expect("a multiple")
    })
}

fn any_id(buckets: &TimeBuckets) -> impl Strategy<Value = MessageId> + use<> {
    let layout = buckets.layout;
    let greatest = layout.ceiling(layout.end()).unwrap().get();
    prop_oneof![Just(0), Just(greatest), 0..=greatest].prop_map(MessageId::new)
}

fn any_time(buckets: &TimeBuckets) -> impl Strategy<Value = Timestamp> + use<> {
    let end = buckets.layout.end().as_millis();
    (0..=end + 1_000).prop_map(Timestamp::from_millis)
}

proptest! {
    #[test]
    fn every_id_is_in_exactly_one_bucket(
        (buckets, id) in any_buckets().prop_flat_map(|buckets| (Just(buckets), any_id(&buckets))),
    ) {
        let Parts { time, .. } = buckets.layout.decode(id.into()).unwrap();
        let bucket = buckets.of(id).unwrap();
        prop_assert_eq!(buckets.at(time), Ok(bucket));
        let all = (0..).map_while(|number| buckets.ids(Bucket::new(number)));
        let holding: Vec<_> = all.enumerate().filter(|(_, ids)| ids.contains(&id)).collect();
        prop_assert_eq!(holding.len(), 1);
        prop_assert_eq!(holding[0].0 as u64, bucket.get());
    }

    #[test]
    fn buckets_adjoin_and_cover_the_layout(buckets in any_buckets()) {
        let all = (0..).map_while(|number| buckets.ids(Bucket::new(number)));
        let mut next = 0;
        for ids in all {
            prop_assert_eq!(ids.start().get(), next);
            next = ids.end().get() + 1;
        }
        let end = buckets.layout.ceiling(buckets.layout.end()).unwrap();
        prop_assert_eq!(next, end.get() + 1);
    }

    /// Against looking at every bucket there is.
    #[test]
    fn a_walk_visits_each_bucket_that_may_have_messages_once_and_in_order(
        (buckets, id, created, newest) in any_buckets().prop_flat_map(|buckets| {
            let (id, time) = (any_id(&buckets), any_time(&buckets));
            (Just(buckets), id, time, any_time(&buckets))
        }),
    ) {
        let span = buckets.span(created, newest);
        let (first, last) = (span.first.get(), span.last.get());
        let holds = |some: &dyn Fn(MessageId) -> bool| {
            let all = (first..=last).filter_map(|number| Some((number, buckets.ids(Bucket::new(number))?)));
            all.filter(|(_, ids)| some(*ids.start()) || some(*ids.end()))
                .map(|(number, _)| number)
                .collect::<Vec<_>>()
        };
        let visited = |walk: BucketWalk| walk.map(Bucket::get).collect::<Vec<_>>();
        let mut before = visited(span.before(id).unwrap());
        before.reverse();
        prop_assert_eq!(before, holds(&|other| other < id));
        prop_assert_eq!(visited(span.after(id).unwrap()), holds(&|other| other > id));
        let mut newest_first = visited(span.newest());
        prop_assert_eq!(&visited(span.oldest()), &holds(&|_| true));
        newest_first.reverse();
        prop_assert_eq!(newest_first, holds(&|_| true));
    }

    #[test]
    fn what_a_conversation_can_hold_is_in_its_span(
        (buckets, created, newest) in any_buckets()
            .prop_flat_map(|buckets| (Just(buckets), any_time(&buckets), any_time(&buckets))),
        between in 0.0..=1.0_f64,
    ) {
        let (created, newest) = (created.min(newest), created.max(newest));
        let span = buckets.span(created, newest);
        let lifetime = newest.saturating_since(created).mul_f64(between);
        let Ok(bucket) = buckets.at(created.saturating_add(lifetime)) else { return Ok(()) };
        prop_assert!((span.first..=span.last).contains(&bucket));
    }
}
