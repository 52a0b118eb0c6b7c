//! Arithmetic in the design book: `label: expression = number unit` is evaluated. A word that starts with a letter is a unit or a
//! remark, and counts for nothing.

/// How far the number after `≈` may be from the result, as a share of the result.
const TOLERANCE: f64 = 0.05;

/// The relative error that floating-point numbers may add.
const EPSILON: f64 = 1e-9;

/// The deepest nesting of parentheses.
const DEPTH_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Number(f64),
    /// `+`, `-`, `*`, `/`, `(` or `)`.
    Symbol(char),
}

/// Checks one statement. The error says what is wrong.
pub fn check(statement: &str) -> Result<(), String> {
    let (label, rest) =
        statement.split_once(':').ok_or("a statement has the form `label: expression = number unit`")?;
    if label.trim().is_empty() {
        return Err("the label is empty".to_owned());
    }
    let parts: Vec<&str> = rest.split(['=', '≈']).collect();
    let [expression, stated] = parts[..] else {
        return Err("a statement has one `=` or `≈`".to_owned());
    };
    let result = evaluate(expression)?;
    let written = stated.split_whitespace().next().ok_or("there is no number after `=` or `≈`")?;
    let number = number(written)?;
    let (allowed, how) = if rest.contains('≈') {
        (result.abs() * TOLERANCE, "within 5 %")
    } else {
        (half_of_the_last_digit(written), "to the digits written")
    };
    if (result - number).abs() <= allowed + number.abs() * EPSILON {
        Ok(())
    } else {
        Err(format!("the expression is {result}, and not {written} {how}"))
    }
}

/// Returns the value of an expression.
pub fn evaluate(expression: &str) -> Result<f64, String> {
    let mut parser = Parser { tokens: &tokens(expression)?, depth: 0 };
    let value = parser.sum()?;
    match parser.tokens.first() {
        None if value.is_finite() => Ok(value),
        None => Err("a division by zero".to_owned()),
        Some(Token::Number(number)) => Err(format!("an operator is missing before {number}")),
        Some(Token::Symbol(symbol)) => Err(format!("`{symbol}` is not expected")),
    }
}

fn half_of_the_last_digit(written: &str) -> f64 {
    let digits = written.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    0.5 * (0..digits).fold(1.0, |unit, _| unit / 10.0)
}

fn number(written: &str) -> Result<f64, String> {
    let is_number = |c: char| c.is_ascii_digit() || c == '_' || c == '.';
    let (sign, digits) = written.strip_prefix('-').map_or((1.0, written), |digits| (-1.0, digits));
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || !digits.chars().all(is_number) {
        return Err(format!("`{written}` is not a number"));
    }
    digits.replace('_', "").parse().map(|value: f64| sign * value).map_err(|_| format!("`{written}` is not a number"))
}

fn tokens(expression: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '+' | '-' | '*' | '/' | '(' | ')' => {
                found.push(Token::Symbol(first));
                1
            }
            '0'..='9' => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.').unwrap_or(rest.len());
                found.push(Token::Number(number(&rest[..end])?));
                end
            }
            _ if first.is_alphabetic() => word_length(rest),
            _ => return Err(format!("`{first}` is not part of an expression")),
        };
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

/// Returns the length of a word. A hyphen between two letters is part of it: `round-trips`.
fn word_length(text: &str) -> usize {
    let ends = |(at, c): (usize, char)| match c {
        '-' => !text[at + 1..].starts_with(char::is_alphabetic),
        _ => c.is_whitespace() || "+*/()".contains(c),
    };
    text.char_indices().find(|one| ends(*one)).map_or(text.len(), |(at, _)| at)
}

/// A recursive-descent parser: a sum of products of numbers and sums in parentheses.
struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, symbols: &str) -> Option<char> {
        match self.tokens.first() {
            Some(Token::Symbol(symbol)) if symbols.contains(*symbol) => {
                self.tokens = &self.tokens[1..];
                Some(*symbol)
            }
            _ => None,
        }
    }

    fn sum(&mut self) -> Result<f64, String> {
        let mut value = self.product()?;
        while let Some(symbol) = self.take("+-") {
            let other = self.product()?;
            value += if symbol == '+' { other } else { -other };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.factor()?;
        while let Some(symbol) = self.take("*/") {
            let other = self.factor()?;
            value = if symbol == '*' { value * other } else { value / other };
        }
        Ok(value)
    }

    fn factor(&mut self) -> Result<f64, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("too many parentheses".to_owned());
        }
        let value = if self.take("-").is_some() {
            -self.factor()?
        } else if self.take("(").is_some() {
            let value = self.sum()?;
            self.take(")").ok_or("a `)` is missing")?;
            value
        } else if let Some(Token::Number(number)) = self.tokens.first() {
            self.tokens = &self.tokens[1..];
            *number
        } else {
            return Err("a number is missing".to_owned());
        };
        self.depth -= 1;
        Ok(value)
    }
}

#[test]
fn right_statement_is_accepted() {
    for statement in [
        "updates: 100_000 drivers / 4 s = 25_000 updates/s",
        "an hour: 25_000 * 3_600 * 48 bytes / 1_000_000_000 = 4.3 GB",
        "rides: 1_551 rides / 3_600 s = 0.43 per_s",
        "share: (1 + 2) * 3 - 4 / 2 = 7",
        "about: 1_000 / 3 ≈ 340 rides",
        "below zero: 2 - 5 = -3",
        "units: 2 round-trips * 40 ms each = 80 ms",
        "in parentheses: (100_000 drivers + 50_000 riders) * 2 = 300_000",
        "rounded half up: 5 / 2 = 3",
    ] {
        assert_eq!(check(statement), Ok(()), "{statement}");
    }
}

#[test]
fn wrong_statement_is_refused_with_its_reason() {
    for (statement, reason) in [
        ("updates: 100_000 drivers / 4 s = 20_000 updates/s", "25000"),
        ("to the digit: 1 / 3 = 0.34", "0.333"),
        ("about: 100 * 1 ≈ 106", "within 5 %"),
        ("no operator: 3 cars 4 = 12", "an operator is missing"),
        ("a unit with an operator: 3 updates/s * 4 = 12", "a number is missing"),
        ("no end: (3 + 4 = 7", "`)` is missing"),
        ("zero: 1 / 0 = 0", "division by zero"),
        ("sign: 3 × 4 = 12", "`×`"),
        ("two results: 3 = 3 = 3", "one `=`"),
        ("no number: 3 = three", "not a number"),
        ("nothing: = 3", "a number is missing"),
        ("3 + 4 = 7", "label"),
        (": 3 + 4 = 7", "label is empty"),
    ] {
        let error = check(statement).expect_err(statement);
        assert!(error.contains(reason), "{statement}: {error}");
    }
    let deep = format!("deep: {}1{} = 1", "(".repeat(40), ")".repeat(40));
    assert!(check(&deep).expect_err("deep").contains("too many"));
}
