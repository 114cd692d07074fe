use redis::Value;

use super::{operator::Operator, until::until};

/// Has the replica with this address take over from its master, which goes on as its replica.
pub(crate) async fn take_over(replica: &str) {
    let replica = Operator::of(replica).await;
    replica.order("CLUSTER FAILOVER").await;
    until("the replica is a master", async || {
        let role: Value = replica.ask("ROLE").await;
        format!("{role:?}").contains("master")
    })
    .await;
}
