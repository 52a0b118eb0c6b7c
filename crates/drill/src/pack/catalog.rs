//! The closed lists of a diagnosis.

use serde::{Deserialize, Serialize};

use crate::Result;

/// The lists, as they are published.
const CATALOG: &str = include_str!("catalog.toml");

/// The closed lists of a diagnosis.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Components of the service.
    pub component: Vec<Component>,
    /// Ways of going wrong.
    pub mechanism: Vec<Mechanism>,
}

/// A component of the service.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// What it does.
    pub summary: String,
}

/// A way of going wrong.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// Its name.
    pub name: String,
    /// What goes wrong.
    pub summary: String,
    /// Mechanisms with the same symptom.
    pub lookalikes: Vec<String>,
    /// How it differs from them.
    pub tell: String,
}

impl Catalog {
    /// Reads the lists.
    ///
    /// # Errors
    ///
    /// They are damaged, which a test excludes.
    pub fn read() -> Result<Self> {
        Ok(toml::from_str(CATALOG)?)
    }

    /// Returns the component with this name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.component.iter().find(|component| component.name == name)
    }

    /// Returns the mechanism with this name.
    pub fn mechanism(&self, name: &str) -> Option<&Mechanism> {
        self.mechanism.iter().find(|mechanism| mechanism.name == name)
    }

    /// Whether two mechanisms show the same symptom.
    pub fn look_alike(&self, one: &str, other: &str) -> bool {
        let names = |a: &str, b: &str| {
            self.mechanism(a).is_some_and(|mechanism| mechanism.lookalikes.iter().any(|name| name == b))
        };
        names(one, other) || names(other, one)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_lookalikes_exist() {
        let catalog = Catalog::read().expect("the lists");
        let components: BTreeSet<&str> = catalog.component.iter().map(|component| component.name.as_str()).collect();
        let mechanisms: BTreeSet<&str> = catalog.mechanism.iter().map(|mechanism| mechanism.name.as_str()).collect();
        assert_eq!((components.len(), mechanisms.len()), (catalog.component.len(), catalog.mechanism.len()));
        for mechanism in &catalog.mechanism {
            assert!(mechanism.lookalikes.len() >= 2, "{}", mechanism.name);
            for name in &mechanism.lookalikes {
                assert!(mechanisms.contains(name.as_str()) && *name != mechanism.name, "{}: {name}", mechanism.name);
            }
        }
        assert!(catalog.look_alike("lost-wake", "missing-reconciliation"));
        assert!(!catalog.look_alike("lost-wake", "rounding"));
    }
}
