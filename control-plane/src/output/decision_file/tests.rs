use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;

use super::*;

/// Appends a text as a stream does. Returns whether it went to another file than the last one.
fn append(file: &mut DecisionFile, text: &str) -> bool {
    let is_another = file.prepare(text.len());
    io::Write::write_all(&mut file.open.file, text.as_bytes()).unwrap();
    is_another
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn folder() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (path, older) = (folder.path().join("decisions"), folder.path().join("decisions.1"));
    (folder, path, older)
}

#[test]
fn a_file_that_grows_too_long_is_replaced_once() {
    let (folder, path, older) = folder();
    let mut file = DecisionFile::with_size(&path, 10).unwrap();
    let lines = ["1234\n", "5678\n", "9abc\n", "a long line of its own\n", "last\n"];
    let replaced = lines.map(|line| append(&mut file, line));
    assert_eq!(replaced, [false, false, true, true, true]);
    assert_eq!((read(&path), read(&older)), ("last\n".to_owned(), "a long line of its own\n".to_owned()));
    assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    assert_eq!(mode(&path), 0o600);
    // A later run appends.
    append(&mut DecisionFile::with_size(&path, 10).unwrap(), "more\n");
    assert_eq!(read(&path), "last\nmore\n");
}

#[test]
fn a_file_that_another_program_renamed_or_removed_is_made_again() {
    let (_folder, path, older) = folder();
    let mut file = DecisionFile::with_size(&path, 100).unwrap();
    append(&mut file, "one\n");
    fs::rename(&path, &older).unwrap();
    assert!(append(&mut file, "two\n"));
    assert_eq!((read(&older), read(&path)), ("one\n".to_owned(), "two\n".to_owned()));
    fs::remove_file(&path).unwrap();
    assert!(append(&mut file, "three\n"));
    // Another program may make the file as well (`create` of logrotate).
    fs::rename(&path, &older).unwrap();
    fs::write(&path, "made\n").unwrap();
    assert!(append(&mut file, "four\n"));
    assert_eq!((read(&older), read(&path)), ("three\n".to_owned(), "made\nfour\n".to_owned()));
    // Or it copies the file and truncates it (`copytruncate`).
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(!append(&mut file, "five\n"));
    assert_eq!(read(&path), "five\n");
}

#[test]
fn a_path_that_cannot_be_opened_again_leaves_the_open_file() {
    let (_folder, path, older) = folder();
    let mut file = DecisionFile::with_size(&path, 100).unwrap();
    append(&mut file, "one\n");
    fs::rename(&path, &older).unwrap();
    fs::create_dir(&path).unwrap();
    append(&mut file, "two\n");
    assert!(file.is_in_trouble);
    assert_eq!(read(&older), "one\ntwo\n");
    fs::remove_dir(&path).unwrap();
    append(&mut file, "three\n");
    assert!(!file.is_in_trouble);
    assert_eq!(read(&path), "three\n");
}

#[test]
fn a_file_that_cannot_be_renamed_grows() {
    let (_folder, path, older) = folder();
    fs::create_dir(&older).unwrap();
    let mut file = DecisionFile::with_size(&path, 10).unwrap();
    for line in ["12345\n", "67890\n", "abcde\n"] {
        assert!(!append(&mut file, line));
    }
    assert!(file.is_in_trouble);
    assert_eq!(read(&path), "12345\n67890\nabcde\n");
    fs::remove_dir(&older).unwrap();
    assert!(append(&mut file, "later\n"));
    assert!(!file.is_in_trouble);
    assert_eq!((read(&older), read(&path)), ("12345\n67890\nabcde\n".to_owned(), "later\n".to_owned()));
}

#[test]
fn runs_that_share_a_file_lose_no_line_when_it_is_replaced() {
    let (_folder, path, older) = folder();
    const LINES: u64 = 1_000;
    // All lines but the last ones fit into one file, so that one replacement is due.
    let most = 3 * LINES * 9 - 50;
    std::thread::scope(|scope| {
        for run in 0..3 {
            let mut file = DecisionFile::with_size(&path, most).unwrap();
            scope.spawn(move || {
                for line in 0..LINES {
                    append(&mut file, &format!("{run}: {line:05}\n"));
                }
            });
        }
    });
    let both = read(&older) + &read(&path);
    assert_eq!(both.lines().collect::<BTreeSet<_>>().len(), 3_000);
    assert_eq!(both.lines().count(), 3_000);
}

#[test]
fn a_file_that_another_run_holds_to_rename_it_grows_meanwhile() {
    let (_folder, path, older) = folder();
    let mut file = DecisionFile::with_size(&path, 5).unwrap();
    append(&mut file, "12345\n");
    let other = File::open(&path).unwrap();
    other.lock().unwrap();
    assert!(!append(&mut file, "67890\n"));
    drop(other);
    assert!(append(&mut file, "abcde\n"));
    assert_eq!((read(&older), read(&path)), ("12345\n67890\n".to_owned(), "abcde\n".to_owned()));
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let (folder, target, older) = folder();
    let (link, between) = (folder.path().join("link"), folder.path().join("between"));
    symlink("between", &link).unwrap();
    symlink(&target, &between).unwrap();
    let mut file = DecisionFile::with_size(&link, 5).unwrap();
    append(&mut file, "12345\n");
    append(&mut file, "67890\n");
    assert_eq!((read(&older), read(&target)), ("12345\n".to_owned(), "67890\n".to_owned()));
    // Somebody leads the link to another file.
    let other = folder.path().join("other");
    fs::remove_file(&between).unwrap();
    symlink(&other, &between).unwrap();
    append(&mut file, "abcde\n");
    assert_eq!((read(&target), read(&other)), ("67890\n".to_owned(), "abcde\n".to_owned()));
}

#[test]
fn a_device_and_what_proc_leads_to_are_never_replaced() {
    let (folder, path, _) = folder();
    let opened = File::create(&path).unwrap();
    let link = folder.path().join("stdout");
    symlink(format!("/proc/self/fd/{}", opened.as_raw_fd()), &link).unwrap();
    for path in [&link, Path::new("/dev/null")] {
        let mut file = DecisionFile::with_size(path, 1).unwrap();
        assert!(!append(&mut file, "12\n") && !append(&mut file, "34\n"));
    }
    assert_eq!(read(&path), "12\n34\n");
    assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    assert!(!Path::new("/dev/null.1").exists());
}

#[test]
fn a_file_keeps_its_mode_and_its_successor_has_it_too() {
    let (_folder, path, older) = folder();
    File::create(&path).unwrap().set_permissions(Permissions::from_mode(0o640)).unwrap();
    let mut file = DecisionFile::with_size(&path, 5).unwrap();
    append(&mut file, "12345\n");
    append(&mut file, "67890\n");
    assert_eq!((mode(&older), mode(&path)), (0o640, 0o640));
}

#[test]
fn a_folder_is_an_error_and_a_dangling_link_makes_its_target() {
    let (folder, target, _) = folder();
    assert_eq!(DecisionFile::open(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    let link = folder.path().join("link");
    symlink(&target, &link).unwrap();
    append(&mut DecisionFile::open(&link).unwrap(), "one\n");
    assert_eq!((read(&target), mode(&target)), ("one\n".to_owned(), 0o600));
}
