//! One page of one feed: the scan, grouped by what is shown, cut and given its cursors.

use crate::{
    Circle, Cursor, Entry, FeedOptions, Outbox, Page, PageSize, PageSource, PostId, Result, Seek,
    TimelineState,
    cursor::{FeedName, Place, Recent},
    read::scan::{Scan, Sources},
    telemetry,
};

#[derive(Debug)]
pub(crate) struct Pager<'a> {
    outbox: &'a dyn Outbox,
    options: &'a FeedOptions,
    circle: &'a Circle,
    name: FeedName,
    sources: Sources<'a>,
    timeline: Option<TimelineState>,
}

/// Entries as shown, newest first.
struct Run {
    entries: Vec<Entry>,
    /// Where older ones go on, if there are any.
    older: Option<Seek>,
    /// Where newer ones go on if there are no entries.
    newer: Option<Seek>,
    source: PageSource,
}

impl<'a> Pager<'a> {
    pub(crate) fn new(
        outbox: &'a dyn Outbox,
        options: &'a FeedOptions,
        circle: &'a Circle,
        name: FeedName,
        sources: Sources<'a>,
    ) -> Self {
        Self {
            outbox,
            options,
            circle,
            name,
            sources,
            timeline: None,
        }
    }

    /// The state in which the last page found the home timeline, if it looked at it.
    pub(crate) const fn timeline(&self) -> Option<TimelineState> {
        self.timeline
    }

    pub(crate) async fn page(&mut self, place: Seek, size: PageSize) -> Result<Page> {
        let run = match place {
            Seek::Newest | Seek::Before(_) => self.older(place, size.get()).await?,
            Seek::After(post) => self.newer(post, size.get()).await?,
        };
        telemetry::read(run.source);
        Ok(self.page_of(run))
    }

    /// The first `size` of the newest entries, of which `older` goes on below the last.
    pub(crate) fn cut(&self, mut entries: Vec<Entry>, older: Option<Seek>, size: PageSize) -> Page {
        let cut = entries.len() > size.get();
        entries.truncate(size.get());
        let older = match entries.last() {
            Some(last) if cut => Some(Seek::Before(last.post)),
            _ => older,
        };
        self.page_of(Run {
            entries,
            older,
            newer: older.is_none().then_some(Seek::After(PostId::MIN)),
            source: PageSource::Outboxes,
        })
    }

    fn page_of(&self, run: Run) -> Page {
        let newest = run.entries.first().map(|entry| Seek::After(entry.post));
        let cursor = |seek| Cursor::new(self.name, self.circle.viewer(), Place::Post(seek));
        let posts = run.entries.iter().map(|entry| entry.post);
        let recent = match run.older {
            None => Recent::all(posts),
            Some(_) => Recent::some(posts),
        };
        let prev = newest.or(run.newer).map(cursor);
        Page {
            next: run.older.map(cursor),
            prev: prev.map(|cursor| cursor.with_recent(recent)),
            entries: run.entries,
            source: run.source,
        }
    }

    /// The newest `count` shown entries, and where older ones go on.
    pub(crate) async fn newest(&mut self, count: usize) -> Result<(Vec<Entry>, Option<Seek>)> {
        let run = self.older(Seek::Newest, count).await?;
        Ok((run.entries, run.older))
    }

    /// Whether an entry is on a page, and not hidden by another one that shows the same post.
    pub(crate) async fn shows(&self, entry: &Entry) -> Result<bool> {
        let span = self.options.repost_span;
        let mut line = Vec::new();
        self.at_or_below(entry.post, span.saturating_add(1), &mut line)
            .await?;
        let first = shown(&line, span).next();
        Ok(first.is_some_and(|(_, first)| first == entry))
    }

    /// The next `size` shown entries that are older, and whether there are more.
    async fn older(&mut self, place: Seek, size: usize) -> Result<Run> {
        let span = self.options.repost_span;
        let mut scan = self.scan(place);
        let mut visible = Vec::with_capacity(size + 1);
        let mut chunk = size + 1;
        loop {
            scan.next(chunk, &mut visible).await?;
            self.timeline = scan.timeline();
            let last = scan.ended() || scan.looked_at() >= self.budget(size);
            let judged = if last {
                visible.len()
            } else {
                judged(&visible, span)
            };
            let shown = shown(&visible, span).take_while(|(at, _)| *at < judged);
            // Not collected: a filter does not say how many it lets through.
            let mut entries = Vec::with_capacity(size + 1);
            entries.extend(shown.map(|(_, entry)| *entry).take(size + 1));
            if entries.len() <= size && !last {
                chunk = if judged < visible.len() {
                    span
                } else {
                    longer(chunk)
                };
                continue;
            }
            let cut = entries.len() > size;
            entries.truncate(size);
            let older = match entries.last() {
                Some(oldest) if cut => Some(Seek::Before(oldest.post)),
                _ => (!scan.ended()).then(|| scan.seek()),
            };
            return Ok(Run {
                entries,
                older,
                newer: older.is_none().then_some(Seek::After(PostId::MIN)),
                source: scan.source(),
            });
        }
    }

    /// The next `size` shown entries that are newer than `post`.
    ///
    /// What is shown depends on what is older, so the entries from `post` down are looked at too.
    async fn newer(&mut self, post: PostId, size: usize) -> Result<Run> {
        let span = self.options.repost_span;
        let mut scan = self.scan(Seek::After(post));
        let mut visible = Vec::with_capacity(size);
        let mut chunk = size;
        loop {
            scan.next(chunk, &mut visible).await?;
            chunk = longer(chunk);
            self.timeline = scan.timeline();
            let last = scan.ended() || scan.looked_at() >= self.budget(size);
            if visible.len() < size && !last {
                continue;
            }
            // One tells whether there are older ones.
            let context = if visible.iter().any(Entry::is_repost) {
                span.max(1)
            } else {
                1
            };
            let mut line: Vec<_> = visible.iter().rev().copied().collect();
            let is_all = self.at_or_below(post, context, &mut line).await?;
            let shown = shown(&line, span).take_while(|(at, _)| *at < visible.len());
            let shown: Vec<_> = shown.map(|(at, _)| at).collect();
            if shown.len() < size && !last {
                continue;
            }
            let page = &shown[shown.len().saturating_sub(size)..];
            let below = page.last().map_or(visible.len(), |oldest| oldest + 1);
            let entries: Vec<_> = page.iter().map(|at| line[*at]).collect();
            let edge = entries
                .last()
                .map_or_else(|| including(post), |entry| Seek::Before(entry.post));
            let older = (below < line.len() || !is_all).then_some(edge);
            return Ok(Run {
                entries,
                older,
                newer: Some(if scan.ended() {
                    Seek::After(post)
                } else {
                    scan.seek()
                }),
                source: scan.source(),
            });
        }
    }

    /// Appends at least the next `count` visible entries from `post` down, if the budget reaches so
    /// far. Answers whether there are no others.
    async fn at_or_below(&self, post: PostId, count: usize, line: &mut Vec<Entry>) -> Result<bool> {
        let mut scan = self.scan(including(post));
        let enough = line.len().saturating_add(count);
        let mut chunk = count;
        while line.len() < enough && !scan.ended() && scan.looked_at() < self.budget(count) {
            scan.next(chunk, line).await?;
            chunk = longer(chunk);
        }
        Ok(scan.ended())
    }

    /// How many entries may be looked at for `wanted`.
    fn budget(&self, wanted: usize) -> usize {
        self.options.scan_budget.saturating_add(wanted)
    }

    fn scan(&self, seek: Seek) -> Scan<'a> {
        Scan::new(self.outbox, self.circle, self.sources, seek)
    }
}

/// The chunk after this one: among many hidden entries, fewer and fewer looks.
fn longer(chunk: usize) -> usize {
    chunk.saturating_mul(2).min(LONGEST_CHUNK)
}

/// The most entries that are looked at together, unless more are wanted at once.
const LONGEST_CHUNK: usize = 400;

fn including(post: PostId) -> Seek {
    match post.get().checked_add(1) {
        Some(above) => Seek::Before(PostId::new(above)),
        None => Seek::Newest,
    }
}

/// How many of the entries, newest first, can be judged before older ones are known.
fn judged(entries: &[Entry], span: usize) -> usize {
    let unknown = entries.len().saturating_sub(span);
    let open = entries[unknown..].iter().position(Entry::is_repost);
    open.map_or(entries.len(), |at| unknown + at)
}

/// Which of the entries, newest first, are shown: a repost is hidden by an entry that shows the same
/// post among the `span` next older ones, so that of an original and its reposts the oldest stands.
fn shown(entries: &[Entry], span: usize) -> impl Iterator<Item = (usize, &Entry)> {
    entries.iter().enumerate().filter(move |(at, entry)| {
        let mut older = entries[at + 1..].iter().take(span);
        !entry.is_repost() || !older.any(|other| other.origin == entry.origin)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserId;

    const fn post(id: u64) -> Entry {
        Entry::original(PostId::new(id), UserId::new(1))
    }

    const fn repost(id: u64, of: u64) -> Entry {
        Entry::repost(PostId::new(id), UserId::new(2), PostId::new(of))
    }

    fn shown_ids(entries: &[Entry], span: usize) -> Vec<u64> {
        shown(entries, span)
            .map(|(_, entry)| entry.post.get())
            .collect()
    }

    #[test]
    fn the_oldest_of_a_group_stands() {
        let entries = [repost(103, 1), repost(102, 1), post(50), post(1)];
        assert_eq!(shown_ids(&entries, 80), [50, 1]);
        assert_eq!(shown_ids(&entries[..3], 80), [102, 50]);
    }

    #[test]
    fn beyond_the_span_a_post_is_shown_again() {
        let entries = [
            repost(105, 1),
            post(4),
            post(3),
            repost(102, 1),
            post(2),
            post(1),
        ];
        assert_eq!(shown_ids(&entries, 2), [105, 4, 3, 2, 1]);
        assert_eq!(shown_ids(&entries, 1), [105, 4, 3, 102, 2, 1]);
    }

    #[test]
    fn a_repost_waits_for_its_span_and_a_post_does_not() {
        let entries = [post(9), repost(8, 1), post(7), post(6)];
        assert_eq!(judged(&entries, 3), 1);
        assert_eq!(judged(&entries, 2), 4);
    }
}
