//! What can go wrong, in one type, and nothing about HTTP in it.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Every reason for a refusal, each with a stable name. `platform::http::problem` gives each its status, title and page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the contract's; the titles in `http::problem` explain them")]
pub enum Code {
    Malformed,
    InvalidRequest,
    InvalidId,
    UnsupportedMediaType,
    BodyTooLarge,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    IdempotencyKeyMissing,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    RequestInProgress,
    TooManyCommands,
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
    NotResolvable,
    AlreadyTipped,
    SignatureInvalid,
    EndpointLimit,
    NotTheMatcher,
    NotSupervised,
    NotASimulator,
    NothingPending,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
    Internal,
}

/// A field of the request that is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into the body (`/pickup/lat`), empty for the whole of it; or the parameter's name.
    #[schema(example = "/pickup/lat")]
    pub pointer: String,
    /// What is wrong with it.
    #[schema(example = "must be 1 to 100")]
    pub detail: String,
}

/// A request that is refused, for a reason that its sender can understand and act on.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The reason.
    pub code: Code,
    /// The reason in this case: what was found, and the way out.
    pub detail: String,
    /// The fields at fault.
    pub fields: Vec<FieldError>,
    /// More members for the problem document, such as the current state.
    pub more: Map<String, Value>,
    /// Seconds after which it is worth trying again.
    pub retry_after_s: Option<u32>,
    /// What the transaction wrote is kept although the request is refused: a wrong PIN is counted.
    pub commits: bool,
}

impl Refusal {
    /// A refusal for this reason, with a sentence for this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), fields: Vec::new(), more: Map::new(), retry_after_s: None, commits: false }
    }

    /// Names a field at fault.
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

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Keeps what was written so far.
    #[must_use]
    pub fn that_commits(mut self) -> Self {
        self.commits = true;
        self
    }

    /// The object does not exist, or is not the caller's: nobody can tell which.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}, or it is not yours."))
    }
}

/// Why a command or query did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be granted.
    #[error("refused: {0:?}")]
    Refused(Box<Refusal>),
    /// The database did not answer, or refused.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The connection was lost at COMMIT: the work is done or not done, and only looking tells.
    #[error("the connection was lost at commit: {0}")]
    OutcomeUnknown(sqlx::Error),
    /// A guard in a `where` found the row changed although it should have been locked, or a hint read without a lock has
    /// become wrong: the same work, run again, sees the new state.
    #[error("{0} was changed by somebody else")]
    Overtaken(&'static str),
    /// A row holds a value that no version of this code writes.
    #[error("impossible value {value:?} in {table}.{column} of row {row}")]
    ImpossibleRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id.
        row: String,
        /// What it holds.
        value: String,
    },
    /// Something that must not happen did; the text is for the log.
    #[error("{0}")]
    Bug(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// What commands and queries return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The name of the constraint that refused a write, if one did. Constraint names are part of the interface.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.constraint(),
            _ => None,
        }
    }

    /// Whether the same transaction may succeed if it is simply run again: a serialization failure, a deadlock, or a row that
    /// somebody else was faster to change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Overtaken(_) => true,
            Self::Database(sqlx::Error::Database(error)) => matches!(error.code().as_deref(), Some("40001" | "40P01")),
            _ => false,
        }
    }

    /// Whether the way to the database failed, and not what was asked of it. The work is done or not done.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::OutcomeUnknown(_) => true,
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| is_connection(&code)),
            Self::Database(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut) => true,
            Self::Database(_) => false,
            Self::Refused(refusal) => refusal.code == Code::Overloaded,
            Self::Overtaken(_) | Self::ImpossibleRow { .. } | Self::Bug(_) => false,
        }
    }
}

/// Whether PostgreSQL's code says that the connection ends: class 08, or the server stops, was killed, or has just begun.
fn is_connection(code: &str) -> bool {
    code.starts_with("08") || ["57P01", "57P02", "57P03"].contains(&code)
}

/// Turns the refusal of the constraint `name` into the caller's refusal; any other error stays as it is.
pub trait OnConstraint<T> {
    /// See the trait.
    ///
    /// # Errors
    /// `refusal()` where the named constraint refused, else the error itself.
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
