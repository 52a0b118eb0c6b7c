use std::collections::HashSet;

use super::*;
use crate::platform::auth::Role;

#[test]
fn every_part_of_a_request_counts_and_none_runs_into_the_next() {
    let one = fingerprint("POST", "/v1/trips", "a=1", b"{}");
    assert_eq!(one, fingerprint("POST", "/v1/trips", "a=1", b"{}"));
    let others = [
        fingerprint("PUT", "/v1/trips", "a=1", b"{}"),
        fingerprint("POST", "/v1/trip", "sa=1", b"{}"),
        fingerprint("POST", "/v1/trips", "a=2", b"{}"),
        fingerprint("POST", "/v1/trips", "", b"{}"),
        fingerprint("POST", "/v1/trips", "a=1", b"{ }"),
        fingerprint("POST", "/v1/trips", "a=1{", b"}"),
    ];
    assert!(others.iter().all(|other| *other != one));
}

fn key(role: Role, subject: u128, key: &str) -> Key {
    let caller = Caller { role, subject: Uuid::from_u128(subject) };
    Key::new(caller, Some(key.as_bytes()), [0; 32]).expect("visible")
}

#[test]
fn each_key_of_each_caller_has_a_lock_of_its_own() {
    let locks = [
        key(Role::Rider, 1, "a").lock_id(),
        key(Role::Driver, 1, "a").lock_id(),
        key(Role::Rider, 2, "a").lock_id(),
        key(Role::Rider, 1, "b").lock_id(),
    ];
    assert_eq!(locks.into_iter().collect::<HashSet<_>>().len(), locks.len());
    assert_eq!(locks[0], key(Role::Rider, 1, "a").lock_id());
}

/// Whoever cannot have a turn at once does not get one.
const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test]
async fn one_at_a_time_has_the_turn_at_a_key_and_the_last_to_leave_removes_the_queue() {
    let (gate, mine) = (Gate::default(), key(Role::Rider, 1, "a"));
    let first = gate.enter(&mine, AT_ONCE).await.expect("nobody is there");
    let _another = gate.enter(&key(Role::Rider, 1, "b"), AT_ONCE).await.expect("another key");
    assert!(gate.enter(&mine, AT_ONCE).await.is_none(), "two at once");
    assert_eq!(gate.keys_in_use(), 2, "whoever gave up has removed a queue that is in use");

    let (waiting, second_key) = (gate.clone(), mine.clone());
    let second = tokio::spawn(async move { waiting.enter(&second_key, Duration::from_secs(60)).await });
    // Three hold on to the queue while the first is alone: the map, its turn and its permit.
    while gate.lock().keys.values().map(Arc::strong_count).max() < Some(4) {
        tokio::task::yield_now().await;
    }
    drop(first);
    let second = second.await.expect("it ran").expect("its turn");
    assert!(gate.enter(&mine, AT_ONCE).await.is_none(), "the queue was removed under somebody's feet");
    drop(second);
    assert_eq!(gate.keys_in_use(), 1);
}

#[test]
fn a_caller_has_four_commands_under_way_and_is_forgotten_after_the_last() {
    let gate = Gate::default();
    let [one, other] = [1, 2].map(|subject| Caller { role: Role::Rider, subject: Uuid::from_u128(subject) });
    let mut under_way: Vec<_> = (0..COMMANDS_PER_CALLER_MAX).map(|_| gate.admit(one).expect("there is room")).collect();
    assert!(matches!(gate.admit(one), Err(Error::Refused(refusal)) if refusal.code == Code::TooManyCommands));
    let theirs = gate.admit(other).expect("another caller");
    under_way.pop();
    under_way.push(gate.admit(one).expect("one has finished"));
    assert!(gate.admit(one).is_err(), "the others were forgotten");
    drop((under_way, theirs));
    assert_eq!(gate.lock().callers.len(), 0);
}

#[test]
fn a_key_is_visible_ascii_of_255_bytes_at_most() {
    let caller = Caller { role: Role::Rider, subject: Uuid::nil() };
    let code = |header: Option<&[u8]>| match Key::new(caller, header, [0; 32]) {
        Ok(_) => None,
        Err(Error::Refused(refusal)) => Some(refusal.code),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(code(Some(&[b'~'; KEY_BYTES_MAX])), None);
    assert_eq!(code(Some(b"!")), None);
    assert_eq!(code(None), Some(Code::IdempotencyKeyMissing));
    for wrong in [&b""[..], b" ", b"a b", b"\x7f", b"\xff", &[b'k'; KEY_BYTES_MAX + 1]] {
        assert_eq!(code(Some(wrong)), Some(Code::IdempotencyKeyInvalid), "{wrong:?}");
    }
}
