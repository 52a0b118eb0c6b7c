//! `list`.

use std::fmt::Write;

use serde_json::json;

use super::Output;
use crate::bets::{Bet, BetStore};
use crate::{Result, labs, numbers};

/// Prints the labs with the user's last bet on each. An answer is shown only if its lab has run.
pub(super) fn run() -> Result<Output> {
    let bets = BetStore::of_user()?.read()?;
    let (mut text, mut items) = (String::new(), Vec::new());
    for lab in &labs::CATALOG {
        let last = bets.iter().rev().find(|bet| bet.lab == lab.name);
        writeln!(text, "{:>2}  {:<18} {}", lab.number, lab.name, lab.question)?;
        writeln!(text, "    {:<18} {}", "", last.map_or_else(|| "no bet yet".to_owned(), in_words))?;
        items.push(json!({
            "number": lab.number, "name": lab.name, "title": lab.title, "question": lab.question, "bet": lab.bet.ask,
            "unit": lab.bet.unit, "kind": lab.kind.name(), "last": last, "distance": last.and_then(Bet::distance),
        }));
    }
    let factors: Vec<f64> = bets.iter().filter_map(|bet| bet.distance()?.factor).collect();
    let typical = typical_factor(&factors);
    match typical {
        Some(factor) => {
            writeln!(text, "\nYour bets are off by a factor of {factor:.2}, the geometric mean of {}.", factors.len())?;
        }
        None => writeln!(text, "\nBegin with `cargo lab run {}`.", labs::CATALOG[0].name)?,
    }
    Ok(Output { text, json: json!({ "labs": items, "typical_factor": typical, "settled_bets": factors.len() }) })
}

fn in_words(bet: &Bet) -> String {
    let figure = |figure: f64| format!("{} {}", numbers::short(figure), bet.unit);
    match (bet.bet, bet.answer, bet.distance()) {
        (Some(bet), Some(answer), Some(distance)) => {
            let factor = distance.factor.map_or_else(String::new, |factor| format!(", a factor of {factor:.2}"));
            format!("you bet {}, the answer was {}{factor}", numbers::short(bet), figure(answer))
        }
        (Some(bet), ..) => format!("you bet {}; the lab has not ended since", figure(bet)),
        (None, Some(answer), _) => format!("ran without a bet, the answer was {}", figure(answer)),
        (None, ..) => "started without a bet, and did not end".to_owned(),
    }
}

/// Returns the geometric mean.
fn typical_factor(factors: &[f64]) -> Option<f64> {
    let logarithms: f64 = factors.iter().map(|factor| factor.ln()).sum();
    (!factors.is_empty()).then(|| (logarithms / factors.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typical_factor_is_the_geometric_mean() {
        assert!((typical_factor(&[2.0, 8.0]).expect("a mean") - 4.0).abs() < 1e-9);
        assert_eq!(typical_factor(&[]), None);
    }
}
