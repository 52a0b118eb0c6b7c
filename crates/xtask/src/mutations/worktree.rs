//! The copy of the tree in which mutations are built and run. It is kept, with a target directory of its own. Only files that differ
//! are written, so that cargo recompiles as little as possible.

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
    model::{Detector, Overlay, Target},
    outcome::{self, TestOutcome},
};
use crate::workspace::{self, Result};

/// Timeout of a test. The longest takes about a minute on two busy processors.
const TEST_WITHIN: Duration = Duration::from_secs(300);

/// Timeout of a torture run, which first has to settle.
const TORTURE_WITHIN: Duration = Duration::from_secs(900);

/// The file that embeds the migrations. Cargo does not notice an additional one.
const EMBEDS_MIGRATIONS: &str = "src/platform/schema.rs";

/// The copy, and a database server that checks its queries.
pub struct Worktree {
    /// The tree at the start of the run.
    original: BTreeMap<String, Vec<u8>>,
    tree: PathBuf,
    target: PathBuf,
    cluster: Cluster,
    databases: u32,
}

/// The binaries of a mutation.
#[derive(Default)]
pub struct Built {
    tests: BTreeMap<Target, PathBuf>,
    service: Option<PathBuf>,
    torture: Option<PathBuf>,
}

impl Worktree {
    /// Creates the copy, or opens an existing one.
    ///
    /// # Errors
    ///
    /// The tree can't be read, a directory can't be created, or no database server starts.
    pub async fn open(root: &Path) -> Result<Self> {
        let folder = root.join("target/mutations");
        let (tree, target) = (folder.join("tree"), folder.join("target"));
        fs::create_dir_all(&tree)?;
        let cluster = Cluster::start(Settings::scratch()).await?;
        Ok(Self { original: read_tree(root)?, tree, target, cluster, databases: 0 })
    }

    /// Stops the server. The copy stays.
    ///
    /// # Errors
    ///
    /// The server does not stop.
    pub async fn close(self) -> Result<()> {
        Ok(self.cluster.stop().await?)
    }

    /// Makes the copy equal to the tree, with the files of `overlay`.
    ///
    /// # Errors
    ///
    /// A file can't be written.
    pub fn apply(&self, overlay: &Overlay) -> Result<()> {
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
            fs::remove_file(self.tree.join(gone)).or_else(ignore_missing)?;
            migrations_changed |= gone.starts_with("migrations/");
        }
        fs::write(list, wanted.into_keys().collect::<Vec<_>>().join("\n"))?;
        if migrations_changed {
            let embeds = self.tree.join(EMBEDS_MIGRATIONS);
            fs::write(&embeds, fs::read(&embeds)?)?;
        }
        Ok(())
    }

    /// Builds what the detectors need. Queries are checked against a database with the migrations of the copy.
    ///
    /// # Errors
    ///
    /// The copy does not compile, or its migrations fail.
    pub async fn build<'a>(&mut self, detectors: impl IntoIterator<Item = &'a Detector>) -> Result<Built> {
        let (mut tests, mut tortures) = (BTreeSet::new(), false);
        for detector in detectors {
            match detector {
                Detector::Test { target, .. } => _ = tests.insert(target.clone()),
                Detector::Torture(_) => tortures = true,
            }
        }
        self.databases += 1;
        let database = format!("mutation_{}", self.databases);
        workspace::migrated_database(&self.cluster, &database, &self.tree.join("migrations")).await?;
        let url = self.cluster.url(&database);
        let mut built = Built::default();
        if !tests.is_empty() {
            let targets = tests.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            for artifact in self.cargo(&format!("test --no-run --package ridematch {targets}"), &url)? {
                let target = match artifact.target.kind.first().map(String::as_str) {
                    Some("test") => Target::Test(artifact.target.name),
                    Some("lib") => Target::Lib,
                    _ => continue,
                };
                if let (Some(program), true) = (artifact.executable, artifact.profile.test) {
                    built.tests.insert(target, program);
                }
            }
        }
        if tortures {
            let program = |name: &str| -> Result<Option<PathBuf>> {
                let artifacts = self.cargo(&format!("build --package {name} --bin {name}"), &url)?;
                Ok(artifacts.into_iter().filter_map(|artifact| artifact.executable).next_back())
            };
            (built.service, built.torture) = (program("ridematch")?, program("torture")?);
        }
        Ok(built)
    }

    /// Runs cargo in the copy. Returns its artifacts.
    fn cargo(&self, arguments: &str, database_url: &str) -> Result<Vec<Artifact>> {
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(arguments.split_whitespace())
            .args(["--message-format=json-render-diagnostics", "--quiet"])
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
        // Skips messages of other kinds.
        Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Runs a detector.
    ///
    /// # Errors
    ///
    /// It can't be run.
    pub async fn run(&self, built: &Built, detector: &Detector) -> Result<TestOutcome> {
        let not_built = || format!("{detector}: cargo has not built it");
        let (program, arguments) = match detector {
            Detector::Test { target, name } => {
                let program = built.tests.get(target).ok_or_else(not_built)?.clone();
                (program, vec![name.clone(), "--exact".to_owned()])
            }
            Detector::Torture(arguments) => {
                let service = built.service.as_ref().ok_or_else(not_built)?;
                let program = ["--program".to_owned(), service.display().to_string()];
                let torture = built.torture.as_ref().ok_or_else(not_built)?.clone();
                (torture, program.into_iter().chain(arguments.iter().cloned()).collect())
            }
        };
        let child = tokio::process::Command::new(program)
            .args(arguments)
            .current_dir(&self.tree)
            // A differing snapshot is a failure, never a new file.
            .env("INSTA_UPDATE", "no")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let limit = match detector {
            Detector::Test { .. } => TEST_WITHIN,
            Detector::Torture(_) => TORTURE_WITHIN,
        };
        let Ok(output) = time::timeout(limit, child.wait_with_output()).await else {
            return Ok(TestOutcome::Hung);
        };
        let output = output?;
        let printed = String::from_utf8_lossy(&output.stdout);
        Ok(match detector {
            Detector::Test { .. } => outcome::of_test(output.status.success(), &printed),
            Detector::Torture(_) => outcome::of_torture(output.status.success(), &printed),
        })
    }
}

/// Reads every file that git tracks or would track.
fn read_tree(root: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr)).into());
    }
    let files = String::from_utf8(listed.stdout)?;
    // A removed file is listed until the removal is committed.
    let existing = files.split_terminator('\0').filter(|path| root.join(path).is_file());
    existing.map(|path| Ok((path.to_owned(), fs::read(root.join(path))?))).collect()
}

/// An artifact in the output of cargo.
#[derive(Deserialize)]
struct Artifact {
    target: ArtifactTarget,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    kind: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Writes a file unless it has this content already, which keeps its modification time. Returns whether it was written.
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

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
