use std::collections::HashSet;

use super::*;
use crate::platform::auth::Role;

#[test]
fn fingerprint_depends_on_each_part_and_its_boundary() {
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
fn each_key_of_each_caller_has_a_separate_lock() {
    let locks = [
        key(Role::Rider, 1, "a").lock_id(),
        key(Role::Driver, 1, "a").lock_id(),
        key(Role::Rider, 2, "a").lock_id(),
        key(Role::Rider, 1, "b").lock_id(),
    ];
    assert_eq!(locks.into_iter().collect::<HashSet<_>>().len(), locks.len());
    assert_eq!(locks[0], key(Role::Rider, 1, "a").lock_id());
}

/// No waiting: a lock that is taken fails at once.
const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test]
async fn one_request_holds_a_key_and_the_last_removes_the_queue() {
    let (locks, mine) = (KeyLocks::default(), key(Role::Rider, 1, "a"));
    let first = locks.acquire(&mine, AT_ONCE).await.expect("the key is free");
    let _another = locks.acquire(&key(Role::Rider, 1, "b"), AT_ONCE).await.expect("another key");
    assert!(locks.acquire(&mine, AT_ONCE).await.is_none(), "two requests hold one key");
    assert_eq!(locks.keys_in_use(), 2, "a timeout removed a queue in use");

    let (waiting, second_key) = (locks.clone(), mine.clone());
    let second = tokio::spawn(async move { waiting.acquire(&second_key, Duration::from_secs(60)).await });
    // With one request the queue has three references: the map, the guard and its permit. The fourth is the waiting request.
    while locks.lock().keys.values().map(Arc::strong_count).max() < Some(4) {
        tokio::task::yield_now().await;
    }
    drop(first);
    let second = second.await.expect("joined").expect("acquired");
    assert!(locks.acquire(&mine, AT_ONCE).await.is_none(), "a queue in use was removed");
    drop(second);
    assert_eq!(locks.keys_in_use(), 1);
}

#[test]
fn fifth_concurrent_command_of_a_caller_is_429() {
    let locks = KeyLocks::default();
    let [one, other] = [1, 2].map(|subject| Caller { role: Role::Rider, subject: Uuid::from_u128(subject) });
    let mut running: Vec<_> =
        (0..COMMANDS_PER_CALLER_MAX).map(|_| locks.admit(one).expect("below the limit")).collect();
    assert!(matches!(locks.admit(one), Err(Error::Refused(refusal)) if refusal.code == Code::TooManyCommands));
    let others_slot = locks.admit(other).expect("another caller");
    running.pop();
    running.push(locks.admit(one).expect("one has finished"));
    assert!(locks.admit(one).is_err(), "the count was lost");
    drop((running, others_slot));
    assert_eq!(locks.lock().callers.len(), 0);
}

#[test]
fn key_that_is_not_1_to_255_visible_ascii_bytes_is_invalid() {
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
