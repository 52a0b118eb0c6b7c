//! The copy of the tree in which mutations are built and run. It is kept, with a target directory of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use embedded_postgres::{Cluster, Settings};
use tokio::time;
use worktree::{Artifact, Cargo, Overlay, Tree, TreeCopy};

use super::{
    model::{Detector, Target},
    outcome::{self, TestOutcome},
};
use crate::workspace::Result;

/// Timeout of a test. The longest takes about a minute on two busy processors.
const TEST_WITHIN: Duration = Duration::from_secs(300);

/// Timeout of a torture run, which first has to settle.
const TORTURE_WITHIN: Duration = Duration::from_secs(900);

/// The copy, and a database server that checks its queries.
pub struct Worktree {
    /// The tree at the start of the run.
    original: Tree,
    copy: TreeCopy,
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
        let copy = TreeCopy::open(folder.join("tree"))?;
        let cluster = Cluster::start(Settings::scratch()).await?;
        Ok(Self { original: worktree::read_tree(root)?, copy, target: folder.join("target"), cluster, databases: 0 })
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
        self.copy.apply(&self.original, overlay)?;
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
        worktree::migrated_database(self.cluster.server(), &database, &self.copy.folder().join("migrations")).await?;
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
        let cargo = Cargo { tree: self.copy.folder(), target: &self.target, database_url };
        cargo.run(&arguments.split_whitespace().collect::<Vec<_>>())
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
            .current_dir(self.copy.folder())
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
