use super::{
    operator::Operator,
    slot::{master_of, slot_of},
};

/// A slot that is on its way to another master of three, and none of whose keys has been moved.
pub(crate) struct MovingSlot {
    slot: u16,
    source: Operator,
    target: Operator,
}

impl MovingSlot {
    /// The slot of keys with this tag leaves.
    pub(crate) async fn begin(cluster: &engines::RedisCluster, tag: &str) -> Self {
        let (urls, slot, from) = (cluster.urls(), slot_of(tag), master_of(tag));
        let source = Operator::of(&urls[from]).await;
        let target = Operator::of(&urls[(from + 1) % 3]).await;
        let id: String = source.ask("CLUSTER MYID").await;
        let importing = format!("CLUSTER SETSLOT {slot} IMPORTING {id}");
        target.order(&importing).await;
        let id: String = target.ask("CLUSTER MYID").await;
        let migrating = format!("CLUSTER SETSLOT {slot} MIGRATING {id}");
        source.order(&migrating).await;
        Self {
            slot,
            source,
            target,
        }
    }

    /// How many of its keys are where it is to be.
    pub(crate) async fn arrived(&self) -> u64 {
        let count = format!("CLUSTER COUNTKEYSINSLOT {}", self.slot);
        self.target.ask(&count).await
    }

    /// It stays where it was.
    pub(crate) async fn give_up(self) {
        let stable = format!("CLUSTER SETSLOT {} STABLE", self.slot);
        for node in [self.source, self.target] {
            node.order(&stable).await;
        }
    }
}
