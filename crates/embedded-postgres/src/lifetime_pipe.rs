//! The lifetime pipe: a FIFO that the owners of a server hold open for writing, and its supervisor reads.
//!
//! The supervisor reads the end of the file when the last owner has ended. The kernel closes the files of a process
//! however it ends, so that no owner has to close its end.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Attempt, Error};

/// The name of the FIFO in a run directory. The supervisor renames it before it stops the server.
const NAME: &str = "lifetime_pipe";

/// The end of one owner. The server runs until every end is dropped.
#[derive(Debug)]
pub(crate) struct LifetimePipe {
    _writer: File,
}

impl LifetimePipe {
    /// Creates the FIFO in `run_dir`, and returns the first owner's end and the supervisor's end.
    pub(crate) fn create(run_dir: &Path) -> Result<(Self, File), Error> {
        let path = run_dir.join(NAME);
        let status = Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().attempt(|| "run mkfifo".into())?;
        if !status.success() {
            return Err(Error::Program { program: "mkfifo".into(), output: path.display().to_string() });
        }
        let writer = open_writer(&path).attempt(|| format!("open {}", path.display()))?;
        let reader = File::open(&path).attempt(|| format!("open {}", path.display()))?;
        Ok((Self { _writer: writer }, reader))
    }

    /// Opens an end to a running server of other owners; none if the server is stopping or gone.
    pub(crate) fn join(run_dir: &Path) -> Option<Self> {
        let path: PathBuf = run_dir.join(NAME);
        let mut writer = open_writer(&path).ok()?;
        // The order matters: if the name still exists after the open, the supervisor waits for this end.
        writer.write_all(b"+").ok()?;
        path.exists().then_some(Self { _writer: writer })
    }
}

/// Opens the FIFO for reading and writing, so that neither the open nor a write depends on a reader.
fn open_writer(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::{process::Child, thread, time::Duration};

    use super::*;

    /// The longest time from the last owner's leaving to a join.
    const DELAY_MAX: Duration = Duration::from_millis(500);

    /// A supervisor with `sleep` as its server.
    fn supervise(run_dir: &Path, reader: File) -> Child {
        let script = run_dir.join("script");
        std::fs::write(&script, include_str!("supervise.sh")).unwrap();
        Command::new("/bin/sh")
            .arg(&script)
            .arg(run_dir)
            .args(["0", "KILL", "5", "sleep", "60"])
            .stdin(reader)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    }

    /// An owner that joins while the last one leaves either keeps the server running, or learns that it is gone.
    #[test]
    fn join_during_the_stop_either_keeps_the_server_or_fails() {
        let mut joined_count = 0;
        // The join comes later after one that was in time, and earlier after one that was too late, however fast the machine is.
        let mut delay = Duration::from_millis(3);
        for round in 0..60 {
            let dir = tempfile::tempdir().unwrap();
            let run_dir = dir.path().join("run");
            std::fs::create_dir(&run_dir).unwrap();
            let (first, reader) = LifetimePipe::create(&run_dir).unwrap();
            let mut supervisor = supervise(&run_dir, reader);
            thread::sleep(Duration::from_millis(10));
            let leaving = thread::spawn(move || drop(first));
            thread::sleep(delay);
            let joined = LifetimePipe::join(&run_dir);
            leaving.join().unwrap();
            delay = if joined.is_some() { (delay * 3 / 2).min(DELAY_MAX) } else { delay * 2 / 3 };
            if let Some(pipe) = joined {
                joined_count += 1;
                thread::sleep(Duration::from_millis(30));
                assert!(supervisor.try_wait().unwrap().is_none(), "round {round}");
                drop(pipe);
            }
            supervisor.wait().unwrap();
            assert!(!run_dir.exists());
        }
        // The test is meaningful only if both outcomes occurred.
        assert!((1..60).contains(&joined_count), "{joined_count}");
    }
}
