use std::time::Duration;

/// The times and bounds of presence on one node.
///
/// ```
/// use std::time::Duration;
/// use chat_core::presence::PresenceOptions;
///
/// let patient = PresenceOptions::default().with_grace(Duration::from_secs(30));
/// assert_eq!(patient.timeout, Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PresenceOptions {
    /// How long a session may be silent: twice the interval at which clients send heartbeats. 60 seconds by
    /// default. It ends no earlier, and later by at most [`longest_step`](Self::longest_step),
    /// [`sweep`](Self::sweep), the interval between ticks and three tenths of a second.
    pub timeout: Duration,
    /// How long a device that was lost counts as there, so that whoever comes back meanwhile never was
    /// gone. 15 seconds by default, the constant of Ably and `AnyCable`; zero for none. Who leaves by
    /// [`Departure::Graceful`](super::Departure::Graceful) is gone at once.
    pub grace: Duration,
    /// How long after their last activity a device that is online counts as away. 5 minutes by default, as of
    /// Matrix. It does so later by at most the same as for the timeout, and seven more sweeps.
    pub idle: Duration,
    /// How long after their last activity who is online counts as [active](super::PresenceState::is_active).
    /// 5 minutes by default, and never more than [`idle`](Self::idle): then it says no more than that they are
    /// online. Less, such as the minute of Matrix, costs a report to the engine at each change.
    pub active_window: Duration,
    /// The longest time between two ticks that counts in full. One second by default. What a node does not do in time
    /// it does later: it never ends a session that may have sent a heartbeat.
    pub longest_step: Duration,
    /// How often every session is looked at. One second by default.
    pub sweep: Duration,
    /// How many sessions a tick looks at. 65,536 by default, which takes it a tenth of a millisecond.
    pub sessions_per_tick: u32,
    /// How many sessions a tick ends or reports, and 63 more at the most. 4,096 by default.
    pub changes_per_tick: u32,
    /// How many sessions the node has, those included whose grace lasts. 4,000,000 by default. One takes about
    /// 200 bytes with its user.
    pub max_sessions: u32,
    /// How many devices of one user are connected to the node. 64 by default.
    pub max_devices: usize,
    /// For how long the node's lease is renewed, and after which its sessions end if it dies. 15 seconds by default.
    /// It is renewed three times as often.
    pub lease: Duration,
    /// How often the tracker ticks. 250 milliseconds by default.
    pub tick: Duration,
    /// How many users one call to the engine or the bus is about. 500 by default.
    pub batch: usize,
}

impl PresenceOptions {
    /// Ends sessions that are silent for `timeout`.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Waits for `grace` before whoever was lost is gone.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Takes devices for away after `idle`.
    #[must_use]
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Takes users for active for `window`.
    #[must_use]
    pub fn with_active_window(mut self, window: Duration) -> Self {
        self.active_window = window;
        self
    }

    /// Counts at most `step` between two ticks.
    #[must_use]
    pub fn with_longest_step(mut self, step: Duration) -> Self {
        self.longest_step = step;
        self
    }

    /// Looks at every session once in `sweep`.
    #[must_use]
    pub fn with_sweep(mut self, sweep: Duration) -> Self {
        self.sweep = sweep;
        self
    }

    /// Looks at `sessions` a tick, at least one.
    #[must_use]
    pub fn with_sessions_per_tick(mut self, sessions: u32) -> Self {
        self.sessions_per_tick = sessions;
        self
    }

    /// Ends and reports at most `changes` a tick, at least one.
    #[must_use]
    pub fn with_changes_per_tick(mut self, changes: u32) -> Self {
        self.changes_per_tick = changes;
        self
    }

    /// Has room for `sessions`.
    #[must_use]
    pub fn with_max_sessions(mut self, sessions: u32) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Lets a user connect `devices` to the node.
    #[must_use]
    pub fn with_max_devices(mut self, devices: usize) -> Self {
        self.max_devices = devices;
        self
    }

    /// Holds the node's lease for `lease`.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Ticks every `tick`.
    #[must_use]
    pub fn with_tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Calls the engine and the bus for `users` at a time, at least one.
    #[must_use]
    pub fn with_batch(mut self, users: usize) -> Self {
        self.batch = users;
        self
    }
}

impl Default for PresenceOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            grace: Duration::from_secs(15),
            idle: Duration::from_secs(300),
            active_window: Duration::from_secs(300),
            longest_step: Duration::from_secs(1),
            sweep: Duration::from_secs(1),
            sessions_per_tick: 65_536,
            changes_per_tick: 4_096,
            max_sessions: 4_000_000,
            max_devices: 64,
            lease: Duration::from_secs(15),
            tick: Duration::from_millis(250),
            batch: 500,
        }
    }
}
