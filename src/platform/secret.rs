//! A text that must not be seen.

use std::fmt;
use std::str::FromStr;

/// A key or a password. It goes where [`Secret::expose`] is called, and nowhere by accident: what is printed of it is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that has to send or to compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A text that cannot be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must not be empty, nor hold spaces or control characters")]
pub struct InvalidSecret;

impl FromStr for Secret {
    type Err = InvalidSecret;

    /// Visible ASCII only: a line break that came along with a pasted key would otherwise show as a provider that refuses it.
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
    fn a_secret_is_not_printed() {
        let secret = Secret::new("sk_live_1");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(secret.expose(), "sk_live_1");
    }

    #[test]
    fn a_secret_is_visible_ascii() {
        for wrong in ["", "sk live", "sk_live\n", "sk_lïve"] {
            assert_eq!(wrong.parse::<Secret>(), Err(InvalidSecret), "{wrong:?}");
        }
    }
}
