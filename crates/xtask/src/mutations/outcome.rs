//! The outcome of a test run, by its output.

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestOutcome {
    /// It passed.
    Passed,
    /// It failed with this assertion.
    Failed(String),
    /// A wait timed out, which does not say what is wrong.
    TimedOut(String),
    /// It did not end.
    Hung,
    /// There is no such test, or it could not be run.
    NotRun(String),
}

/// The harness's message of a timeout.
const TIMED_OUT: &str = "timed out after ";

/// The harness's messages of a failed setup.
const SETUP_FAILURES: [&str; 4] =
    ["a PostgreSQL server for tests: ", "a database: ", "the payment simulator: ", "the service starts: "];

/// Returns the outcome of a test binary that was to run one test.
pub fn of_test(success: bool, output: &str) -> TestOutcome {
    if !output.lines().any(|line| line == "running 1 test") {
        return TestOutcome::NotRun("there is no such test".to_owned());
    }
    if success {
        return TestOutcome::Passed;
    }
    if !output.lines().any(|line| line.starts_with("test ") && line.ends_with(" ... FAILED")) {
        return TestOutcome::NotRun("the program ended before the test".to_owned());
    }
    let why = last_assertion(output).unwrap_or_else(|| "no assertion was shown".to_owned());
    if SETUP_FAILURES.iter().any(|message| why.starts_with(message)) {
        return TestOutcome::NotRun(why);
    }
    if why.starts_with(TIMED_OUT) { TestOutcome::TimedOut(why) } else { TestOutcome::Failed(why) }
}

/// Characters of an assertion that are shown.
const SHOWN_MAX: usize = 240;

/// Returns what follows the last `panicked at …`, on one line. Earlier panics may be provoked by the test.
fn last_assertion(output: &str) -> Option<String> {
    let shown = output.lines().skip_while(|line| !line.starts_with("---- ")).collect::<Vec<_>>();
    let last = shown.iter().rposition(|line| line.contains("panicked at "))?;
    let message = shown[last + 1..].iter().map(|line| line.trim()).take_while(|line| !line.is_empty());
    let message = message.filter(|line| !line.starts_with("note: ")).collect::<Vec<_>>().join(" ");
    Some(message.chars().take(SHOWN_MAX).collect())
}

/// Heading of the violations in a torture report.
const VIOLATIONS: &str = "Violations";

/// Returns the outcome of a torture run.
pub fn of_torture(success: bool, output: &str) -> TestOutcome {
    let mut lines = output.lines().skip_while(|line| *line != VIOLATIONS).skip(1).map(str::trim);
    match (success, lines.clone().next()) {
        (true, _) => TestOutcome::Passed,
        (false, None) => TestOutcome::NotRun("it ended without a report".to_owned()),
        (false, Some(_)) => {
            let counted = |line: &&str| {
                line.split(' ').next().is_some_and(|count| count.parse().is_ok_and(|count: u64| count > 0))
            };
            TestOutcome::Failed(
                lines.find(counted).unwrap_or("the audit is not clean, or something is unsettled").to_owned(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "
running 1 test
test offers::accept_against_expiry_is_200_or_410 ... FAILED

failures:

---- offers::accept_against_expiry_is_200_or_410 stdout ----
accept/expire: 200 rounds

thread 'offers::accept_against_expiry_is_200_or_410' (7) panicked at tests/rides/races/offers.rs:99:5:
assertion `left == right` failed: \"too late by clock\" was seen 0 times
  left: 1

failures:
    offers::accept_against_expiry_is_200_or_410

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 29 filtered out; finished in 0.61s
";

    #[test]
    fn failure_shows_its_assertion() {
        let why = "assertion `left == right` failed: \"too late by clock\" was seen 0 times left: 1";
        assert_eq!(of_test(false, FAILED), TestOutcome::Failed(why.to_owned()));
    }

    #[test]
    fn last_panic_counts() {
        let two = FAILED.replace("accept/expire", "thread 'worker' panicked at src/a.rs:1:1:\nprovoked\naccept/expire");
        assert_eq!(of_test(false, &two), of_test(false, FAILED));
    }

    #[test]
    fn test_that_timed_out_is_timed_out_not_failed() {
        let timed_out =
            FAILED.replace("assertion `left == right` failed", "timed out after 10s waiting until it is captured");
        assert!(matches!(of_test(false, &timed_out), TestOutcome::TimedOut(_)));
    }

    #[test]
    fn missing_test_or_failed_setup_is_not_run() {
        let no_setup = FAILED.replace("assertion `left", "a database: Name(x)\nassertion `left");
        assert!(matches!(of_test(false, &no_setup), TestOutcome::NotRun(_)));
        assert!(matches!(of_test(true, "running 0 tests\n"), TestOutcome::NotRun(_)));
        assert!(matches!(of_test(false, "running 1 test\nfatal\n"), TestOutcome::NotRun(_)));
        assert_eq!(of_test(true, "running 1 test\ntest a ... ok\n"), TestOutcome::Passed);
    }

    #[test]
    fn torture_fails_with_its_first_violation() {
        let report = "Faults\n  9  kill\n\nViolations\n        0  double charges\n        2  lost charges\n";
        assert_eq!(of_torture(true, report), TestOutcome::Passed);
        assert_eq!(of_torture(false, report), TestOutcome::Failed("2  lost charges".to_owned()));
        assert!(matches!(of_torture(false, &report.replace(" 2 ", " 0 ")), TestOutcome::Failed(_)));
        assert!(matches!(of_torture(false, "Faults\n  9  kill\n"), TestOutcome::NotRun(_)));
    }
}
