//! Figures as people read them.

use super::outcome::real;

/// A rate by the second, without a fraction.
pub(super) fn rate(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither negative nor near 2^64"
    )]
    grouped(rate.round() as u64)
}

/// With a comma before every third digit from the end.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A duration in the unit that suits it.
pub(super) fn nanoseconds(nanos: u64) -> String {
    seconds(real(nanos) / 1e9)
}

/// The same, of seconds.
pub(super) fn seconds(seconds: f64) -> String {
    let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];
    in_units(seconds, &units)
}

/// A size in bytes in the unit that suits it.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")];
    in_units(real(bytes), &units)
}

/// In the first unit that is not larger than the value, or the last; to three digits.
fn in_units(value: f64, units: &[(f64, &str)]) -> String {
    let fits = units.iter().find(|(unit, _)| value >= *unit);
    let Some(&(unit, name)) = fits.or_else(|| units.last()) else {
        return value.to_string();
    };
    let value = value / unit;
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_groups_of_three() {
        let shown = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(rate(12_345.6), "12,346");
    }

    #[test]
    fn durations_and_sizes_have_three_digits() {
        let shown = [7, 1_234, 12_345, 123_456_789, 60_000_000_000].map(nanoseconds);
        assert_eq!(shown, ["7.00 ns", "1.23 µs", "12.3 µs", "123 ms", "60.0 s"]);
        assert_eq!(
            [0, 5, 1_500, 2_340_000_000].map(size),
            ["0.00 B", "5.00 B", "1.50 kB", "2.34 GB"]
        );
    }
}
