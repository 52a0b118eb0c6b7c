//! The provider: executes requests once per idempotency key, injects faults, and expires authorizations.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use crate::active_faults::ActiveFaults;
use crate::api_error::ApiError;
use crate::clock::{Clock, unix_ms, unix_s};
use crate::event_queue::Event;
use crate::events;
use crate::fault_kinds::{FaultGroup, FaultKind, FaultStep};
use crate::fault_plan::Seeds;
use crate::faults::{Injection, InjectionPoint, caller_fault};
use crate::model::{Dispute, DisputeStatus, Intent, Refund, UnixSeconds};
use crate::operations::{Effect, Operation};
use crate::params::Params;
use crate::random::RandomSource;
use crate::records::{JournalLine, Records};
use crate::render;
use crate::request::Request;
use crate::request_faults::RequestFaults;
use crate::response::{Reply, Response, StoredResponse};
use crate::store::{JournalFailed, KeyInUse, State, Store};

/// The interval of the check for expired authorizations. A request sees an expiry at once; the webhook within this time.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The provider, shared by the HTTP server, the webhook sender and the expiry check.
pub struct Provider {
    pub store: Store,
    /// Notified when there may be new events.
    pub events_ready: Notify,
    /// The source of ids.
    pub random: RandomSource,
    clock: Clock,
    pub faults: ActiveFaults,
    config: Config,
}

#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Whether events are recorded for a webhook.
    pub has_webhook: bool,
    /// Whether requests of any `Stripe-Version` are accepted, and those without one.
    pub any_version: bool,
    /// How long an authorization is valid.
    pub authorization_ttl_s: UnixSeconds,
    /// The seeds of fault plans without seeds.
    pub seeds: Seeds,
}

impl Provider {
    pub fn new(records: Records, clock: Clock, random: RandomSource, config: Config) -> Self {
        Self {
            store: Store::new(records),
            events_ready: Notify::new(),
            random,
            clock,
            faults: ActiveFaults::new(config.seeds),
            config,
        }
    }

    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Whether a request with this `Stripe-Version` is accepted.
    pub fn accepts_version(&self, version: Option<&str>) -> bool {
        self.config.any_version || version == Some(render::API_VERSION)
    }

    /// Executes a request once per idempotency key, and applies its faults.
    pub async fn execute(self: Arc<Self>, request: Request) -> Reply {
        // The key is in use during a fault's delay, as during real work.
        let Some(_in_use) = KeyInUse::claim(&self.store, request.key.as_deref()) else {
            return ApiError::key_in_use().into();
        };
        let mut faults = self.draw_faults(request.subject(), &request.params, request.key.as_deref());
        if let Some(reply) = faults.before().await {
            return reply;
        }
        let response = self.store.transact(|state| self.replay_or_perform(state, &request, faults.execution)).await;
        self.events_ready.notify_one();
        faults.after(response.unwrap_or_else(|JournalFailed| ApiError::internal().into())).await
    }

    /// Returns the stored response, or performs the request and stores effect and response in one line.
    fn replay_or_perform(&self, state: &mut State, request: &Request, by_caller: Option<Injection>) -> Response {
        let now = self.now();
        self.expire_due(state, now);
        state.records.prune(unix_ms(now));
        let operation = match state.records.stored_response(request) {
            Ok(Some(stored)) => return stored.as_ref().into(),
            Ok(None) => Operation::read(request, &state.records, &self.random, unix_s(now)),
            Err(error) => Err(error),
        };
        // A request that cannot be read has no effect, and its response is not stored.
        let mut operation = match operation {
            Ok(operation) => operation,
            Err(error) => return error.into(),
        };
        let injection = self.faults.inject(FaultGroup::Execution, &operation.injection_point(request), by_caller);
        let fault = injection.map(|injection| injection.kind);
        if let Some(injection) = injection.filter(|injection| injection.kind == FaultKind::Decline) {
            operation.decline(injection.decline);
        }
        let mut line = JournalLine::default();
        let mut response = match injection {
            Some(Injection { kind: FaultKind::Error500, .. }) => ApiError::internal().into(),
            Some(Injection { kind: FaultKind::Rejected, rejection, .. }) => ApiError::rejected(rejection).into(),
            _ => match operation.apply(request.key.as_deref(), &self.random, unix_s(now)) {
                Ok(effect) => {
                    let response = effect.response();
                    line = self.line_of(effect, Some(request), now);
                    response
                }
                Err(error) => error.into(),
            },
        };
        let effect = (line.intent.clone(), line.refund.clone());
        if fault == Some(FaultKind::Error500After) {
            response = ApiError::internal().into();
        }
        if let Some(key) = &request.key {
            line.response = Some(Arc::new(StoredResponse {
                key: key.clone(),
                endpoint: request.endpoint(),
                fingerprint: request.fingerprint(),
                at_ms: unix_ms(now),
                request_id: request.id.clone(),
                status: response.status,
                body: response.body.clone(),
            }));
        }
        if line != JournalLine::default() {
            state.apply(&line);
        }
        self.follow_up(state, fault, effect, now);
        response
    }

    /// Applies the fault that strikes directly after an effect.
    fn follow_up(
        &self,
        state: &mut State,
        fault: Option<FaultKind>,
        (intent, refund): (Option<Arc<Intent>>, Option<Arc<Refund>>),
        now: SystemTime,
    ) {
        let operation = match (fault, intent, refund) {
            (Some(FaultKind::RefundFails), Some(intent), Some(refund)) => {
                Operation::refund_failure(Intent::clone(&intent), Refund::clone(&refund))
            }
            (Some(FaultKind::Disputed), Some(intent), _) => {
                Operation::dispute(Intent::clone(&intent), None, DisputeStatus::NeedsResponse)
            }
            _ => return,
        };
        if let Err(error) = self.apply_own(state, operation, now) {
            tracing::error!(?error, "a fault cannot follow the effect");
        }
    }

    /// The journal line of an effect. An expiry has no request.
    fn line_of(&self, effect: Effect, request: Option<&Request>, now: SystemTime) -> JournalLine {
        let events = match self.config.has_webhook {
            true => events::of(&effect, request, &self.random, unix_s(now)),
            false => Vec::new(),
        };
        let (intent, refund) = (Some(Arc::new(effect.intent)), effect.refund.map(Arc::new));
        let dispute = effect.dispute.map(Arc::new);
        JournalLine { intent, refund, dispute, events, ..JournalLine::default() }
    }

    /// Runs a query on the records.
    ///
    /// # Errors
    /// The error of `query`, or 500 if the journal cannot be written.
    pub async fn look_up<T>(&self, query: impl FnOnce(&mut State) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let found = self.store.transact(|state| {
            self.expire_due(state, self.now());
            query(state)
        });
        found.await.unwrap_or_else(|JournalFailed| Err(ApiError::internal()))
    }

    /// Draws the faults of this request. `subject` is its step, and the id of its intent or refund. The faults that a
    /// caller asks for do not affect a replay: otherwise no retry could succeed.
    pub fn draw_faults(&self, subject: (FaultStep, Option<&str>), params: &Params, key: Option<&str>) -> RequestFaults {
        let (step, id) = subject;
        let hold = self.faults.request_hold();
        let (by_caller, intent) = {
            let state = self.store.lock();
            let intent = id.and_then(|id| state.records.intent_of(id)).cloned();
            let is_new = key.is_none_or(|key| !state.records.has_response(key));
            (is_new.then(|| caller_fault(step, params, intent.as_deref())).flatten(), intent)
        };
        let payment_intent = intent.as_ref().map(|intent| intent.id.as_str());
        let point = InjectionPoint { step, payment_intent, charges_card: false };
        let latency = self.faults.inject(FaultGroup::Latency, &point, by_caller);
        RequestFaults {
            latency: latency.map(|injection| injection.delay).unwrap_or_default(),
            response: self.faults.inject(FaultGroup::Response, &point, by_caller),
            execution: by_caller,
            hold,
        }
    }

    /// The fault that the payment of an event asks for.
    pub fn event_fault(&self, event: &Event) -> Option<Injection> {
        let intent = self.store.lock().records.intents().get(&event.payment_intent).cloned()?;
        if event.is_resent { None } else { caller_fault(FaultStep::Webhook, &Params::default(), Some(&intent)) }
    }

    /// Expires authorizations when their time is over; runs until aborted.
    ///
    /// # Errors
    /// [`JournalFailed`].
    pub async fn run_expiry(self: Arc<Self>) -> Result<(), JournalFailed> {
        let mut ticks = tokio::time::interval(EXPIRY_CHECK_INTERVAL);
        loop {
            ticks.tick().await;
            self.store.transact(|state| self.expire_due(state, self.now())).await?;
            self.events_ready.notify_one();
        }
    }

    /// Expires the authorizations whose time is over at `now`. O(1) if there are none.
    fn expire_due(&self, state: &mut State, now: SystemTime) {
        let until_s: UnixSeconds = unix_s(now).saturating_sub(self.config.authorization_ttl_s);
        while let Some(intent) = state.records.authorized_until(until_s) {
            let intent = Intent::clone(intent);
            if let Err(error) = self.expire_one(state, intent, now) {
                // Without the return this loop would find the same intent again and never end.
                tracing::error!(?error, "an authorization cannot expire");
                return;
            }
        }
    }

    /// Expires an authorization now, whatever its age.
    pub async fn expire(&self, id: &str) -> Response {
        let expired = self.look_up(|state| {
            let missing = || ApiError::no_such(404, "payment_intent", id, "intent");
            let intent = state.records.intents().get(id).ok_or_else(missing)?;
            let intent = Intent::clone(intent);
            self.expire_one(state, intent, self.now())
        });
        let response = expired.await.unwrap_or_else(Response::from);
        self.events_ready.notify_one();
        response
    }

    /// Makes a refund fail that has succeeded.
    pub async fn fail_refund(&self, id: &str) -> Response {
        let failed = self.look_up(|state| {
            let missing = || ApiError::no_such(404, "refund", id, "refund");
            let refund = state.records.refunds().get(id).ok_or_else(missing)?;
            let refund = Refund::clone(refund);
            if refund.failure_reason.is_some() {
                return Err(ApiError::invalid("The refund has failed already."));
            }
            let intent = state.records.intents().get(&refund.payment_intent).ok_or_else(missing)?;
            let intent = Intent::clone(intent);
            self.apply_own(state, Operation::refund_failure(intent, refund), self.now())
        });
        let response = failed.await.unwrap_or_else(Response::from);
        self.events_ready.notify_one();
        response
    }

    /// Opens a dispute of a captured payment, or decides the open one.
    pub async fn dispute(&self, id: &str, status: DisputeStatus) -> Response {
        let disputed = self.look_up(|state| {
            let missing = || ApiError::no_such(404, "payment_intent", id, "intent");
            let intent = Intent::clone(state.records.intents().get(id).ok_or_else(missing)?);
            let open = state.records.dispute_of(id).map(|dispute| Dispute::clone(dispute));
            self.apply_own(state, Operation::dispute(intent, open, status), self.now())
        });
        let response = disputed.await.unwrap_or_else(Response::from);
        self.events_ready.notify_one();
        response
    }

    fn expire_one(&self, state: &mut State, intent: Intent, now: SystemTime) -> Result<Response, ApiError> {
        self.apply_own(state, Operation::expiry(intent), now)
    }

    /// Applies an operation that no request asks for.
    fn apply_own(&self, state: &mut State, operation: Operation, now: SystemTime) -> Result<Response, ApiError> {
        let effect = operation.apply(None, &self.random, unix_s(now))?;
        let response = effect.response();
        state.apply(&self.line_of(effect, None, now));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::thread;

    use super::*;
    use crate::clock::machine_clock;
    use crate::journal::Journal;
    use crate::request::Target;

    fn provider() -> Arc<Provider> {
        let random = RandomSource::seeded(1, "");
        let config =
            Config { has_webhook: false, any_version: false, authorization_ttl_s: 60, seeds: Seeds::default() };
        Arc::new(Provider::new(Records::default(), machine_clock(), random, config))
    }

    async fn respond(provider: &Arc<Provider>, request: Request) -> Response {
        match Arc::clone(provider).execute(request).await {
            Reply::Response(response) => response,
            Reply::CloseConnection => panic!("no fault is planned"),
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
    async fn key_is_in_use_until_its_response_is_on_the_disk() {
        let data_dir = tempfile::TempDir::new().unwrap();
        let provider = provider();
        // The journal is not written yet, so that the first request waits.
        let one = Arc::clone(&provider);
        let first = tokio::spawn(async move { respond(&one, create("key")).await });
        tokio::task::yield_now().await;
        assert_eq!(respond(&provider, create("key")).await.status, 409);

        let journal = Journal::open(data_dir.path(), 1000, &mut Records::default()).unwrap();
        let writer = Arc::clone(&provider);
        let writer = thread::spawn(move || writer.store.write_journal(journal));
        let first = first.await.unwrap();
        assert_eq!(first.status, 200);
        let again = respond(&provider, create("key")).await;
        assert_eq!((again.body, again.replay_of.as_deref()), (first.body, Some("req_1")));
        provider.store.close();
        writer.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn failed_write_makes_every_later_response_an_error() {
        let provider = provider();
        let journal = Journal::on_full_disk();
        let writer = Arc::clone(&provider);
        let writer = thread::spawn(move || writer.store.write_journal(journal));
        for key in ["one", "two"] {
            let response = respond(&provider, create(key)).await;
            assert_eq!((response.status, response.replay_of), (500, None));
        }
        assert!(provider.store.transact(|_| ()).await.is_err());
        writer.join().unwrap();
    }
}
