//! The state of one client's session, message by message: its prepared statements and its open transaction.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use launcher::frame::Message;

use super::shapes::{Shape, Side};
use super::statement::{Statement, StatementKind};

/// Distinct statements that are kept of one transaction. A longer one is identified by its first ones.
const STATEMENTS_MAX: usize = 200;

/// Prepared statements and portals that are kept. A client that leaks more is not tracked any further.
const NAMES_MAX: usize = 4_096;

/// A commit to be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Of this transaction.
    pub shape: Arc<Shape>,
    /// On this side.
    pub side: Side,
}

/// A session. It does no I/O.
#[derive(Debug, Default)]
pub struct Session {
    prepared: BTreeMap<Vec<u8>, Arc<Statement>>,
    portals: BTreeMap<Vec<u8>, Arc<Statement>>,
    /// Requests without a response yet.
    pending: VecDeque<Pending>,
    /// The distinct statements of the open transaction.
    open: Option<Vec<Arc<Statement>>>,
    has_failed: bool,
}

#[derive(Debug)]
enum Pending {
    /// An execution, and its commit if the response is to be lost.
    Execute(Option<Arc<Shape>>),
    /// A simple query: any number of responses until the server is ready again.
    Query(Option<Arc<Shape>>),
    /// The end of an extended query.
    Sync,
}

impl Session {
    /// Processes a message of the client. For a commit of writes, `decide` says whether and how to lose it. [`Side::Before`] is
    /// returned here, and the message must not reach the server; [`Side::After`] is returned by [`Session::on_server`].
    pub fn on_client(&mut self, message: Message<'_>, decide: impl FnOnce(&Arc<Shape>) -> Option<Side>) -> Option<Cut> {
        let mut fields = Fields(message.body);
        match message.tag {
            b'P' => {
                let (name, text) = (fields.text(), fields.text());
                insert_bounded(&mut self.prepared, name, Arc::new(Statement::new(&String::from_utf8_lossy(text))));
            }
            b'B' => {
                let (portal, name) = (fields.text(), fields.text());
                if let Some(statement) = self.prepared.get(name).cloned() {
                    insert_bounded(&mut self.portals, portal, statement);
                }
            }
            b'C' => {
                let kind = fields.byte();
                let name = fields.text();
                let names = if kind == b'S' { &mut self.prepared } else { &mut self.portals };
                names.remove(name);
            }
            b'E' => {
                let statement = self.portals.get(fields.text()).cloned();
                return self.execute(statement, Pending::Execute, decide);
            }
            b'Q' => {
                let statement = Arc::new(Statement::new(&String::from_utf8_lossy(fields.text())));
                return self.execute(Some(statement), Pending::Query, decide);
            }
            b'S' => self.pending.push_back(Pending::Sync),
            _ => {}
        }
        None
    }

    fn execute(
        &mut self,
        statement: Option<Arc<Statement>>,
        pending: impl FnOnce(Option<Arc<Shape>>) -> Pending,
        decide: impl FnOnce(&Arc<Shape>) -> Option<Side>,
    ) -> Option<Cut> {
        let shape = statement.and_then(|statement| self.track(statement)).map(Arc::new);
        let side = shape.as_ref().and_then(decide);
        match (shape, side) {
            (Some(shape), Some(Side::Before)) => Some(Cut { shape, side: Side::Before }),
            (shape, Some(Side::After)) => {
                self.pending.push_back(pending(shape));
                None
            }
            _ => {
                self.pending.push_back(pending(None));
                None
            }
        }
    }

    /// Tracks a statement. Returns the shape if it commits writes.
    fn track(&mut self, statement: Arc<Statement>) -> Option<Shape> {
        match statement.kind {
            StatementKind::Begin => {
                self.open = Some(Vec::new());
                self.has_failed = false;
            }
            StatementKind::Rollback => self.open = None,
            StatementKind::Commit => {
                let statements = self.open.take()?;
                let writes = statements.iter().any(|statement| statement.kind == StatementKind::Write);
                if writes && !self.has_failed {
                    return Some(Shape::of(&statements, false));
                }
            }
            StatementKind::Read | StatementKind::Write => match &mut self.open {
                Some(statements) => add(statements, statement),
                None if statement.kind == StatementKind::Write => return Some(Shape::of(&[statement], true)),
                None => {}
            },
        }
        None
    }

    /// Processes a message of the server. If it confirms a commit whose response is to be lost, it must not reach the client.
    pub fn on_server(&mut self, message: Message<'_>) -> Option<Cut> {
        match message.tag {
            // CommandComplete. The tag is ROLLBACK for the COMMIT of a failed transaction, which commits nothing.
            b'C' => {
                let is_committed = Fields(message.body).text() != b"ROLLBACK";
                let shape = match self.pending.front_mut() {
                    Some(Pending::Execute(_)) => match self.pending.pop_front() {
                        Some(Pending::Execute(shape)) => shape,
                        _ => None,
                    },
                    Some(Pending::Query(shape)) => shape.take(),
                    _ => None,
                };
                return shape.filter(|_| is_committed).map(|shape| Cut { shape, side: Side::After });
            }
            // EmptyQueryResponse, PortalSuspended.
            b'I' | b's' => {
                if matches!(self.pending.front(), Some(Pending::Execute(_))) {
                    self.pending.pop_front();
                }
            }
            // ErrorResponse: the server skips everything up to the Sync.
            b'E' => {
                self.has_failed = true;
                while matches!(self.pending.front(), Some(Pending::Execute(_))) {
                    self.pending.pop_front();
                }
            }
            // ReadyForQuery.
            b'Z' => {
                while let Some(pending) = self.pending.pop_front() {
                    if matches!(pending, Pending::Sync | Pending::Query(_)) {
                        break;
                    }
                }
                // The server is idle. A script in one message may have ended its own transaction.
                if message.body == b"I" && self.pending.is_empty() {
                    self.open = None;
                }
            }
            _ => {}
        }
        None
    }
}

/// Adds a statement, unless it is there.
fn add(statements: &mut Vec<Arc<Statement>>, statement: Arc<Statement>) {
    let is_known = statements.iter().any(|known| known.text == statement.text);
    if !is_known && statements.len() < STATEMENTS_MAX {
        statements.push(statement);
    }
}

fn insert_bounded(names: &mut BTreeMap<Vec<u8>, Arc<Statement>>, name: &[u8], statement: Arc<Statement>) {
    if names.len() < NAMES_MAX || names.contains_key(name) {
        names.insert(name.to_vec(), statement);
    }
}

/// Reads the fields of a body.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Reads up to the next zero byte.
    fn text(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let text = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        text
    }

    fn byte(&mut self) -> u8 {
        let byte = self.0.first().copied().unwrap_or_default();
        self.0 = self.0.get(1..).unwrap_or_default();
        byte
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn client(session: &mut Session, tag: u8, body: &[u8], side: Option<Side>) -> Option<Cut> {
        session.on_client(Message { tag, body }, |_| side)
    }

    /// Prepares and executes a statement, and processes its response.
    fn run(session: &mut Session, name: &str, text: &str, tag: &str, side: Option<Side>) -> Option<Cut> {
        client(session, b'P', format!("{name}\0{text}\0\0\0").as_bytes(), None);
        client(session, b'B', format!("\0{name}\0").as_bytes(), None);
        let cut = client(session, b'E', b"\0\0\0\0\0", side);
        client(session, b'S', b"", None);
        cut.or_else(|| {
            let cut = session.on_server(Message { tag: b'C', body: format!("{tag}\0").as_bytes() });
            session.on_server(Message { tag: b'Z', body: b"T" });
            cut
        })
    }

    fn transaction(session: &mut Session, writes: &[&str], side: Option<Side>) -> Option<Cut> {
        assert_eq!(run(session, "b", "BEGIN", "BEGIN", side), None);
        for (index, text) in writes.iter().enumerate() {
            assert_eq!(run(session, &format!("s{index}"), text, "UPDATE 1", side), None, "within a transaction");
        }
        run(session, "c", "COMMIT", "COMMIT", side)
    }

    #[test]
    fn commit_is_lost_on_the_chosen_side() {
        for side in [Side::Before, Side::After] {
            let cut =
                transaction(&mut Session::default(), &["select 1", "update trips set a = 1"], Some(side)).unwrap();
            assert_eq!((cut.side, cut.shape.label.as_str()), (side, "update trips"));
        }
        assert_eq!(transaction(&mut Session::default(), &["select 1"], Some(Side::Before)), None, "it wrote nothing");
        assert_eq!(transaction(&mut Session::default(), &["update trips set a = 1"], None), None);
    }

    #[test]
    fn shape_ignores_repetition_and_depends_on_order() {
        let shape = |writes: &[&str]| transaction(&mut Session::default(), writes, Some(Side::After)).unwrap().shape;
        let once = shape(&["insert into a values (1)", "update b set c = 1"]);
        let often = shape(&["insert into a values (1)", "update b set c = 1", "insert into a values (1)"]);
        let turned = shape(&["update b set c = 1", "insert into a values (1)"]);
        assert_eq!(once, often);
        assert_ne!(once.digest, turned.digest);
    }

    #[test]
    fn single_statement_is_a_transaction() {
        let mut session = Session::default();
        let cut = run(&mut session, "a", "delete from old", "DELETE 3", Some(Side::After)).unwrap();
        assert_eq!(cut.shape.label, "delete old (implicit)");
        let cut = session.on_client(Message { tag: b'Q', body: b"delete from old\0" }, |_| Some(Side::Before)).unwrap();
        assert_eq!((cut.shape.label.as_str(), cut.side), ("delete old (implicit)", Side::Before));
    }

    #[test]
    fn failed_transaction_is_no_commit() {
        let mut session = Session::default();
        run(&mut session, "b", "BEGIN", "BEGIN", None);
        run(&mut session, "s", "update trips set a = 1", "UPDATE 1", None);
        client(&mut session, b'B', b"\0s\0", None);
        client(&mut session, b'E', b"\0\0\0\0\0", None);
        client(&mut session, b'S', b"", None);
        session.on_server(Message { tag: b'E', body: b"" });
        session.on_server(Message { tag: b'Z', body: b"E" });
        assert_eq!(run(&mut session, "c", "COMMIT", "ROLLBACK", Some(Side::Before)), None);
        // A deferred constraint fails at COMMIT: the response is an error, and passes.
        run(&mut session, "b", "BEGIN", "BEGIN", None);
        run(&mut session, "s", "update trips set a = 1", "UPDATE 1", None);
        client(&mut session, b'B', b"\0c\0", None);
        assert_eq!(client(&mut session, b'E', b"\0\0\0\0\0", Some(Side::After)), None);
        client(&mut session, b'S', b"", None);
        assert_eq!(session.on_server(Message { tag: b'E', body: b"" }), None);
        session.on_server(Message { tag: b'Z', body: b"I" });
        assert_eq!(run(&mut session, "s", "select 1", "SELECT 1", None), None, "the queue is in sync again");
        assert!(session.pending.is_empty());
    }
}
