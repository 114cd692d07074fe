//! Who is there: sessions of devices, what they amount to, and who is told.

mod beat;
mod beats;
mod core;
mod options;
mod session;
mod state;
mod status;
mod steady;
mod store;
mod users;

pub use self::{
    core::{Effect, PresenceCore, Progress},
    options::PresenceOptions,
    session::{Departure, DeviceSession, EndReason, Liveness, SessionEnd},
    state::PresenceState,
    status::{Mode, Setting, Status},
    steady::Moment,
    store::Report,
};
