use std::{cmp::Reverse, sync::Arc};

use super::{kind::Kind, source::PostVersion};
use crate::{Error, UserId};

/// Why there is no content under an id.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Lack {
    /// The source does not have it.
    #[error("not there")]
    Absent,
    /// The source has it in an older version than was asked for: it lags behind.
    #[error("only there in an older version")]
    Behind,
    /// The source failed, for everybody who waited for this fetch.
    #[error("could not be fetched")]
    Failed(#[source] Arc<Error>),
}

/// Content that is asked for: of this version at least.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Want {
    pub(super) id: u64,
    pub(super) version: u32,
}

impl Want {
    pub(super) const fn post(wanted: PostVersion) -> Self {
        Self {
            id: wanted.post.get(),
            version: wanted.version,
        }
    }

    pub(super) const fn user(user: UserId) -> Self {
        Self {
            id: user.get(),
            version: 0,
        }
    }

    /// Each id once, ascending, at the highest version that was asked for.
    pub(super) fn sort(wants: &mut Vec<Self>) {
        wants.sort_unstable_by_key(|want| (want.id, Reverse(want.version)));
        wants.dedup_by_key(|want| want.id);
    }
}

/// What is known of an id, whichever version it was asked for.
#[derive(Clone, Debug)]
pub(super) enum Answer<V> {
    Found(V),
    Absent,
    Failed(Arc<Error>),
}

impl<V> Answer<V> {
    /// What this says to somebody who asked for `version`.
    pub(super) fn at<K: Kind<Value = V>>(self, version: u32) -> Result<V, Lack> {
        match self {
            Self::Found(value) if K::version(&value) >= version => Ok(value),
            Self::Found(_) => Err(Lack::Behind),
            Self::Absent => Err(Lack::Absent),
            Self::Failed(error) => Err(Lack::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_wanted_once_at_its_highest_version() {
        let want = |(id, version)| Want { id, version };
        let mut wants = [(7, 1), (2, 1), (7, 3), (2, 1), (7, 2)].map(want).to_vec();
        Want::sort(&mut wants);
        assert_eq!(wants, [(2, 1), (7, 3)].map(want));
    }
}
