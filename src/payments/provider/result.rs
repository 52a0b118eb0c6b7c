//! How a call ended.

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderResult<T> {
    /// Done; the object after the call.
    Done(T),
    /// Refused for good, and not done.
    Refused {
        /// The reason of the provider or the bank.
        code: String,
        /// The object, where the refusal shows it.
        object: Option<T>,
    },
    /// Not done, for a reason that proves nothing about a later call.
    Rejected {
        /// The reason of the provider.
        code: String,
        /// The object, where the error shows it.
        object: Option<T>,
    },
    /// Done or not done.
    Unknown {
        /// Whether the provider answered, though inconclusively. It replays that answer under the same key.
        answered: bool,
        /// Why, for logs and operators.
        why: String,
    },
    /// Did not reach the provider, or the provider did not process it.
    NotSent {
        /// Why, for logs and operators.
        why: String,
    },
}

impl<T> ProviderResult<T> {
    pub(super) fn and_then<U>(self, read: impl Fn(T) -> Result<U, String>) -> ProviderResult<U> {
        match self {
            Self::Done(object) => match read(object) {
                Ok(object) => ProviderResult::Done(object),
                Err(why) => ProviderResult::Unknown { answered: true, why },
            },
            Self::Refused { code, object } => {
                ProviderResult::Refused { code, object: object.and_then(|it| read(it).ok()) }
            }
            Self::Rejected { code, object } => {
                ProviderResult::Rejected { code, object: object.and_then(|it| read(it).ok()) }
            }
            Self::Unknown { answered, why } => ProviderResult::Unknown { answered, why },
            Self::NotSent { why } => ProviderResult::NotSent { why },
        }
    }

    /// Returns why it is inconclusive; empty if it is not.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Unknown { why, .. } | Self::NotSent { why } => why,
            Self::Done(_) | Self::Refused { .. } | Self::Rejected { .. } => "",
        }
    }

    /// Returns the metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused { .. } => "refused",
            Self::Rejected { .. } => "rejected",
            Self::Unknown { .. } => "unknown",
            Self::NotSent { .. } => "not_sent",
        }
    }
}
