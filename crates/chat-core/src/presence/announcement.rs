use backplane::{Timestamp, Topic};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Mode, OwnPresence, PresenceState, Published, Setting, Status, Version};
use crate::{Error, ErrorKind, Result, UserId};

/// What is said on the topics of presence.
///
/// It is 30 bytes, or 40 to the user themself, and carries the whole state: whoever misses one is right again with the
/// next, and of two the one with the greater version is the later.
///
/// ```
/// use chat_core::{UserId, presence::{Announcement, PresenceState, Published, Status, Version}};
/// let here = PresenceState::new(Status::Online, None, true);
/// let said = Announcement::Published(Published::new(UserId::new(1), Version::new(7), here));
/// assert_eq!(Announcement::decode(said.encode())?, said);
/// # Ok::<(), chat_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Announcement {
    /// To others.
    Published(Published),
    /// To the user's own devices.
    Own(OwnPresence),
}

/// The first byte: which form, so that another can follow.
const PUBLISHED: u8 = 1;
const OWN: u8 = 2;

/// Stands for no instant.
const NEVER: u64 = u64::MAX;

impl Announcement {
    /// The topic of what others see of `user`: one message for all friends.
    #[must_use]
    pub fn topic(user: UserId) -> Topic {
        topic(&format!("presence:{user}"))
    }

    /// The topic of what `viewer` alone sees of `user`.
    #[must_use]
    pub fn pair_topic(user: UserId, viewer: UserId) -> Topic {
        topic(&format!("presence:{user}:{viewer}"))
    }

    /// The topic of what `user` sees of themself. Nobody else may subscribe to it.
    #[must_use]
    pub fn own_topic(user: UserId) -> Topic {
        topic(&format!("presence-own:{user}"))
    }

    /// The payload of a message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(40);
        match self {
            Self::Published(published) => {
                bytes.put_u8(PUBLISHED);
                put_state(
                    &mut bytes,
                    published.user,
                    published.version,
                    &published.state,
                );
            }
            Self::Own(own) => {
                bytes.put_u8(OWN);
                put_state(&mut bytes, own.user, own.version, &own.state);
                bytes.put_u8(own.setting.mode as u8);
                bytes.put_u64(own.setting.until.map_or(NEVER, Timestamp::as_millis));
            }
        }
        bytes.freeze()
    }

    /// Reads the payload of a message.
    ///
    /// # Errors
    ///
    /// `Corrupt` if it is none, or one of a later release.
    pub fn decode(payload: Bytes) -> Result<Self> {
        let corrupt = || Error::bare(ErrorKind::Corrupt, "decode an announcement");
        read(payload).ok_or_else(corrupt)
    }
}

fn topic(name: &str) -> Topic {
    name.parse()
        .expect("a short name without control characters")
}

fn put_state(bytes: &mut BytesMut, user: UserId, version: Version, state: &PresenceState) {
    bytes.put_u64(user.get());
    bytes.put_u64(version.get());
    bytes.put_u8(state.status as u8);
    bytes.put_u8(u8::from(state.is_active));
    bytes.put_u64(state.last_active.map_or(NEVER, Timestamp::as_millis));
}

fn read(mut payload: Bytes) -> Option<Announcement> {
    let form = payload.try_get_u8().ok()?;
    let user = UserId::new(payload.try_get_u64().ok()?);
    let version = Version::new(payload.try_get_u64().ok()?);
    let status = match payload.try_get_u8().ok()? {
        0 => Status::Offline,
        1 => Status::Away,
        2 => Status::Online,
        3 => Status::DoNotDisturb,
        _ => return None,
    };
    let is_active = payload.try_get_u8().ok()? == 1;
    let state = PresenceState::new(status, instant(payload.try_get_u64().ok()?), is_active);
    let announcement = match form {
        PUBLISHED => Announcement::Published(Published::new(user, version, state)),
        OWN => {
            let mode = match payload.try_get_u8().ok()? {
                0 => Mode::Automatic,
                1 => Mode::Away,
                2 => Mode::DoNotDisturb,
                3 => Mode::Invisible,
                _ => return None,
            };
            let mut setting = Setting::new(mode);
            setting.until = instant(payload.try_get_u64().ok()?);
            Announcement::Own(OwnPresence::new(user, version, setting, state))
        }
        _ => return None,
    };
    payload.is_empty().then_some(announcement)
}

fn instant(millis: u64) -> Option<Timestamp> {
    (millis != NEVER).then(|| Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    const STATUSES: [Status; 4] = [
        Status::Offline,
        Status::Away,
        Status::Online,
        Status::DoNotDisturb,
    ];
    const MODES: [Mode; 4] = [
        Mode::Automatic,
        Mode::Away,
        Mode::DoNotDisturb,
        Mode::Invisible,
    ];

    proptest! {
        #[test]
        fn reads_what_it_writes_and_nothing_cut_short(
            (user, version) in any::<(u64, u64)>(),
            (status, mode) in (select(STATUSES.to_vec()), select(MODES.to_vec())),
            (last, until) in any::<(Option<u32>, Option<u32>)>(),
            is_active in any::<bool>(),
            is_own in any::<bool>(),
        ) {
            let instant = |millis: Option<u32>| millis.map(|millis| Timestamp::from_millis(millis.into()));
            let (user, version) = (UserId::new(user), Version::new(version));
            let state = PresenceState::new(status, instant(last), is_active);
            let setting = Setting { mode, until: instant(until) };
            let said = if is_own {
                Announcement::Own(OwnPresence::new(user, version, setting, state))
            } else {
                Announcement::Published(Published::new(user, version, state))
            };
            let payload = said.encode();
            prop_assert_eq!(Announcement::decode(payload.clone()).unwrap(), said);
            for len in 0..payload.len() {
                prop_assert!(Announcement::decode(payload.slice(..len)).is_err());
            }
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(said) = Announcement::decode(bytes.clone().into()) {
                prop_assert_eq!(said.encode().len(), bytes.len());
            }
        }
    }
}
