//! A proxy for PostgreSQL's protocol that reads along, and can lose a COMMIT: the statement, so that the server rolls back, or
//! its answer, so that it is done and nobody is told.
//!
//! Transactions are known by their *shape*: the digest of their distinct statements in the order of their first appearance. So
//! every commit point of a program can be cut on both sides, with nothing in the program that helps. [`Shapes`] remembers
//! which were met and which were cut, and decides; [`WireProxy`] does it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use torture::wire::{Shapes, Target, WireProxy};
//!
//! let proxy = WireProxy::open(Shapes::new(1)).await?;
//! proxy.lead_to(Some(Target::Socket("/run/postgresql/.s.PGSQL.5432".into())));
//! proxy.shapes().arm(true); // from now on every new shape is cut, once on each side
//! println!("DATABASE_URL={}", proxy.url("postgres", "my_database"));
//! # Ok(()) }
//! ```
//!
//! Not understood: TLS (the proxy refuses it, so clients need `sslmode=disable` or `prefer`), COPY as a write, and statements
//! that are pipelined past a COMMIT.

mod frame;
mod proxy;
mod session;
mod shapes;
mod statement;

pub use frame::{Frames, Message};
pub use proxy::{Target, WireProxy};
pub use session::{Cut, Session};
pub use shapes::{Row, Shape, Shapes, Side};
pub use statement::{Kind, Statement};
