//! The printable receipt: columns of text, amounts in the digits of their currency.

use std::fmt::Write;

use super::{PaymentLine, ReceiptBody};
use crate::platform::clock::DomainTime;
use crate::platform::money::Money;

/// Characters per line; amounts end in the last column.
const WIDTH: usize = 56;

/// Renders the receipt.
pub(super) fn render(receipt: &ReceiptBody) -> String {
    let mut text = format!("Receipt for {}\n", receipt.trip_id);
    let state = capitalized(receipt.state.as_str());
    match receipt.ended_at {
        Some(at) => line(&mut text, &format!("{state} on {}", shown(at))),
        None => line(&mut text, &state),
    }
    text.push('\n');
    for one in &receipt.lines {
        columns(&mut text, one.label, one.amount);
    }
    line(&mut text, &"-".repeat(WIDTH));
    columns(&mut text, "Total", receipt.total);
    for payment in &receipt.payments {
        text.push('\n');
        render_payment(&mut text, payment);
    }
    text.push('\n');
    let sums = [
        ("Authorized", receipt.authorized),
        ("Captured", receipt.captured),
        ("Refunded", receipt.refunded),
        ("Written off", receipt.written_off),
    ];
    for (label, amount) in sums.into_iter().filter(|(_, sum)| sum.amount != 0) {
        columns(&mut text, label, amount);
    }
    columns(&mut text, "Due", receipt.due);
    text
}

fn render_payment(text: &mut String, payment: &PaymentLine) {
    let method = payment.method.map(|method| format!(", {method}")).unwrap_or_default();
    line(
        text,
        &format!("{}{method}: {}", capitalized(payment.purpose.as_str()), payment.state.as_str().replace('_', " ")),
    );
    for movement in &payment.movements {
        columns(text, &format!("  {}  {}", shown(movement.at), movement.what.replace('_', " ")), movement.amount);
    }
}

fn line(text: &mut String, words: &str) {
    let _written = writeln!(text, "{words}");
}

/// Writes a label on the left and an amount on the right.
fn columns(text: &mut String, label: &str, amount: Money) {
    let amount = decimal(amount);
    let width = WIDTH.saturating_sub(label.chars().count());
    let _written = writeln!(text, "{label}{amount:>width$}");
}

/// Formats a time to the minute.
fn shown(at: DomainTime) -> String {
    at.utc().format("%Y-%m-%d %H:%M UTC").to_string()
}

fn capitalized(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Formats an amount: `12.34 USD`, `500 JPY`, `1.234 KWD`.
fn decimal(money: Money) -> String {
    let decimals = u32::from(money.currency.decimals());
    let unit = 10_u64.pow(decimals);
    let (sign, amount) = (if money.amount < 0 { "-" } else { "" }, money.amount.unsigned_abs());
    let width = usize::try_from(decimals).unwrap_or_default();
    match decimals {
        0 => format!("{sign}{amount} {}", money.currency),
        _ => format!("{sign}{}.{:0width$} {}", amount / unit, amount % unit, money.currency),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amount_has_the_digits_of_its_currency() {
        let cases = [
            (1_234, "USD", "12.34 USD"),
            (5, "USD", "0.05 USD"),
            (-100, "USD", "-1.00 USD"),
            (500, "JPY", "500 JPY"),
            (1_230, "KWD", "1.230 KWD"),
            (i64::MIN, "JPY", "-9223372036854775808 JPY"),
        ];
        for (amount, currency, expected) in cases {
            assert_eq!(decimal(Money::new(amount, currency.parse().expect("a code"))), expected);
        }
    }
}
