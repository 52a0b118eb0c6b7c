//! What a statement does, by its text.

/// What a statement does to its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// Begins it.
    Begin,
    /// Commits it.
    Commit,
    /// Rolls it back.
    Rollback,
    /// Changes rows.
    Write,
    /// Changes no rows, by its text.
    Read,
}

/// A statement, without what differs from call to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// With single spaces, and `?` for every string.
    pub text: String,
    /// What it does to its transaction.
    pub kind: StatementKind,
    /// What it writes, like `insert trips`; several for a `with`.
    pub writes: Vec<String>,
}

impl Statement {
    /// Parses a statement.
    pub fn new(text: &str) -> Self {
        let text = normalized(text);
        let words: Vec<String> = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        let writes = writes(&words);
        let second = words.get(1).map(String::as_str);
        let kind = match words.first().map(String::as_str) {
            Some("begin") => StatementKind::Begin,
            Some("start") if second == Some("transaction") => StatementKind::Begin,
            Some("commit" | "end") => StatementKind::Commit,
            // ROLLBACK TO SAVEPOINT does not end the transaction.
            Some("rollback") if !words.iter().any(|word| word == "to") => StatementKind::Rollback,
            Some("abort") => StatementKind::Rollback,
            _ if writes.is_empty() => StatementKind::Read,
            _ => StatementKind::Write,
        };
        Self { text, kind, writes }
    }
}

/// Returns the text with single spaces, and `?` for the contents of every string.
fn normalized(text: &str) -> String {
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

/// Returns what is inserted, updated and deleted. `for update`, `do update set` and `on delete` do not count.
fn writes(words: &[String]) -> Vec<String> {
    let mut writes = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| words.get(index)).map(String::as_str);
        let (next, after) = (words.get(index + 1), words.get(index + 2));
        let write = match (word.as_str(), next.map(String::as_str)) {
            ("insert", Some("into")) => after.map(|table| format!("insert {table}")),
            ("delete", Some("from")) => after.map(|table| format!("delete {table}")),
            ("merge", Some("into")) => after.map(|table| format!("merge {table}")),
            ("update", Some("only")) => after.map(|table| format!("update {table}")),
            ("update", Some(table)) if table != "set" && !matches!(before, Some("for" | "key" | "do" | "on")) => {
                Some(format!("update {table}"))
            }
            _ => None,
        };
        if let Some(write) = write.filter(|write| !writes.contains(write)) {
            writes.push(write);
        }
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserts_updates_and_deletes_are_writes() {
        let writes = [
            ("insert into trips (id)\n   values ($1)", vec!["insert trips"]),
            (
                "with due as (select id from payments for update skip locked) update payments set a = 1",
                vec!["update payments"],
            ),
            ("insert into a values ($1) on conflict (b) do update set c = 'update d'", vec!["insert a"]),
            ("WITH gone AS (DELETE FROM x RETURNING *) INSERT INTO y SELECT * FROM gone", vec!["delete x", "insert y"]),
        ];
        for (text, expected) in writes {
            let statement = Statement::new(text);
            assert_eq!(
                (statement.kind, statement.writes),
                (StatementKind::Write, expected.iter().map(ToString::to_string).collect())
            );
        }
        for text in
            ["select 1", "select id from trips where id = $1 for no key update", "select 'delete from x'", "listen y"]
        {
            assert_eq!(Statement::new(text).kind, StatementKind::Read, "{text}");
        }
    }

    #[test]
    fn begin_commit_and_rollback_are_recognized() {
        for (text, kind) in [
            ("BEGIN", StatementKind::Begin),
            ("start transaction isolation level serializable", StatementKind::Begin),
            ("COMMIT;", StatementKind::Commit),
            ("rollback", StatementKind::Rollback),
            ("ROLLBACK TO SAVEPOINT one", StatementKind::Read),
        ] {
            assert_eq!(Statement::new(text).kind, kind, "{text}");
        }
    }

    #[test]
    fn strings_and_spaces_do_not_matter() {
        let one = Statement::new("select  pg_notify('wake',\n 'trips')");
        let two = Statement::new("select pg_notify('wake', 'payments') ;");
        assert_eq!(one.text.trim_end(), two.text.trim_end());
    }
}
