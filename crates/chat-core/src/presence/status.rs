use std::fmt;

use backplane::Timestamp;
use serde::{Deserialize, Serialize};

/// How somebody is to be taken, in ascending order of priority: of several devices the greatest wins.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Not there. A device that is connected as offline does not count.
    #[default]
    Offline,
    /// There, but has done nothing for a while, or says so.
    Away,
    /// There.
    Online,
    /// There, and not to be disturbed. It never turns into away by itself.
    DoNotDisturb,
}

/// What a user has set by hand; it holds for all their devices.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing: what the devices say.
    #[default]
    Automatic,
    /// Away, whenever there.
    Away,
    /// Not to be disturbed, whenever there.
    DoNotDisturb,
    /// Offline to everybody else.
    Invisible,
}

/// A [`Mode`], and until when it holds.
///
/// ```
/// use std::time::Duration;
/// use backplane::Timestamp;
/// use chat_core::{presence::{Mode, Setting}};
///
/// let lunch = Timestamp::from_millis(1_790_000_000_000);
/// let meal = Setting::new(Mode::DoNotDisturb).until(lunch.saturating_add(Duration::from_secs(3_600)));
/// assert!(meal.holds_at(lunch));
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Setting {
    /// What is set.
    pub mode: Mode,
    /// When it ends, by the engine's wall clock; what was set without an end before holds again then.
    pub until: Option<Timestamp>,
}

impl Setting {
    /// What the devices say.
    pub const AUTOMATIC: Self = Self::new(Mode::Automatic);

    /// `mode`, until something else is set.
    #[must_use]
    pub const fn new(mode: Mode) -> Self {
        Self { mode, until: None }
    }

    /// Ends at `end`.
    #[must_use]
    pub const fn until(mut self, end: Timestamp) -> Self {
        self.until = Some(end);
        self
    }

    /// Whether it has not ended at `now`.
    #[must_use]
    pub fn holds_at(self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Mode {
    /// How others are to take a user whose devices amount to `status`.
    #[must_use]
    pub fn shows(self, status: Status) -> Status {
        match self {
            Self::Automatic => status,
            _ if status == Status::Offline => Status::Offline,
            Self::Away => Status::Away,
            Self::DoNotDisturb => Status::DoNotDisturb,
            Self::Invisible => Status::Offline,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "offline",
            Self::Away => "away",
            Self::Online => "online",
            Self::DoNotDisturb => "do not disturb",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_dominates_whoever_is_there_and_nobody_who_is_not() {
        use Mode::{Automatic, Away, DoNotDisturb, Invisible};
        let there = [Status::Away, Status::Online, Status::DoNotDisturb];
        for status in there {
            assert_eq!(Automatic.shows(status), status);
            assert_eq!(Away.shows(status), Status::Away);
            assert_eq!(DoNotDisturb.shows(status), Status::DoNotDisturb);
            assert_eq!(Invisible.shows(status), Status::Offline);
        }
        for mode in [Automatic, Away, DoNotDisturb, Invisible] {
            assert_eq!(mode.shows(Status::Offline), Status::Offline);
        }
    }

    #[test]
    fn a_setting_ends_with_the_instant_it_names() {
        let end = Timestamp::from_millis(5);
        let setting = Setting::new(Mode::Away).until(end);
        assert!(setting.holds_at(Timestamp::from_millis(4)));
        assert!(!setting.holds_at(end));
        assert!(Setting::new(Mode::Away).holds_at(Timestamp::from_millis(u64::MAX)));
    }
}
