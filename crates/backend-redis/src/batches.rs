//! Calls about many things, each of which goes to the script of its own key.

use std::{collections::BTreeMap, sync::Arc};

use backplane::{Error, ErrorKind, Result};
use redis::Value;

use crate::{Redis, script::Call};

/// Most things that one script is about.
pub(crate) const BATCH: usize = 1_000;

/// Places of things that one script is about, which have one key.
pub(crate) type Batch<K> = (K, Vec<usize>);

impl Redis {
    /// Runs a script for the things of each key, a thousand of them at a time, and answers of each what it
    /// answered. Scripts of different keys go at once, those of one key one after the other, also where some
    /// have to be sent again.
    pub(crate) async fn ask_batches<K: Clone + Ord + Send, T: Send>(
        &self,
        op: &'static str,
        keys: impl IntoIterator<Item = K> + Send,
        call: impl Fn(&K, &[usize]) -> Call + Send,
        read: impl Fn(&Value) -> Option<T> + Send + Sync,
    ) -> Vec<(Batch<K>, Result<T>)> {
        let mut answered = Vec::new();
        for batches in rounds(keys) {
            let calls: Vec<_> = batches.iter().map(|(key, some)| call(key, some)).collect();
            let answers = self.ask_all(op, &calls, &read).await;
            answered.extend(batches.into_iter().zip(answers));
        }
        answered
    }

    /// The same, where a script answers of each of its things, in their order. Those of a script that has failed
    /// fail each.
    pub(crate) async fn ask_each<K: Clone + Ord + Send, T: Send>(
        &self,
        op: &'static str,
        keys: impl IntoIterator<Item = K> + Send,
        call: impl Fn(&K, &[usize]) -> Call + Send,
        read: impl Fn(&Value) -> Option<Vec<T>> + Send + Sync,
    ) -> Vec<Result<T>> {
        let answered = self.ask_batches(op, keys, call, read).await;
        let mut each = Vec::new();
        for ((_, places), answer) in answered {
            let whole = answer.and_then(|answers| {
                let is_whole = answers.len() == places.len();
                let short =
                    || Error::new(ErrorKind::Corrupt, op, "an answer too short or too long");
                is_whole.then_some(answers).ok_or_else(short)
            });
            match whole {
                Ok(answers) => each.extend(places.into_iter().zip(answers.into_iter().map(Ok))),
                Err(error) => {
                    let error = Arc::new(error);
                    let failed = |place| {
                        let error = Error::new(error.kind(), op, Arc::clone(&error));
                        (place, Err(error))
                    };
                    each.extend(places.into_iter().map(failed));
                }
            }
        }
        each.sort_unstable_by_key(|(place, _)| *place);
        each.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// Batches that may go at once, since no two of them have the same key; those of a key in their order.
fn rounds<K: Clone + Ord>(keys: impl IntoIterator<Item = K>) -> Vec<Vec<Batch<K>>> {
    let mut places = BTreeMap::<K, Vec<usize>>::new();
    for (place, key) in keys.into_iter().enumerate() {
        places.entry(key).or_default().push(place);
    }
    let mut rounds = Vec::<Vec<Batch<K>>>::new();
    for (key, places) in places {
        for (round, some) in places.chunks(BATCH).enumerate() {
            if round == rounds.len() {
                rounds.push(Vec::new());
            }
            rounds[round].push((key.clone(), some.to_vec()));
        }
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_of_one_key_keep_their_order_over_rounds() {
        let keys = (0..=2 * BATCH).map(|place| if place == 7 { 'b' } else { 'a' });
        let rounds = rounds(keys);
        let keys: Vec<Vec<char>> = rounds
            .iter()
            .map(|round| round.iter().map(|(key, _)| *key).collect())
            .collect();
        assert_eq!(keys, [vec!['a', 'b'], vec!['a']]);
        let of_a = |round: &Vec<Batch<char>>| round[0].1.clone();
        let places: Vec<usize> = rounds.iter().flat_map(of_a).collect();
        let all: Vec<usize> = (0..=2 * BATCH).filter(|place| *place != 7).collect();
        assert_eq!(places, all);
        assert_eq!(rounds[0][1].1, [7]);
    }
}
