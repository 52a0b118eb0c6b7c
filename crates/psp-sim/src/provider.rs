//! The provider: its books, its journal, and the one door between them.
//!
//! [`Provider::transact`] is that door: work on the books under one lock, then wait until the journal is on the disk as
//! far as the work could see, and only then answer. So nobody is ever told what a crash could take back, not even by a
//! `GET`. A thread of its own writes the journal; whatever came up while it waited for the disk goes there in one piece.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{Notify, watch};

use crate::answer::{Answer, Reply};
use crate::bad_days::BadDays;
use crate::books::{Books, Line, StoredAnswer};
use crate::clock::{Clock, Dice, unix_ms, unix_s};
use crate::errors::ApiError;
use crate::events;
use crate::faults::{Group, Kind, Occasion, Step, Strike, planned_by_caller};
use crate::journal::{self, Journal};
use crate::mailbox::Event;
use crate::model::UnixSeconds;
use crate::operations::{Effect, Order, Request};
use crate::params::Params;
use crate::plan::Seeds;
use crate::weather::Weather;

/// Everything that the provider's parts share.
pub struct Provider {
    state: Mutex<State>,
    /// Told when there is something to write, or nothing more to come.
    work_for_journal: Condvar,
    written: watch::Sender<Written>,
    /// Told when there may be new events.
    pub news: Notify,
    /// What ids are made with.
    pub dice: Dice,
    clock: Clock,
    /// What goes wrong.
    pub bad_days: BadDays,
    /// What it was told about itself.
    pub rules: Rules,
}

/// What a provider is told about itself.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whether anybody wants to hear of events.
    pub has_webhook: bool,
    /// How long money stays reserved.
    pub authorisation_ttl_s: UnixSeconds,
    /// For the dice of plans that come without seeds.
    pub seeds: Seeds,
}

/// What the lock protects.
#[derive(Debug, Default)]
pub struct State {
    /// The books.
    pub books: Books,
    /// Lines that are in the books, but not on the disk.
    unwritten: Vec<u8>,
    /// How many lines were posted since the start.
    posted: u64,
    /// Keys of requests that are being worked on.
    keys_in_use: HashSet<String>,
    closing: bool,
}

impl State {
    /// Puts a line into the journal and the books.
    pub fn post(&mut self, line: &Line) {
        self.unwritten.extend_from_slice(&journal::encode(line));
        self.posted += 1;
        self.books.post(line);
    }
}

/// How far the journal is on the disk.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    lines: u64,
    broken: bool,
}

/// The journal couldn't be written: nothing is certain any more, and every answer is an error.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the journal can't be written")]
pub struct JournalBroken;

impl Provider {
    /// A provider that remembers `books`.
    pub fn new(books: Books, clock: Clock, dice: Dice, rules: Rules) -> Self {
        Self {
            state: Mutex::new(State { books, ..State::default() }),
            work_for_journal: Condvar::new(),
            written: watch::Sender::default(),
            news: Notify::new(),
            dice,
            clock,
            bad_days: BadDays::new(rules.seeds),
            rules,
        }
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Works on the state, and returns when everything that the work did or saw is on the disk. `work` is short and
    /// doesn't block.
    ///
    /// # Errors
    /// [`JournalBroken`], and the result of the work is lost.
    pub async fn transact<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, JournalBroken> {
        if self.written.borrow().broken {
            return Err(JournalBroken);
        }
        let (result, posted) = {
            let mut state = self.lock();
            let result = work(&mut state);
            (result, state.posted)
        };
        self.work_for_journal.notify_one();
        let mut written = self.written.subscribe();
        let reached = written.wait_for(|written| written.broken || written.lines >= posted).await;
        match reached {
            Ok(written) if !written.broken => Ok(result),
            _ => Err(JournalBroken),
        }
    }

    /// Does what a request asks for, once per idempotency key, if the day is a good one.
    pub async fn execute(self: Arc<Self>, request: Request) -> Reply {
        // Faults that take time do so with the key in use, as work that takes time does.
        let Ok(_in_use) = KeyInUse::claim(&self, request.key.as_deref()) else {
            return ApiError::key_in_use().into();
        };
        let mut weather = self.forecast(request.subject(), &request.params, request.key.as_deref());
        if let Some(reply) = weather.before().await {
            return reply;
        }
        let answer = self.transact(|state| self.perform(state, &request, weather.work)).await;
        self.news.notify_one();
        weather.after(answer.unwrap_or_else(|JournalBroken| ApiError::internal().into())).await
    }

    /// Replays the stored answer; or does what is asked, and stores the effect and the answer in one line.
    fn perform(&self, state: &mut State, request: &Request, planned: Option<Strike>) -> Answer {
        let now = self.now();
        self.expire_due(state, now);
        state.books.prune(unix_ms(now));
        let order = match state.books.stored_answer(request) {
            Ok(Some(stored)) => return stored.as_ref().into(),
            Ok(None) => Order::read(request, &state.books, &self.dice, unix_s(now)),
            Err(error) => Err(error),
        };
        // An error here means that nothing began: it isn't stored.
        let mut order = match order {
            Ok(order) => order,
            Err(error) => return error.into(),
        };
        let strike = self.bad_days.strike(Group::Work, &order.occasion(request), planned);
        let fault = strike.map(|strike| strike.kind);
        if let Some(strike) = strike.filter(|strike| strike.kind == Kind::Decline) {
            order.decline(strike.decline);
        }
        let mut line = Line::default();
        let mut answer = if fault == Some(Kind::Error500) {
            ApiError::internal().into()
        } else {
            match order.carry_out(request.key.as_deref(), &self.dice, unix_s(now)) {
                Ok(effect) => {
                    let answer = effect.answer();
                    line = self.line_of(effect, Some(request), now);
                    answer
                }
                Err(error) => error.into(),
            }
        };
        if fault == Some(Kind::Error500After) {
            answer = ApiError::internal().into();
        }
        if let Some(key) = &request.key {
            line.answer = Some(Arc::new(StoredAnswer {
                key: key.clone(),
                endpoint: request.endpoint(),
                fingerprint: request.fingerprint(),
                at_ms: unix_ms(now),
                request_id: request.id.clone(),
                status: answer.status,
                body: answer.body.clone(),
            }));
        }
        if line != Line::default() {
            state.post(&line);
        }
        answer
    }

    /// What an effect is in the journal; `request` is whoever asked for it, if anybody did.
    pub fn line_of(&self, effect: Effect, request: Option<&Request>, now: SystemTime) -> Line {
        let events = match self.rules.has_webhook {
            true => events::of(&effect, request, &self.dice, unix_s(now)),
            false => Vec::new(),
        };
        Line { intent: Some(Arc::new(effect.intent)), refund: effect.refund.map(Arc::new), events, ..Line::default() }
    }

    /// Looks something up.
    ///
    /// # Errors
    /// What `work` says, or 500 if the journal can't be written.
    pub async fn look_up<T>(&self, work: impl FnOnce(&mut State) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let found = self.transact(|state| {
            self.expire_due(state, self.now());
            work(state)
        });
        found.await.unwrap_or_else(|JournalBroken| Err(ApiError::internal()))
    }

    /// What this request meets at the door. `subject` is its step and the id of what it is about; the caller's own
    /// faults don't strike a replay, or nobody would ever see one.
    pub fn forecast(&self, subject: (Step, Option<&str>), params: &Params, key: Option<&str>) -> Weather {
        let (step, id) = subject;
        let patience = self.bad_days.patience();
        let (by_caller, payment_intent) = {
            let state = self.lock();
            let intent = id.and_then(|id| state.books.intent_of(id)).cloned();
            let is_new = key.is_none_or(|key| !state.books.has_answered(key));
            (is_new.then(|| planned_by_caller(step, params, intent.as_deref())).flatten(), intent)
        };
        let payment_intent = payment_intent.as_ref().map(|intent| intent.id.as_str());
        let occasion = Occasion { step, payment_intent, charges: false };
        let slowed = self.bad_days.strike(Group::Pace, &occasion, by_caller);
        Weather {
            latency: slowed.map(|strike| strike.delay).unwrap_or_default(),
            door: self.bad_days.strike(Group::Door, &occasion, by_caller),
            work: by_caller,
            patience,
        }
    }

    /// What its payment plans for the delivery of an event.
    pub fn planned_for(&self, event: &Event) -> Option<Strike> {
        let intent = self.lock().books.intents().get(&event.payment_intent).cloned()?;
        if event.is_resent { None } else { planned_by_caller(Step::Webhook, &Params::default(), Some(&intent)) }
    }

    /// Writes the journal until [`Self::close`] or until the disk refuses. Blocks; has a thread of its own.
    pub fn write_journal(&self, mut journal: Journal) {
        let mut lines = 0;
        loop {
            let idle = |state: &mut State| state.unwritten.is_empty() && !state.closing;
            let waiting = self.work_for_journal.wait_while(self.lock(), idle);
            let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
            if state.unwritten.is_empty() {
                return;
            }
            let unwritten = std::mem::take(&mut state.unwritten);
            let posted = state.posted;
            // The books hold what is unwritten, so that a rewrite writes it too.
            let rewritten = journal.is_overgrown().then(|| state.books.lines());
            drop(state);
            let outcome = match rewritten {
                Some(whole) => journal.rewrite(&whole),
                None => journal.append(&unwritten),
            };
            match outcome {
                Ok(()) => lines = posted,
                Err(error) => {
                    tracing::error!(%error, "the journal can't be written: from now on every answer is an error");
                    self.written.send_replace(Written { lines, broken: true });
                    return;
                }
            }
            self.written.send_replace(Written { lines, broken: false });
        }
    }

    /// Lets the journal's thread end when everything is written.
    pub fn close(&self) {
        self.lock().closing = true;
        self.work_for_journal.notify_one();
    }

    /// The state changes in [`State::post`] only, which doesn't fail half-way: a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim on an idempotency key, given up when dropped. A request without key claims nothing.
struct KeyInUse<'a> {
    provider: &'a Provider,
    key: Option<&'a str>,
}

impl<'a> KeyInUse<'a> {
    fn claim(provider: &'a Provider, key: Option<&'a str>) -> Result<Self, ()> {
        match key {
            Some(key) if !provider.lock().keys_in_use.insert(key.to_owned()) => Err(()),
            key => Ok(Self { provider, key }),
        }
    }
}

impl Drop for KeyInUse<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.provider.lock().keys_in_use.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::thread;

    use super::*;
    use crate::clock::machine_clock;
    use crate::operations::Target;
    use crate::params::Params;

    fn provider() -> Arc<Provider> {
        let dice = Dice::seeded(1, "");
        let rules = Rules { has_webhook: false, authorisation_ttl_s: 60, seeds: Seeds::default() };
        Arc::new(Provider::new(Books::default(), machine_clock(), dice, rules))
    }

    async fn answer(provider: &Arc<Provider>, request: Request) -> Answer {
        match Arc::clone(provider).execute(request).await {
            Reply::Answer(answer) => answer,
            Reply::Silence => panic!("no fault is planned"),
        }
    }

    fn create(key: &str) -> Request {
        Request {
            id: "req_1".to_owned(),
            key: Some(key.to_owned()),
            target: Target::Create,
            params: Params::parse(b"amount=1000&currency=usd").unwrap(),
        }
    }

    #[tokio::test]
    async fn a_key_is_in_use_until_its_answer_is_on_the_disk() {
        let data_dir = tempfile::TempDir::new().unwrap();
        let provider = provider();
        // Nobody writes the journal yet, so that the first request can't be answered.
        let one = Arc::clone(&provider);
        let first = tokio::spawn(async move { answer(&one, create("key")).await });
        tokio::task::yield_now().await;
        assert_eq!(answer(&provider, create("key")).await.status, 409);

        let journal = Journal::open(data_dir.path(), 1000, &mut Books::default()).unwrap();
        let writer = Arc::clone(&provider);
        let writer = thread::spawn(move || writer.write_journal(journal));
        let first = first.await.unwrap();
        assert_eq!(first.status, 200);
        let again = answer(&provider, create("key")).await;
        assert_eq!((again.body, again.replay_of.as_deref()), (first.body, Some("req_1")));
        provider.close();
        writer.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_disk_that_refuses_is_an_error_from_then_on() {
        let provider = provider();
        let journal = Journal::on_full_disk();
        let writer = Arc::clone(&provider);
        let writer = thread::spawn(move || writer.write_journal(journal));
        for key in ["one", "two"] {
            let answer = answer(&provider, create(key)).await;
            assert_eq!((answer.status, answer.replay_of), (500, None));
        }
        assert!(provider.transact(|_| ()).await.is_err());
        writer.join().unwrap();
    }
}
