//! What each call costs is what docs/redis.md says, on a server and on a Cluster.

mod chat;
mod feed;
mod ground;
mod meter;
mod page;

use self::meter::Meter;

/// How often calls are made at most.
const TIMES: u32 = 5;

/// A store's calls are made through the meter, each under its name in the table of the page. Those of a
/// core are a module beside `ground`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_cost_what_the_page_says() {
    let mut wrong = Vec::new();
    for mut meter in [Meter::of_a_server().await, Meter::of_a_cluster().await] {
        ground::first_call(&mut meter).await;
        // The first time to have all scripts known, the second time to count; and again where a machine that
        // stalled made one round trip two.
        let mut differences = Vec::new();
        for time in 1..=TIMES {
            meter.empty().await;
            ground::calls(&mut meter).await;
            feed::calls(&mut meter).await;
            chat::calls(&mut meter).await;
            differences = page::differences(meter.place(), meter.counted());
            if time > 1 && differences.is_empty() {
                break;
            }
        }
        wrong.extend(differences);
    }
    assert!(wrong.is_empty(), "docs/redis.md:\n{}", wrong.join("\n"));
}
