//! What a statement does, as far as its text tells.

/// What a statement means for the transaction it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Opens one.
    Begin,
    /// Makes its writes last.
    Commit,
    /// Takes them back.
    Rollback,
    /// Changes rows.
    Write,
    /// Changes no rows, as far as one can see.
    Read,
}

/// A statement's text, cleaned of what differs from call to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// With single spaces, and `?` for every string.
    pub text: String,
    /// What it does to its transaction.
    pub kind: Kind,
    /// What it writes, like `insert trips`; more than one for a `with`.
    pub deeds: Vec<String>,
}

impl Statement {
    /// Reads a statement.
    pub fn new(text: &str) -> Self {
        let text = normalised(text);
        let words: Vec<String> = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        let deeds = deeds(&words);
        let second = words.get(1).map(String::as_str);
        let kind = match words.first().map(String::as_str) {
            Some("begin") => Kind::Begin,
            Some("start") if second == Some("transaction") => Kind::Begin,
            Some("commit" | "end") => Kind::Commit,
            // Back to a savepoint is no end.
            Some("rollback") if !words.iter().any(|word| word == "to") => Kind::Rollback,
            Some("abort") => Kind::Rollback,
            _ if deeds.is_empty() => Kind::Read,
            _ => Kind::Write,
        };
        Self { text, kind, deeds }
    }
}

/// One space for any white space, and `?` for the inside of every string.
fn normalised(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            result.push_str("'?'");
            continue;
        }
        for (index, word) in part.split_ascii_whitespace().enumerate() {
            if index > 0 || (part.starts_with(|c: char| c.is_ascii_whitespace()) && !result.is_empty()) {
                result.push(' ');
            }
            result.push_str(word);
        }
        if part.ends_with(|c: char| c.is_ascii_whitespace()) && !result.ends_with(' ') {
            result.push(' ');
        }
    }
    result.trim_end().trim_end_matches(';').to_owned()
}

/// What is inserted, updated and deleted. `for update`, `do update set` and `on delete` are nothing of the kind.
fn deeds(words: &[String]) -> Vec<String> {
    let mut deeds = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| words.get(index)).map(String::as_str);
        let (next, after) = (words.get(index + 1), words.get(index + 2));
        let deed = match (word.as_str(), next.map(String::as_str)) {
            ("insert", Some("into")) => after.map(|table| format!("insert {table}")),
            ("delete", Some("from")) => after.map(|table| format!("delete {table}")),
            ("merge", Some("into")) => after.map(|table| format!("merge {table}")),
            ("update", Some("only")) => after.map(|table| format!("update {table}")),
            ("update", Some(table)) if table != "set" && !matches!(before, Some("for" | "key" | "do" | "on")) => {
                Some(format!("update {table}"))
            }
            _ => None,
        };
        if let Some(deed) = deed.filter(|deed| !deeds.contains(deed)) {
            deeds.push(deed);
        }
    }
    deeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_writes() {
        let writes = [
            ("insert into trips (id)\n   values ($1)", vec!["insert trips"]),
            (
                "with due as (select id from payments for update skip locked) update payments set a = 1",
                vec!["update payments"],
            ),
            ("insert into a values ($1) on conflict (b) do update set c = 'update d'", vec!["insert a"]),
            ("WITH gone AS (DELETE FROM x RETURNING *) INSERT INTO y SELECT * FROM gone", vec!["delete x", "insert y"]),
        ];
        for (text, deeds) in writes {
            let statement = Statement::new(text);
            assert_eq!(
                (statement.kind, statement.deeds),
                (Kind::Write, deeds.iter().map(ToString::to_string).collect())
            );
        }
        for text in
            ["select 1", "select id from trips where id = $1 for no key update", "select 'delete from x'", "listen y"]
        {
            assert_eq!(Statement::new(text).kind, Kind::Read, "{text}");
        }
    }

    #[test]
    fn knows_where_transactions_begin_and_end() {
        for (text, kind) in [
            ("BEGIN", Kind::Begin),
            ("start transaction isolation level serializable", Kind::Begin),
            ("COMMIT;", Kind::Commit),
            ("rollback", Kind::Rollback),
            ("ROLLBACK TO SAVEPOINT one", Kind::Read),
        ] {
            assert_eq!(Statement::new(text).kind, kind, "{text}");
        }
    }

    #[test]
    fn what_differs_from_call_to_call_is_cleaned_away() {
        let one = Statement::new("select  pg_notify('wake',\n 'trips')");
        let two = Statement::new("select pg_notify('wake', 'payments') ;");
        assert_eq!(one.text.trim_end(), two.text.trim_end());
    }
}
