//! What a run says about a variant: noticed, and by which assertion, or not.

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed, and this is why.
    Died(String),
    /// It waited for something until its patience was at an end: that tells that something is wrong, but not what.
    Waited(String),
    /// It did not end.
    Hung,
    /// There is no such test, or it could not be run.
    NotRun(String),
}

/// How the harness of the black-box tests says that it gave up waiting.
const IN_VAIN: &str = "in vain until";

/// How the harness says that a test could not even begin.
const NO_STAGE: [&str; 4] =
    ["a PostgreSQL server for tests: ", "a database: ", "the payment simulator: ", "the service: "];

/// The verdict of a test program that was to run one test.
pub fn of_test(success: bool, output: &str) -> Verdict {
    if !output.lines().any(|line| line == "running 1 test") {
        return Verdict::NotRun("there is no such test".to_owned());
    }
    if success {
        return Verdict::Passed;
    }
    if !output.lines().any(|line| line.starts_with("test ") && line.ends_with(" ... FAILED")) {
        return Verdict::NotRun("the program ended before the test".to_owned());
    }
    let why = first_assertion(output).unwrap_or_else(|| "no assertion was shown".to_owned());
    if NO_STAGE.iter().any(|stage| why.starts_with(stage)) {
        return Verdict::NotRun(why);
    }
    if why.contains(IN_VAIN) { Verdict::Waited(why) } else { Verdict::Died(why) }
}

/// How much of an assertion is shown, characters.
const SHOWN_MAX: usize = 240;

/// What follows the last `panicked at …`, on one line: what came before it may be a panic of a task that the test provoked.
fn first_assertion(output: &str) -> Option<String> {
    let shown = output.lines().skip_while(|line| !line.starts_with("---- ")).collect::<Vec<_>>();
    let last = shown.iter().rposition(|line| line.contains("panicked at "))?;
    let message = shown[last + 1..].iter().map(|line| line.trim()).take_while(|line| !line.is_empty());
    let message = message.filter(|line| !line.starts_with("note: ")).collect::<Vec<_>>().join(" ");
    Some(message.chars().take(SHOWN_MAX).collect())
}

/// Where a torture's report begins to say what is wrong. One that could not be run has no report.
const VIOLATIONS: &str = "Violations";

/// The verdict of a torture.
pub fn of_torture(success: bool, output: &str) -> Verdict {
    let mut lines = output.lines().skip_while(|line| *line != VIOLATIONS).skip(1).map(str::trim);
    match (success, lines.clone().next()) {
        (true, _) => Verdict::Passed,
        (false, None) => Verdict::NotRun("it ended without a report".to_owned()),
        (false, Some(_)) => {
            let counted = |line: &&str| {
                line.split(' ').next().is_some_and(|count| count.parse().is_ok_and(|count: u64| count > 0))
            };
            Verdict::Died(lines.find(counted).unwrap_or("the audit is not clean, or something is unsettled").to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "
running 1 test
test offers::the_offer_expires_meanwhile ... FAILED

failures:

---- offers::the_offer_expires_meanwhile stdout ----
accept/expire: 200 rounds

thread 'offers::the_offer_expires_meanwhile' (7) panicked at tests/races/offers.rs:99:5:
assertion `left == right` failed: \"too late by clock\" was seen 0 times
  left: 1

failures:
    offers::the_offer_expires_meanwhile

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 29 filtered out; finished in 0.61s
";

    #[test]
    fn a_test_that_failed_shows_its_assertion() {
        let why = "assertion `left == right` failed: \"too late by clock\" was seen 0 times left: 1";
        assert_eq!(of_test(false, FAILED), Verdict::Died(why.to_owned()));
    }

    #[test]
    fn the_last_panic_is_the_tests_own() {
        let two = FAILED.replace("accept/expire", "thread 'worker' panicked at src/a.rs:1:1:\nprovoked\naccept/expire");
        assert_eq!(of_test(false, &two), of_test(false, FAILED));
    }

    #[test]
    fn patience_at_an_end_is_no_finding() {
        let waited = FAILED.replace("assertion `left == right` failed", "waited 10s in vain until it is captured");
        assert!(matches!(of_test(false, &waited), Verdict::Waited(_)));
    }

    #[test]
    fn no_test_no_verdict() {
        let no_stage = FAILED.replace("assertion `left", "a database: Name(x)\nassertion `left");
        assert!(matches!(of_test(false, &no_stage), Verdict::NotRun(_)));
        assert!(matches!(of_test(true, "running 0 tests\n"), Verdict::NotRun(_)));
        assert!(matches!(of_test(false, "running 1 test\nfatal\n"), Verdict::NotRun(_)));
        assert_eq!(of_test(true, "running 1 test\ntest a ... ok\n"), Verdict::Passed);
    }

    #[test]
    fn a_torture_finds_what_its_report_counts() {
        let report = "Faults\n  9  kill\n\nViolations\n        0  double charges\n        2  lost charges\n";
        assert_eq!(of_torture(true, report), Verdict::Passed);
        assert_eq!(of_torture(false, report), Verdict::Died("2  lost charges".to_owned()));
        assert!(matches!(of_torture(false, &report.replace(" 2 ", " 0 ")), Verdict::Died(_)));
        assert!(matches!(of_torture(false, "Faults\n  9  kill\n"), Verdict::NotRun(_)));
    }
}
