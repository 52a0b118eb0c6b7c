//! What the first drill says after each command, so that it explains the loop as it goes.

use crate::session::Session;

/// The drill that explains.
const FIRST: u16 = 1;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The page was read.
    Started,
    /// Something was looked at.
    Observed,
    /// A diagnosis was graded.
    Diagnosed,
    /// A mitigation was judged.
    Mitigated,
    /// One seed was run.
    Tried,
}

/// Returns the next step in the first drill; nothing in others, or after its end.
pub(super) fn next(session: &Session, done: Done) -> String {
    if session.number != FIRST || session.has_ended() {
        return String::new();
    }
    let step = match done {
        Done::Started => {
            "Begin with `cargo drill observe`. Which figures agree with the page? Which cars, which riders? \
             Then compare one that is well with one that is not."
        }
        Done::Observed => {
            "When you can say which part of the service it is, write it down before you repair it: `cargo drill diagnose` prints the lists. \
             `git log -p` in the tree shows what was deployed; not everything recent is the cause."
        }
        Done::Diagnosed => {
            "Customers wait while you search: could a roll-back or a variable stop the harm now? `cargo drill mitigate --roll-back COMMIT`. \
             Then repair the tree, and `cargo drill try`."
        }
        Done::Mitigated => "The fault is still in the tree. Repair it there, then `cargo drill try`.",
        Done::Tried => {
            "`cargo drill check` runs ten seeds, every invariant, and the contract. If a change passes `try` and fails there, it treats \
             the symptom."
        }
    };
    format!("\n\nNext: {step}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Phase, state::tests::session};

    #[test]
    fn only_the_first_drill_explains_until_its_end() {
        assert!(next(&session(), Done::Started).contains("cargo drill observe"));
        assert_eq!(next(&Session { number: 2, ..session() }, Done::Started), "");
        assert_eq!(next(&Session { phase: Phase::Solved, ..session() }, Done::Tried), "");
    }
}
