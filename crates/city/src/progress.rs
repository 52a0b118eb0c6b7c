//! How far a run is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};

use crate::world::World;

const BAR_EVERY: Duration = Duration::from_millis(250);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far the run is, on standard error, until it is dropped.
pub(crate) async fn show(world: &World, opened: DateTime<Utc>, requests: u64) {
    if std::io::stderr().is_terminal() {
        let bar = ProgressBar::new(requests).with_style(style());
        loop {
            bar.set_position(world.tally.counts().finished);
            bar.set_message(message(world, opened));
            tokio::time::sleep(BAR_EVERY).await;
        }
    }
    loop {
        eprintln!("{} of {requests} rides over; {}", world.tally.counts().finished, message(world, opened));
        tokio::time::sleep(LINE_EVERY).await;
    }
}

fn style() -> ProgressStyle {
    // The template is a constant of this file; should it be wrong, the plain bar is good enough.
    ProgressStyle::with_template("{bar:30} {pos}/{len} rides over; {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn message(world: &World, opened: DateTime<Utc>) -> String {
    let counts = world.tally.counts();
    let minutes = (world.clock.now() - opened).num_minutes();
    let riding = counts.departed - counts.waiting - counts.finished;
    format!(
        "{} matched, {} waiting, {riding} with a driver, after {}:{:02} h of domain time",
        counts.matched,
        counts.waiting,
        minutes / 60,
        minutes % 60,
    )
}
