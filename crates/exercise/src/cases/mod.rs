//! The cases of the classics: inputs by a generator, answers by an oracle. Small ones come first, so that a wrong solution fails on one
//! that can be read.

mod brackets;
mod merge;
mod split;
mod trending;

use rand::rngs::StdRng;

use crate::Result;
use crate::catalog::Exercise;
use crate::random;

/// The size of the large cases.
pub const LARGE: usize = 200_000;

/// How many small random cases there are.
const SMALL_CASES: usize = 20;

/// The largest number in an input, but for identifiers. Products of two fit into 64 bits.
const VALUE_MAX: i64 = 1_000_000_000;

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it is about.
    pub what: String,
    /// The size: characters, entries, riders or events.
    pub n: usize,
    /// Standard input.
    pub input: String,
    /// The right output.
    pub answer: String,
}

/// A generated input: what it is about, its size, and its text.
type Input = (String, usize, String);

/// Returns an exercise's cases: the examples of its statement, then what the generator makes of the seed.
///
/// # Errors
/// The statement cannot be read, or the exercise is not a classic.
pub fn of(exercise: &Exercise, seed: u64) -> Result<Vec<Case>> {
    type Parts = (fn(&mut StdRng) -> Vec<Input>, fn(&str) -> String);
    let (inputs, oracle): Parts = match exercise.name {
        "brackets" => (brackets::inputs, brackets::answer),
        "merge" => (merge::inputs, merge::answer),
        "split" => (split::inputs, split::answer),
        "trending" => (trending::inputs, trending::answer),
        name => return Err(format!("{name} has no cases").into()),
    };
    let examples = exercise.examples()?.into_iter().enumerate().map(|(at, (input, answer))| Case {
        what: format!("example {} of the statement", at + 1),
        n: input.len(),
        input,
        answer,
    });
    let generated = inputs(&mut random::generator(seed, exercise.name)).into_iter().map(|(what, n, input)| {
        let answer = oracle(&input);
        Case { what, n, input, answer }
    });
    Ok(examples.chain(generated).collect())
}

/// Joins numbers by spaces.
fn joined<T: ToString>(numbers: impl IntoIterator<Item = T>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// Reads the numbers of a text. The oracles read only what the generators and the statements have written.
fn numbers(text: &str) -> impl Iterator<Item = i64> {
    text.split_ascii_whitespace().map(|word| word.parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::NAMES;

    fn classics() -> Vec<Exercise> {
        NAMES[..4].iter().map(|name| Exercise::find(name).expect("an exercise")).collect()
    }

    #[test]
    fn oracle_agrees_with_the_examples_of_the_statement() {
        for exercise in classics() {
            let oracle = match exercise.name {
                "brackets" => brackets::answer,
                "merge" => merge::answer,
                "split" => split::answer,
                _ => trending::answer,
            };
            let examples = exercise.examples().expect("examples");
            assert_eq!(examples.len(), 2, "{}", exercise.name);
            for (input, output) in examples {
                assert_eq!(oracle(&input).trim_end(), output.trim_end(), "{}: {input}", exercise.name);
            }
        }
    }

    #[test]
    fn same_seed_gives_the_same_cases_and_small_ones_come_first() {
        for exercise in classics() {
            let cases = of(&exercise, 1).expect("cases");
            assert_eq!(cases, of(&exercise, 1).expect("cases"));
            assert_ne!(cases, of(&exercise, 2).expect("cases"));
            assert!(cases[..cases.len() / 2].iter().all(|case| case.n < 200), "{}", exercise.name);
            assert!(cases.iter().any(|case| case.n >= LARGE), "{}", exercise.name);
        }
    }
}
