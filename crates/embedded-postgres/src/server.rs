//! A running server, and creating, copying and dropping its databases.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::error::Error;

/// The SQLSTATE of a database that exists already.
const DUPLICATE_DATABASE: &str = "42P04";

/// The address of a server, without the name of a database.
#[derive(Debug, Clone)]
pub struct Server {
    before_name: String,
    after_name: String,
    /// The database in which others are created.
    maintenance: String,
}

impl Server {
    /// The private server whose socket is in `dir`.
    pub(crate) fn in_dir(dir: &str) -> Self {
        Self {
            before_name: "postgres://postgres@localhost:5432/".into(),
            after_name: format!("?host={}&sslmode=disable", percent_encode(dir)),
            maintenance: "postgres".into(),
        }
    }

    /// The server of a database URL. The database must exist, and the user must have the right to create databases.
    #[must_use]
    pub fn at_url(url: &str) -> Self {
        let (address, query) = url.find('?').map_or((url, ""), |at| url.split_at(at));
        let authority = address.find("://").map_or(0, |at| at + 3);
        let (before, name) =
            address[authority..].find('/').map_or((address, ""), |at| address.split_at(authority + at));
        let name = name.trim_start_matches('/');
        Self {
            before_name: format!("{before}/"),
            after_name: query.into(),
            maintenance: if name.is_empty() { "postgres" } else { name }.into(),
        }
    }

    /// The URL of a database, for sqlx and libpq.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.before_name, self.after_name)
    }

    /// Creates a database unless it exists.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], or [`Error::Database`] if the server rejects it.
    pub async fn ensure_database(&self, name: &str) -> Result<(), Error> {
        match self.administer(name, format!("create database {name}")).await {
            Err(Error::Database { source, .. }) if has_code(&source, DUPLICATE_DATABASE) => Ok(()),
            other => other,
        }
    }

    /// Creates a database as a copy of another one that has no sessions.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], or [`Error::Database`]: it exists already, or the template does not exist or has sessions.
    pub async fn create_from_template(&self, template: &str, name: &str) -> Result<(), Error> {
        let mut session = self.connect().await?;
        copy(&mut session, template, name).await?;
        session.close().await.ok();
        Ok(())
    }

    /// Drops a database and ends its sessions. A missing one is not an error.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], or [`Error::Database`] if the server rejects it.
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        self.administer(name, format!("drop database if exists {name} with (force)")).await
    }

    /// A session in the maintenance database.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Error> {
        PgConnection::connect(&self.url(&self.maintenance)).await.map_err(|source| rejected(&self.maintenance, source))
    }

    /// Runs a statement about the database `name` in a new session.
    async fn administer(&self, name: &str, sql: String) -> Result<(), Error> {
        check_name(name)?;
        let mut session = self.connect().await?;
        execute(&mut session, name, sql).await?;
        session.close().await.ok();
        Ok(())
    }
}

/// Creates the database `name` as a copy of `template`.
pub(crate) async fn copy(session: &mut PgConnection, template: &str, name: &str) -> Result<(), Error> {
    check_name(template)?;
    check_name(name)?;
    // Since 15 a strategy can be chosen. Without fsync, copying the files takes 20 ms; the default, which logs the
    // pages, takes 100 ms.
    let strategy = match session.server_version_num() {
        Some(150_000..) => " strategy file_copy",
        _ => "",
    };
    let sql = format!("create database {name} template {template}{strategy}");
    execute(session, name, sql).await
}

/// Runs a statement about the database `name`. The caller has checked the name.
pub(crate) async fn execute(session: &mut PgConnection, name: &str, sql: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(session).await.map(|_| ()).map_err(|source| rejected(name, source))
}

/// An error of the server about a database.
pub(crate) fn rejected(database: &str, source: sqlx::Error) -> Error {
    Error::Database { database: database.into(), source }
}

/// Whether the error has this SQLSTATE.
pub(crate) fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some(code))
}

/// Rejects names that would need quotes.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let has_valid_start = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let has_valid_chars = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if has_valid_start && has_valid_chars && name.len() <= 63 { Ok(()) } else { Err(Error::Name(name.into())) }
}

/// Percent-encodes everything except letters, digits and `/-_.`.
fn percent_encode(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_name_is_replaced_in_any_url() {
        let urls = [
            ("postgres://u:p@h:1/mine?sslmode=disable", "postgres://u:p@h:1/x?sslmode=disable", "mine"),
            ("postgres://u@h", "postgres://u@h/x", "postgres"),
            ("postgres://u@h/?host=/run", "postgres://u@h/x?host=/run", "postgres"),
        ];
        for (given, expected, maintenance) in urls {
            let server = Server::at_url(given);
            assert_eq!(server.url("x"), expected);
            assert_eq!(server.maintenance, maintenance);
        }
    }

    #[test]
    fn socket_directory_with_special_characters_is_encoded() {
        let server = Server::in_dir("/tmp/a b&c");
        assert!(server.url("x").contains("?host=/tmp/a%20b%26c&"));
    }

    #[test]
    fn name_that_needs_quotes_is_rejected() {
        for good in ["a", "_x9", "ridematch_test_1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "9a", "A", "a-b", "a\"b", "a;b", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
