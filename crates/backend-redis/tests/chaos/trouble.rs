use engines::{Proxy, Way};
use std::time::Duration;

/// What goes wrong between a client and a server that is well.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// Connections end.
    Cut,
    /// One way of a connection ends.
    HalfClose(Way),
    /// What is sent arrives late.
    Delay,
    /// What is sent one way does not arrive, and nobody says so.
    Silence(Way),
    /// Nobody can connect any more.
    Refusal,
}

pub(crate) const TROUBLES: [Trouble; 7] = [
    Trouble::Cut,
    Trouble::HalfClose(Way::ToServer),
    Trouble::HalfClose(Way::ToClient),
    Trouble::Delay,
    Trouble::Silence(Way::ToServer),
    Trouble::Silence(Way::ToClient),
    Trouble::Refusal,
];

/// Much less than a client waits for an answer.
const DELAY: Duration = Duration::from_millis(40);

impl Trouble {
    pub(crate) fn begin(self, proxy: &Proxy) {
        match self {
            Self::Cut => proxy.cut(),
            Self::HalfClose(way) => proxy.half_close(way),
            Self::Delay => {
                proxy.delay(Way::ToServer, DELAY);
                proxy.delay(Way::ToClient, DELAY);
            }
            Self::Silence(way) => proxy.hold(way),
            Self::Refusal => {
                proxy.refuse();
                proxy.cut();
            }
        }
    }

    /// Whether every call fails until it [ends](Self::end), though the server may do what is asked.
    pub(crate) const fn fails_calls(self) -> bool {
        matches!(self, Self::Silence(_) | Self::Refusal)
    }

    /// Whether nothing arrives at the server until it [ends](Self::end).
    pub(crate) const fn keeps_from_server(self) -> bool {
        matches!(self, Self::Silence(Way::ToServer) | Self::Refusal)
    }

    /// What was held arrives now.
    pub(crate) fn end(proxy: &Proxy) {
        proxy.pass(Way::ToServer);
        proxy.pass(Way::ToClient);
        proxy.admit();
    }
}
