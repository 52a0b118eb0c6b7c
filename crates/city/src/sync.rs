//! Locking of mutexes.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex, also when a thread panicked with it: the counters and positions in it are always consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
