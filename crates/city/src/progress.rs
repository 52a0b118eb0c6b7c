//! The progress of a run: a bar on a terminal, a line every ten seconds elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};

use crate::run_context::RunContext;

const BAR_INTERVAL: Duration = Duration::from_millis(250);
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Prints the progress on standard error until it is dropped.
pub(crate) async fn show(context: &RunContext, opened: DateTime<Utc>, requests: u64) {
    if std::io::stderr().is_terminal() {
        let bar = ProgressBar::new(requests).with_style(style());
        loop {
            bar.set_position(context.statistics.counts().finished);
            bar.set_message(message(context, opened));
            tokio::time::sleep(BAR_INTERVAL).await;
        }
    }
    loop {
        eprintln!("{} of {requests} rides ended; {}", context.statistics.counts().finished, message(context, opened));
        tokio::time::sleep(LINE_INTERVAL).await;
    }
}

fn style() -> ProgressStyle {
    // The template is a constant; the default bar is only for the type.
    ProgressStyle::with_template("{bar:30} {pos}/{len} rides ended; {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn message(context: &RunContext, opened: DateTime<Utc>) -> String {
    let counts = context.statistics.counts();
    let minutes = (context.clock.now() - opened).num_minutes();
    let riding = counts.departed - counts.waiting - counts.finished;
    format!(
        "{} matched, {} waiting, {riding} with a driver, after {}:{:02} h of domain time",
        counts.matched,
        counts.waiting,
        minutes / 60,
        minutes % 60,
    )
}
