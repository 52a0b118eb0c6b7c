//! What a run says about a variant: noticed, and by which assertion, or not.

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed, and this is the first line of why.
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
    if why.contains(IN_VAIN) { Verdict::Waited(why) } else { Verdict::Died(why) }
}

/// The line after the last `panicked at …`: what came before it may be a panic of a task that the test provoked.
fn first_assertion(output: &str) -> Option<String> {
    let mut lines = output.lines().skip_while(|line| !line.starts_with("---- "));
    let mut last = None;
    while lines.any(|line| line.contains("panicked at ")) {
        last = lines.by_ref().find(|line| !line.trim().is_empty()).or(last);
    }
    last.map(|line| line.trim().to_owned())
}

/// The exit code by which the torture says that the books are wrong. Others say that it could not be run.
const VIOLATED: i32 = 1;

/// The verdict of a torture.
pub fn of_torture(code: Option<i32>, output: &str) -> Verdict {
    match code {
        Some(0) => Verdict::Passed,
        Some(VIOLATED) => {
            let violation = output.lines().find(|line| line.to_lowercase().contains("violat"));
            Verdict::Died(violation.unwrap_or("the books are wrong").trim().to_owned())
        }
        code => Verdict::NotRun(format!("torture ended with {code:?}")),
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
        let why = "assertion `left == right` failed: \"too late by clock\" was seen 0 times";
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
        assert!(matches!(of_test(true, "running 0 tests\n"), Verdict::NotRun(_)));
        assert!(matches!(of_test(false, "running 1 test\nfatal\n"), Verdict::NotRun(_)));
        assert_eq!(of_test(true, "running 1 test\ntest a ... ok\n"), Verdict::Passed);
    }

    #[test]
    fn a_torture_finds_by_its_exit_code() {
        assert_eq!(of_torture(Some(0), ""), Verdict::Passed);
        assert_eq!(of_torture(Some(1), "a\n2 violations: x\n"), Verdict::Died("2 violations: x".to_owned()));
        assert!(matches!(of_torture(Some(2), ""), Verdict::NotRun(_)));
        assert!(matches!(of_torture(None, ""), Verdict::NotRun(_)));
    }
}
