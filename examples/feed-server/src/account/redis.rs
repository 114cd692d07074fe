use async_trait::async_trait;
use backend_redis::{
    Redis,
    redis::{Cmd, FromRedisValue, Value, cmd},
};
use backplane::{Error, ErrorKind, Result};
use feed_core::UserId;

use super::{Accounts, Name, Table};

/// Two hashes and a string, in one slot.
#[derive(Debug)]
pub(super) struct RedisAccounts(Redis);

/// The id of a name, a new one if it has none; 0 if there is no room.
///
/// New ids are the time, in microseconds. A count would begin again where Redis has lost accounts, and
/// give those who come next the posts of others.
const INSERT: &str = r"
local id = redis.call('HGET', KEYS[1], ARGV[1])
if not id then
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[2]) then
    return 0
  end
  local now = redis.call('TIME')
  local free = now[1] * 1000000 + now[2]
  repeat
    id = string.format('%.0f', free)
    free = free + 1
  until redis.call('HEXISTS', KEYS[2], id) == 0
  redis.call('HSET', KEYS[2], id, ARGV[1])
  redis.call('HSET', KEYS[1], ARGV[1], id)
end
return tonumber(id)
";

impl RedisAccounts {
    /// The secret is `fresh` from the first time on.
    pub(super) async fn open(redis: Redis, fresh: [u8; 32]) -> anyhow::Result<(Self, [u8; 32])> {
        let this = Self(redis);
        let key = this.key("secret");
        let set = cmd("SETNX").arg(&key).arg(&fresh[..]).take();
        this.0.command("open accounts", &set).await?;
        let kept: Vec<u8> = this.ask("open accounts", cmd("GET").arg(&key)).await?;
        let secret = kept.try_into().map_err(|_| damaged("open accounts"))?;
        Ok((this, secret))
    }

    fn key(&self, name: &str) -> String {
        format!("{}{{accounts}}{name}", self.0.prefix())
    }

    async fn ask<T: FromRedisValue>(&self, op: &'static str, command: &Cmd) -> Result<T> {
        let answer: Value = self.0.command(op, command).await?;
        T::from_redis_value(answer).map_err(|error| Error::new(ErrorKind::Corrupt, op, error))
    }
}

fn damaged(op: &'static str) -> Error {
    Error::bare(ErrorKind::Corrupt, op)
}

#[async_trait]
impl Table for RedisAccounts {
    async fn insert(&self, name: &Name) -> Result<UserId> {
        let mut command = cmd("EVAL");
        command.arg(INSERT).arg(2);
        command.arg(self.key("ids")).arg(self.key("names"));
        command.arg(name.as_str()).arg(Accounts::MAX);
        match self.ask("sign in", &command).await? {
            0 => Err(Error::bare(ErrorKind::Full, "sign in")),
            id => Ok(UserId::new(id)),
        }
    }

    async fn find(&self, name: &Name) -> Result<Option<UserId>> {
        let mut command = cmd("HGET");
        command.arg(self.key("ids")).arg(name.as_str());
        let id: Option<u64> = self.ask("find account", &command).await?;
        Ok(id.map(UserId::new))
    }

    async fn names(&self, users: &[UserId]) -> Result<Vec<Option<Name>>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = cmd("HMGET");
        command.arg(self.key("names"));
        for user in users {
            command.arg(user.get());
        }
        let op = "look accounts up";
        let names: Vec<Option<String>> = self.ask(op, &command).await?;
        let name = |text: String| text.parse().map_err(|_| damaged(op));
        names
            .into_iter()
            .map(|text| text.map(name).transpose())
            .collect()
    }
}
