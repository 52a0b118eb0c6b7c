//! The tree that the exported history begins with: the clean tree without drills, mutations, and pages that list guards.

use worktree::Tree;

use super::lockfile;
use crate::{
    Result,
    pack::{Pack, changes},
};

/// Folders (with `/`) and files that no export has.
const REMOVED: [&str; 12] = [
    "drills/",
    "mutations/",
    "crates/drill/",
    "crates/worktree/",
    "crates/xtask/",
    "tests/architecture/",
    ".ci/",
    ".github/",
    ".cargo/mutants.toml",
    "docs/guards.md",
    "docs/drills.md",
    "docs/how-to/write-a-drill.md",
];

/// Packages that no export has.
const PACKAGES: [&str; 3] = ["drill", "worktree", "xtask"];

/// The settings of cargo in the exported tree, added to those of the clean one. The user's own builds share the target directory, and the
/// service is compiled as the drill does it.
const CARGO_SETTINGS: &str = "
[build]
target-dir = \"../target\"

[profile.release.package.ridematch]
opt-level = 1
";

/// Words by which a line of a page about drills or mutations is recognized.
const PAGE_WORDS: [&str; 4] = ["drill", "mutation", "guards.md", "cargo xtask"];

/// Returns the first tree of the exported history, without the environment and the fault of the pack.
///
/// # Errors
///
/// A change of the pack does not apply.
pub fn of(clean: &Tree, pack: &Pack) -> Result<Tree> {
    let mut tree = clean.clone();
    let removed = |path: &str, entry: &str| path == entry || (entry.ends_with('/') && path.starts_with(entry));
    tree.retain(|path, _| !REMOVED.iter().any(|entry| removed(path, entry)));
    for entry in &pack.tree.remove {
        let before = tree.len();
        tree.retain(|path, _| !removed(path, entry) && !path.starts_with(&format!("{entry}/")));
        if tree.len() == before {
            return Err(format!("tree.remove: there is no {entry}").into());
        }
    }
    changes::replace(&mut tree, &pack.tree.replace).map_err(|error| format!("tree: {error}"))?;
    edit(&mut tree, "Cargo.toml", |text| {
        without_lines(text, &|line| PACKAGES.iter().any(|name| line.starts_with(&format!("{name} = "))))
    });
    edit(&mut tree, "Cargo.lock", |text| lockfile::without(text, &PACKAGES));
    edit(&mut tree, ".cargo/config.toml", |text| {
        let alias = |line: &str| ["drill = ", "xtask = "].iter().any(|alias| line.starts_with(alias));
        without_lines(text, &|line| alias(line) || line.contains("cargo xtask")) + CARGO_SETTINGS
    });
    edit(&mut tree, ".gitignore", |text| without_lines(text, &|line| line.contains("drill")));
    let pages: Vec<String> = tree.keys().filter(|path| path.ends_with(".md")).cloned().collect();
    for page in pages {
        edit(&mut tree, &page, |text| {
            without_lines(text, &|line| {
                let line = line.to_lowercase();
                PAGE_WORDS.iter().any(|word| line.contains(word))
            })
        });
    }
    changes::set_environment(&mut tree, &std::collections::BTreeMap::new());
    Ok(tree)
}

/// Replaces the text of a file, if there is such a file.
fn edit(tree: &mut Tree, path: &str, change: impl Fn(&str) -> String) {
    if let Some(text) = tree.get(path).and_then(|bytes| String::from_utf8(bytes.clone()).ok()) {
        tree.insert(path.to_owned(), change(&text).into_bytes());
    }
}

fn without_lines(text: &str, is_removed: &dyn Fn(&str) -> bool) -> String {
    text.split_inclusive('\n').filter(|line| !is_removed(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(tree: &str) -> Pack {
        let text = format!(
            "component = 'none'\nmechanism = 'no-fault'\nevidence = []\npost_mortem = ''\ncheck = []\nhint = []\n[load]\nseconds = 1.0\n[tree]\n{tree}"
        );
        toml::from_str(&text).expect("a pack")
    }

    fn clean() -> Tree {
        let files = [
            ("Cargo.toml", "drill = { path = 'crates/drill' }\nserde = '1'\n"),
            (".cargo/config.toml", "[alias]\ndrill = \"run\"\ncity = \"run\"\n"),
            ("README.md", "# A\n| Debug | `cargo drill start 1` |\n| Explore | `cargo run` |\n"),
            ("drills/01-a/drill.toml", ""),
            ("mutations/a.toml", ""),
            ("crates/drill/src/lib.rs", ""),
            ("src/lib.rs", "// the rule\nfn main() {}\n"),
            ("tests/rides/guard.rs", ""),
        ];
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn export_has_no_trace_of_drills() {
        let changes =
            "remove = ['tests/rides']\n[[tree.replace]]\nfile = 'src/lib.rs'\nfrom = \"// the rule\\n\"\nto = ''\n";
        let tree = of(&clean(), &pack(changes)).expect("a tree");
        let paths: Vec<&str> = tree.keys().map(String::as_str).collect();
        assert_eq!(paths, [".cargo/config.toml", "Cargo.toml", "README.md", "deploy/service.env", "src/lib.rs"]);
        let all: String = tree.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        assert!(!all.to_lowercase().contains("drill") && !all.contains("the rule"), "{all}");
        assert!(all.contains("cargo run") && all.contains("city = "), "{all}");
    }

    #[test]
    fn removal_of_nothing_is_an_error() {
        let error = of(&clean(), &pack("remove = ['tests/gone.rs']")).expect_err("nothing").to_string();
        assert!(error.contains("tests/gone.rs"), "{error}");
    }
}
