//! One client's session, followed message by message: which statements it has prepared, and which transaction it is in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::frame::Message;
use super::shapes::{Shape, Side};
use super::statement::{Kind, Statement};

/// Distinct statements that are kept of one transaction. A longer one is known by its first ones.
const STATEMENTS_MAX: usize = 200;

/// Prepared statements and portals that are remembered. A client that leaks them is not followed any further.
const NAMES_MAX: usize = 4_096;

/// A commit that is about to be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Of which transaction.
    pub shape: Arc<Shape>,
    /// What of it.
    pub side: Side,
}

/// A session. It decides nothing; who feeds it the messages does.
#[derive(Debug, Default)]
pub struct Session {
    prepared: BTreeMap<Vec<u8>, Arc<Statement>>,
    portals: BTreeMap<Vec<u8>, Arc<Statement>>,
    /// What the server has still to answer.
    asked: VecDeque<Asked>,
    /// The distinct statements of the open transaction.
    open: Option<Vec<Arc<Statement>>>,
    has_failed: bool,
}

#[derive(Debug)]
enum Asked {
    /// An execution, and the commit in it whose answer is to be lost.
    Run(Option<Arc<Shape>>),
    /// A simple query: any number of answers until the server is ready again.
    Query(Option<Arc<Shape>>),
    /// The end of a round.
    Sync,
}

impl Session {
    /// A message that the client sends. If it makes a write last, `decide` is asked whether that is to be lost, and how:
    /// [`Side::Before`] is answered here, and the message must not reach the server; [`Side::After`] by [`Session::answer`].
    pub fn ask(&mut self, message: Message<'_>, decide: impl FnOnce(&Arc<Shape>) -> Option<Side>) -> Option<Cut> {
        let mut fields = Fields(message.body);
        match message.tag {
            b'P' => {
                let (name, text) = (fields.text(), fields.text());
                remember(&mut self.prepared, name, Arc::new(Statement::new(&String::from_utf8_lossy(text))));
            }
            b'B' => {
                let (portal, name) = (fields.text(), fields.text());
                if let Some(statement) = self.prepared.get(name).cloned() {
                    remember(&mut self.portals, portal, statement);
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
                return self.run(statement, Asked::Run, decide);
            }
            b'Q' => {
                let statement = Arc::new(Statement::new(&String::from_utf8_lossy(fields.text())));
                return self.run(Some(statement), Asked::Query, decide);
            }
            b'S' => self.asked.push_back(Asked::Sync),
            _ => {}
        }
        None
    }

    fn run(
        &mut self,
        statement: Option<Arc<Statement>>,
        asked: impl FnOnce(Option<Arc<Shape>>) -> Asked,
        decide: impl FnOnce(&Arc<Shape>) -> Option<Side>,
    ) -> Option<Cut> {
        let shape = statement.and_then(|statement| self.follow(statement)).map(Arc::new);
        let side = shape.as_ref().and_then(decide);
        match (shape, side) {
            (Some(shape), Some(Side::Before)) => Some(Cut { shape, side: Side::Before }),
            (shape, Some(Side::After)) => {
                self.asked.push_back(asked(shape));
                None
            }
            _ => {
                self.asked.push_back(asked(None));
                None
            }
        }
    }

    /// Goes on with a statement; the shape, if it makes a write last.
    fn follow(&mut self, statement: Arc<Statement>) -> Option<Shape> {
        match statement.kind {
            Kind::Begin => {
                self.open = Some(Vec::new());
                self.has_failed = false;
            }
            Kind::Rollback => self.open = None,
            Kind::Commit => {
                let statements = self.open.take()?;
                let writes = statements.iter().any(|statement| statement.kind == Kind::Write);
                if writes && !self.has_failed {
                    return Some(Shape::of(&statements, false));
                }
            }
            Kind::Read | Kind::Write => match &mut self.open {
                Some(statements) => add(statements, statement),
                None if statement.kind == Kind::Write => return Some(Shape::of(&[statement], true)),
                None => {}
            },
        }
        None
    }

    /// A message that the server sends. If it says that a commit is done whose answer is to be lost, the message must not
    /// reach the client.
    pub fn answer(&mut self, message: Message<'_>) -> Option<Cut> {
        match message.tag {
            // CommandComplete. A COMMIT of what has failed is answered with ROLLBACK: nothing was done, so nothing is lost.
            b'C' => {
                let is_done = Fields(message.body).text() != b"ROLLBACK";
                let shape = match self.asked.front_mut() {
                    Some(Asked::Run(_)) => match self.asked.pop_front() {
                        Some(Asked::Run(shape)) => shape,
                        _ => None,
                    },
                    Some(Asked::Query(shape)) => shape.take(),
                    _ => None,
                };
                return shape.filter(|_| is_done).map(|shape| Cut { shape, side: Side::After });
            }
            // EmptyQueryResponse, PortalSuspended.
            b'I' | b's' => {
                if matches!(self.asked.front(), Some(Asked::Run(_))) {
                    self.asked.pop_front();
                }
            }
            // ErrorResponse: what follows up to the end of the round is passed over.
            b'E' => {
                self.has_failed = true;
                while matches!(self.asked.front(), Some(Asked::Run(_))) {
                    self.asked.pop_front();
                }
            }
            // ReadyForQuery.
            b'Z' => {
                while let Some(asked) = self.asked.pop_front() {
                    if matches!(asked, Asked::Sync | Asked::Query(_)) {
                        break;
                    }
                }
                // A script in one message may have ended what it began; nothing that was asked since says otherwise.
                if message.body == b"I" && self.asked.is_empty() {
                    self.open = None;
                }
            }
            _ => {}
        }
        None
    }
}

/// A loop's statements are there once.
fn add(statements: &mut Vec<Arc<Statement>>, statement: Arc<Statement>) {
    let is_known = statements.iter().any(|known| known.text == statement.text);
    if !is_known && statements.len() < STATEMENTS_MAX {
        statements.push(statement);
    }
}

fn remember(names: &mut BTreeMap<Vec<u8>, Arc<Statement>>, name: &[u8], statement: Arc<Statement>) {
    if names.len() < NAMES_MAX || names.contains_key(name) {
        names.insert(name.to_vec(), statement);
    }
}

/// A body, field by field.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Up to the next zero byte, without it.
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

    fn ask(session: &mut Session, tag: u8, body: &[u8], side: Option<Side>) -> Option<Cut> {
        session.ask(Message { tag, body }, |_| side)
    }

    /// Prepares (unless it is), executes, and has it answered.
    fn run(session: &mut Session, name: &str, text: &str, tag: &str, side: Option<Side>) -> Option<Cut> {
        ask(session, b'P', format!("{name}\0{text}\0\0\0").as_bytes(), None);
        ask(session, b'B', format!("\0{name}\0").as_bytes(), None);
        let cut = ask(session, b'E', b"\0\0\0\0\0", side);
        ask(session, b'S', b"", None);
        cut.or_else(|| {
            let cut = session.answer(Message { tag: b'C', body: format!("{tag}\0").as_bytes() });
            session.answer(Message { tag: b'Z', body: b"T" });
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
    fn a_commit_is_lost_on_the_side_that_was_chosen() {
        for side in [Side::Before, Side::After] {
            let cut =
                transaction(&mut Session::default(), &["select 1", "update trips set a = 1"], Some(side)).unwrap();
            assert_eq!((cut.side, cut.shape.label.as_str()), (side, "update trips"));
        }
        assert_eq!(transaction(&mut Session::default(), &["select 1"], Some(Side::Before)), None, "it wrote nothing");
        assert_eq!(transaction(&mut Session::default(), &["update trips set a = 1"], None), None);
    }

    #[test]
    fn loops_do_not_change_a_shape_and_order_does() {
        let shape = |writes: &[&str]| transaction(&mut Session::default(), writes, Some(Side::After)).unwrap().shape;
        let once = shape(&["insert into a values (1)", "update b set c = 1"]);
        let often = shape(&["insert into a values (1)", "update b set c = 1", "insert into a values (1)"]);
        let turned = shape(&["update b set c = 1", "insert into a values (1)"]);
        assert_eq!(once, often);
        assert_ne!(once.digest, turned.digest);
    }

    #[test]
    fn a_single_statement_is_a_transaction_too() {
        let mut session = Session::default();
        let cut = run(&mut session, "a", "delete from old", "DELETE 3", Some(Side::After)).unwrap();
        assert_eq!(cut.shape.label, "delete old (alone)");
        let cut = session.ask(Message { tag: b'Q', body: b"delete from old\0" }, |_| Some(Side::Before)).unwrap();
        assert_eq!((cut.shape.label.as_str(), cut.side), ("delete old (alone)", Side::Before));
    }

    #[test]
    fn what_has_failed_is_no_commit() {
        let mut session = Session::default();
        run(&mut session, "b", "BEGIN", "BEGIN", None);
        run(&mut session, "s", "update trips set a = 1", "UPDATE 1", None);
        ask(&mut session, b'B', b"\0s\0", None);
        ask(&mut session, b'E', b"\0\0\0\0\0", None);
        ask(&mut session, b'S', b"", None);
        session.answer(Message { tag: b'E', body: b"" });
        session.answer(Message { tag: b'Z', body: b"E" });
        assert_eq!(run(&mut session, "c", "COMMIT", "ROLLBACK", Some(Side::Before)), None);
        // A deferred constraint speaks at COMMIT: the answer is an error, and is passed on.
        run(&mut session, "b", "BEGIN", "BEGIN", None);
        run(&mut session, "s", "update trips set a = 1", "UPDATE 1", None);
        ask(&mut session, b'B', b"\0c\0", None);
        assert_eq!(ask(&mut session, b'E', b"\0\0\0\0\0", Some(Side::After)), None);
        ask(&mut session, b'S', b"", None);
        assert_eq!(session.answer(Message { tag: b'E', body: b"" }), None);
        session.answer(Message { tag: b'Z', body: b"I" });
        assert_eq!(run(&mut session, "s", "select 1", "SELECT 1", None), None, "the queue is in step again");
        assert!(session.asked.is_empty());
    }
}
