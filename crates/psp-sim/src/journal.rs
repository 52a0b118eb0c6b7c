//! The journal: a write-ahead log with one JSON object per line, synced to the disk before a response is sent.
//!
//! A process that dies while it writes leaves an incomplete last line, whose response was not sent: the next start
//! removes it. Damage anywhere else is an error at the start.
//!
//! The journal grows with every request. At twice its shortest length it is rewritten from the records into a new file,
//! which is renamed over the old one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::records::{JournalLine, Records};

/// The name contains the version of the format.
const FILE_NAME: &str = "journal-v2.jsonl";
const OLD_FILE_NAME: &str = "journal-v1.jsonl";
const LOCK_NAME: &str = "lock";

/// The file of the journal, open for appending, and locked against other processes.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    len_bytes: u64,
    rewrite_at_bytes: u64,
    rewrite_min_bytes: u64,
    /// Holds the lock, which the operating system releases when the process ends.
    lock: File,
}

impl Journal {
    /// Opens or creates the journal in `data_dir`, and applies every line to `records`.
    ///
    /// # Errors
    /// Another process uses the directory, it cannot be written, or the journal is damaged or of an earlier format.
    pub fn open(data_dir: &Path, rewrite_min_bytes: u64, records: &mut Records) -> Result<Self, Error> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Journal { path, source }
        };
        std::fs::create_dir_all(data_dir).map_err(at(data_dir))?;
        let lock_path = data_dir.join(LOCK_NAME);
        let lock = File::create(&lock_path).map_err(at(&lock_path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::InUse { data_dir: data_dir.to_owned() },
            TryLockError::Error(source) => at(&lock_path)(source),
        })?;
        let old_path = data_dir.join(OLD_FILE_NAME);
        if old_path.exists() {
            return Err(Error::OldFormat { path: old_path });
        }
        let path = data_dir.join(FILE_NAME);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(at(&path))?;
        let len_bytes = read(&mut file, &path, records)?;
        sync_dir(data_dir).map_err(at(data_dir))?;
        Ok(Self { file, path, len_bytes, rewrite_at_bytes: rewrite_min_bytes, rewrite_min_bytes, lock })
    }

    /// Appends complete lines; they are on the disk when this returns.
    ///
    /// # Errors
    /// The write failed. The content of the disk is then unknown, and nothing more may be written.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.file.sync_data()?;
        self.len_bytes += lines.len() as u64;
        Ok(())
    }

    /// Whether the file is long enough for a rewrite.
    pub fn needs_rewrite(&self) -> bool {
        self.len_bytes >= self.rewrite_at_bytes
    }

    /// Replaces the file by one with these lines; they are on the disk when this returns. The old file stays until the
    /// new one is complete.
    ///
    /// # Errors
    /// See [`Self::append`].
    pub fn rewrite(&mut self, lines: &[JournalLine]) -> io::Result<()> {
        let new_path = self.path.with_extension("new");
        let mut writer = BufWriter::new(File::create(&new_path)?);
        for line in lines {
            writer.write_all(&encode(line))?;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&new_path, &self.path)?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.len_bytes = self.file.metadata()?.len();
        self.rewrite_at_bytes = self.rewrite_min_bytes.max(2 * self.len_bytes);
        Ok(())
    }
}

impl Drop for Journal {
    /// Unlocks explicitly: a child process that is being started inherits the open file for a moment, and would keep the
    /// lock.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the lock on the data directory is not released");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
impl Journal {
    /// A journal on a device on which every write fails.
    pub fn on_full_disk() -> Self {
        let open = || OpenOptions::new().append(true).open("/dev/full").expect("Linux has it");
        Self {
            file: open(),
            path: PathBuf::from("/dev/full"),
            len_bytes: 0,
            rewrite_at_bytes: u64::MAX,
            rewrite_min_bytes: u64::MAX,
            lock: open(),
        }
    }
}

pub fn encode(line: &JournalLine) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("strings, integers and maps with string keys are JSON");
    bytes.push(b'\n');
    bytes
}

/// Applies the lines of `file`, removes an incomplete last line, and returns the length of the file.
fn read(file: &mut File, path: &Path, records: &mut Records) -> Result<u64, Error> {
    let io = |source| Error::Journal { path: path.to_owned(), source };
    let mut reader = BufReader::new(&*file);
    let mut text = Vec::new();
    let mut good_bytes = 0;
    let mut incomplete: Option<(usize, serde_json::Error)> = None;
    for number in 1.. {
        text.clear();
        let read_bytes = reader.read_until(b'\n', &mut text).map_err(io)? as u64;
        if read_bytes == 0 {
            break;
        }
        if let Some((line, source)) = incomplete {
            return Err(Error::Damaged { path: path.to_owned(), line, source });
        }
        match serde_json::from_slice(&text) {
            Ok(line) if text.ends_with(b"\n") => {
                records.apply(&line);
                good_bytes += read_bytes;
            }
            // Complete but for its line end: its response was not sent either.
            Ok(_) => break,
            Err(source) => incomplete = Some((number, source)),
        }
    }
    if file.metadata().map_err(io)?.len() > good_bytes {
        tracing::warn!(path = %path.display(), "the last line of the journal is incomplete: removed");
        file.set_len(good_bytes).map_err(io)?;
        file.sync_all().map_err(io)?;
    }
    file.seek(SeekFrom::End(0)).map_err(io)?;
    Ok(good_bytes)
}

/// Syncs the directory: without this a new or renamed file may be lost in a power failure.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
