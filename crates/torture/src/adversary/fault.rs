//! What the adversary can do, and how often it does which.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Longer than a lease of 30 s: whoever wakes up after this has been overtaken.
const PAST_THE_LEASE: std::ops::Range<u64> = 33_000..37_000;

/// Tables that somebody locks: a migration, a backup, a person with a console.
const TABLES: [&str; 6] =
    ["payments", "trips", "payment_attempts", "idempotency_keys", "outbox_deliveries", "driver_engagements"];

/// Who can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// One of the services.
    Service(usize),
    /// The payment provider.
    Provider,
    /// The postmaster.
    Database,
    /// The city.
    City,
}

/// A line between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Services and database.
    Database,
    /// Services and provider.
    Provider,
    /// City and provider's webhooks to the matcher.
    Front,
    /// People to one of the services.
    Door(usize),
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9`, and a new start.
    Kill(Victim),
    /// SIGSTOP of a service for so long.
    Pause(usize, Duration),
    /// So many of a hundred of a line's connections are cut.
    Cut(Wire, u32),
    /// Answers are held back.
    Hold(Wire, Duration),
    /// New connections are refused.
    Refuse(Wire, Duration),
    /// Somebody else takes every connection that the database has.
    TakeConnections(Duration),
    /// Somebody else locks a table: requests pile up on the pool.
    LockTable(&'static str, Duration),
    /// One more commit is lost.
    LoseCommit,
    /// The provider has another day, good or bad.
    Weather,
    /// A bank lets an authorisation go.
    Expire,
}

impl Fault {
    /// The next one. `left`: how long the torture still goes on; nothing lasts longer than that.
    pub fn draw(dice: &mut StdRng, left: Duration) -> Self {
        let service = dice.random_range(0..2);
        let mut millis = |range: std::ops::Range<u64>| Duration::from_millis(dice.random_range(range));
        let (short, medium, beyond) = (millis(300..2_500), millis(1_500..5_000), millis(10_500..13_000));
        let lease = millis(PAST_THE_LEASE);
        let share = dice.random_range(20..100);
        let wire = match dice.random_range(0..10) {
            0..3 => Wire::Database,
            3..6 => Wire::Provider,
            6..8 => Wire::Front,
            _ => Wire::Door(service),
        };
        let table = TABLES.choose(dice).copied().unwrap_or(TABLES[0]);
        let fault = match dice.random_range(0..100) {
            0..23 => Self::Cut(wire, share),
            23..38 => Self::Hold(wire, short),
            // Past the services' own time limit for a call to the provider.
            38..40 => Self::Hold(Wire::Provider, beyond),
            40..48 => Self::Refuse(wire, short),
            48..51 => Self::TakeConnections(medium),
            51..55 => Self::LockTable(table, medium),
            55..69 => Self::LoseCommit,
            69..80 => Self::Weather,
            80..83 => Self::Expire,
            83..90 => Self::Kill(Victim::Service(service)),
            90..93 => Self::Kill(Victim::Provider),
            93..95 => Self::Kill(Victim::Database),
            95..96 => Self::Kill(Victim::City),
            96..98 => Self::Pause(service, medium),
            _ if left > lease => Self::Pause(service, lease),
            _ => Self::Pause(service, short),
        };
        if fault.lasts() < left { fault } else { Self::LoseCommit }
    }

    /// How long it takes.
    fn lasts(self) -> Duration {
        match self {
            Self::Pause(_, time)
            | Self::Hold(_, time)
            | Self::Refuse(_, time)
            | Self::TakeConnections(time)
            | Self::LockTable(_, time) => time,
            Self::Kill(_) | Self::Cut(..) | Self::LoseCommit | Self::Weather | Self::Expire => Duration::ZERO,
        }
    }

    /// What it strikes. One thing is struck by one fault at a time.
    pub fn target(self) -> &'static str {
        match self {
            Self::Kill(Victim::Service(0)) | Self::Pause(0, _) => "service a",
            Self::Kill(Victim::Service(_)) | Self::Pause(..) => "service b",
            Self::Kill(Victim::Provider) | Self::Weather | Self::Expire => "provider",
            Self::Kill(Victim::Database) | Self::TakeConnections(_) | Self::LockTable(..) => "database",
            Self::Kill(Victim::City) => "city",
            Self::Cut(wire, _) | Self::Hold(wire, _) | Self::Refuse(wire, _) => match wire {
                Wire::Database => "line to the database",
                Wire::Provider => "line to the provider",
                Wire::Front => "line from the city",
                Wire::Door(0) => "line to service a",
                Wire::Door(_) => "line to service b",
            },
            Self::LoseCommit => "commit",
        }
    }

    /// As what it is counted.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Kill(Victim::Service(_)) => "kill -9 a service",
            Self::Kill(Victim::Provider) => "kill -9 the provider",
            Self::Kill(Victim::Database) => "kill -9 the database",
            Self::Kill(Victim::City) => "kill -9 the city",
            Self::Pause(_, time) if time >= Duration::from_millis(PAST_THE_LEASE.start) => {
                "pause a service past its leases"
            }
            Self::Pause(..) => "pause a service",
            Self::Cut(Wire::Database, _) => "cut connections to the database",
            Self::Cut(Wire::Provider, _) => "cut connections to the provider",
            Self::Cut(..) => "cut connections of clients",
            Self::Hold(Wire::Database, _) => "hold answers of the database",
            Self::Hold(Wire::Provider, _) => "hold answers of the provider",
            Self::Hold(..) => "hold answers to clients",
            Self::Refuse(Wire::Database, _) => "refuse connections to the database",
            Self::Refuse(Wire::Provider, _) => "refuse connections to the provider",
            Self::Refuse(..) => "refuse connections of clients",
            Self::TakeConnections(_) => "take all connections of the database",
            Self::LockTable(..) => "fill the pool behind a lock",
            Self::LoseCommit => "lose a commit",
            Self::Weather => "change the provider's weather",
            Self::Expire => "expire an authorisation",
        }
    }
}
