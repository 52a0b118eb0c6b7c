//! What the actors received under each idempotency key, against what is stored.

use std::collections::BTreeMap;

use super::{OurRecords, ViolationKind, Violations};
use crate::actors::{KeyHistory, digest};

/// Checks every key that the actors sent.
pub(super) fn check(ours: &OurRecords, history: &BTreeMap<String, KeyHistory>, violations: &mut Violations) {
    for (key, sent) in history {
        let mut broken = |what: String| {
            violations.add(ViolationKind::BrokenKey, format!("{key} ({}) {what}", sent.request));
        };
        if sent.successes.len() > 1 {
            broken(format!("got {} different responses", sent.successes.len()));
        }
        if sent.refusals.iter().any(|code| code == "idempotency_key_reused") {
            broken("was refused as the key of another request".to_owned());
        }
        match (ours.keys.get(key), sent.successes.first()) {
            (Some(stored), Some((status, body))) => {
                if i32::from(stored.status) != i32::from(*status) || digest(&stored.body) != *body {
                    broken(format!("got {status}, and another response is stored"));
                }
                if stored.effects > 1 {
                    broken(format!("has {} effects", stored.effects));
                }
                if stored.status == 201 && stored.effects == 0 {
                    broken("got 201, and nothing was created".to_owned());
                }
            }
            (None, Some((status, _))) => broken(format!("got {status}, and is not stored")),
            // With a request still unanswered, the effect may follow the refusal of another one.
            (Some(_), None) if !sent.refusals.is_empty() && sent.answered == sent.sent => {
                broken(format!("was refused with {:?}, and has an effect", sent.refusals));
            }
            _ => {}
        }
    }
}
