//! A record as bytes, for stores that compare and replace them.
//!
//! All numbers are big endian. The format `u8`; the versions of what others see and of what the user sees, `u64`
//! each; the mode `u8`, and that with an end, if any, `u8` and `u64`; the last activity, the last that may be shown,
//! and since when the user is visible; what others see: status `u8`, activity, whether that is now; what the user
//! sees: mode `u8`, end, and the same; and of each node its lease and sequence, the same of its state, and the two
//! numbers of its news. A time that may be missing is 0, or 1 and a `u64`.

use backplane::{FencingToken, Timestamp};
use smallvec::SmallVec;

use super::{News, Part, UserRecord};
use crate::{
    Error, ErrorKind, Result, UserId,
    presence::{Mode, OwnPresence, PresenceState, Published, Setting, Status, Version},
};

const FORMAT: u8 = 1;

impl UserRecord {
    /// The record as bytes, but for whose it is. They begin with a byte for the format, which is 1; after it
    /// come the versions of [`published`](Self::published) and of [`own`](Self::own), eight bytes each, big endian.
    ///
    /// ```
    /// use chat_core::{UserId, presence::UserRecord};
    /// let record = UserRecord::new(UserId::new(1));
    /// assert_eq!(UserRecord::decode(UserId::new(1), &record.encode())?, record);
    /// # Ok::<(), chat_core::Error>(())
    /// ```
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96 + 48 * self.parts.len());
        bytes.push(FORMAT);
        put(&mut bytes, self.published.version.get());
        put(&mut bytes, self.own.version.get());
        bytes.push(mode_code(self.mode));
        match self.timed {
            Some((mode, until)) => {
                bytes.extend([1, mode_code(mode)]);
                put(&mut bytes, until.as_millis());
            }
            None => bytes.push(0),
        }
        put_time(&mut bytes, self.last_active);
        put_time(&mut bytes, self.shown_active);
        put(&mut bytes, self.visible_from.as_millis());
        put_state(&mut bytes, &self.published.state);
        bytes.push(mode_code(self.own.setting.mode));
        put_time(&mut bytes, self.own.setting.until);
        put_state(&mut bytes, &self.own.state);
        for part in &self.parts {
            put(&mut bytes, part.lease.get());
            put(&mut bytes, part.sequence);
            put_state(&mut bytes, &part.state);
            put(&mut bytes, part.news.others);
            put(&mut bytes, part.news.own);
        }
        bytes
    }

    /// The record of `user` that [`encode`](Self::encode) gave.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] if it did not give these bytes.
    pub fn decode(user: UserId, bytes: &[u8]) -> Result<Self> {
        let record = read(user, &mut Bytes(bytes));
        record.ok_or_else(|| Error::bare(ErrorKind::Corrupt, "decode a record of presence"))
    }
}

fn read(user: UserId, bytes: &mut Bytes<'_>) -> Option<UserRecord> {
    if bytes.byte()? != FORMAT {
        return None;
    }
    let versions = [Version::new(bytes.number()?), Version::new(bytes.number()?)];
    let mode = bytes.mode()?;
    let timed = match bytes.byte()? {
        0 => None,
        1 => Some((bytes.mode()?, bytes.time()?)),
        _ => return None,
    };
    let (last_active, shown_active) = (bytes.maybe_time()?, bytes.maybe_time()?);
    let visible_from = bytes.time()?;
    let published = Published::new(user, versions[0], bytes.state()?);
    let setting = Setting {
        mode: bytes.mode()?,
        until: bytes.maybe_time()?,
    };
    let own = OwnPresence::new(user, versions[1], setting, bytes.state()?);
    let mut parts = SmallVec::<[Part; 1]>::new();
    while !bytes.0.is_empty() {
        let part = bytes.part()?;
        // They are in order, and each lease is there once.
        if parts.last().is_some_and(|last| last.lease >= part.lease) {
            return None;
        }
        parts.push(part);
    }
    Some(UserRecord {
        user,
        mode,
        timed,
        parts,
        last_active,
        shown_active,
        visible_from,
        published,
        own,
        is_set_back: false,
    })
}

fn put(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend(number.to_be_bytes());
}

fn put_time(bytes: &mut Vec<u8>, time: Option<Timestamp>) {
    bytes.push(u8::from(time.is_some()));
    if let Some(time) = time {
        put(bytes, time.as_millis());
    }
}

fn put_state(bytes: &mut Vec<u8>, state: &PresenceState) {
    bytes.push(match state.status {
        Status::Offline => 0,
        Status::Away => 1,
        Status::Online => 2,
        Status::DoNotDisturb => 3,
    });
    put_time(bytes, state.last_active);
    bytes.push(u8::from(state.is_active));
}

const fn mode_code(mode: Mode) -> u8 {
    match mode {
        Mode::Automatic => 0,
        Mode::Away => 1,
        Mode::DoNotDisturb => 2,
        Mode::Invisible => 3,
    }
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*first))
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.number().map(Timestamp::from_millis)
    }

    #[expect(
        clippy::option_option,
        reason = "a time that is missing is no missing byte"
    )]
    fn maybe_time(&mut self) -> Option<Option<Timestamp>> {
        if self.flag()? {
            return self.time().map(Some);
        }
        Some(None)
    }

    fn mode(&mut self) -> Option<Mode> {
        match self.byte()? {
            0 => Some(Mode::Automatic),
            1 => Some(Mode::Away),
            2 => Some(Mode::DoNotDisturb),
            3 => Some(Mode::Invisible),
            _ => None,
        }
    }

    fn state(&mut self) -> Option<PresenceState> {
        let status = match self.byte()? {
            0 => Status::Offline,
            1 => Status::Away,
            2 => Status::Online,
            3 => Status::DoNotDisturb,
            _ => return None,
        };
        Some(PresenceState {
            status,
            last_active: self.maybe_time()?,
            is_active: self.flag()?,
        })
    }

    fn part(&mut self) -> Option<Part> {
        Some(Part {
            lease: FencingToken::new(self.number()?),
            sequence: self.number()?,
            state: self.state()?,
            news: News {
                others: self.number()?,
                own: self.number()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};

    use super::*;
    use crate::presence::Report;

    const ANN: UserId = UserId::new(7);

    fn any_state() -> impl Strategy<Value = PresenceState> {
        let statuses = [
            Status::Offline,
            Status::Away,
            Status::Online,
            Status::DoNotDisturb,
        ];
        let status = select(statuses.to_vec());
        (status, option::of(any::<u64>()), any::<bool>()).prop_map(|(status, at, is_active)| {
            PresenceState::new(status, at.map(Timestamp::from_millis), is_active)
        })
    }

    fn any_setting() -> impl Strategy<Value = Setting> {
        let modes = [
            Mode::Automatic,
            Mode::Away,
            Mode::DoNotDisturb,
            Mode::Invisible,
        ];
        (select(modes.to_vec()), option::of(any::<u64>())).prop_map(|(mode, until)| Setting {
            mode,
            until: until.map(Timestamp::from_millis),
        })
    }

    /// Somebody of whom several nodes have reported and who has set something in between.
    fn any_record() -> impl Strategy<Value = UserRecord> {
        let report = (any::<u64>(), any::<u64>(), any_state());
        let step = (report, any_setting(), any::<u64>());
        vec(step, 0..5).prop_map(|steps| {
            let (mut record, mut last) = (UserRecord::new(ANN), 0);
            let mut next = || {
                last += 1;
                Version::new(last)
            };
            for ((lease, sequence, state), setting, now) in steps {
                let (lease, now) = (FencingToken::new(lease), Timestamp::from_millis(now));
                record.report(lease, &Report::new(ANN, sequence, state), now, &mut next);
                record.set(setting, now);
                record.settle(now, &mut next);
            }
            record
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(record in any_record()) {
            let bytes = record.encode();
            prop_assert_eq!(UserRecord::decode(ANN, &bytes).unwrap(), record);
        }

        #[test]
        fn bytes_are_a_record_of_their_own_or_none(bytes in vec(any::<u8>(), 0..200)) {
            if let Ok(record) = UserRecord::decode(ANN, &bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }

        #[test]
        fn a_record_that_was_cut_is_none(record in any_record(), cut in any::<prop::sample::Index>()) {
            let bytes = record.encode();
            let cut = cut.index(bytes.len());
            // What ends with a whole node is one of fewer nodes.
            if let Ok(shorter) = UserRecord::decode(ANN, &bytes[..cut]) {
                prop_assert_eq!(shorter.encode(), &bytes[..cut]);
                prop_assert!(shorter.parts.len() < record.parts.len());
            }
        }
    }

    #[test]
    fn a_record_lies_in_a_store_as_it_always_has() {
        let mut record = UserRecord::new(ANN);
        let at = |millis| Some(Timestamp::from_millis(millis));
        record.set(
            Setting::new(Mode::Away).until(Timestamp::from_millis(0x50)),
            Timestamp::from_millis(2),
        );
        let state = PresenceState::new(Status::Online, at(0x40), true);
        let mut last = 0x0102;
        record.report(
            FencingToken::new(9),
            &Report::new(ANN, 3, state),
            Timestamp::from_millis(3),
            || {
                last += 1;
                Version::new(last)
            },
        );
        let number = u64::to_be_bytes;
        let expected = [
            &[1][..],
            &number(0x0103),
            &number(0x0104),
            &[0, 1, 1],
            &number(0x50),
            &[1],
            &number(0x40),
            &[1],
            &number(0x40),
            &number(0),
            &[1, 1],
            &number(0x40),
            &[0, 1, 1],
            &number(0x50),
            &[1, 1],
            &number(0x40),
            &[0],
            &number(9),
            &number(3),
            &[2, 1],
            &number(0x40),
            &[1],
            &number(3),
            &number(3),
        ]
        .concat();
        assert_eq!(record.encode(), expected);
        let damaged = [&[2], &expected[1..]].concat();
        for bytes in [&expected[..20], &damaged, b"stranger"] {
            let refused = UserRecord::decode(ANN, bytes).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt);
        }
    }
}
