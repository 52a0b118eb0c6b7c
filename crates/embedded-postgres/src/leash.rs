//! The leash: a FIFO that a server's owners hold open for writing, and its supervisor reads.
//!
//! The supervisor sees the end of the file when the last holder is gone. The kernel closes a dead process's files
//! whatever it died of, so nobody has to say goodbye.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Attempt, Error};

/// The FIFO's name in a run directory. The supervisor takes the name away before it stops the server.
const NAME: &str = "leash";

/// One owner's hold on a server: as long as this lives, the server does.
#[derive(Debug)]
pub(crate) struct Leash {
    _hold: File,
}

impl Leash {
    /// Makes the FIFO in `run_dir`; the second value is the supervisor's end.
    pub(crate) fn create(run_dir: &Path) -> Result<(Self, File), Error> {
        let path = run_dir.join(NAME);
        let status = Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().attempt(|| "run mkfifo".into())?;
        if !status.success() {
            return Err(Error::Program { program: "mkfifo".into(), output: path.display().to_string() });
        }
        let hold = hold(&path).attempt(|| format!("open {}", path.display()))?;
        let end = File::open(&path).attempt(|| format!("open {}", path.display()))?;
        Ok((Self { _hold: hold }, end))
    }

    /// Takes hold of the leash of a server that others own; nothing if it is being stopped or is gone.
    pub(crate) fn join(run_dir: &Path) -> Option<Self> {
        let path: PathBuf = run_dir.join(NAME);
        let mut hold = hold(&path).ok()?;
        // Only now look for the name: if it is still there, the supervisor will see this hold before it acts.
        hold.write_all(b"+").ok()?;
        path.exists().then_some(Self { _hold: hold })
    }
}

/// Opened for both, a FIFO never blocks for want of the other end, and never breaks for want of a reader.
fn hold(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::{process::Child, thread, time::Duration};

    use super::*;

    /// A supervisor whose server is a command that waits.
    fn supervise(run_dir: &Path, end: File) -> Child {
        let script = run_dir.join("script");
        std::fs::write(&script, include_str!("supervise.sh")).unwrap();
        Command::new("/bin/sh")
            .arg(&script)
            .arg(run_dir)
            .args(["0", "KILL", "5", "sleep", "60"])
            .stdin(end)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Joining and letting go at the same time: whoever was told that they hold the server do, and whoever was told
    /// that it is gone can rely on that as well.
    #[test]
    fn joining_races_with_the_end_and_never_lies() {
        let mut joined_count = 0;
        for round in 0..60 {
            let dir = tempfile::tempdir().unwrap();
            let run_dir = dir.path().join("run");
            std::fs::create_dir(&run_dir).unwrap();
            let (first, end) = Leash::create(&run_dir).unwrap();
            let mut supervisor = supervise(&run_dir, end);
            thread::sleep(Duration::from_millis(10));
            let letting_go = thread::spawn(move || drop(first));
            thread::sleep(Duration::from_micros(round * 100));
            let joined = Leash::join(&run_dir);
            letting_go.join().unwrap();
            if let Some(leash) = joined {
                joined_count += 1;
                thread::sleep(Duration::from_millis(30));
                assert!(supervisor.try_wait().unwrap().is_none(), "round {round}");
                drop(leash);
            }
            supervisor.wait().unwrap();
            assert!(!run_dir.exists());
        }
        // Both outcomes have been seen, or this would have shown nothing.
        assert!((1..60).contains(&joined_count), "{joined_count}");
    }
}
