//! A variant as data: what is wrong with it, and which tests must notice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use serde::Deserialize;

use crate::workspace::Result;

/// Where the variants are, from the workspace's root.
pub const FOLDER: &str = "variants";

/// The migration that takes a constraint away: the last one.
const MIGRATION: &str = "migrations/9999_variant.sql";

/// A service that is wrong on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its file's name, without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// The guard that it lacks, in a few words.
    pub guard: String,
    /// What is wrong without it, in one sentence.
    pub wrong: String,
    /// Who has had this failure in public, if anybody has told.
    pub seen_at: Option<String>,
    /// What is changed in the source.
    #[serde(default)]
    replace: Vec<Replace>,
    /// What is changed in the schema, after all migrations.
    sql: Option<String>,
    /// Each of these has to notice.
    pub found_by: Vec<Finder>,
}

/// One change of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replace {
    /// The file, from the workspace's root.
    file: String,
    /// What stands there, exactly once.
    from: String,
    /// What stands there instead.
    to: String,
}

/// The files of a variant that differ from the tree: paths from its root, and texts.
pub type Overlay = BTreeMap<String, String>;

impl Variant {
    /// The files that it changes, as it has them.
    ///
    /// # Errors
    ///
    /// It changes nothing, or what it replaces is not there exactly once: then the source has moved on, and so must the variant.
    pub fn overlay(&self, root: &Path) -> Result<Overlay> {
        let mut overlay = Overlay::new();
        for Replace { file, from, to } in &self.replace {
            let text = match overlay.remove(file) {
                Some(text) => text,
                None => {
                    fs::read_to_string(root.join(file)).map_err(|error| format!("{}: {file}: {error}", self.name))?
                }
            };
            let count = text.matches(from.as_str()).count();
            if count != 1 || from == to {
                return Err(
                    format!("{}: this is {count} times in {file}, and should be once:\n{from}", self.name).into()
                );
            }
            overlay.insert(file.clone(), text.replacen(from.as_str(), to, 1));
        }
        overlay.extend(self.sql.iter().map(|sql| (MIGRATION.to_owned(), sql.clone())));
        if overlay.is_empty() || self.found_by.is_empty() {
            return Err(format!("{}: it changes nothing, or nobody is to notice", self.name).into());
        }
        Ok(overlay)
    }
}

/// A test that has to notice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Finder {
    /// One test by its whole name: `--lib payments::machine::tests::…` or `--test races offers::…`.
    Test {
        /// Where it is.
        target: Target,
        /// Its name there, modules and all.
        name: String,
    },
    /// A run of the torture with these arguments: `torture --seconds 60 --seed 1`.
    Torture(Vec<String>),
}

/// A program of tests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The library's own tests.
    Lib,
    /// A file of `tests/`.
    File(String),
}

impl TryFrom<String> for Finder {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["--lib", name] => Ok(Self::Test { target: Target::Lib, name: (*name).to_owned() }),
            ["--test", file, name] => {
                Ok(Self::Test { target: Target::File((*file).to_owned()), name: (*name).to_owned() })
            }
            ["torture", arguments @ ..] => Ok(Self::Torture(arguments.iter().map(|&word| word.to_owned()).collect())),
            _ => Err(format!("`{text}` is none of `--lib NAME`, `--test FILE NAME` and `torture …`")),
        }
    }
}

impl fmt::Display for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test { target, name } => write!(f, "{target} {name}"),
            Self::Torture(arguments) => write!(f, "torture {}", arguments.join(" ")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lib => f.write_str("--lib"),
            Self::File(name) => write!(f, "--test {name}"),
        }
    }
}

/// All variants, by name.
///
/// # Errors
///
/// A file can't be read, or is not a variant.
pub fn load(root: &Path) -> Result<Vec<Variant>> {
    let mut variants = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".toml")) else { continue };
        let variant: Variant =
            toml::from_str(&fs::read_to_string(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        variants.push(Variant { name: name.to_owned(), ..variant });
    }
    variants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(variants)
}

/// The variants with these names; all, if there are none.
///
/// # Errors
///
/// There is no variant of that name.
pub fn choose(variants: Vec<Variant>, names: &[&str]) -> Result<Vec<Variant>> {
    if names.is_empty() {
        return Ok(variants);
    }
    let known: BTreeSet<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(*name)) {
        return Err(format!("there is no variant {unknown}; `cargo xtask variants --list` shows all").into());
    }
    Ok(variants.into_iter().filter(|variant| names.contains(&variant.name.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(text: &str) -> Variant {
        toml::from_str(text).expect("a variant")
    }

    const PARTS: &str = "guard = 'g'\nwrong = 'w'\nfound_by = ['--lib a::b']\n";

    #[test]
    fn what_is_replaced_is_there_exactly_once() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.rs"), "one two two").expect("written");
        let replacing =
            |from: &str| variant(&format!("{PARTS}[[replace]]\nfile = 'a.rs'\nfrom = '{from}'\nto = 'X'\n"));
        assert_eq!(replacing("one").overlay(root.path()).expect("once")["a.rs"], "X two two");
        for wrong in ["two", "three", "X"] {
            assert!(replacing(wrong).overlay(root.path()).is_err(), "{wrong}");
        }
        assert!(variant(PARTS).overlay(root.path()).is_err(), "it changes nothing");
    }

    #[test]
    fn changes_of_one_file_add_up_and_sql_is_a_migration() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.rs"), "one two").expect("written");
        let both = variant(&format!(
            "sql = 'drop'\n{PARTS}[[replace]]\nfile = 'a.rs'\nfrom = 'one'\nto = '1'\n[[replace]]\nfile = 'a.rs'\nfrom = 'two'\nto = '2'\n"
        ));
        let overlay = both.overlay(root.path()).expect("applies");
        assert_eq!((overlay["a.rs"].as_str(), overlay[MIGRATION].as_str()), ("1 2", "drop"));
    }

    #[test]
    fn a_finder_reads_as_it_is_written() {
        for text in ["--lib a::b", "--test races offers::c", "torture --seconds 60 --seed 1"] {
            assert_eq!(Finder::try_from(text.to_owned()).expect("a finder").to_string(), text);
        }
        for wrong in ["", "--test races", "--lib", "races a", "--test races a b"] {
            assert!(Finder::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
