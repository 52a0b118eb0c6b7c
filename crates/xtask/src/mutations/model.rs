//! A mutation as data: the guard that it removes, and the tests that must fail.

use std::{collections::BTreeSet, fmt, fs, path::Path};

use serde::Deserialize;
use worktree::{Overlay, Replace};

use crate::workspace::Result;

/// The folder of the mutations, from the workspace's root.
const FOLDER: &str = "mutations";

/// The last migration, which removes a constraint.
const MIGRATION: &str = "migrations/9999_mutation.sql";

/// A guard that is removed on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// The file name without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// The guard, in a few words.
    pub guard: String,
    /// What happens without it, in one sentence.
    pub consequence: String,
    /// A public report of this failure in another project.
    pub seen_at: Option<String>,
    /// Changes of the source.
    #[serde(default)]
    replace: Vec<Replace>,
    /// Change of the schema, after all migrations.
    sql: Option<String>,
    /// Each of these must fail.
    pub detected_by: Vec<Detector>,
}

impl Mutation {
    /// Applies the mutation to the files of the tree.
    ///
    /// # Errors
    ///
    /// It changes nothing, or a replaced text does not occur exactly once: then the source has changed, and the mutation must follow.
    pub fn overlay(&self, root: &Path) -> Result<Overlay> {
        let mut overlay = Overlay::new();
        for replace in &self.replace {
            replace.apply(root, &mut overlay).map_err(|error| format!("{}: {error}", self.name))?;
        }
        overlay.extend(self.sql.iter().map(|sql| (MIGRATION.to_owned(), sql.clone())));
        if overlay.is_empty() || self.detected_by.is_empty() {
            return Err(format!("{}: it changes nothing, or names no test", self.name).into());
        }
        Ok(overlay)
    }
}

/// A test that must fail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Detector {
    /// One test by its full name: `--lib payments::state_machine::tests::…` or `--test rides races::offers::…`.
    Test {
        /// The test binary.
        target: Target,
        /// Its name there, with modules.
        name: String,
    },
    /// A torture run with these arguments: `torture --seconds 60 --seed 1`.
    Torture(Vec<String>),
}

/// A test binary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The library's unit tests.
    Lib,
    /// A folder of `tests/`.
    Test(String),
}

impl TryFrom<String> for Detector {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["--lib", name] => Ok(Self::Test { target: Target::Lib, name: (*name).to_owned() }),
            ["--test", binary, name] => {
                Ok(Self::Test { target: Target::Test((*binary).to_owned()), name: (*name).to_owned() })
            }
            ["torture", arguments @ ..] => Ok(Self::Torture(arguments.iter().map(|&word| word.to_owned()).collect())),
            _ => Err(format!("`{text}` is none of `--lib NAME`, `--test BINARY NAME` and `torture …`")),
        }
    }
}

impl fmt::Display for Detector {
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
            Self::Test(name) => write!(f, "--test {name}"),
        }
    }
}

/// Reads all mutations, sorted by name.
///
/// # Errors
///
/// A file can't be read, or is not a mutation.
pub fn load(root: &Path) -> Result<Vec<Mutation>> {
    let mut mutations = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".toml")) else { continue };
        let mutation: Mutation =
            toml::from_str(&fs::read_to_string(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        mutations.push(Mutation { name: name.to_owned(), ..mutation });
    }
    mutations.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutations)
}

/// Returns the mutations with these names; all of them for no name.
///
/// # Errors
///
/// There is no mutation of that name.
pub fn choose(mutations: Vec<Mutation>, names: &[&str]) -> Result<Vec<Mutation>> {
    if names.is_empty() {
        return Ok(mutations);
    }
    let known: BTreeSet<&str> = mutations.iter().map(|mutation| mutation.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(*name)) {
        return Err(format!("there is no mutation {unknown}; `cargo xtask mutations --list` shows all").into());
    }
    Ok(mutations.into_iter().filter(|mutation| names.contains(&mutation.name.as_str())).collect())
}

/// Returns the problems of all mutations: those that do not apply, and those whose tests do not exist.
pub fn stale(root: &Path, mutations: &[Mutation]) -> Vec<String> {
    let mut problems = Vec::new();
    for mutation in mutations {
        problems.extend(mutation.overlay(root).err().map(|problem| problem.to_string()));
        let missing = mutation.detected_by.iter().filter(|detector| !detector.exists(root));
        problems.extend(missing.map(|detector| format!("{}: there is no test {detector}", mutation.name)));
    }
    problems
}

impl Detector {
    /// Whether the test's function is in the file of its module. A module may be inline in the file of its parent.
    fn exists(&self, root: &Path) -> bool {
        let Self::Test { target, name } = self else { return true };
        let (base, main) = match target {
            Target::Lib => (root.join("src"), "lib.rs"),
            Target::Test(binary) => (root.join("tests").join(binary), "main.rs"),
        };
        let mut path: Vec<&str> = name.split("::").collect();
        let function = path.pop().unwrap_or_default();
        let mut inline: Vec<&str> = Vec::new();
        loop {
            let module = path.iter().fold(base.clone(), |folder, part| folder.join(part));
            let files = if path.is_empty() {
                [base.join(main), base.join("mod.rs")]
            } else {
                [module.with_extension("rs"), module.join("mod.rs")]
            };
            if let Some(text) = files.iter().find_map(|file| fs::read_to_string(file).ok()) {
                return text.contains(&format!("fn {function}("))
                    && inline.iter().all(|part| text.contains(&format!("mod {part} {{")));
            }
            match path.pop() {
                Some(part) => inline.push(part),
                None => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(text: &str) -> Mutation {
        toml::from_str(text).expect("a mutation")
    }

    const PARTS: &str = "guard = 'g'\nconsequence = 'c'\ndetected_by = ['--lib a::b']\n";

    #[test]
    fn replaced_text_must_occur_exactly_once() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.rs"), "one two two").expect("written");
        let replacing =
            |from: &str| mutation(&format!("{PARTS}[[replace]]\nfile = 'a.rs'\nfrom = '{from}'\nto = 'X'\n"));
        assert_eq!(replacing("one").overlay(root.path()).expect("once")["a.rs"], "X two two");
        for wrong in ["two", "three", "X"] {
            assert!(replacing(wrong).overlay(root.path()).is_err(), "{wrong}");
        }
        assert!(mutation(PARTS).overlay(root.path()).is_err(), "it changes nothing");
    }

    #[test]
    fn changes_of_one_file_add_up_and_sql_is_a_migration() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.rs"), "one two").expect("written");
        let both = mutation(&format!(
            "sql = 'drop'\n{PARTS}[[replace]]\nfile = 'a.rs'\nfrom = 'one'\nto = '1'\n[[replace]]\nfile = 'a.rs'\nfrom = 'two'\nto = '2'\n"
        ));
        let overlay = both.overlay(root.path()).expect("applies");
        assert_eq!((overlay["a.rs"].as_str(), overlay[MIGRATION].as_str()), ("1 2", "drop"));
    }

    #[test]
    fn test_must_be_in_the_file_of_its_module() {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("src/a/b")).expect("created");
        fs::write(root.path().join("src/a/mod.rs"), "mod tests {\n fn one() {} }").expect("written");
        fs::write(root.path().join("src/a/b/c.rs"), "fn two() {}").expect("written");
        let exists = |name: &str| Detector::try_from(format!("--lib {name}")).expect("a detector").exists(root.path());
        assert!(exists("a::tests::one") && exists("a::b::c::two"));
        for wrong in ["a::b::c::one", "a::two", "a::other::one", "d::one"] {
            assert!(!exists(wrong), "{wrong}");
        }
    }

    #[test]
    fn detector_round_trips() {
        for text in ["--lib a::b", "--test rides races::offers::c", "torture --seconds 60 --seed 1"] {
            assert_eq!(Detector::try_from(text.to_owned()).expect("a detector").to_string(), text);
        }
        for wrong in ["", "--test races", "--lib", "races a", "--test rides races::a b"] {
            assert!(Detector::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
