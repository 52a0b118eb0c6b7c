//! Form-encoded parameters, with nested names in brackets: `amount=1200&metadata[payment_id]=pay_1`.
//!
//! A handler takes the parameters that it knows from [`Params`] and calls [`Params::finish`], which rejects the rest as
//! unknown. As with Stripe, a misspelled parameter is never silently ignored.

use std::collections::BTreeMap;

use crate::api_error::ApiError;
use crate::model::{Metadata, Minor};

/// The largest amount that Stripe accepts: 999,999.99 of a two-decimal currency.
const AMOUNT_MAX: Minor = 99_999_999;
/// Stripe's limits for metadata.
const METADATA_ENTRIES_MAX: usize = 50;
const METADATA_KEY_CHARS_MAX: usize = 40;
const METADATA_VALUE_CHARS_MAX: usize = 500;

/// The parameters of a request that are not taken yet. If a name occurs twice, the last value is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Parses a query string or the body of a form.
    ///
    /// # Errors
    /// 400 if the text is not form-encoded.
    pub fn parse(text: &[u8]) -> Result<Self, ApiError> {
        serde_urlencoded::from_bytes::<Vec<(String, String)>>(text)
            .map(|pairs| Self(pairs.into_iter().collect()))
            .map_err(|_| ApiError::invalid("The request is not form-encoded."))
    }

    /// The parameters in a fixed order, independent of the order in the request.
    pub fn canonical(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns a parameter without taking it.
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// 400 if it is empty.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.0.remove(name) {
            Some(value) if value.is_empty() => {
                let message = format!("You passed an empty string for '{name}'; leave it out instead.");
                Err(ApiError::invalid(message).code("parameter_invalid_empty").param(name))
            }
            value => Ok(value),
        }
    }

    /// Takes a required text.
    ///
    /// # Errors
    /// 400 if it is missing or empty.
    pub fn required(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::missing(name))
    }

    /// Takes an integer of at least `min`.
    ///
    /// # Errors
    /// 400 if it has another value.
    pub fn integer(&mut self, name: &str, min: i64) -> Result<Option<i64>, ApiError> {
        let invalid = |message: String| ApiError::invalid(message).code("parameter_invalid_integer").param(name);
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let value: i64 = text.parse().map_err(|_| invalid(format!("Invalid integer: {text}")))?;
        if value < min {
            return Err(invalid(format!("This value must be greater than or equal to {min}.")));
        }
        Ok(Some(value))
    }

    /// Takes an amount: positive, in the currency's smallest unit.
    ///
    /// # Errors
    /// 400 if it is not an amount, or exceeds the maximum.
    pub fn amount(&mut self, name: &str) -> Result<Option<Minor>, ApiError> {
        let amount = self.integer(name, 1)?;
        if amount > Some(AMOUNT_MAX) {
            let message = format!("Amount must be no more than {AMOUNT_MAX}.");
            return Err(ApiError::invalid(message).code("amount_too_large").param(name));
        }
        Ok(amount)
    }

    /// Takes `true` or `false`; false if absent.
    ///
    /// # Errors
    /// 400 if it has another value.
    pub fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        Ok(self.choice(name, &["true", "false"])?.as_deref() == Some("true"))
    }

    /// Takes one of `choices`.
    ///
    /// # Errors
    /// 400 if it is none of them.
    pub fn choice(&mut self, name: &str, choices: &[&str]) -> Result<Option<String>, ApiError> {
        let value = self.text(name)?;
        if value.as_deref().is_some_and(|value| !choices.contains(&value)) {
            let message = format!("Invalid {name}: must be one of {}", choices.join(", "));
            return Err(ApiError::invalid(message).param(name));
        }
        Ok(value)
    }

    /// Takes `metadata[…]`. An entry with an empty value is left out.
    ///
    /// # Errors
    /// 400 if there are more or longer entries than Stripe accepts.
    pub fn metadata(&mut self) -> Result<Metadata, ApiError> {
        let mut metadata = Metadata::new();
        for (name, value) in std::mem::take(&mut self.0) {
            match name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']')) {
                Some(_) if value.is_empty() => {}
                Some(key) => {
                    if key.chars().count() > METADATA_KEY_CHARS_MAX
                        || value.chars().count() > METADATA_VALUE_CHARS_MAX
                        || metadata.len() == METADATA_ENTRIES_MAX
                    {
                        let message = format!(
                            "Metadata has at most {METADATA_ENTRIES_MAX} entries, with keys of at most \
                             {METADATA_KEY_CHARS_MAX} characters and values of at most {METADATA_VALUE_CHARS_MAX}."
                        );
                        return Err(ApiError::invalid(message).param("metadata"));
                    }
                    metadata.insert(key.to_owned(), value);
                }
                None => {
                    self.0.insert(name, value);
                }
            }
        }
        Ok(metadata)
    }

    /// Drops these parameters, nested ones included.
    pub fn ignore(&mut self, names: &[&str]) {
        self.0.retain(|name, _| !names.contains(&name.split('[').next().unwrap_or(name)));
    }

    /// Checks that every parameter was taken.
    ///
    /// # Errors
    /// 400 with the name of the first unknown one.
    pub fn finish(self) -> Result<(), ApiError> {
        self.0.into_keys().next().map_or(Ok(()), |name| {
            Err(ApiError::invalid(format!("Received unknown parameter: {name}")).code("parameter_unknown").param(&name))
        })
    }
}
