//! The account that runs the server. PostgreSQL refuses to run as root; for root it is `postgres`, or else `nobody`.

use std::{
    fs, io,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use crate::error::{Attempt, Error};

/// The variables that server programs inherit. Others would change what they do: `PGDATA`, `TZ`, `LC_COLLATE`.
const INHERITED: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// The account under which server programs run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// The account of this process.
    Own,
    /// Another account, because this process runs as root.
    Other { name: String, uid: u32, gid: u32 },
}

/// The effective user id of this process, from `id`: the standard library has no safe function for it.
static EFFECTIVE_UID: LazyLock<io::Result<u32>> = LazyLock::new(|| {
    let output = Command::new("id").arg("-u").output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(io::Error::other)
});

/// The effective user id of this process.
pub(crate) fn effective_uid() -> Result<u32, Error> {
    match &*EFFECTIVE_UID {
        Ok(uid) => Ok(*uid),
        Err(error) => Err(Error::Program { program: "id -u".into(), output: error.to_string() }),
    }
}

impl Account {
    /// The account for a server with its data in `pgdata`: the owner of that directory, if it exists.
    ///
    /// Otherwise an account `postgres` that is created after the first run could not read the data.
    pub(crate) fn for_server(pgdata: Option<PathBuf>) -> Result<Self, Error> {
        if effective_uid()? != 0 {
            return Ok(Self::Own);
        }
        if let Some(data) = pgdata.and_then(|dir| fs::metadata(dir).ok())
            && data.uid() != 0
        {
            return Ok(Self::Other { name: format!("user {}", data.uid()), uid: data.uid(), gid: data.gid() });
        }
        let passwd = fs::read_to_string("/etc/passwd").attempt(|| "read /etc/passwd".into())?;
        ["postgres", "nobody"].iter().find_map(|name| find(&passwd, name)).ok_or_else(|| Error::Program {
            program: "postgres".into(),
            output: "it refuses to run as root, and there is no account postgres or nobody".into(),
        })
    }

    /// A command that runs as this account, in its own process group, with the [`INHERITED`] variables of this process only.
    ///
    /// In its own group, so that Ctrl-C for the owner does not signal the server too.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.process_group(0).current_dir("/").env_clear().env("LC_ALL", "C");
        command.envs(INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Makes this account the owner of a file or directory.
    pub(crate) fn chown(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Own => Ok(()),
            Self::Other { name, uid, gid } => chown(path, Some(*uid), Some(*gid))
                .attempt(|| format!("change the owner of {} to {name}", path.display())),
        }
    }

    /// Checks that this account can enter a directory, which needs access to every directory above it.
    pub(crate) fn check_access(&self, dir: &Path) -> Result<(), Error> {
        let Self::Other { name, .. } = self else {
            return Ok(());
        };
        let status = self
            .command("/bin/sh")
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(dir)
            .stderr(std::process::Stdio::null())
            .status()
            .attempt(|| "run /bin/sh".into())?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Inaccessible { account: name.clone(), path: dir.into() })
    }
}

/// The account `name` in the text of `/etc/passwd`.
fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Other { name: name.into(), uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n\
                      postgresql:x:7:8::/:/bin/sh\n\
                      postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        let found = find(passwd, "postgres");
        let expected = Account::Other { name: "postgres".into(), uid: 101, gid: 104 };
        assert_eq!(found, Some(expected));
        assert_eq!(find(passwd, "nobody"), None);
    }
}
