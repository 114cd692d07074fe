use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::encoded;
use crate::{
    Act, Chat, ClientId, ConversationId, Device, DeviceId, Result, Sent, UserId,
    codec::{self, Input, Wire},
};

/// A message that its sender has encrypted for each device that is to read it. Nobody in between looks into it.
///
/// ```
/// use bytes::Bytes;
/// use chat_core::{Device, DeviceId, UserId, content::Sealed};
/// let phone = Device::new(UserId::new(2), DeviceId::new(1));
/// let body = Sealed::new([(phone, Bytes::from("ciphertext"))]).encode()?;
/// let sealed = Sealed::decode(&body)?;
/// assert_eq!(sealed.part(phone).unwrap(), "ciphertext");
/// # Ok::<(), chat_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sealed {
    parts: BTreeMap<Device, Bytes>,
}

/// Which devices users have.
#[async_trait]
pub trait Devices: fmt::Debug + Send + Sync {
    /// The devices of each user, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be found out now.
    async fn devices(&self, users: &[UserId]) -> Result<Vec<Vec<DeviceId>>>;
}

/// A message was not encrypted for the devices that members have. The sender learns of those that it did not know,
/// forgets the others, encrypts anew, and sends again under the same name.
#[derive(Clone, Debug, Default, Eq, PartialEq, thiserror::Error)]
#[error("{} devices are missing and {} are none of a member's", missing.len(), extra.len())]
#[non_exhaustive]
pub struct StaleDevices {
    /// Devices of members that it is not encrypted for.
    pub missing: Vec<Device>,
    /// Devices for which it is, and which no member has.
    pub extra: Vec<Device>,
}

impl Sealed {
    /// A message of these parts. Of two for one device the last is kept.
    pub fn new(parts: impl IntoIterator<Item = (Device, Bytes)>) -> Self {
        Self {
            parts: parts.into_iter().collect(),
        }
    }

    /// What a device is to decrypt, if there is something for it.
    #[must_use]
    pub fn part(&self, device: Device) -> Option<&Bytes> {
        self.parts.get(&device)
    }

    /// The devices that it is encrypted for.
    pub fn devices(&self) -> impl Iterator<Item = Device> + '_ {
        self.parts.keys().copied()
    }

    /// The body of the message.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OversizedBody`](crate::ErrorKind::OversizedBody) if it is longer than
    /// [`MAX_BODY`](crate::MAX_BODY).
    pub fn encode(&self) -> Result<Bytes> {
        encoded(self)
    }

    /// What a body is made of that was encoded so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if it was not.
    pub fn decode(body: &Bytes) -> Result<Self> {
        codec::decode(body.clone())
    }

    /// Compares the devices that it is encrypted for with those that it should be.
    ///
    /// # Errors
    ///
    /// Which are missing, and which are too many, both in order.
    pub fn check(&self, devices: impl IntoIterator<Item = Device>) -> Result<(), StaleDevices> {
        let wanted: BTreeSet<_> = devices.into_iter().collect();
        let has: BTreeSet<_> = self.devices().collect();
        let missing: Vec<_> = wanted.difference(&has).copied().collect();
        let extra: Vec<_> = has.difference(&wanted).copied().collect();
        if missing.is_empty() && extra.is_empty() {
            return Ok(());
        }
        Err(StaleDevices { missing, extra })
    }
}

/// A list of devices and their parts.
impl Wire for Sealed {
    fn put(&self, out: &mut Vec<u8>) {
        let parts = self.parts.iter();
        let parts: Vec<_> = parts
            .map(|(device, part)| (*device, part.clone()))
            .collect();
        parts.put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        let parts = Vec::<(Device, Bytes)>::take(input)?;
        let in_order = parts.is_sorted_by(|(one, _), (other, _)| one < other);
        in_order
            .then(|| Self::new(parts))
            .ok_or_else(Input::corrupt)
    }
}

/// How many members are looked at at once.
const CROWD: usize = 1_000;

impl Chat {
    /// Says what is encrypted for each device, if that is for all devices of all members but the one that sends it, and
    /// for no others.
    ///
    /// A device that a member gains while it is being sent cannot read it.
    ///
    /// # Errors
    ///
    /// As [`act`](Self::act), and [`Devices::devices`].
    ///
    /// # Cancel safety
    ///
    /// As [`act`](Self::act).
    pub async fn send_sealed(
        &self,
        from: Device,
        conversation: ConversationId,
        key: ClientId,
        sealed: &Sealed,
        devices: &dyn Devices,
    ) -> Result<Result<Sent, StaleDevices>> {
        let mut readers = self.devices_in(conversation, devices).await?;
        readers.retain(|device| *device != from);
        if let Err(stale) = sealed.check(readers) {
            return Ok(Err(stale));
        }
        let act = Act::Message(sealed.encode()?);
        self.act(from, conversation, key, act).await.map(Ok)
    }

    async fn devices_in(
        &self,
        conversation: ConversationId,
        devices: &dyn Devices,
    ) -> Result<Vec<Device>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (log, only_members) = (&self.parts.log, u64::MAX);
            let members = log
                .members(conversation, only_members, after, CROWD)
                .await?;
            let users: Vec<_> = members.iter().map(|member| member.user).collect();
            let of_each = devices.devices(&users).await?;
            for (user, ids) in users.iter().zip(of_each) {
                all.extend(ids.into_iter().map(|id| Device::new(*user, id)));
            }
            if users.len() < CROWD {
                return Ok(all);
            }
            after = users.last().copied();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{Error, ErrorKind};

    const fn device(user: u64, id: u64) -> Device {
        Device::new(UserId::new(user), DeviceId::new(id))
    }

    fn sealed(devices: impl IntoIterator<Item = Device>) -> Sealed {
        let part = |device: Device| (device, Bytes::from(format!("for {device:?}")));
        Sealed::new(devices.into_iter().map(part))
    }

    #[test]
    fn a_body_has_a_part_for_each_device() {
        let devices = [device(1, 1), device(2, 1), device(2, 2)];
        let body = sealed(devices).encode().unwrap();
        let decoded = Sealed::decode(&body).unwrap();
        assert_eq!(decoded, sealed(devices));
        assert_eq!(decoded.part(device(3, 1)), None);
        for cut in 0..body.len() {
            let refused = Sealed::decode(&body.slice(..cut)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt, "{cut}");
        }
    }

    #[test]
    fn stale_devices_are_named() {
        let sealed = sealed([device(1, 1), device(2, 1), device(2, 2)]);
        let all = [device(2, 2), device(1, 1), device(2, 1)];
        assert_eq!(sealed.check(all), Ok(()));
        let stale = sealed.check([device(3, 1), device(2, 1), device(1, 9), device(2, 1)]);
        let expected = StaleDevices {
            missing: vec![device(1, 9), device(3, 1)],
            extra: vec![device(1, 1), device(2, 2)],
        };
        assert_eq!(stale, Err(expected));
    }

    /// Everybody has devices 1 and 2; of user 9 it cannot be found out.
    #[derive(Debug)]
    struct Two;

    #[async_trait]
    impl Devices for Two {
        async fn devices(&self, users: &[UserId]) -> Result<Vec<Vec<DeviceId>>> {
            if users.contains(&UserId::new(9)) {
                return Err(Error::bare(ErrorKind::Unavailable, "find devices"));
            }
            Ok(vec![vec![DeviceId::new(1), DeviceId::new(2)]; users.len()])
        }
    }

    #[test]
    fn what_not_all_can_read_is_not_said() {
        let chat = Chat::in_memory();
        let ann = device(1, 1);
        let talk = ConversationId::direct(ann.user, UserId::new(2));
        let send = |talk, sealed: Sealed| {
            let key = "a".parse().unwrap();
            let sent = chat.send_sealed(ann, talk, key, &sealed, &Two);
            sent.now_or_never().unwrap()
        };
        let some = sealed([device(2, 1), device(1, 2)]);
        let stale = send(talk, some).unwrap().unwrap_err();
        assert_eq!((stale.missing, stale.extra), (vec![device(2, 2)], vec![]));
        let all = sealed([device(2, 1), device(2, 2), device(1, 2)]);
        let sent = send(talk, all.clone()).unwrap().unwrap();
        assert_eq!(sent.receipt().unwrap().position.offset, 1);
        let unknown = ConversationId::direct(ann.user, UserId::new(9));
        assert_eq!(
            send(unknown, all).unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }
}
