//! The first target directory of the exported tree: a copy of what the user has built already, so that only the service is compiled.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use crate::Result;

/// What cargo needs to find a library built. The rest of a target directory is large and of no use here.
const COPIED: [&str; 3] = [".fingerprint", "build", "deps"];

/// Returns the release directory of the checkout: that of this program, or of its workspace.
pub fn of_checkout(checkout: &Path) -> Option<PathBuf> {
    let beside = env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned()));
    let beside = beside.filter(|folder| folder.ends_with("release"));
    let release = beside.unwrap_or_else(|| checkout.join("target/release"));
    release.join(".fingerprint").is_dir().then_some(release)
}

/// Copies `release` to `target/release`, unless that is there. Returns whether it copied.
///
/// An interrupted or failed copy leaves nothing that a later build would use.
///
/// # Errors
///
/// A file can't be read or written.
pub fn seed(release: &Path, target: &Path, workspace: &[String]) -> Result<bool> {
    let wanted = target.join("release");
    if wanted.join(".fingerprint").is_dir() {
        return Ok(false);
    }
    let partial = target.join("release.partial");
    let copied = (|| -> io::Result<()> {
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        for folder in COPIED {
            copy(&release.join(folder), &partial.join(folder), &|name| is_own(name, workspace))?;
        }
        if wanted.exists() {
            fs::remove_dir_all(&wanted)?;
        }
        fs::rename(&partial, &wanted)
    })();
    copied.map_err(|error| {
        fs::remove_dir_all(&partial).ok();
        format!("cannot copy {} to {}: {error}", release.display(), wanted.display())
    })?;
    Ok(true)
}

/// Whether an artifact is of the workspace itself. It is compiled anew, because its path is another.
fn is_own(name: &str, workspace: &[String]) -> bool {
    let Some((stem, _)) = name.rsplit_once('-') else { return false };
    let stem = stem.strip_prefix("lib").unwrap_or(stem);
    workspace.iter().any(|package| stem == package || stem == package.replace('-', "_"))
}

fn copy(from: &Path, to: &Path, is_skipped: &dyn Fn(&str) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(is_skipped) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&from, &to, &|_| false)?;
        } else if kind.is_file() {
            fs::copy(&from, &to)?;
            // Cargo compares modification times.
            let times = fs::FileTimes::new().set_modified(entry.metadata()?.modified()?);
            fs::File::options().write(true).open(&to)?.set_times(times)?;
        } else {
            std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn copy_keeps_times_and_leaves_out_the_workspace() {
        let root = tempfile::tempdir().expect("a directory");
        let (release, target) = (root.path().join("release"), root.path().join("t"));
        for folder in COPIED {
            fs::create_dir_all(release.join(folder).join("serde-1a2b")).expect("created");
        }
        let time = UNIX_EPOCH + Duration::from_secs(1_000);
        for name in ["libserde-1a2b.rlib", "libridematch-3c4d.rlib", "psp_sim-5e6f.d"] {
            let path = release.join("deps").join(name);
            fs::write(&path, name).expect("written");
            fs::File::options().write(true).open(path).expect("opened").set_modified(time).expect("a time");
        }
        let own = ["ridematch".to_owned(), "psp-sim".to_owned()];
        assert!(seed(&release, &target, &own).expect("copied"));
        let copied = target.join("release/deps/libserde-1a2b.rlib");
        assert_eq!(fs::metadata(copied).and_then(|data| data.modified()).expect("a time"), time);
        assert_eq!(fs::read_dir(target.join("release/deps")).expect("a folder").count(), 2);
        assert!(!seed(&release, &target, &own).expect("nothing to do"));
    }

    #[test]
    fn interrupted_copy_is_done_again() {
        let root = tempfile::tempdir().expect("a directory");
        let (release, target) = (root.path().join("release"), root.path().join("t"));
        fs::create_dir_all(target.join("release.partial/deps")).expect("created");
        fs::write(target.join("release.partial/deps/half"), "").expect("written");
        let error = seed(&release, &target, &[]).expect_err("nothing to copy").to_string();
        assert!(error.contains("cannot copy") && !target.join("release").exists(), "{error}");
        for folder in COPIED {
            fs::create_dir_all(release.join(folder)).expect("created");
        }
        assert!(seed(&release, &target, &[]).expect("copied"));
        assert!(!target.join("release/deps/half").exists());
    }
}
