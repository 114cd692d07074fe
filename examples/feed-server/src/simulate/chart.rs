//! The comparison as a picture.

use super::{
    Plan,
    figure::{grouped, rate, size},
    latency::Percentiles,
    outcome::{Outcome, real},
    policy::Policy,
    report::network,
    svg::{Anchor, Font, Svg},
};

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 740.0;
const MARGIN: f64 = 40.0;

const TITLE: Font = font(22, true, "#1a1a1a");
const HEAD: Font = font(14, true, "#1a1a1a");
const TEXT: Font = font(12, false, "#1a1a1a");
const NOTE: Font = font(12, false, "#5c5c5c");
const GRID: &str = "#dddddd";

/// The chart, as an SVG document: how much is done, what it takes, and how long one waits for it.
pub(super) fn draw(outcomes: &[Outcome], plan: &Plan) -> String {
    let name = "Push, pull and hybrid on one network";
    let mut svg = Svg::new(WIDTH, HEIGHT, name);
    svg.text((MARGIN, 46.0), Anchor::Start, TITLE, name);
    if let Some(first) = outcomes.first() {
        for (y, line) in [68.0, 85.0].into_iter().zip(network(first, plan).lines()) {
            svg.text((MARGIN, y), Anchor::Start, NOTE, line);
        }
    }
    let panels = bars(outcomes, plan);
    let pitch = pitch(panels.len());
    let mut x = MARGIN;
    for panel in &panels {
        panel.draw(&mut svg, (x, 130.0), pitch - GAP);
        x += pitch;
    }
    let pitch = self::pitch(2);
    let reads = Curves::new("How long a page takes", outcomes, |o| Some(o.read));
    let lag = Curves::new(
        "How long until a post is in a follower's timeline",
        outcomes,
        |o| o.lag,
    );
    reads.draw(&mut svg, (MARGIN, 330.0), pitch - GAP);
    lag.draw(&mut svg, (MARGIN + pitch, 330.0), pitch - GAP);
    let beat = format!(
        "Both at {} reads and {} posts a second, from when each was due. Under pull nothing is delivered: \
         a post can be read once it is published.",
        grouped(plan.rate.into()),
        grouped((plan.rate / plan.reads_per_post).into()),
    );
    svg.text((MARGIN, HEIGHT - 24.0), Anchor::Start, NOTE, &beat);
    svg.finish()
}

/// Between two panels.
const GAP: f64 = 36.0;

/// From one of so many panels to the next.
fn pitch(panels: usize) -> f64 {
    (WIDTH - 2.0 * MARGIN + GAP) / real(panels as u64)
}

/// Told apart by who is colour-blind, too (Okabe and Ito, 2008).
const fn colour(policy: Policy) -> &'static str {
    match policy {
        Policy::Push => "#0072b2",
        Policy::Pull => "#d55e00",
        Policy::Hybrid => "#009e73",
    }
}

const fn font(size: u32, bold: bool, colour: &'static str) -> Font {
    Font { size, bold, colour }
}

/// One figure of each policy, as the length of a bar.
struct Bars {
    head: &'static str,
    note: String,
    lengths: Vec<Bar>,
}

struct Bar {
    policy: Policy,
    length: f64,
    label: String,
}

fn bars(outcomes: &[Outcome], plan: &Plan) -> Vec<Bars> {
    let bars = |head, note: &str, figure: &dyn Fn(&Outcome) -> (f64, String)| {
        let bar = |outcome: &Outcome| {
            let (length, label) = figure(outcome);
            let policy = outcome.policy;
            Bar {
                policy,
                length,
                label,
            }
        };
        Bars {
            head,
            note: String::from(note),
            lengths: outcomes.iter().map(bar).collect(),
        }
    };
    let per_second = |figure: f64| (figure, rate(figure));
    let among_reads = format!("{} reads a post", plan.reads_per_post);
    vec![
        bars("Reads a second", &among_reads, &|o| {
            per_second(o.mixed.rate(o.mixed.reads))
        }),
        bars("Posts a second", "posts alone", &|o| {
            per_second(o.posts.rate(o.posts.posts))
        }),
        bars("Deliveries a second", "posts alone", &|o| {
            per_second(o.posts.rate(o.posts.deliveries))
        }),
        bars("Memory of timelines", "by the store's account", &|o| {
            let timelines = o.memory.timelines;
            (real(timelines.bytes), size(timelines.bytes))
        }),
    ]
}

impl Bars {
    const BAR: f64 = 24.0;
    const PITCH: f64 = 38.0;
    const NAMES: f64 = 48.0;
    /// What the label of the longest bar needs.
    const LABEL: f64 = 64.0;

    fn draw(&self, svg: &mut Svg, (x, y): (f64, f64), width: f64) {
        svg.text((x, y), Anchor::Start, HEAD, self.head);
        svg.text((x, y + 18.0), Anchor::Start, NOTE, &self.note);
        let longest = self
            .lengths
            .iter()
            .map(|bar| bar.length)
            .fold(f64::MIN_POSITIVE, f64::max);
        let room = width - Self::NAMES - Self::LABEL;
        let left = x + Self::NAMES;
        let mut top = y + 34.0;
        svg.line(
            (left, top - 6.0),
            (left, top + 3.0 * Self::PITCH - 8.0),
            GRID,
        );
        for bar in &self.lengths {
            let length = room * bar.length / longest;
            let middle = top + Self::BAR / 2.0 + 4.0;
            svg.rectangle((left, top), (length, Self::BAR), colour(bar.policy));
            svg.text((left - 6.0, middle), Anchor::End, TEXT, bar.policy.name());
            svg.text(
                (left + length + 6.0, middle),
                Anchor::Start,
                TEXT,
                &bar.label,
            );
            top += Self::PITCH;
        }
    }
}

/// The percentiles of each policy, as a curve over a logarithmic scale of time.
struct Curves {
    head: &'static str,
    found: Vec<(Policy, Percentiles)>,
    /// Powers of ten, in nanoseconds.
    bottom: u32,
    top: u32,
}

impl Curves {
    const HEIGHT: f64 = 260.0;
    const SCALE: f64 = 56.0;

    fn new(
        head: &'static str,
        outcomes: &[Outcome],
        percentiles: impl Fn(&Outcome) -> Option<Percentiles>,
    ) -> Self {
        let found: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| Some((outcome.policy, percentiles(outcome)?)))
            .collect();
        let values = || found.iter().flat_map(|(_, found)| found.values());
        let bottom = values().min().and_then(u64::checked_ilog10).unwrap_or(3);
        let top = values()
            .max()
            .and_then(u64::checked_ilog10)
            .unwrap_or(bottom);
        Self {
            head,
            found,
            bottom,
            top: top + 1,
        }
    }

    fn draw(&self, svg: &mut Svg, (x, y): (f64, f64), width: f64) {
        svg.text((x, y), Anchor::Start, HEAD, self.head);
        let (left, top) = (x + Self::SCALE, y + 44.0);
        let right = x + width;
        let height = |nanos: u64| {
            let share = (real(nanos.max(1)).log10() - f64::from(self.bottom))
                / f64::from(self.top - self.bottom);
            top + Self::HEIGHT * (1.0 - share)
        };
        for power in self.bottom..=self.top {
            let value = 10_u64.saturating_pow(power);
            let y = height(value);
            svg.line((left, y), (right, y), GRID);
            svg.text((left - 8.0, y + 4.0), Anchor::End, NOTE, &decade(value));
        }
        let pitch = (right - left) / real(Percentiles::NAMES.len() as u64);
        let places: Vec<_> = (0_u32..)
            .zip(Percentiles::NAMES)
            .map(|(place, name)| (left + pitch * (f64::from(place) + 0.5), name))
            .collect();
        for &(x, name) in &places {
            svg.text((x, top + Self::HEIGHT + 20.0), Anchor::Middle, NOTE, name);
        }
        let mut key = left;
        for (policy, found) in &self.found {
            let points = places.iter().zip(found.values());
            let points: Vec<_> = points.map(|((x, _), nanos)| (*x, height(nanos))).collect();
            svg.curve(&points, colour(*policy));
            svg.dot((key + 4.0, y + 20.0), colour(*policy));
            svg.text((key + 14.0, y + 24.0), Anchor::Start, TEXT, policy.name());
            key += 80.0;
        }
    }
}

/// A power of ten of nanoseconds.
fn decade(nanos: u64) -> String {
    let (unit, name) = match nanos {
        ..=999 => (1, "ns"),
        1_000..=999_999 => (1_000, "µs"),
        1_000_000..=999_999_999 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    format!("{} {name}", nanos / unit)
}
