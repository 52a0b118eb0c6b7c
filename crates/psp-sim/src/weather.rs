//! What a bad day does to one request at the door: how long it takes, and what is seen of its answer.

use std::time::Duration;

use serde_json::Value;

use crate::answer::{Answer, Reply};
use crate::bad_days::Patience;
use crate::errors::ApiError;
use crate::faults::{Kind, Strike};

/// The faults that strike one request at the door; none, mostly.
#[derive(Debug)]
pub struct Weather {
    /// How long the request takes on top of its work.
    pub latency: Duration,
    /// What happens to the connection or the answer.
    pub door: Option<Strike>,
    /// What the caller planned for the work, for whoever does it.
    pub work: Option<Strike>,
    /// How it is held.
    pub patience: Patience,
}

impl Weather {
    /// What happens before the work; a reply if that is all that happens.
    pub async fn before(&mut self) -> Option<Reply> {
        self.patience.wait(self.latency / 2).await;
        let strike = self.door?;
        match strike.kind {
            Kind::HangBefore => {
                self.patience.wait(strike.delay).await;
                Some(Reply::Silence)
            }
            Kind::ResetBefore => Some(Reply::Silence),
            Kind::Error503 => Some(ApiError::unavailable().into()),
            Kind::RateLimited => {
                let retry_after_s = Some(strike.delay.as_secs().max(1));
                Some(Reply::Answer(Answer { retry_after_s, ..ApiError::rate_limited().into() }))
            }
            _ => None,
        }
    }

    /// What becomes of the work's answer.
    pub async fn after(mut self, answer: Answer) -> Reply {
        self.patience.wait(self.latency / 2).await;
        let Some(strike) = self.door else {
            return Reply::Answer(answer);
        };
        match strike.kind {
            Kind::HangAfter => {
                self.patience.wait(strike.delay).await;
                Reply::Silence
            }
            Kind::ResetAfter => Reply::Silence,
            Kind::Malformed => Reply::Answer(Answer { body: first_half(&answer.body), ..answer }),
            Kind::UnknownStatus => Reply::Answer(Answer { body: with_unknown_status(&answer.body), ..answer }),
            _ => Reply::Answer(answer),
        }
    }
}

/// An object of which half is missing is never JSON.
fn first_half(body: &str) -> String {
    body[..body.floor_char_boundary(body.len() / 2)].to_owned()
}

/// The status that nobody knows.
const UNKNOWN_STATUS: &str = "sim_mystery";

fn with_unknown_status(body: &str) -> String {
    fn replace(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(status) if name == "status" => *status = UNKNOWN_STATUS.to_owned(),
                        // The caller's own notes may have any name.
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
    fn half_a_body_is_not_json() {
        for body in [r#"{"id":"é"}"#, r#"{"object":"list","data":[]}"#] {
            assert!(serde_json::from_str::<Value>(&first_half(body)).is_err(), "{body}");
        }
    }

    #[test]
    fn an_unknown_status_is_put_wherever_a_status_was_and_nowhere_else() {
        let body = r#"{"data":[{"metadata":{"status":"mine"},"status":"succeeded"}]}"#;
        let expected = r#"{"data":[{"metadata":{"status":"mine"},"status":"sim_mystery"}]}"#;
        assert_eq!(with_unknown_status(body), expected);
    }
}
