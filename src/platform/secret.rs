//! Secrets that must not appear in logs.

use std::fmt;
use std::str::FromStr;

/// A key or a password. `Debug` prints `***`; only [`Secret::expose`] returns the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, to send or compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The error for a text that cannot be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be visible ASCII: not empty, without spaces or control characters")]
pub struct InvalidSecret;

impl FromStr for Secret {
    type Err = InvalidSecret;

    /// Accepts visible ASCII only. A line break pasted with a key would otherwise show up as a rejection by the provider.
    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_visible { Ok(Self::new(text)) } else { Err(InvalidSecret) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_print_the_secret() {
        let secret = Secret::new("sk_live_1");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(secret.expose(), "sk_live_1");
    }

    #[test]
    fn secret_that_is_not_visible_ascii_is_an_error() {
        for wrong in ["", "sk live", "sk_live\n", "sk_lïve"] {
            assert_eq!(wrong.parse::<Secret>(), Err(InvalidSecret), "{wrong:?}");
        }
    }
}
