//! The faults, and how often each is injected.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Milliseconds. Longer than a lease of 30 s: after this the work has a new owner.
const PAST_THE_LEASE: std::ops::Range<u64> = 33_000..37_000;

/// Milliseconds. Longer than the 5 s that the server lets a transaction be idle.
const PAST_THE_IDLE_LIMIT: std::ops::Range<u64> = 6_000..9_000;

/// Milliseconds. Longer than the 3 s that the services wait for a lock.
const PAST_THE_LOCK_LIMIT: std::ops::Range<u64> = 4_000..8_000;

/// How long a service may take to be caught inside a transaction.
pub(super) const CATCHES_WITHIN: Duration = Duration::from_secs(8);

/// Tables that are locked, as a migration or a backup would.
const TABLES: [&str; 6] =
    ["payments", "trips", "payment_attempts", "idempotency_keys", "outbox_deliveries", "driver_engagements"];

/// A process that can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KillTarget {
    /// One of the services.
    Service(usize),
    /// The payment provider.
    Provider,
    /// The postmaster of PostgreSQL.
    Database,
    /// The city.
    City,
}

/// A connection between processes, with a proxy on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Services and database.
    Database,
    /// Services and provider.
    Provider,
    /// The city and the provider's webhooks, to the matcher.
    Matcher,
    /// Actors to one of the services.
    Service(usize),
}

/// The kind of [`Fault::ProviderPlan`]: it is no fault by itself.
pub(crate) const PROVIDER_PLAN: &str = "change the provider's fault plan";

/// The kinds of faults that are also injected alone (`standstill.rs`).
pub(crate) const FREEZE: &str = "freeze a service in a transaction";
pub(crate) const HOLD_ROWS: &str = "hold the rows of a trip and of drivers";
pub(crate) const LOSE_WAKES: &str = "lose wakes";

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a restart.
    Kill(KillTarget),
    /// SIGSTOP of a service for a time.
    Pause(usize, Duration),
    /// A percentage of the connections is cut.
    Cut(Link, u32),
    /// Responses are held.
    Hold(Link, Duration),
    /// New connections are refused.
    Refuse(Link, Duration),
    /// Other clients take every connection of the database.
    TakeConnections(Duration),
    /// Another client locks a table, and requests queue for the pool.
    LockTable(&'static str, Duration),
    /// SIGSTOP of a service inside a transaction that has written, for longer than the server lets a transaction be idle.
    Freeze(usize, Duration),
    /// Another client locks the row of an offered trip and those of free drivers, for longer than a lock is waited for.
    HoldRows(Duration),
    /// A commit is lost.
    LoseCommit,
    /// Wakes between the processes are lost: the listener's connection is cut before each one.
    LoseWakes(Duration),
    /// The provider gets a new fault plan, which may be empty.
    ProviderPlan,
    /// A bank releases an authorization.
    Expire,
}

impl Fault {
    /// Draws the next fault. None lasts longer than `left`.
    pub fn draw(random: &mut StdRng, left: Duration) -> Self {
        let service = random.random_range(0..2);
        let mut millis = |range: std::ops::Range<u64>| Duration::from_millis(random.random_range(range));
        let (short, medium, beyond) = (millis(300..2_500), millis(1_500..5_000), millis(10_500..13_000));
        let lease = millis(PAST_THE_LEASE);
        let (frozen, held, deaf) = (millis(PAST_THE_IDLE_LIMIT), millis(PAST_THE_LOCK_LIMIT), millis(2_000..6_000));
        let share = random.random_range(20..100);
        let link = match random.random_range(0..10) {
            0..3 => Link::Database,
            3..6 => Link::Provider,
            6..8 => Link::Matcher,
            _ => Link::Service(service),
        };
        let table = TABLES.choose(random).copied().unwrap_or(TABLES[0]);
        let fault = match random.random_range(0..100) {
            0..20 => Self::Cut(link, share),
            20..33 => Self::Hold(link, short),
            // Longer than the services' timeout of a provider call.
            33..35 => Self::Hold(Link::Provider, beyond),
            35..42 => Self::Refuse(link, short),
            42..45 => Self::TakeConnections(medium),
            45..49 => Self::LockTable(table, medium),
            49..52 => Self::HoldRows(held),
            52..54 => Self::Freeze(service, frozen),
            54..57 => Self::LoseWakes(deaf),
            57..69 => Self::LoseCommit,
            69..80 => Self::ProviderPlan,
            80..83 => Self::Expire,
            83..90 => Self::Kill(KillTarget::Service(service)),
            90..93 => Self::Kill(KillTarget::Provider),
            93..95 => Self::Kill(KillTarget::Database),
            95..96 => Self::Kill(KillTarget::City),
            96..98 => Self::Pause(service, medium),
            _ if left > lease => Self::Pause(service, lease),
            _ => Self::Pause(service, short),
        };
        if fault.lasts() < left { fault } else { Self::LoseCommit }
    }

    fn lasts(self) -> Duration {
        match self {
            Self::Pause(_, time)
            | Self::Hold(_, time)
            | Self::Refuse(_, time)
            | Self::TakeConnections(time)
            | Self::LockTable(_, time)
            | Self::HoldRows(time)
            | Self::LoseWakes(time) => time,
            Self::Freeze(_, time) => time + CATCHES_WITHIN,
            Self::Kill(_) | Self::Cut(..) | Self::LoseCommit | Self::ProviderPlan | Self::Expire => Duration::ZERO,
        }
    }

    /// What it affects. Each target is affected by one fault at a time.
    pub fn target(self) -> &'static str {
        match self {
            Self::Kill(KillTarget::Service(0)) | Self::Pause(0, _) | Self::Freeze(0, _) => "service a",
            Self::Kill(KillTarget::Service(_)) | Self::Pause(..) | Self::Freeze(..) => "service b",
            Self::Kill(KillTarget::Provider) | Self::ProviderPlan | Self::Expire => "provider",
            Self::Kill(KillTarget::Database) | Self::TakeConnections(_) | Self::LockTable(..) => "database",
            Self::Kill(KillTarget::City) => "city",
            Self::Cut(link, _) | Self::Hold(link, _) | Self::Refuse(link, _) => match link {
                Link::Database => "link to the database",
                Link::Provider => "link to the provider",
                Link::Matcher => "link to the matcher",
                Link::Service(0) => "link to service a",
                Link::Service(_) => "link to service b",
            },
            Self::HoldRows(_) => "rows",
            Self::LoseCommit => "commit",
            Self::LoseWakes(_) => "wakes",
        }
    }

    /// The name under which it is counted.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Kill(KillTarget::Service(_)) => "kill -9 a service",
            Self::Kill(KillTarget::Provider) => "kill -9 the provider",
            Self::Kill(KillTarget::Database) => "kill -9 the database",
            Self::Kill(KillTarget::City) => "kill -9 the city",
            Self::Pause(_, time) if time >= Duration::from_millis(PAST_THE_LEASE.start) => {
                "pause a service beyond its leases"
            }
            Self::Pause(..) => "pause a service",
            Self::Cut(Link::Database, _) => "cut connections to the database",
            Self::Cut(Link::Provider, _) => "cut connections to the provider",
            Self::Cut(..) => "cut connections of clients",
            Self::Hold(Link::Database, _) => "hold responses of the database",
            Self::Hold(Link::Provider, _) => "hold responses of the provider",
            Self::Hold(..) => "hold responses to clients",
            Self::Refuse(Link::Database, _) => "refuse connections to the database",
            Self::Refuse(Link::Provider, _) => "refuse connections to the provider",
            Self::Refuse(..) => "refuse connections of clients",
            Self::TakeConnections(_) => "take all connections of the database",
            Self::LockTable(..) => "lock a table",
            Self::Freeze(..) => FREEZE,
            Self::HoldRows(_) => HOLD_ROWS,
            Self::LoseCommit => "lose a commit",
            Self::LoseWakes(_) => LOSE_WAKES,
            Self::ProviderPlan => PROVIDER_PLAN,
            Self::Expire => "expire an authorization",
        }
    }
}
