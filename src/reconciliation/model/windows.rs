//! The windows of time in which a run compares the records, so that it holds one window in memory, however many payments there are.
//!
//! A window ends at midnight (UTC), or earlier if it would have more than [`PAYMENTS_MAX`] payments. It starts and ends with a whole
//! second, because the provider's times are whole seconds. The first window of a run over all payments has no start, so that it
//! contains what the provider has from before our first payment. The last window of every run has no end.

use chrono::{DateTime, TimeDelta, Timelike, Utc};

use crate::platform::clock::MachineTime;

/// The most payments of ours in one window: some ten megabytes.
pub const PAYMENTS_MAX: i64 = 20_000;

/// A time span from `from` on, and before `until`; open if absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The start.
    pub from: Option<MachineTime>,
    /// The end, which does not belong to it.
    pub until: Option<MachineTime>,
}

/// What the next window depends on.
#[derive(Debug, Clone, Copy)]
pub struct WindowBounds {
    /// Where the window starts; `None` for the first window of a run over all payments.
    pub position: Option<MachineTime>,
    /// When the run started: the last window contains this time.
    pub started_at: MachineTime,
    /// When our first payment was made, if there is one.
    pub first_payment: Option<MachineTime>,
}

/// Returns the next window, and the position after it; `None` after the last window. `overfull`: when the first payment was made that a
/// window from here on has no room for.
pub fn next_window(bounds: WindowBounds, overfull: Option<MachineTime>) -> Option<(Window, MachineTime)> {
    let WindowBounds { position, started_at, first_payment } = bounds;
    if position.is_some_and(|position| position >= started_at) {
        return None;
    }
    let end = match position {
        None => first_payment.map(midnight_before),
        Some(from) => {
            let day_end = midnight_after(from);
            Some(overfull.map(whole_second).filter(|end| *end > from).map_or(day_end, |end| end.min(day_end)))
        }
    };
    let until = end.filter(|end| *end < started_at);
    Some((Window { from: position, until }, until.unwrap_or(started_at)))
}

/// Returns `time` without the fraction of its second.
pub fn whole_second(time: MachineTime) -> MachineTime {
    MachineTime::new(time.utc().with_nanosecond(0).unwrap_or(time.utc()))
}

fn midnight_before(time: MachineTime) -> MachineTime {
    let midnight = time.utc().date_naive().and_hms_opt(0, 0, 0);
    MachineTime::new(midnight.map_or(time.utc(), |midnight| DateTime::<Utc>::from_naive_utc_and_offset(midnight, Utc)))
}

fn midnight_after(time: MachineTime) -> MachineTime {
    midnight_before(time) + TimeDelta::days(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> MachineTime {
        MachineTime::new(text.parse().expect("a time"))
    }

    /// Returns the windows of a run as text.
    fn windows(position: Option<&str>, started_at: &str, first_payment: Option<&str>) -> Vec<String> {
        let (started_at, first_payment) = (at(started_at), first_payment.map(at));
        let mut position = position.map(at);
        let mut all = Vec::new();
        while let Some((window, next)) = next_window(WindowBounds { position, started_at, first_payment }, None) {
            let text = |end: Option<MachineTime>| {
                end.map_or_else(|| "-".to_owned(), |end| end.utc().format("%dT%H:%M:%S").to_string())
            };
            all.push(format!("{} {}", text(window.from), text(window.until)));
            position = Some(next);
        }
        all
    }

    #[test]
    fn run_over_all_payments_starts_before_the_first_and_goes_day_by_day() {
        let expected = ["- 01T00:00:00", "01T00:00:00 02T00:00:00", "02T00:00:00 03T00:00:00", "03T00:00:00 -"];
        assert_eq!(windows(None, "2026-01-03T12:00:00Z", Some("2026-01-01T23:59:59.9Z")), expected);
        assert_eq!(windows(None, "2026-01-03T12:00:00Z", None), ["- -"], "without payments there is one window");
        assert_eq!(windows(None, "2026-01-03T00:00:00Z", Some("2026-01-03T00:00:00Z")), ["- -"]);
    }

    #[test]
    fn run_from_a_position_ends_with_an_open_window() {
        assert_eq!(windows(Some("2026-01-03T11:00:00Z"), "2026-01-03T12:00:00Z", None), ["03T11:00:00 -"]);
        let over_midnight = ["02T23:30:00 03T00:00:00", "03T00:00:00 -"];
        assert_eq!(windows(Some("2026-01-02T23:30:00Z"), "2026-01-03T00:10:00Z", None), over_midnight);
        assert!(windows(Some("2026-01-03T12:00:00Z"), "2026-01-03T12:00:00Z", None).is_empty(), "it has ended");
    }

    #[test]
    fn window_ends_before_it_has_too_many_payments() {
        let bounds = |position: &str| WindowBounds {
            position: Some(at(position)),
            started_at: at("2026-01-03T12:00:00Z"),
            first_payment: None,
        };
        let next =
            |position: &str, overfull: &str| next_window(bounds(position), Some(at(overfull))).expect("a window").1;
        assert_eq!(next("2026-01-01T00:00:00Z", "2026-01-01T07:00:00.7Z"), at("2026-01-01T07:00:00Z"));
        assert_eq!(next("2026-01-01T00:00:00Z", "2026-01-02T07:00:00Z"), at("2026-01-02T00:00:00Z"));
        // So many payments in one second: the window cannot end earlier, and has the rest of the day.
        assert_eq!(next("2026-01-01T07:00:00Z", "2026-01-01T07:00:00.9Z"), at("2026-01-02T00:00:00Z"));
    }
}
