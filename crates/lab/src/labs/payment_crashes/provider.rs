//! The payment provider: another company's records, which survive every crash of ours.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Operation;

/// A provider that keeps idempotency keys, as Stripe does.
#[derive(Debug, Default)]
pub(super) struct Provider(Mutex<ProviderLedger>);

#[derive(Debug, Default)]
struct ProviderLedger {
    performed: Vec<Operation>,
    by_key: HashMap<String, Operation>,
}

impl Provider {
    /// Moves money. A call with a key that was used before moves none, and returns the same result.
    pub(super) fn perform(&self, operation: Operation, key: Option<&str>) {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = key {
            if ledger.by_key.contains_key(key) {
                return;
            }
            ledger.by_key.insert(key.to_owned(), operation);
        }
        ledger.performed.push(operation);
    }

    /// Returns what moved money, in order.
    pub(super) fn ledger(&self) -> Vec<Operation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).performed.clone()
    }
}
