//! The copy of the tree in which variants are built and run. It has its own target directory and is kept: from one variant to the
//! next only those files are written that differ, so that cargo compiles no more than it has to.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use embedded_postgres::{Cluster, Settings};
use serde::Deserialize;
use tokio::time;

use super::{
    model::{Finder, Overlay, Target},
    verdict::{self, Verdict},
};
use crate::workspace::{self, Result};

/// A test that takes longer hangs, and has found nothing. The longest takes about a minute on two busy processors.
const TEST_MAX: Duration = Duration::from_secs(300);

/// A torture that finds something has healed and settled before, which takes many minutes at worst.
const TORTURE_MAX: Duration = Duration::from_secs(900);

/// The file that compiles the migrations in. Cargo does not see that there is one more of them.
const EMBEDS_MIGRATIONS: &str = "src/platform/schema.rs";

/// The copy, and a server on which its queries are checked.
pub struct Scratch {
    /// The tree as it was when the run began: whoever works in it meanwhile changes nothing here.
    original: BTreeMap<String, Vec<u8>>,
    tree: PathBuf,
    target: PathBuf,
    cluster: Cluster,
    databases: u32,
}

/// What has been built of a variant: the programs of tests, and the service.
#[derive(Default)]
pub struct Built {
    tests: BTreeMap<Target, PathBuf>,
    service: Option<PathBuf>,
}

impl Scratch {
    /// Makes the copy, or takes up the one that is there.
    ///
    /// # Errors
    ///
    /// The tree can't be read, a directory can't be made, or there is no server to be had.
    pub async fn open(root: &Path) -> Result<Self> {
        let home = root.join("target/variants");
        let (tree, target) = (home.join("tree"), home.join("target"));
        fs::create_dir_all(&tree)?;
        let cluster = Cluster::start(Settings::scratch()).await?;
        Ok(Self { original: read_tree(root)?, tree, target, cluster, databases: 0 })
    }

    /// Stops the server. The copy stays, for the next time.
    ///
    /// # Errors
    ///
    /// The server does not stop.
    pub async fn close(self) -> Result<()> {
        Ok(self.cluster.stop().await?)
    }

    /// Makes the copy what the tree is, with `overlay` in place of some of its files.
    ///
    /// # Errors
    ///
    /// A file can't be written.
    pub fn become_variant(&self, overlay: &Overlay) -> Result<()> {
        let mut wanted: BTreeMap<&str, &[u8]> =
            self.original.iter().map(|(path, text)| (path.as_str(), text.as_slice())).collect();
        wanted.extend(overlay.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
        let mut migrations_changed = false;
        for (path, text) in &wanted {
            let changed = write_if_different(&self.tree.join(path), text)?;
            migrations_changed |= changed && path.starts_with("migrations/");
        }
        let list = self.tree.with_extension("files");
        let before = fs::read_to_string(&list).unwrap_or_default();
        for gone in before.lines().filter(|path| !wanted.contains_key(path)) {
            fs::remove_file(self.tree.join(gone)).or_else(missing_is_fine)?;
            migrations_changed |= gone.starts_with("migrations/");
        }
        fs::write(list, wanted.into_keys().collect::<Vec<_>>().join("\n"))?;
        if migrations_changed {
            let embeds = self.tree.join(EMBEDS_MIGRATIONS);
            fs::write(&embeds, fs::read(&embeds)?)?;
        }
        Ok(())
    }

    /// Builds what the finders need. Queries are checked against a database with the copy's own migrations: their text may be what
    /// is wrong with the variant.
    ///
    /// # Errors
    ///
    /// It does not compile, or its migrations don't run: a variant has to be wrong, not broken.
    pub async fn build<'a>(&mut self, finders: impl IntoIterator<Item = &'a Finder>) -> Result<Built> {
        let (mut tests, mut tortures) = (BTreeSet::new(), false);
        for finder in finders {
            match finder {
                Finder::Test { target, .. } => _ = tests.insert(target.clone()),
                Finder::Torture(_) => tortures = true,
            }
        }
        self.databases += 1;
        let database = format!("variant_{}", self.databases);
        workspace::migrated_database(&self.cluster, &database, &self.tree.join("migrations")).await?;
        let url = self.cluster.url(&database);
        let mut built = Built::default();
        if !tests.is_empty() {
            let targets = tests.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            for artifact in self.cargo(&format!("test --no-run {targets}"), &url)? {
                let target = match artifact.target.kind.first().map(String::as_str) {
                    Some("test") => Target::File(artifact.target.name),
                    Some("lib") => Target::Lib,
                    _ => continue,
                };
                if let (Some(program), true) = (artifact.executable, artifact.profile.test) {
                    built.tests.insert(target, program);
                }
            }
        }
        if tortures {
            let artifacts = self.cargo("build --bin ridematch", &url)?;
            built.service = artifacts.into_iter().filter_map(|artifact| artifact.executable).next_back();
        }
        Ok(built)
    }

    /// Runs cargo in the copy; answers what was made.
    fn cargo(&self, arguments: &str, database_url: &str) -> Result<Vec<Artifact>> {
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(arguments.split_whitespace())
            .args(["--package", "ridematch", "--message-format=json-render-diagnostics", "--quiet"])
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("DATABASE_URL", database_url)
            .env("SQLX_OFFLINE", "false")
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("it does not compile".into());
        }
        let lines = String::from_utf8(output.stdout)?;
        // Lines of other kinds are of no interest.
        Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Keeps the service that was built, so that it can be the judge of others.
    ///
    /// # Errors
    ///
    /// It can't be copied.
    pub fn keep_judge(&self, built: &Built) -> Result<()> {
        if let Some(service) = &built.service {
            fs::copy(service, self.judge())?;
        }
        Ok(())
    }

    fn judge(&self) -> PathBuf {
        self.tree.with_file_name("judge")
    }

    /// Runs a finder on what was built.
    ///
    /// # Errors
    ///
    /// It can't be run.
    pub async fn run(&self, built: &Built, finder: &Finder) -> Result<Verdict> {
        let not_built = || format!("{finder}: cargo has not built it");
        let (program, arguments) = match finder {
            Finder::Test { target, name } => {
                let program = built.tests.get(target).ok_or_else(not_built)?.clone();
                (program, vec![name.clone(), "--exact".to_owned()])
            }
            Finder::Torture(arguments) => {
                let service = built.service.as_ref().ok_or_else(not_built)?;
                let fixed = ["torture".to_owned(), "--program".to_owned(), service.display().to_string()];
                (self.judge(), fixed.into_iter().chain(arguments.iter().cloned()).collect())
            }
        };
        let child = tokio::process::Command::new(program)
            .args(arguments)
            .current_dir(&self.tree)
            // A snapshot that differs is a failure, never a new file.
            .env("INSTA_UPDATE", "no")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let patience = match finder {
            Finder::Test { .. } => TEST_MAX,
            Finder::Torture(_) => TORTURE_MAX,
        };
        let Ok(output) = time::timeout(patience, child.wait_with_output()).await else {
            return Ok(Verdict::Hung);
        };
        let output = output?;
        let said = String::from_utf8_lossy(&output.stdout);
        Ok(match finder {
            Finder::Test { .. } => verdict::of_test(output.status.success(), &said),
            Finder::Torture(_) => verdict::of_torture(output.status.success(), &said),
        })
    }
}

/// Every file of the tree that git knows, or would.
fn read_tree(root: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr)).into());
    }
    let files = String::from_utf8(listed.stdout)?;
    // A file that was removed is listed until the removal is committed.
    let there = files.split_terminator('\0').filter(|path| root.join(path).is_file());
    there.map(|path| Ok((path.to_owned(), fs::read(root.join(path))?))).collect()
}

/// What cargo says of something that it has made.
#[derive(Deserialize)]
struct Artifact {
    target: Made,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Made {
    kind: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Whether the file had to be written. One that is as it should be keeps its time stamp.
fn write_if_different(path: &Path, text: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|found| found == text) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    Ok(true)
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
