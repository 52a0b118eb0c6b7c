//! The report of a replay as a table.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::metrics::{MatchLatencyReport, Quantiles};

use super::{Outcomes, Report, Settings, WaitQuantiles};
use crate::statistics::Offers;

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.outcome_rows(f)?;
        self.quality_rows(f)?;
        self.match_rows(f)?;
        self.run_rows(f)?;
        self.audit_rows(f)
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: &dyn Display) -> fmt::Result {
    writeln!(f, "{name:<28}{value}")
}

impl Report {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { behavior, policy, pickup_within_s, streets, reposition, price_elasticity } = self.settings;
        row(f, "scenario", &format_args!("{}, {} to {}", self.scenario, self.from, self.until))?;
        row(f, "vehicles, seed", &format_args!("{}, {}", self.vehicles, self.seed))?;
        let policy = policy.map_or("of the service", |policy| policy.name());
        let streets = if streets { "streets published" } else { "no streets published" };
        row(f, "behavior, policy", &format_args!("{behavior:?}, {policy}, {streets}"))?;
        if let Some(seconds) = pickup_within_s {
            row(f, "no offer for a pickup after", &format_args!("{seconds} s"))?;
        }
        if reposition > 0.0 || price_elasticity > 0.0 {
            row(f, "reposition, elasticity", &format_args!("{reposition}, {price_elasticity}"))?;
        }
        row(f, "time scale, wall time", &format_args!("{}, {} s", self.time_scale, self.wall_s))?;
        if self.interrupted {
            row(f, "", &"interrupted")?;
        }
        row(f, "requests", &self.requests)?;
        row(f, "rejected rows, streets", &format_args!("{}, {}", self.rejected_rows.len(), self.skipped_streets))
    }

    fn outcome_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcomes { served, no_driver, cancelled, declined, no_show, aborted, lost_to_price, unaccounted } =
            self.outcomes;
        row(f, "served", &format_args!("{served} ({:.1} %)", share(served, self.requests)))?;
        row(f, "no driver", &no_driver)?;
        row(f, "cancelled, no-show", &format_args!("{cancelled}, {no_show}"))?;
        row(f, "declined, aborted", &format_args!("{declined}, {aborted}"))?;
        if lost_to_price > 0 || self.surge_quotes > 0 {
            row(f, "lost to the price", &format_args!("{lost_to_price} of {} quotes with surge", self.surge_quotes))?;
        }
        row(f, "unaccounted", &unaccounted)
    }

    fn quality_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pickup_wait_s {
            Some(WaitQuantiles { p50, p90, p99 }) => {
                row(f, "pickup wait p50/p90/p99", &format_args!("{p50} / {p90} / {p99} s"))?;
            }
            None => row(f, "pickup wait", &"no pickups")?,
        }
        let quality = &self.quality;
        if let Some(inequality) = quality.wait_inequality {
            let deciles: Vec<String> = quality.wait_by_decile_s.iter().map(|wait_s| format!("{wait_s:.0}")).collect();
            row(f, "mean wait by decile", &format_args!("{} s", deciles.join(" ")))?;
            row(f, "", &format_args!("the last tenth waits {inequality} times the mean"))?;
        }
        if let (Some(loaded), Some(to_pickup)) = (quality.utilization_percent, quality.to_pickup_percent) {
            row(f, "utilization", &format_args!("{loaded} % with a rider, {to_pickup} % to a pickup"))?;
        }
        let km = format_args!("{} km, {} km", self.deadhead_km, self.loaded_km).to_string();
        match quality.deadhead_km_per_ride {
            Some(per_ride) => row(f, "deadhead, loaded", &format_args!("{km}; {per_ride} km of deadhead per ride"))?,
            None => row(f, "deadhead, loaded", &km)?,
        }
        if self.hints_followed > 0 {
            let Self { repositioning_km, hints_followed, .. } = self;
            row(f, "  to the places of hints", &format_args!("{repositioning_km} km, {hints_followed} hints"))?;
        }
        Ok(())
    }

    fn match_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(MatchLatencyReport { all, by_batch_size }) = &self.match_latency else { return Ok(()) };
        row(f, "match latency", all)?;
        let mut by_batch_size: Vec<_> = by_batch_size.iter().collect();
        by_batch_size.sort_by_key(|(batch_size, _)| lower_bound(batch_size));
        by_batch_size
            .into_iter()
            .try_for_each(|(batch_size, quantiles)| row(f, &format!("  in match cycles of {batch_size}"), quantiles))
    }

    fn run_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.degraded_by.as_slice() {
            [] => "not degraded".to_owned(),
            reasons => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                format!("degraded ({})", reasons.join(", "))
            }
        };
        row(
            f,
            "lateness of positions",
            &format_args!("p99 {} s, max {} s: {verdict}", self.lateness.p99_s, self.lateness.max_s),
        )?;
        let Offers { received, accepted, declined, ignored, expired_in_transit, lost } = self.offers;
        row(
            f,
            "offers",
            &format_args!("{received}: {accepted} accepted, {declined} declined, {ignored} ignored, {lost} lost"),
        )?;
        if let Some(per_ride) = self.quality.offers_per_ride {
            row(f, "offers per ride", &per_ride)?;
        }
        row(f, "offers expired in transit", &expired_in_transit)?;
        row(f, "cancelled by the driver", &self.driver_cancelled)?;
        row(f, "positions", &counters(&self.positions))?;
        row(f, "HTTP errors", &counters(&self.http_errors))
    }

    fn audit_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.captured, &self.audit) {
            (Some(captured), Some(audit)) => {
                row(f, "captured, minor units", &format_args!("service {}", counters(&captured.service)))?;
                row(f, "", &format_args!("provider {}", counters(&captured.provider)))?;
                row(f, "audit", &counters(audit))?;
                row(f, "", if self.clean { &"clean" } else { &"NOT CLEAN" })
            }
            _ => row(f, "audit", &"could not be read"),
        }
    }
}

impl Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, p50_ms, p99_ms } = self;
        write!(f, "p50 {p50_ms} ms, p99 {p99_ms} ms of real time ({count} offers)")
    }
}

/// The lower bound of a size class such as `2-5`, for sorting.
fn lower_bound(batch_size: &str) -> u64 {
    let digits: String = batch_size.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX)
}

/// The counters in one line.
pub(crate) fn counters(counters: &BTreeMap<String, impl Display>) -> String {
    let each: Vec<String> = counters.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if each.is_empty() { "none".into() } else { each.join(", ") }
}

#[allow(clippy::cast_precision_loss, reason = "a percentage")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
