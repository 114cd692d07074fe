use tokio::sync::watch;

/// Completes when the server is to stop. Clones wait for the same.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (trigger, stop) = feed_server::Stop::new();
/// trigger.pull();
/// stop.wait().await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// Makes every [`Stop`] of one origin complete. Dropping it does, too.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Stop {
    /// A trigger, and what it stops.
    #[must_use]
    pub fn new() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger(sender), Self(receiver))
    }

    /// Completes once the trigger was pulled.
    pub async fn wait(mut self) {
        // An error means that the trigger is gone, which is the same.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

impl Trigger {
    /// Stops.
    pub fn pull(self) {
        self.0.send_replace(true);
    }
}
