use indicatif::{ProgressBar, ProgressStyle};

use super::policy::Policy;

/// A bar on standard error, where that is a terminal.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

/// How many things pass between two looks at the bar: drawing must not be what is measured.
const STRIDE: u64 = 1_024;

impl Progress {
    pub(super) fn new(policy: Policy) -> Self {
        let style =
            ProgressStyle::with_template("{prefix:>6}  {msg:<20} [{bar:40}] {percent:>3} %")
                .expect("the template is well-formed")
                .progress_chars("=> ");
        let bar = ProgressBar::new(0).with_style(style);
        bar.set_prefix(policy.name());
        Self(bar)
    }

    /// Begins a step of so many things.
    pub(super) fn begin(&self, step: &'static str, things: u64) {
        self.0.set_message(step);
        self.0.set_length(things);
        self.0.set_position(0);
    }

    /// The thing at this place is done.
    pub(super) fn done(&self, place: u64) {
        if place.is_multiple_of(STRIDE) {
            self.0.set_position(place);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
