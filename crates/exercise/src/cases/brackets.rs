//! Balanced brackets.

use rand::RngExt;
use rand::rngs::StdRng;

use super::{Input, LARGE, SMALL_CASES};

/// The brackets.
const PAIRS: [(char, char); 3] = [('(', ')'), ('[', ']'), ('{', '}')];

/// What a character of a small rule is exchanged for.
const ALPHABET: &[u8] = b"()[]{}a +";

/// The longest small rule.
const SMALL_MAX: usize = 12;

pub(super) fn inputs(rng: &mut StdRng) -> Vec<Input> {
    let fixed = [
        ("an empty rule", ""),
        ("only spaces", "   "),
        ("no bracket", "distance * rate"),
        ("brackets that interleave", "([)]"),
        ("a bracket that closes nothing", ")("),
        ("a bracket that stays open", "a(b[c]"),
        ("two that stay open: the first one counts", "(("),
        ("a space before the brackets counts", " )"),
    ];
    let mut inputs: Vec<Input> =
        fixed.into_iter().map(|(what, line)| (what.to_owned(), line.len(), format!("{line}\n"))).collect();
    for _ in 0..SMALL_CASES {
        let line = small(rng);
        inputs.push(("a small random rule".to_owned(), line.len(), format!("{line}\n")));
    }
    let half = LARGE / 2;
    let nested = format!("{}{}\n", "(".repeat(half), ")".repeat(half));
    inputs.push(("deep nesting".to_owned(), LARGE, nested));
    inputs.push(("many pairs side by side".to_owned(), LARGE, format!("{}\n", "[]".repeat(half))));
    let late = format!("{}{}}}\n", "(".repeat(half - 1), ")".repeat(half));
    inputs.push(("a mistake near the end".to_owned(), LARGE, late));
    inputs
}

/// Returns a small rule: balanced brackets, of which a character may be exchanged.
fn small(rng: &mut StdRng) -> String {
    let (mut rule, mut open) = (String::new(), Vec::<char>::new());
    // A pair has two characters, and its second one comes later.
    while rule.len() + open.len() + 2 <= SMALL_MAX && rng.random_range(0..10) > 0 {
        match rng.random_range(0..5) {
            0 => rule.push('a'),
            1 | 2 => rule.extend(open.pop()),
            _ => {
                let (opening, closing) = PAIRS[rng.random_range(0..PAIRS.len())];
                rule.push(opening);
                open.push(closing);
            }
        }
    }
    rule.extend(open.into_iter().rev());
    if !rule.is_empty() && rng.random_bool(0.5) {
        let at = rng.random_range(0..rule.len());
        let other = char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]);
        rule.replace_range(at..=at, &other.to_string());
    }
    rule
}

pub(super) fn answer(input: &str) -> String {
    let line = input.strip_suffix('\n').unwrap_or(input);
    let mut open = Vec::new();
    for (at, byte) in line.bytes().enumerate() {
        let opens = match byte {
            b'(' | b'[' | b'{' => {
                open.push((at, byte));
                continue;
            }
            b')' => b'(',
            b']' => b'[',
            b'}' => b'{',
            _ => continue,
        };
        if open.pop().is_none_or(|(_, byte)| byte != opens) {
            return format!("wrong at {}", at + 1);
        }
    }
    open.first().map_or_else(|| "balanced".to_owned(), |(at, _)| format!("wrong at {}", at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    /// Removes innermost pairs until none is left: another way to the same answer.
    fn is_balanced(line: &str) -> bool {
        let mut left: String = line.chars().filter(|c| "()[]{}".contains(*c)).collect();
        loop {
            let shorter = left.replace("()", "").replace("[]", "").replace("{}", "");
            if shorter.len() == left.len() {
                return left.is_empty();
            }
            left = shorter;
        }
    }

    #[test]
    fn oracle_agrees_with_the_removal_of_pairs() {
        let (mut balanced, mut wrong) = (0, 0);
        for seed in 0..20 {
            for (_, n, input) in inputs(&mut random::generator(seed, "test")) {
                if n <= SMALL_MAX {
                    let is_balanced = is_balanced(&input);
                    assert_eq!(answer(&input) == "balanced", is_balanced, "{input}");
                    if is_balanced { balanced += 1 } else { wrong += 1 }
                }
            }
        }
        assert!(balanced > 20 && wrong > 20);
    }
}
