//! Finding and reading drills.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    model::{Card, Pack},
    seal,
};
use crate::Result;

/// The folder of the drills, from the workspace's root.
pub const FOLDER: &str = "drills";

/// What is in a drill's folder: the card, the sealed pack, and the open one of its author.
pub const FILES: [&str; 3] = ["drill.toml", "pack.sealed", "pack.toml"];

/// A drill, with its card. The pack is read when it is needed.
#[derive(Debug, Clone)]
pub struct Drill {
    /// Its number.
    pub number: u16,
    /// Its name: the symptom in a few words.
    pub slug: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its card.
    pub card: Card,
}

impl Drill {
    /// Returns `NN-slug`.
    pub fn name(&self) -> String {
        format!("{:02}-{}", self.number, self.slug)
    }

    /// Returns the text of the pack: the open one, if its author has one, or else the sealed one.
    ///
    /// # Errors
    ///
    /// There is neither, or the sealed one is damaged.
    pub fn pack_text(&self) -> Result<String> {
        let [_, sealed, open] = FILES.map(|file| self.folder.join(file));
        if open.is_file() {
            return Ok(fs::read_to_string(open)?);
        }
        let text = fs::read_to_string(&sealed).map_err(|error| format!("{}: {error}", sealed.display()))?;
        seal::open(&text).map_err(|error| format!("{}: {error}", sealed.display()).into())
    }

    /// Reads the pack.
    ///
    /// # Errors
    ///
    /// As [`Drill::pack_text`], or it has another format.
    pub fn pack(&self) -> Result<Pack> {
        let text = self.pack_text()?;
        toml::from_str(&text).map_err(|error| format!("the pack of drill {}: {error}", self.name()).into())
    }
}

/// Reads the cards of all drills, by number.
///
/// # Errors
///
/// A card can't be read, or two drills have one number.
pub fn all(root: &Path) -> Result<Vec<Drill>> {
    let folder = root.join(FOLDER);
    let mut drills: Vec<Drill> = Vec::new();
    if !folder.is_dir() {
        return Ok(drills);
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((number, slug)) = name.split_once('-').and_then(|(number, slug)| Some((number.parse().ok()?, slug)))
        else {
            continue;
        };
        let file = path.join(FILES[0]);
        // A folder without a card is a leftover of another branch.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let card = toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        drills.push(Drill { number, slug: slug.to_owned(), folder: path.clone(), card });
    }
    drills.sort_by_key(|drill| drill.number);
    if let Some(pair) = drills.windows(2).find(|pair| pair[0].number == pair[1].number) {
        return Err(format!("{} and {} have one number", pair[0].name(), pair[1].name()).into());
    }
    Ok(drills)
}

/// Returns the drill with this number, slug or `NN-slug`.
///
/// # Errors
///
/// There is none; the message says which there are.
pub fn find(root: &Path, wanted: &str) -> Result<Drill> {
    let drills = all(root)?;
    let numbers = numbers(&drills);
    let number: Option<u16> = wanted.parse().ok();
    let found =
        drills.into_iter().find(|drill| Some(drill.number) == number || drill.slug == wanted || drill.name() == wanted);
    found.ok_or_else(|| format!("there is no drill {wanted}; there are {numbers}: see `cargo drill list`").into())
}

fn numbers(drills: &[Drill]) -> String {
    match (drills.first(), drills.last()) {
        (Some(first), Some(last)) if drills.len() == usize::from(last.number - first.number) + 1 => {
            format!("{} to {}", first.number, last.number)
        }
        (None, _) => "none in this checkout".to_owned(),
        _ => drills.iter().map(|drill| drill.number.to_string()).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str =
        "title = 't'\nlevel = 1\nminutes = 30\ntopic = 'geo'\nseverity = 'SEV2'\npage = 'p'\nticket = 'c'\n";

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["02-second", "01-first", "notes", "03-empty"] {
            fs::create_dir_all(root.path().join(FOLDER).join(name)).expect("created");
        }
        for name in ["02-second", "01-first"] {
            fs::write(root.path().join(FOLDER).join(name).join(FILES[0]), CARD).expect("written");
        }
        root
    }

    #[test]
    fn drill_is_found_by_number_and_by_name() {
        let root = root();
        for wanted in ["1", "01", "first", "01-first"] {
            assert_eq!(find(root.path(), wanted).expect("found").name(), "01-first", "{wanted}");
        }
        let error = find(root.path(), "9").expect_err("unknown").to_string();
        assert!(error.contains("1 to 2") && error.contains("cargo drill list"), "{error}");
    }

    #[test]
    fn unknown_field_of_a_card_is_named_with_its_file() {
        let root = root();
        fs::write(root.path().join(FOLDER).join("01-first").join(FILES[0]), format!("{CARD}cause = 'x'\n"))
            .expect("written");
        let error = all(root.path()).expect_err("unknown field").to_string();
        assert!(error.contains("drill.toml") && error.contains("cause"), "{error}");
    }

    #[test]
    fn sealed_pack_gives_way_to_the_open_one() {
        let root = root();
        let drill = find(root.path(), "1").expect("found");
        assert!(drill.pack_text().is_err());
        fs::write(drill.folder.join(FILES[1]), seal::seal("a = 1").expect("sealed")).expect("written");
        assert_eq!(drill.pack_text().expect("opened"), "a = 1");
        fs::write(drill.folder.join(FILES[2]), "a = 2").expect("written");
        assert_eq!(drill.pack_text().expect("opened"), "a = 2");
    }
}
