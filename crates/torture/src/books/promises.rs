//! What people were told, against what was kept.

use std::collections::BTreeMap;

use super::{Findings, Kind, Ours};
use crate::people::{Asked, digest};

/// Every key that people sent.
pub(super) fn keys(ours: &Ours, record: &BTreeMap<String, Asked>, findings: &mut Findings) {
    for (key, asked) in record {
        let mut broken = |what: String| findings.add(Kind::BrokenKey, format!("{key} ({}) {what}", asked.what));
        if asked.successes.len() > 1 {
            broken(format!("was answered in {} ways", asked.successes.len()));
        }
        if asked.refusals.iter().any(|code| code == "idempotency_key_reused") {
            broken("was refused as another request's key".to_owned());
        }
        match (ours.keys.get(key), asked.successes.first()) {
            (Some(kept), Some((status, body))) => {
                if kept.status != *status || digest(&kept.body) != *body {
                    broken(format!("was answered with {status}, and another answer is kept"));
                }
                if kept.effects > 1 {
                    broken(format!("has {} effects", kept.effects));
                }
                if kept.status == 201 && kept.effects == 0 {
                    broken("was answered with 201, and nothing was made".to_owned());
                }
            }
            (None, Some((status, _))) => broken(format!("was answered with {status}, and is not known any more")),
            // One that was sent before, and not answered, may be done after another was refused: nothing wrong with that.
            (Some(_), None) if !asked.refusals.is_empty() && asked.heard == asked.sent => {
                broken(format!("was refused with {:?}, and it was done", asked.refusals));
            }
            _ => {}
        }
    }
}
