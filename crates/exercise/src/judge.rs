//! The verdict on one run: nothing, or what is wrong in words from which one learns.

use std::fmt::Write;

use crate::cases::Case;
use crate::catalog::{About, Complexity};
use crate::limited::{End, OUTPUT_BYTES_MAX, Run};

/// A larger input says something about complexity.
const SMALL_MAX: usize = 1_000;

/// A longer text is not shown.
const SHOWN_LINES_MAX: usize = 12;
const SHOWN_BYTES_MAX: usize = 400;

/// The last lines of standard error that are shown.
const ERROR_LINES: usize = 4;

/// What runtimes print when they get no more memory: Python, Rust, C++, the JVM, Go and Node.js, the C library.
const OUT_OF_MEMORY: [&str; 6] =
    ["MemoryError", "memory allocation of", "bad_alloc", "OutOfMemoryError", "out of memory", "Cannot allocate memory"];

/// What runtimes print that catch the signal at the limit of processor time, such as Go's.
const OUT_OF_TIME: &str = "CPU time limit exceeded";

/// The signals at the hard limit of processor time, which is also that of a machine without memory, and at the longest file.
const SIGKILL: i32 = 9;
const SIGXFSZ: i32 = 25;

/// Returns what is wrong with a run, if anything is.
pub fn problem(about: &About, case: &Case, run: &Run) -> Option<String> {
    let mut text = match run.end {
        End::Exited(0) => difference(case, &run.stdout)?,
        _ => stopped(about, case.n, run),
    };
    if case.n <= SMALL_MAX {
        let _infallible = write!(text, "\n\ninput:\n{}", shown(&case.input));
        if run.end != End::Exited(0) {
            let _infallible = write!(text, "\nexpected:\n{}", shown(&case.answer));
        }
    }
    Some(text)
}

/// Compares the output with the answer. Spaces at the ends of lines and empty lines at the end do not count.
fn difference(case: &Case, output: &str) -> Option<String> {
    let (expected, got) = (lines(&case.answer), lines(output));
    if expected == got {
        return None;
    }
    if is_short(&case.answer) && is_short(output) {
        return Some(format!("wrong output\n\nexpected:\n{}\ngot:\n{}", shown(&case.answer), shown(output)));
    }
    let at = expected.iter().zip(&got).take_while(|(expected, got)| expected == got).count();
    let line = |lines: &[&str]| lines.get(at).map_or("nothing: the output ends here".to_owned(), |line| clipped(line));
    Some(format!(
        "wrong output from line {} on; {} lines were expected, {} were printed\n\nexpected: {}\ngot:      {}",
        at + 1,
        expected.len(),
        got.len(),
        line(&expected),
        line(&got),
    ))
}

/// Explains a run that did not end well.
pub fn stopped(about: &About, n: usize, run: &Run) -> String {
    let limits = about.limits;
    let ran_out = OUT_OF_MEMORY.iter().any(|words| run.stderr.contains(words));
    let end = match run.end {
        End::Exited(_) | End::Killed(_) if run.stderr.contains(OUT_OF_TIME) => End::CpuTime,
        end => end,
    };
    match end {
        End::CpuTime | End::WallTime => {
            let limit = if end == End::CpuTime {
                format!("took longer than {} s of processor time on n = {n}", limits.cpu_s)
            } else {
                format!("did not end within {} s on n = {n}", limits.wall_s)
            };
            match &about.complexity {
                Some(Complexity { time, slow, .. }) if n > SMALL_MAX => {
                    format!("{limit}: complexity. {time} is possible. {slow}")
                }
                None if end == End::WallTime => format!(
                    "{limit}: one booking after another, a wait for an answer without a timeout, or a loop that never ends"
                ),
                _ => format!(
                    "{limit}: a loop that never ends, or a wait for input that never comes. Which condition ends each of \
                     your loops, and what makes it true for this input?"
                ),
            }
        }
        _ if ran_out => {
            let limit = format!("used more than {} MB of memory on n = {n}", limits.memory_mb);
            match &about.complexity {
                Some(Complexity { memory, large, .. }) => format!("{limit}. {memory} is possible. {large}"),
                None => limit,
            }
        }
        End::TooMuchOutput => {
            format!("printed more than {} MB: does a loop print without an end?", OUTPUT_BYTES_MAX >> 20)
        }
        End::Exited(code) => format!("ended with exit code {code}{}", errors(&run.stderr)),
        End::Killed(signal) => {
            let why = match signal {
                SIGKILL => ": it ignored the limit of processor time, or this machine has no memory left",
                SIGXFSZ => ": a file may have up to 64 MB",
                _ => "",
            };
            format!("was killed by signal {signal}{why}{}", errors(&run.stderr))
        }
    }
}

/// Returns the last lines of standard error.
fn errors(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(ERROR_LINES)..].join("\n");
    if last.is_empty() { String::new() } else { format!("\n\nstandard error:\n{}", indented(&last)) }
}

fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(str::trim_end).collect()
}

fn is_short(text: &str) -> bool {
    text.len() <= SHOWN_BYTES_MAX && text.lines().count() <= SHOWN_LINES_MAX
}

fn shown(text: &str) -> String {
    if text.is_empty() {
        return "    (nothing)".to_owned();
    }
    if text.trim_end_matches('\n').is_empty() {
        return "    (an empty line)".to_owned();
    }
    if is_short(text) { indented(text) } else { format!("    ({} bytes, too long to show)", text.len()) }
}

fn indented(text: &str) -> String {
    text.trim_end_matches('\n').lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn clipped(line: &str) -> String {
    line.chars().take(SHOWN_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Limits;

    fn about() -> About {
        let complexity = Complexity {
            time: "O(n)".to_owned(),
            memory: "O(1)".to_owned(),
            slow: "Look for a loop in a loop.".to_owned(),
            large: "Look for a table.".to_owned(),
        };
        let limits = Limits { cpu_s: 2, wall_s: 10, memory_mb: 64 };
        About { title: String::new(), minutes: 1, limits, complexity: Some(complexity) }
    }

    fn verdict(end: End, (stdout, stderr): (&str, &str), n: usize) -> Option<String> {
        let case = Case { what: String::new(), n, input: "1 2\n".to_owned(), answer: "3\n4\n".to_owned() };
        let run = Run { end, stdout: stdout.to_owned(), stderr: stderr.to_owned(), seconds: 0.0 };
        problem(&about(), &case, &run)
    }

    #[test]
    fn right_output_passes_whatever_the_ends_of_its_lines() {
        assert_eq!(verdict(End::Exited(0), ("3 \r\n4\n\n", ""), 2), None);
        assert!(verdict(End::Exited(0), (" 3\n4", ""), 2).is_some());
        assert!(verdict(End::Exited(0), ("", ""), 2).is_some());
        assert!(verdict(End::Exited(1), ("3\n4\n", ""), 2).is_some(), "an exit code counts");
    }

    #[test]
    fn each_failure_teaches() {
        let text = |end, output, n| verdict(end, output, n).expect("a problem");
        let wrong = text(End::Exited(0), ("5\n", ""), 2);
        assert!(wrong.contains("expected:\n    3\n    4\ngot:\n    5") && wrong.contains("input:\n    1 2"), "{wrong}");
        let slow = text(End::CpuTime, ("", ""), 200_000);
        assert!(
            slow.contains("longer than 2 s") && slow.contains("n = 200000: complexity. O(n) is possible"),
            "{slow}"
        );
        let endless = text(End::CpuTime, ("", ""), 2);
        assert!(endless.contains("never ends") && endless.contains("expected:\n    3"), "{endless}");
        let caught = text(End::Exited(2), ("", "SIGXCPU: CPU time limit exceeded\nPC=0x1\n"), 200_000);
        assert!(caught.contains("complexity. O(n) is possible"), "{caught}");
        let silent = text(End::Exited(0), ("", ""), 2);
        assert!(silent.contains("got:\n    (nothing)"), "{silent}");
        let large = text(End::Exited(1), ("", "Traceback\nMemoryError\n"), 2);
        assert!(large.contains("more than 64 MB") && large.contains("Look for a table."), "{large}");
        let failed = text(End::Exited(1), ("", "a\nZeroDivisionError: division by zero\n"), 2);
        assert!(failed.contains("exit code 1") && failed.contains("ZeroDivisionError"), "{failed}");
        assert!(text(End::TooMuchOutput, ("", ""), 2).contains("printed more than 8 MB"));
        assert!(text(End::Killed(9), ("", ""), 2).contains("signal 9"));
    }

    #[test]
    fn long_output_is_compared_by_line() {
        let answer: String = (0..100).map(|number| format!("{number}\n")).collect();
        let case = Case { what: String::new(), n: 5_000, input: String::new(), answer: answer.clone() };
        let output = answer.replace("\n70\n", "\n71\n");
        let run = Run { end: End::Exited(0), stdout: output, stderr: String::new(), seconds: 0.0 };
        let text = problem(&about(), &case, &run).expect("a problem");
        assert!(text.contains("from line 71 on") && text.contains("expected: 70\ngot:      71"), "{text}");
    }
}
