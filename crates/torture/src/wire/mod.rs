//! A proxy for PostgreSQL's protocol that can lose a COMMIT: either the statement, so that the server rolls back, or its response,
//! so that the transaction is committed and the client does not know.
//!
//! A transaction is identified by its *shape*: the digest of its distinct statements in the order of first appearance. So every
//! commit point of a program can be cut on both sides, without a hook in the program. [`Shapes`] counts and decides;
//! [`WireProxy`] cuts.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use launcher::Target;
//! use torture::wire::{Shapes, WireProxy};
//!
//! let proxy = WireProxy::open(Shapes::new(1)).await?;
//! proxy.set_target(Some(Target::Unix("/run/postgresql/.s.PGSQL.5432".into())));
//! proxy.shapes().set_enabled(true); // from now on every new shape is cut, once on each side
//! println!("DATABASE_URL={}", proxy.url("postgres", "my_database"));
//! # Ok(()) }
//! ```
//!
//! Not supported: TLS (the proxy refuses it, so clients need `sslmode=disable` or `prefer`), COPY as a write, and statements that
//! are pipelined after a COMMIT.

mod proxy;
mod session;
mod shapes;
mod statement;

pub use proxy::WireProxy;
pub use session::{Cut, Session};
pub use shapes::{Shape, ShapeRecord, Shapes, Side};
pub use statement::{Statement, StatementKind};
