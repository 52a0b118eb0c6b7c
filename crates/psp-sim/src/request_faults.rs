//! The faults injected into one request: its delay, and what the caller sees of the response.

use std::time::Duration;

use serde_json::Value;

use crate::active_faults::Hold;
use crate::api_error::ApiError;
use crate::fault_kinds::FaultKind;
use crate::faults::Injection;
use crate::response::{Reply, Response};

/// The faults injected into one request.
#[derive(Debug)]
pub struct RequestFaults {
    /// The delay on top of the execution.
    pub latency: Duration,
    /// The fault of the connection or the response.
    pub response: Option<Injection>,
    /// The fault of the execution that the caller asked for.
    pub execution: Option<Injection>,
    /// The hold of the request.
    pub hold: Hold,
}

impl RequestFaults {
    /// Applies the faults before the execution. Returns a reply if the request ends there.
    pub async fn before(&mut self) -> Option<Reply> {
        self.hold.wait(self.latency / 2).await;
        let injection = self.response?;
        match injection.kind {
            FaultKind::HangBefore => {
                self.hold.wait(injection.delay).await;
                Some(Reply::CloseConnection)
            }
            FaultKind::ResetBefore => Some(Reply::CloseConnection),
            FaultKind::Error503 => Some(ApiError::unavailable().into()),
            FaultKind::RateLimited => {
                let retry_after_s = Some(injection.delay.as_secs().max(1));
                Some(Reply::Response(Response { retry_after_s, ..ApiError::rate_limited().into() }))
            }
            _ => None,
        }
    }

    /// Applies the faults after the execution to its response.
    pub async fn after(mut self, response: Response) -> Reply {
        self.hold.wait(self.latency / 2).await;
        let Some(injection) = self.response else {
            return Reply::Response(response);
        };
        match injection.kind {
            FaultKind::HangAfter => {
                self.hold.wait(injection.delay).await;
                Reply::CloseConnection
            }
            FaultKind::ResetAfter => Reply::CloseConnection,
            FaultKind::Malformed => Reply::Response(Response { body: first_half(&response.body), ..response }),
            FaultKind::UnknownStatus => {
                Reply::Response(Response { body: with_unknown_status(&response.body), ..response })
            }
            _ => Reply::Response(response),
        }
    }
}

/// The first half of a body; half of a JSON object is never valid JSON.
fn first_half(body: &str) -> String {
    body[..body.floor_char_boundary(body.len() / 2)].to_owned()
}

/// A status that no client knows.
const UNKNOWN_STATUS: &str = "sim_unknown";

fn with_unknown_status(body: &str) -> String {
    fn replace(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(status) if name == "status" => *status = UNKNOWN_STATUS.to_owned(),
                        // The caller may have used any name.
                        _ if name == "metadata" => {}
                        value => replace(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(replace),
            _ => {}
        }
    }
    let Ok(mut object) = serde_json::from_str(body) else {
        return body.to_owned();
    };
    replace(&mut object);
    object.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_half_of_a_body_is_not_json() {
        for body in [r#"{"id":"é"}"#, r#"{"object":"list","data":[]}"#] {
            assert!(serde_json::from_str::<Value>(&first_half(body)).is_err(), "{body}");
        }
    }

    #[test]
    fn unknown_status_replaces_every_status_except_in_metadata() {
        let body = r#"{"data":[{"metadata":{"status":"mine"},"status":"succeeded"}]}"#;
        let expected = r#"{"data":[{"metadata":{"status":"mine"},"status":"sim_unknown"}]}"#;
        assert_eq!(with_unknown_status(body), expected);
    }
}
