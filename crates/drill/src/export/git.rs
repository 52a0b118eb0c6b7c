//! The repository of the exported tree.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::Result;

/// Variables by which a caller's git (a hook, say) would lead ours to another repository.
const FOREIGN: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// A repository with files.
#[derive(Debug, Clone)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Opens that of an exported tree.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn open(folder: &Path) -> Result<Self> {
        if folder.join(".git").exists() {
            return Ok(Self { folder: folder.to_owned() });
        }
        Err(format!("{} is no repository any more: `cargo drill start N` exports it again", folder.display()).into())
    }

    /// Creates a repository without files from a stream of `git fast-import`.
    ///
    /// # Errors
    ///
    /// Git is missing or fails.
    pub fn import(folder: &Path, stream: &[u8]) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let repository = Self { folder: folder.to_owned() };
        repository.run(&["init", "--quiet", "--template=", "--initial-branch=main"])?;
        let mut child = repository
            .command(&["fast-import", "--quiet", "--done"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        // The stream is long, and git writes nothing to standard output before its end.
        let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(stream));
        let output = child.wait_with_output()?;
        if !output.status.success() {
            // The first line says what happened; the others are about git itself.
            let messages = String::from_utf8_lossy(&output.stderr).into_owned();
            let first = messages.lines().next().unwrap_or_default();
            return Err(format!("the history cannot be written to {}: {first}", folder.display()).into());
        }
        written?;
        repository.set_identity()?;
        Ok(repository)
    }

    /// Without an identity of the user's own, `git commit` and `git revert` would fail.
    fn set_identity(&self) -> Result<()> {
        let known = Command::new("git").args(["config", "--global", "user.email"]).output();
        if known.is_ok_and(|output| output.status.success()) {
            return Ok(());
        }
        self.run(&["config", "user.name", "On-call Engineer"])?;
        self.run(&["config", "user.email", "on-call@ridematch.example"])?;
        Ok(())
    }

    /// Moves the repository, without files, into a folder with files. One that is there is replaced.
    ///
    /// # Errors
    ///
    /// A folder can't be moved.
    pub fn move_to(self, folder: &Path) -> Result<Self> {
        let git = folder.join(".git");
        if git.exists() {
            fs::remove_dir_all(&git)?;
        }
        fs::rename(self.folder.join(".git"), git)?;
        fs::remove_dir_all(&self.folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Makes the index that of the newest commit, and deletes files that are neither in it nor ignored.
    ///
    /// # Errors
    ///
    /// Git fails.
    pub fn adopt_files(&self) -> Result<()> {
        self.run(&["reset", "--quiet", "--mixed"])?;
        self.run(&["clean", "--quiet", "-fd"])?;
        Ok(())
    }

    /// Returns the newest commit.
    ///
    /// # Errors
    ///
    /// Git fails.
    pub fn head(&self) -> Result<String> {
        Ok(self.run(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Returns the commit whose message has this first line, or whose id begins so.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(&self, commit: &str, wanted: &str) -> Result<String> {
        let log = self.run(&["log", "--format=%H %s", commit])?;
        let found = log
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(id, subject)| *subject == wanted || (wanted.len() >= 4 && id.starts_with(wanted)));
        found.map(|(id, _)| id.to_owned()).ok_or_else(|| format!("there is no commit {wanted}: see `git log`").into())
    }

    /// Writes the tree of a commit into a folder, without history. Unchanged files keep their times.
    ///
    /// # Errors
    ///
    /// Git fails, or a file can't be written.
    pub fn files_of(&self, commit: &str) -> Result<worktree::Tree> {
        let names = self.run(&["ls-tree", "-r", "-z", "--name-only", commit])?;
        let mut tree = worktree::Tree::new();
        let mut child = self
            .command(&["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let paths: Vec<String> = names.split_terminator('\0').map(str::to_owned).collect();
        let requests: String = paths.iter().map(|path| format!("{commit}:{path}\n")).collect();
        let stdin = child.stdin.take();
        let writer = std::thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(requests.as_bytes())));
        let output = child.wait_with_output()?.stdout;
        writer.join().map_err(|_| "the writer to git ended early")??;
        let mut rest = output.as_slice();
        for path in paths {
            let end = rest.iter().position(|byte| *byte == b'\n').ok_or("git cat-file ended early")?;
            let header = String::from_utf8_lossy(&rest[..end]).into_owned();
            let size: usize = header.rsplit(' ').next().unwrap_or_default().parse().map_err(|_| header)?;
            let body = rest.get(end + 1..end + 1 + size).ok_or("git cat-file ended early")?;
            tree.insert(path, body.to_vec());
            rest = rest.get(end + size + 2..).unwrap_or_default();
        }
        Ok(tree)
    }

    /// Returns the files of the commit before the wanted one: what a roll-back of it deploys. `newest` is where the search begins.
    ///
    /// # Errors
    ///
    /// There is no such commit, or none before it.
    pub fn files_before(&self, newest: &str, wanted: &str) -> Result<worktree::Tree> {
        let commit = self.find(newest, wanted)?;
        self.files_of(&format!("{commit}^"))
            .map_err(|error| format!("there is nothing before the first commit to roll back to: {error}").into())
    }

    /// Makes the files those of `commit`, and the branch end there. Files that are not ignored and not in it are deleted.
    ///
    /// # Errors
    ///
    /// Git fails.
    pub fn reset(&self, commit: &str) -> Result<()> {
        fs::remove_file(self.folder.join(".git/index.lock")).ok();
        // Ends a bisect, merge or rebase, and returns to the branch.
        self.run(&["checkout", "--quiet", "--force", "-B", "main", commit])?;
        for state in ["BISECT_START", "BISECT_LOG", "BISECT_NAMES", "BISECT_TERMS", "MERGE_HEAD", "REVERT_HEAD"] {
            fs::remove_file(self.folder.join(".git").join(state)).ok();
        }
        self.run(&["clean", "--quiet", "-fd"])?;
        Ok(())
    }

    /// Returns the difference of the files, with new ones, to a commit. The user's index stays as it is.
    ///
    /// # Errors
    ///
    /// Git fails.
    pub fn diff(&self, commit: &str) -> Result<String> {
        let index = self.folder.join(".git/index.drill");
        // A copy of the user's index saves reading unchanged files.
        if fs::copy(self.folder.join(".git/index"), &index).is_err() {
            fs::remove_file(&index).ok();
        }
        let with_index = |arguments: &[&str]| {
            let output = self.command(arguments).env("GIT_INDEX_FILE", &index).output()?;
            checked(arguments, output)
        };
        let diff = with_index(&["add", "--all"]).and_then(|_| {
            with_index(&["diff", "--cached", "--no-color", "--no-ext-diff", "--no-renames", "--binary", commit])
        });
        fs::remove_file(&index).ok();
        diff
    }

    /// Returns the deploy log: newest first, `ID DATE AUTHOR SUBJECT`.
    ///
    /// # Errors
    ///
    /// Git fails.
    pub fn log(&self, commit: &str) -> Result<String> {
        self.run(&["log", "--format=%h  %ad  %<(18,trunc)%an %s", "--date=format:%a %d %b %H:%M", commit])
    }

    /// Runs git here, without the user's settings. Returns its output.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output().map_err(|error| format!("git cannot be run: {error}"))?;
        checked(arguments, output)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        command
            .args(["-c", "core.autocrlf=false", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"])
            .args(arguments)
            .current_dir(&self.folder)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C");
        command
    }
}

/// Returns the difference of two trees as a patch.
///
/// # Errors
///
/// Git fails, or a file can't be written.
pub fn difference(before: &worktree::Tree, after: &worktree::Tree) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let changed = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
    for path in changed {
        for (side, tree) in [("a", before), ("b", after)] {
            if let Some(bytes) = tree.get(path) {
                worktree::write_if_different(&folder.path().join(side).join(path), bytes)?;
            }
        }
    }
    for side in ["a", "b"] {
        fs::create_dir_all(folder.path().join(side))?;
    }
    let repository = Repository { folder: folder.path().to_owned() };
    let arguments = ["diff", "--no-index", "--no-prefix", "--no-color", "--no-ext-diff", "--no-renames", "a", "b"];
    let output = repository.command(&arguments).output()?;
    // 1: they differ.
    if output.status.code().is_some_and(|code| code <= 1) {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    checked(&arguments, output)
}

/// Merges the changes from `base` to `theirs` into `ours`. `None` if they contradict each other.
///
/// # Errors
///
/// Git fails, or a file can't be written.
pub fn merge(ours: &str, base: &str, theirs: &str) -> Result<Option<String>> {
    let folder = tempfile::tempdir()?;
    for (name, text) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        fs::write(folder.path().join(name), text)?;
    }
    let repository = Repository { folder: folder.path().to_owned() };
    let output = repository.command(&["merge-file", "--stdout", "ours", "base", "theirs"]).output()?;
    match output.status.code() {
        Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned())),
        Some(1..=127) => Ok(None),
        _ => checked(&["merge-file"], output).map(Some),
    }
}

fn checked(arguments: &[&str], output: Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let name = arguments.first().copied().unwrap_or_default();
    Err(format!("git {name}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

#[cfg(test)]
mod tests {
    use worktree::Tree;

    use super::*;
    use crate::export::edits;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    /// A repository of two commits with its files.
    fn repository(folder: &Path) -> Repository {
        let trees = [(None, tree(&[("a.rs", "one\n"), ("b/c.rs", "c\n")])), (None, tree(&[("a.rs", "two\n")]))];
        let today = chrono::NaiveDate::from_ymd_opt(2026, 3, 4).expect("a day");
        let stream = crate::export::history::stream(&trees, &std::collections::BTreeSet::new(), today);
        let files = folder.join("tree");
        let imported = Repository::import(&folder.join("history"), &stream).expect("imported");
        crate::export::write_files(&files, &trees[1].1, &std::collections::BTreeSet::new()).expect("written");
        let repository = imported.move_to(&files).expect("moved");
        repository.adopt_files().expect("adopted");
        repository
    }

    #[test]
    fn exported_history_is_clean_and_can_be_read_back() {
        let folder = tempfile::tempdir().expect("a directory");
        let repository = repository(folder.path());
        let head = repository.head().expect("a commit");
        assert_eq!(repository.diff(&head).expect("a difference"), "");
        assert_eq!(repository.run(&["status", "--porcelain"]).expect("a state"), "");
        assert_eq!(repository.files_of(&format!("{head}^")).expect("files").len(), 2);
        assert_eq!(repository.files_of(&head).expect("files"), tree(&[("a.rs", "two\n")]));
        assert_eq!(repository.log(&head).expect("a log").lines().count(), 2);
        assert!(repository.find(&head, &head[..8]).is_ok() && repository.find(&head, "none").is_err());
    }

    #[test]
    fn roll_back_has_the_files_before_a_commit() {
        let folder = tempfile::tempdir().expect("a directory");
        let repository = repository(folder.path());
        let head = repository.head().expect("a commit");
        let before = repository.files_before(&head, &head[..8]).expect("files");
        assert_eq!(before, tree(&[("a.rs", "one\n"), ("b/c.rs", "c\n")]));
        let log = repository.run(&["log", "--format=%H", &head]).expect("a log");
        let first = log.lines().next_back().expect("a commit");
        for (wanted, says) in [(first, "nothing before the first commit"), ("no such commit", "`git log`")] {
            let error = repository.files_before(&head, wanted).expect_err("nothing").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn edits_are_found_wherever_they_are_and_reset_removes_them() {
        let folder = tempfile::tempdir().expect("a directory");
        let repository = repository(folder.path());
        let head = repository.head().expect("a commit");
        let files = folder.path().join("tree");
        fs::write(files.join("a.rs"), "three\n").expect("written");
        repository
            .run(&["-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-am", "Own"])
            .expect("committed");
        fs::write(files.join("new.sql"), "select 1;\n").expect("written");
        let changes = edits::by_file(&repository.diff(&head).expect("a difference"));
        let brief: Vec<&str> = changes.iter().map(|change| change.lines.as_str()).collect();
        assert_eq!(brief, ["-two\n+three\n", "+select 1;\n"]);
        repository.reset(&head).expect("reset");
        assert_eq!(repository.diff(&head).expect("a difference"), "");
        assert!(!files.join("new.sql").exists());
    }

    #[test]
    fn difference_of_trees_is_a_patch() {
        let patch = difference(&tree(&[("src/a.rs", "1\n"), ("x", "x")]), &tree(&[("src/a.rs", "2\n"), ("x", "x")]));
        let changes = edits::by_file(&patch.expect("a patch"));
        assert_eq!((changes.len(), changes[0].file.as_str(), changes[0].lines.as_str()), (1, "src/a.rs", "-1\n+2\n"));
    }

    #[test]
    fn merge_keeps_both_changes_or_says_no() {
        let base = "1\n2\n3\n4\n5\n6\n7\n";
        let merged = merge(&base.replace('1', "one"), base, &base.replace('7', "seven")).expect("merged");
        assert_eq!(merged.as_deref(), Some("one\n2\n3\n4\n5\n6\nseven\n"));
        assert_eq!(merge(&base.replace('4', "x"), base, &base.replace('4', "y")).expect("merged"), None);
    }
}
