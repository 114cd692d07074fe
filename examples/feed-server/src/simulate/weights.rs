use std::f64::consts::TAU;

use fastrand::Rng;

/// Draws from a list of things in proportion to their weights, each draw in constant time: Walker's
/// alias method, with the table that Vose builds in linear time (IEEE Transactions on Software
/// Engineering 17, 1991).
#[derive(Debug)]
pub(super) struct Weights(Vec<Slot>);

/// An equal share of all draws: some for the thing of this slot, the rest for another.
#[derive(Clone, Copy, Debug)]
struct Slot {
    own: f64,
    other: u32,
}

impl Weights {
    /// The weights of the things 0, 1, 2 and so on. There is at least one, and none is negative.
    pub(super) fn new(weights: &[f64]) -> Self {
        let mean = mean(weights);
        let mut table: Vec<_> = (0..)
            .zip(weights)
            .map(|(other, weight)| Slot {
                own: weight / mean,
                other,
            })
            .collect();
        let (mut poor, mut rich): (Vec<_>, Vec<_>) =
            (0..table.len()).partition(|&slot| table[slot].own < 1.0);
        while let (Some(slot), Some(&donor)) = (poor.pop(), rich.last()) {
            table[slot].other = u32::try_from(donor).unwrap_or(u32::MAX);
            table[donor].own -= 1.0 - table[slot].own;
            if table[donor].own < 1.0 {
                rich.pop();
                poor.push(donor);
            }
        }
        Self(table)
    }

    /// One of the things.
    pub(super) fn draw(&self, rng: &mut Rng) -> u32 {
        let at = rng.usize(..self.0.len());
        let slot = self.0[at];
        if rng.f64() < slot.own {
            u32::try_from(at).unwrap_or(u32::MAX)
        } else {
            slot.other
        }
    }
}

/// A draw from the log-normal distribution with this mean, whose logarithm deviates by `sigma`.
pub(super) fn log_normal(mean: f64, sigma: f64, rng: &mut Rng) -> f64 {
    // Box and Muller, 1958.
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    let normal = radius * (TAU * rng.f64()).cos();
    mean * (sigma * normal - sigma * sigma / 2.0).exp()
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn mean(weights: &[f64]) -> f64 {
    weights.iter().sum::<f64>() / weights.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_come_in_proportion_to_the_weights() {
        let weights = Weights::new(&[1.0, 0.0, 5.0, 2.0]);
        let mut rng = Rng::with_seed(1);
        let mut drawn = [0_i32; 4];
        for _ in 0..80_000 {
            drawn[weights.draw(&mut rng) as usize] += 1;
        }
        for (drawn, expected) in drawn.into_iter().zip([10_000, 0, 50_000, 20_000]) {
            // Five standard deviations of the largest.
            assert!((drawn - expected).abs() < 700, "{drawn} of {expected}");
        }
        assert_eq!(drawn[1], 0);
    }

    #[test]
    fn log_normal_draws_have_their_mean_and_spread() {
        let mut rng = Rng::with_seed(1);
        let draws: Vec<_> = (0..100_000)
            .map(|_| log_normal(30.0, 1.0, &mut rng))
            .collect();
        let logs: Vec<_> = draws.iter().map(|draw| draw.ln()).collect();
        let centre = mean(&logs);
        let spread: Vec<_> = logs.iter().map(|log| (log - centre).powi(2)).collect();
        assert!((mean(&draws) / 30.0 - 1.0).abs() < 0.05, "{}", mean(&draws));
        assert!((mean(&spread) - 1.0).abs() < 0.05, "{}", mean(&spread));
    }
}
