//! Reads the input that statement.md describes, and prints the answer.

use std::io::{Read, Write};

/// Returns the output for an input.
fn solve(input: &str) -> String {
    let _ = input;
    "not written yet".to_owned()
}

fn main() -> std::io::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    // One write: a line at a time is slow.
    std::io::stdout().write_all((solve(&input) + "\n").as_bytes())
}
