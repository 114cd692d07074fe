/// What a user wishes of a message.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "never, usually, or always")]
pub enum Wish {
    /// To hear nothing of it: the conversation is muted.
    Mute,
    /// To be notified of it, unless they do not want to be disturbed.
    #[default]
    Notify,
    /// To be notified of it although they do not want to be disturbed: they are mentioned.
    Insist,
}

/// How a user stands to a message.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    clippy::struct_excessive_bools,
    reason = "all that a decision is made of"
)]
pub struct Whereabouts {
    /// Whether a device of theirs is connected somewhere.
    pub is_connected: bool,
    /// Whether they do not want to be disturbed.
    pub is_busy: bool,
    /// Whether a device of theirs has received it.
    pub has_it: bool,
    /// Whether a connected device has had its time to receive it.
    pub had_time: bool,
}

/// Whether a user is to be notified of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "now, perhaps later, or not")]
pub enum Decision {
    /// Now.
    Notify,
    /// It is to be looked at again later.
    Wait,
    /// Never.
    Leave,
}

/// Whether to notify a user who stands so to a message that they have not said themselves.
#[must_use]
pub const fn decide(wish: Wish, user: Whereabouts) -> Decision {
    let is_wanted = match wish {
        Wish::Mute => false,
        Wish::Notify => !user.is_busy,
        Wish::Insist => true,
    };
    if !is_wanted || user.has_it {
        Decision::Leave
    } else if user.is_connected && !user.had_time {
        Decision::Wait
    } else {
        Decision::Notify
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that there is to decide, in one table: wish, connected, busy, has it, had time.
    #[test]
    fn decides_by_wish_device_and_acknowledgement() {
        use Decision::{Leave, Notify, Wait};
        for bits in 0..16_u8 {
            let bit = |place: u8| bits >> place & 1 == 1;
            let user = Whereabouts {
                is_connected: bit(0),
                is_busy: bit(1),
                has_it: bit(2),
                had_time: bit(3),
            };
            let waits = user.is_connected && !user.had_time;
            let due = if waits { Wait } else { Notify };
            let unless = |left_alone: bool| if left_alone { Leave } else { due };
            assert_eq!(decide(Wish::Mute, user), Leave);
            let is_left_alone = user.has_it || user.is_busy;
            assert_eq!(
                decide(Wish::Notify, user),
                unless(is_left_alone),
                "{user:?}"
            );
            assert_eq!(decide(Wish::Insist, user), unless(user.has_it), "{user:?}");
        }
    }
}
