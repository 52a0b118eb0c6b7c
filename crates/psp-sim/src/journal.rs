//! The journal: a file with one JSON object per line, appended and synced before anybody is answered.
//!
//! A process that dies while it writes leaves a torn last line, about which nobody was told anything: it is cut off at
//! the next start. Damage anywhere else is not ours to repair, and refuses the start.
//!
//! It grows with every request. When it is twice as long as it need be, it is written anew from the books, next to the
//! old one, and renamed over it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::books::{Books, Line};

/// The format's version is part of the name.
const FILE_NAME: &str = "journal-v1.jsonl";
const LOCK_NAME: &str = "lock";

/// The journal's file, open for appending; no second process can open it.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    len_bytes: u64,
    rewrite_at_bytes: u64,
    /// Never rewritten below this length.
    rewrite_min_bytes: u64,
    /// Held for its lock, which ends with the process, however that ends.
    lock: File,
}

impl Journal {
    /// Opens the journal in `data_dir`, makes both if they aren't there, and posts every line to `books`.
    ///
    /// # Errors
    /// The directory is another process's, can't be written, or the journal is damaged.
    pub fn open(data_dir: &Path, rewrite_min_bytes: u64, books: &mut Books) -> Result<Self, Error> {
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
        let path = data_dir.join(FILE_NAME);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(at(&path))?;
        let len_bytes = read(&mut file, &path, books)?;
        sync_dir(data_dir).map_err(at(data_dir))?;
        Ok(Self { file, path, len_bytes, rewrite_at_bytes: rewrite_min_bytes, rewrite_min_bytes, lock })
    }

    /// Appends whole lines; they are on the disk when this returns.
    ///
    /// # Errors
    /// The disk refuses. What is on it then is not known, so that nothing may be written any more.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.file.sync_data()?;
        self.len_bytes += lines.len() as u64;
        Ok(())
    }

    /// Whether the file is much longer than it need be.
    pub fn is_overgrown(&self) -> bool {
        self.len_bytes >= self.rewrite_at_bytes
    }

    /// Replaces the file by one with these lines; they are on the disk when this returns. The old one stays until the
    /// new one is whole.
    ///
    /// # Errors
    /// See [`Self::append`].
    pub fn rewrite(&mut self, lines: &[Line]) -> io::Result<()> {
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
    /// Closing the file would do, were it not for processes that are being started meanwhile: for a moment they have it
    /// open too, and with it the lock.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the lock on the books is not released");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
impl Journal {
    /// A journal on a device that refuses every write.
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

/// A line as it stands in the file.
pub fn encode(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("strings, integers and maps with string keys are JSON");
    bytes.push(b'\n');
    bytes
}

/// Posts the lines of `file`, cuts off a torn last one, and returns the file's length.
fn read(file: &mut File, path: &Path, books: &mut Books) -> Result<u64, Error> {
    let io = |source| Error::Journal { path: path.to_owned(), source };
    let mut reader = BufReader::new(&*file);
    let mut text = Vec::new();
    let mut good_bytes = 0;
    let mut torn: Option<(usize, serde_json::Error)> = None;
    for number in 1.. {
        text.clear();
        let read_bytes = reader.read_until(b'\n', &mut text).map_err(io)? as u64;
        if read_bytes == 0 {
            break;
        }
        if let Some((line, source)) = torn {
            return Err(Error::Damaged { path: path.to_owned(), line, source });
        }
        match serde_json::from_slice(&text) {
            Ok(line) if text.ends_with(b"\n") => {
                books.post(&line);
                good_bytes += read_bytes;
            }
            // Whole, but for its end: nobody was told about it either.
            Ok(_) => break,
            Err(source) => torn = Some((number, source)),
        }
    }
    if file.metadata().map_err(io)?.len() > good_bytes {
        tracing::warn!(path = %path.display(), "the journal's last line is torn: cut off");
        file.set_len(good_bytes).map_err(io)?;
        file.sync_all().map_err(io)?;
    }
    file.seek(SeekFrom::End(0)).map_err(io)?;
    Ok(good_bytes)
}

/// Makes the directory's entries durable, without which a new or renamed file may be gone after a power cut.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
