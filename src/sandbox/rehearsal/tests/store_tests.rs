use super::*;
use crate::sandbox::rehearsal::store::{Store, StoreError};

fn session() -> Session {
    Candidate::started(setup("ride-hailing", "senior")).session
}

#[test]
fn session_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().expect("a directory");
    let written = session();
    Store::at(folder.path().join("rehearsals")).create(&written).expect("written");
    let store = Store::at(folder.path().join("rehearsals"));
    assert_eq!(store.load(&written.id).expect("read"), written);
    let (changed, ()) = store.change(&written.id, |session| session.setup.seed = 8).expect("changed");
    assert_eq!(store.load(&written.id).expect("read"), changed);
    assert_eq!(store.list().expect("read").sessions, [changed]);
}

#[test]
fn damaged_file_gets_a_line_and_is_kept_aside() {
    let folder = tempfile::tempdir().expect("a directory");
    let store = Store::at(folder.path().to_owned());
    let good = session();
    store.create(&good).expect("written");
    let damaged = "20270101-000000-000000";
    std::fs::write(folder.path().join(format!("{damaged}.json")), "{\"format\": 1, ").expect("written");
    let listed = store.list().expect("read");
    assert_eq!((listed.sessions.len(), listed.unreadable.len()), (1, 1));
    assert!(
        listed.unreadable[0].contains(damaged) && listed.unreadable[0].contains("kept as"),
        "{:?}",
        listed.unreadable
    );
    let aside = std::fs::read_to_string(folder.path().join(format!("{damaged}.json.unreadable"))).expect("kept");
    assert_eq!(aside, "{\"format\": 1, ");
    // The line stays, and the file is not looked at again.
    assert_eq!(store.list().expect("read").unreadable.len(), 1);
    assert!(matches!(store.load(damaged), Err(StoreError::Missing)));
}

#[test]
fn file_of_another_version_is_kept_aside() {
    let folder = tempfile::tempdir().expect("a directory");
    let store = Store::at(folder.path().to_owned());
    let mut later = session();
    later.format += 1;
    store.create(&later).expect("written");
    let error = store.load(&later.id).expect_err("unreadable").to_string();
    assert!(error.contains("another version"), "{error}");
}

#[test]
fn name_of_a_session_is_no_path() {
    let folder = tempfile::tempdir().expect("a directory");
    let store = Store::at(folder.path().join("rehearsals"));
    for id in ["../secret", "", "a/b", "a.json", "ä"] {
        assert!(matches!(store.load(id), Err(StoreError::Missing)), "{id}");
    }
    assert!(store.list().expect("no directory is no error").sessions.is_empty());
}

#[test]
fn failed_write_keeps_the_earlier_file() {
    let folder = tempfile::tempdir().expect("a directory");
    let store = Store::at(folder.path().to_owned());
    let written = session();
    store.create(&written).expect("written");
    // A folder in the place of the temporary file.
    std::fs::create_dir(folder.path().join(format!("{}.json.new", written.id))).expect("created");
    let error = store.change(&written.id, |session| session.setup.seed = 8).expect_err("in the way").to_string();
    assert!(error.starts_with("cannot write"), "{error}");
    assert_eq!(store.load(&written.id).expect("read"), written);
}
