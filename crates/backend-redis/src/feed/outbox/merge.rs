use backplane::Result;
use feed_core::{Entry, Seek, UserId};

use super::line::{self, Line};
use crate::Redis;

/// How many lines are asked for at once: about 100 KB of answers.
const AT_ONCE: usize = 4_000;

/// The entries of `authors` next to `seek`, at most `limit`, nearest first.
///
/// All authors are asked for as many lines as fit into an answer, which is all that can be on the page
/// unless many authors are asked for a long one. Then those are asked for more whose last line is still
/// on the page.
pub(super) async fn merge(
    redis: &Redis,
    key: impl Fn(UserId) -> String,
    authors: &[UserId],
    seek: Seek,
    limit: usize,
) -> Result<Vec<Entry>> {
    let mut page = Vec::new();
    let mut open: Vec<_> = authors.iter().map(|&author| (author, seek)).collect();
    while limit > 0 && !open.is_empty() {
        let share = (AT_ONCE / open.len()).clamp(1, limit);
        let range = |&(author, from): &(UserId, Seek)| line::range(&key(author), from, share);
        let ranges: Vec<_> = open.iter().map(range).collect();
        let answers = redis.read_all("latest", &ranges, Line::read_all).await;
        let mut lasts = Vec::new();
        for ((author, _), lines) in open.into_iter().zip(answers) {
            let lines = lines?;
            if let Some(last) = lines.get(share - 1) {
                lasts.push(last.entry(author));
            }
            page.extend(lines.iter().map(|line| line.entry(author)));
        }
        page.sort_unstable_by_key(|entry| distance(seek, entry));
        page.truncate(limit);
        let end = page.get(limit - 1).map(|entry| distance(seek, entry));
        lasts.retain(|last| end.is_none_or(|end| distance(seek, last) < end));
        open = lasts
            .into_iter()
            .map(|last| (last.author, beyond(seek, last)))
            .collect();
    }
    Ok(page)
}

/// Grows in the direction of `seek`: the post, or its complement.
const fn distance(seek: Seek, entry: &Entry) -> u64 {
    match seek {
        Seek::Newest | Seek::Before(_) => !entry.post.get(),
        Seek::After(_) => entry.post.get(),
    }
}

const fn beyond(seek: Seek, last: Entry) -> Seek {
    match seek {
        Seek::Newest | Seek::Before(_) => Seek::Before(last.post),
        Seek::After(_) => Seek::After(last.post),
    }
}
