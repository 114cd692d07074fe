use backplane::Result;
use feed_core::{Entry, PostId, Seek, UserId};

use super::line;
use crate::{Redis, feed::pass_over};

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
        let answers = redis.read_all("latest", &ranges, line::read_each).await;
        let mut lasts = Vec::new();
        for ((author, _), lines) in open.into_iter().zip(answers) {
            let lines = pass_over(lines, || key(author), Vec::new())?;
            if let Some(&(last, _)) = lines.get(share - 1) {
                lasts.push((author, last));
            }
            for (_, line) in lines {
                let entry = line.map(|line| Some(line.entry(author)));
                page.extend(pass_over(entry, || key(author), None)?);
            }
        }
        page.sort_unstable_by_key(|entry: &Entry| distance(seek, entry.post));
        page.truncate(limit);
        let end = page.get(limit - 1).map(|entry| distance(seek, entry.post));
        lasts.retain(|(_, last)| end.is_none_or(|end| distance(seek, *last) < end));
        open = lasts
            .into_iter()
            .map(|(author, last)| (author, beyond(seek, last)))
            .collect();
    }
    Ok(page)
}

/// Grows in the direction of `seek`: the post, or its complement.
const fn distance(seek: Seek, post: PostId) -> u64 {
    match seek {
        Seek::Newest | Seek::Before(_) => !post.get(),
        Seek::After(_) => post.get(),
    }
}

const fn beyond(seek: Seek, last: PostId) -> Seek {
    match seek {
        Seek::Newest | Seek::Before(_) => Seek::Before(last),
        Seek::After(_) => Seek::After(last),
    }
}
