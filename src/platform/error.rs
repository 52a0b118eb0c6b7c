//! Errors of commands and queries. Nothing here knows HTTP: `platform::http::problem` maps them to responses.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The reason for a refusal. `platform::http::problem` gives each code its status, name and title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`http::problem` explains each code")]
pub enum Code {
    Malformed,
    InvalidRequest,
    InvalidId,
    UnsupportedMediaType,
    UnsupportedEncoding,
    BodyTooLarge,
    RequestTimeout,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    UpgradeRequired,
    IdempotencyKeyMissing,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    RequestInProgress,
    TooManyCommands,
    TooManyStreams,
    RateLimited,
    VersionMismatch,
    InvalidTransition,
    ActiveTripExists,
    QuoteExpired,
    QuoteUsed,
    OfferExpired,
    OfferWithdrawn,
    OfferTaken,
    DriverOnTrip,
    DriverUnavailable,
    TooFarFromPickup,
    WrongPin,
    PinLocked,
    TooEarly,
    NotRefundable,
    PaymentDisputed,
    NotResolvable,
    AlreadyTipped,
    SignatureInvalid,
    EndpointLimit,
    NotTheMatcher,
    #[cfg(feature = "sandbox")]
    NotSupervised,
    #[cfg(feature = "sandbox")]
    NotASimulator,
    #[cfg(feature = "sandbox")]
    NothingPending,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
    Internal,
}

/// An invalid field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into the body (`/pickup/lat`), or the name of a parameter. Empty for the whole body.
    #[schema(example = "/pickup/lat")]
    pub pointer: String,
    /// What is wrong with the field.
    #[schema(example = "must be 1 to 100")]
    pub detail: String,
}

/// The refusal of a request, for a reason that the caller can act on.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The reason.
    pub code: Code,
    /// This occurrence: what was found, what was expected, and what to do.
    pub detail: String,
    /// The invalid fields.
    pub fields: Vec<FieldError>,
    /// Further members of the problem document, such as the current state.
    pub more: Map<String, Value>,
    /// Seconds after which a retry may succeed.
    pub retry_after_s: Option<u32>,
    /// Whether the transaction commits although the request is refused: a wrong PIN has to be counted.
    pub commits: bool,
}

impl Refusal {
    /// Creates a refusal with a detail for this occurrence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), fields: Vec::new(), more: Map::new(), retry_after_s: None, commits: false }
    }

    /// Adds an invalid field.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.fields.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Adds a member to the problem document.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the seconds after which a retry may succeed.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Commits the transaction although the request is refused.
    #[must_use]
    pub fn committing(mut self) -> Self {
        self.commits = true;
        self
    }

    /// The refusal for an object that does not exist or belongs to another caller. The caller cannot tell the two apart.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("The {what} does not exist, or it belongs to another caller."))
    }
}

/// The error of a command or query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request was refused.
    #[error("refused: {0:?}")]
    Refused(Box<Refusal>),
    /// The database returned an error or did not respond.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The connection was lost at COMMIT: whether the transaction committed is unknown.
    #[error("the connection was lost at commit: {0}")]
    OutcomeUnknown(sqlx::Error),
    /// A guard in a `where` clause matched no row, because another transaction changed it after it was read. A retry of the
    /// transaction reads the new state.
    #[error("{0} was changed by another transaction")]
    StaleWrite(&'static str),
    /// The database was migrated by an incompatible version of this program.
    #[error(
        "the database is from an incompatible earlier version (migration {migration} differs) and was left unchanged; \
         use another one (DATABASE_URL, or --data-dir for the demo), or move its data directory away"
    )]
    IncompatibleSchema {
        /// The first migration that differs.
        migration: i64,
    },
    /// A row holds a value that the code never writes.
    #[error("impossible value {value:?} in {table}.{column} of row {row}")]
    ImpossibleRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id.
        row: String,
        /// The value.
        value: String,
    },
    /// An option or a file that it names cannot be used; the text names it. Only at start.
    #[error("{0}")]
    Configuration(String),
    /// A broken invariant; the text is for the log.
    #[error("{0}")]
    Bug(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// The result of a command or query.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The error for a value that the code never writes.
    pub fn impossible_row(table: &'static str, column: &'static str, row: impl ToString, value: impl ToString) -> Self {
        Self::ImpossibleRow { table, column, row: row.to_string(), value: value.to_string() }
    }

    /// The name of the violated constraint, if one was violated. Constraint names are part of the interface.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.constraint(),
            _ => None,
        }
    }

    /// Whether a retry of the transaction may succeed: after a serialization failure, a deadlock or a stale write.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::StaleWrite(_) => true,
            Self::Database(sqlx::Error::Database(error)) => matches!(error.code().as_deref(), Some("40001" | "40P01")),
            _ => false,
        }
    }

    /// Whether another transaction held a lock for longer than this one waits (`lock_timeout`). Nothing was changed.
    pub fn is_locked(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some("55P03"),
            _ => false,
        }
    }

    /// Whether the connection to the database failed, as opposed to a statement. The transaction may have committed.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::OutcomeUnknown(_) => true,
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| is_connection(&code)),
            Self::Database(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut) => true,
            Self::Database(_) => false,
            Self::Refused(refusal) => refusal.code == Code::Overloaded,
            Self::StaleWrite(_)
            | Self::IncompatibleSchema { .. }
            | Self::ImpossibleRow { .. }
            | Self::Configuration(_)
            | Self::Bug(_) => false,
        }
    }
}

/// Whether a SQLSTATE means that the connection ends: class 08; the server is stopping, crashed or starting (57P01 to 57P03); the
/// session was idle for too long, in a transaction (25P03) or outside of one (57P05).
fn is_connection(code: &str) -> bool {
    code.starts_with("08") || ["57P01", "57P02", "57P03", "57P05", "25P03"].contains(&code)
}

/// Maps the violation of one constraint to a refusal.
pub trait OnConstraint<T> {
    /// Replaces the error by `refusal()` if the constraint `name` was violated.
    ///
    /// # Errors
    /// `refusal()`, or the original error.
    fn on_constraint(self, name: &str, refusal: impl FnOnce() -> Refusal) -> Result<T>;
}

impl<T> OnConstraint<T> for Result<T> {
    fn on_constraint(self, name: &str, refusal: impl FnOnce() -> Refusal) -> Result<T> {
        self.map_err(|error| if error.constraint() == Some(name) { refusal().into() } else { error })
    }
}

impl<T> OnConstraint<T> for std::result::Result<T, sqlx::Error> {
    fn on_constraint(self, name: &str, refusal: impl FnOnce() -> Refusal) -> Result<T> {
        self.map_err(Error::from).on_constraint(name, refusal)
    }
}

/// The versions of an object that a command may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// Every version.
    Any,
    /// These versions; no version if the list is empty.
    Versions(Vec<i64>),
}

/// Checks that a command may change the current version of `what`.
///
/// # Errors
/// [`Code::VersionMismatch`], with the current version.
pub fn check_version(what: &str, current: i64, if_match: &IfMatch) -> Result<(), Refusal> {
    match if_match {
        IfMatch::Versions(versions) if !versions.contains(&current) => Err(Refusal::new(
            Code::VersionMismatch,
            format!("`If-Match` does not name version {current}, the current one of the {what}. Read it again."),
        )
        .with("version", current)),
        _ => Ok(()),
    }
}
