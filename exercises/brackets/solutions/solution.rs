//! Balanced brackets: one pass with a stack of the open ones.
//!
//! Time O(n), memory O(depth): a bracket is pushed once and popped once.

use std::io::Read;

/// Returns what to print for a rule.
fn solve(line: &str) -> String {
    // Positions and brackets: the answer needs the position, the comparison the bracket.
    let mut open: Vec<(usize, char)> = Vec::new();
    for (position, character) in line.chars().enumerate() {
        let opening = match character {
            '(' | '[' | '{' => {
                open.push((position, character));
                continue;
            }
            ')' => '(',
            ']' => '[',
            '}' => '{',
            _ => continue,
        };
        if !open.pop().is_some_and(|(_, bracket)| bracket == opening) {
            return format!("wrong at {}", position + 1);
        }
    }
    match open.first() {
        Some((position, _)) => format!("wrong at {}", position + 1),
        None => "balanced".to_owned(),
    }
}

fn main() -> std::io::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    // Only the end of the line is removed: spaces count.
    println!("{}", solve(input.trim_end_matches('\n')));
    Ok(())
}
