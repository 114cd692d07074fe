//! Engines that tests share which keep to a [prefix](super::fresh_prefix) of their own, and change no setting.

use std::sync::LazyLock;

pub(crate) static SERVER: LazyLock<engines::Redis> =
    LazyLock::new(|| engines::Redis::start().unwrap());

/// Of three masters.
pub(crate) static CLUSTER: LazyLock<engines::RedisCluster> =
    LazyLock::new(|| engines::RedisCluster::start(3, 0).unwrap());
