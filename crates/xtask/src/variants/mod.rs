//! `cargo xtask variants`: proof that the tests can fail. Each file of `variants/` describes a service that is wrong on purpose, and
//! names the tests that must notice. The tree is copied, made wrong, built, and those tests are run: each has to pass on the
//! unchanged copy, and to die on the variant, by an assertion of its own.

mod model;
mod page;
mod scratch;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use model::{Finder, Overlay, Variant};
use scratch::Scratch;
use verdict::Verdict;

use crate::workspace::{self, Result};

/// Runs the command. `--list` names the variants, `--markdown` prints the table of `docs/guards.md`, and names choose among them.
///
/// # Errors
///
/// A variant can't be read or does not fit the source, or there is no database server to be had.
pub async fn run(arguments: &[&str]) -> Result<ExitCode> {
    let root = workspace::root();
    let variants = model::load(&root)?;
    match arguments {
        ["--list"] => {
            for Variant { name, wrong, .. } in &variants {
                println!("{name:<40} {wrong}");
            }
            Ok(ExitCode::SUCCESS)
        }
        ["--markdown"] => {
            print!("{}", page::table(&variants));
            Ok(ExitCode::SUCCESS)
        }
        [option, ..] if option.starts_with('-') => Err(format!("there is no option {option}").into()),
        names => {
            let chosen = model::choose(variants, names)?;
            // Before anything is built: does each of them fit the source?
            let overlays = chosen.iter().map(|variant| variant.overlay(&root)).collect::<Result<Vec<_>>>()?;
            let mut scratch = Scratch::open(&root).await?;
            let all_found = try_all(&mut scratch, &chosen, &overlays).await;
            scratch.close().await?;
            Ok(if all_found? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Runs the unchanged tree and then each variant; says how each ended, and whether every one was found.
async fn try_all(scratch: &mut Scratch, variants: &[Variant], overlays: &[Overlay]) -> Result<bool> {
    let finders: BTreeSet<&Finder> = variants.iter().flat_map(|variant| &variant.found_by).collect();
    eprintln!("unchanged: {} tests, of {} variants", finders.len(), variants.len());
    scratch.become_variant(&Overlay::new())?;
    let built = scratch.build(finders.iter().copied()).await?;
    scratch.keep_judge(&built)?;
    let mut unchanged = BTreeMap::new();
    for finder in finders {
        let verdict = scratch.run(&built, finder).await?;
        eprintln!("    {finder}: {verdict:?}");
        unchanged.insert(finder, verdict);
    }

    let mut found_all = true;
    let mut table = String::new();
    for (variant, overlay) in variants.iter().zip(overlays) {
        eprintln!("{}: {}", variant.name, variant.wrong);
        scratch.become_variant(overlay)?;
        let built = match scratch.build(&variant.found_by).await {
            Ok(built) => built,
            Err(error) => {
                found_all = false;
                table += &page::line(&variant.name, false, &error.to_string());
                continue;
            }
        };
        for finder in &variant.found_by {
            let verdict = scratch.run(&built, finder).await?;
            eprintln!("    {finder}: {verdict:?}");
            let (found, what) = judge(&unchanged[finder], &verdict);
            found_all &= found;
            table += &page::line(&variant.name, found, &format!("{finder}: {what}"));
        }
    }
    // As the tree is, for whoever looks into the copy.
    scratch.become_variant(&Overlay::new())?;
    print!("{table}");
    println!("{}", if found_all { "every variant was found" } else { "NOT every variant was found" });
    Ok(found_all)
}

/// Whether a test that ended so on the unchanged tree, and so on a variant, has found it; and what there is to say.
fn judge(unchanged: &Verdict, variant: &Verdict) -> (bool, String) {
    match (unchanged, variant) {
        (Verdict::Passed, Verdict::Died(why)) => (true, why.clone()),
        (Verdict::Passed, other) => (false, format!("{other:?}")),
        (other, _) => (false, format!("on the unchanged tree: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use model::Target;

    #[test]
    fn only_a_test_that_passes_and_then_dies_has_found_anything() {
        let died = Verdict::Died("assertion".to_owned());
        assert_eq!(judge(&Verdict::Passed, &died), (true, "assertion".to_owned()));
        let waited = Verdict::Waited("waited".to_owned());
        for other in [Verdict::Passed, waited, Verdict::Hung, Verdict::NotRun(String::new())] {
            assert!(!judge(&Verdict::Passed, &other).0, "{other:?}");
            assert!(!judge(&other, &died).0 || other == Verdict::Passed, "{other:?}");
        }
    }

    #[test]
    fn every_variant_fits_the_source_and_its_tests_exist() {
        let root = workspace::root();
        let mut misfits = Vec::new();
        for variant in model::load(&root).expect("the variants") {
            misfits.extend(variant.overlay(&root).err().map(|misfit| misfit.to_string()));
            let missing = variant.found_by.iter().filter(|finder| !exists(&root, finder));
            misfits.extend(missing.map(|finder| format!("{}: there is no {finder}", variant.name)));
        }
        assert!(misfits.is_empty(), "{}", misfits.join("\n"));
    }

    fn exists(root: &Path, finder: &Finder) -> bool {
        match finder {
            Finder::Test { target: Target::Lib, name } => has_function(&root.join("src"), name),
            Finder::Test { target: Target::File(file), name } => {
                let file = root.join("tests").join(file);
                has_function(&file.with_extension("rs"), name) || has_function(&file, name)
            }
            Finder::Torture(_) => true,
        }
    }

    #[test]
    fn the_page_shows_every_variant() {
        let root = workspace::root();
        let table = page::table(&model::load(&root).expect("the variants"));
        let shown = fs::read_to_string(root.join("docs/guards.md")).expect("the page");
        assert!(shown.contains(&table), "docs/guards.md is stale; `cargo xtask variants --markdown` prints\n{table}");
    }

    /// Whether a file, or any below a folder, has a function with the last part of that name.
    fn has_function(path: &Path, name: &str) -> bool {
        let wanted = format!("fn {}(", name.rsplit("::").next().unwrap_or(name));
        if path.is_dir() {
            let entries = fs::read_dir(path).expect("a folder");
            return entries.into_iter().any(|entry| has_function(&entry.expect("an entry").path(), name));
        }
        fs::read_to_string(path).is_ok_and(|text| text.contains(&wanted))
    }
}
