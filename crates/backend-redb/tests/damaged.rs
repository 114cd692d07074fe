//! A row that does not decode is not in the way of the pages that mention it.

use std::sync::Arc;

use backend_redb::{
    RedbFeedOptions, Writer, WriterOptions, feed_parts,
    redb::{Database, TableDefinition},
};
use backplane::ManualClock;
use feed_core::{EdgeSettings, Feed, NewPost, PageRequest, Published, UserId};

const POSTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("feed.outbox.main.posts");

#[tokio::test]
async fn a_page_shows_all_but_the_post_whose_row_does_not_decode() {
    let folder = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::create(folder.path().join("feed.redb")).unwrap());
    let writer = Writer::start(database, WriterOptions::default()).unwrap();
    let clock = Arc::new(ManualClock::default());
    let parts = feed_parts(&writer, clock, RedbFeedOptions::default());
    let feed = Feed::new(parts.await.unwrap());
    let viewer = UserId::new(9);
    let mut posts = Vec::new();
    for author in (1..=3).map(UserId::new) {
        let followed = feed.follow(viewer, author, EdgeSettings::default()).await;
        assert!(followed.unwrap());
        match feed.publish(author, NewPost::new("a post")).await.unwrap() {
            Published::Accepted(post) => posts.push(post),
            other => panic!("{other:?}"),
        }
    }
    let damaged = posts.remove(1);
    let damage = writer.run(move |txn| {
        txn.open_table(POSTS)?.insert(damaged.get(), &[2, 1][..])?;
        Ok(())
    });
    damage.await.unwrap();

    while feed.work(16).await.unwrap() > 0 {}
    for _ in 0..2 {
        let page = feed.home(viewer, &PageRequest::newest()).await.unwrap();
        let ids: Vec<_> = page.entries.iter().rev().map(|entry| entry.post).collect();
        let bodies = feed.parts().outbox.posts(&ids).await.unwrap();
        let shown: Vec<_> = bodies
            .iter()
            .flatten()
            .map(|post| post.entry.post)
            .collect();
        assert_eq!(shown, posts);
    }
}
