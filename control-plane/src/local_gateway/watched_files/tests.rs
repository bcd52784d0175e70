use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use tempfile::TempDir;

use super::*;

/// Far longer than any change takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// The text of a file, and of the files that its lines name.
struct Texts {
    path: PathBuf,
    named: Vec<PathBuf>,
    texts: Vec<String>,
}

impl Texts {
    fn read(&mut self) -> Option<Vec<String>> {
        let text = fs::read_to_string(&self.path).ok()?;
        let beside = |line: &str| self.path.with_file_name(line);
        self.named = text.lines().filter(|line| line.starts_with("name-")).map(beside).collect();
        let named = self.named.iter().map(fs::read_to_string);
        [Ok(text)].into_iter().chain(named).collect::<Result<_, _>>().ok()
    }
}

impl Source for Texts {
    fn files(&self) -> Vec<PathBuf> {
        [&self.path].into_iter().chain(&self.named).cloned().collect()
    }

    fn what_stays(&self) -> &'static str {
        "the old text stays"
    }

    fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload {
        let texts = self.read();
        if !settled(&self.files()) {
            return Reload::Unsettled;
        }
        match texts {
            Some(texts) if texts != self.texts => {
                self.texts.clone_from(&texts);
                Reload::Done(Some(Change::UpstreamRoots(texts.join("|").into())))
            }
            Some(_) | None => Reload::Done(None),
        }
    }
}

struct Fixture {
    folder: TempDir,
    changes: Receiver<Arc<str>>,
    _runtime: tokio::runtime::Runtime,
}

impl Fixture {
    /// Watches this path in a folder that `prepare` fills.
    fn new(path: &str, prepare: impl Fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let mut source = Texts { path: folder.path().join(path), named: Vec::new(), texts: Vec::new() };
        source.texts = source.read().unwrap();
        let (sender, changes) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let apply = move |change| {
            if let Change::UpstreamRoots(text) = change {
                let _ = sender.send(text);
            }
        };
        runtime.block_on(async { watch(vec![Box::new(source)], SystemTime::now(), apply) }).unwrap();
        Self { folder, changes, _runtime: runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the next change, and its delay.
    fn next(&self) -> (String, Duration) {
        let begun = Instant::now();
        (self.changes.recv_timeout(DEADLINE).unwrap().to_string(), begun.elapsed())
    }
}

fn one(folder: &Path) {
    fs::write(folder.join("a"), "one").unwrap();
}

#[test]
fn a_file_that_is_renamed_into_place_is_taken_at_once() {
    let files = Fixture::new("a", one);
    fs::write(files.path("b"), "two").unwrap();
    fs::rename(files.path("b"), files.path("a")).unwrap();
    assert_eq!(files.next().0, "two");
}

#[test]
fn half_a_file_is_never_taken() {
    let files = Fixture::new("a", one);
    // The file is closed in between, as a shell does.
    fs::write(files.path("a"), "ha").unwrap();
    thread::sleep(tracked_file::QUIET / 2);
    fs::write(files.path("a"), "half and half").unwrap();
    assert_eq!(files.next().0, "half and half");
    // The file stays open for longer.
    let mut file = fs::File::create(files.path("a")).unwrap();
    std::io::Write::write_all(&mut file, b"the first half").unwrap();
    thread::sleep(tracked_file::QUIET * 2);
    std::io::Write::write_all(&mut file, b", the second").unwrap();
    drop(file);
    assert_eq!(files.next().0, "the first half, the second");
}

#[test]
fn every_way_of_another_file_at_the_path_is_noticed() {
    type Act = fn(&Path);
    let act: [(&str, Act); 8] = [
        ("the target of the link is edited", |folder| fs::write(folder.join("v1/a"), "two").unwrap()),
        ("the target is renamed over", |folder| {
            fs::write(folder.join("b"), "two").unwrap();
            fs::rename(folder.join("b"), folder.join("v1/a")).unwrap();
        }),
        ("the folder's link is swapped", |folder| {
            fs::create_dir(folder.join("v2")).unwrap();
            fs::write(folder.join("v2/a"), "two").unwrap();
            symlink("v2", folder.join("new")).unwrap();
            fs::rename(folder.join("new"), folder.join("current")).unwrap();
        }),
        ("the folder's link is removed and made again", |folder| {
            fs::create_dir(folder.join("v2")).unwrap();
            fs::write(folder.join("v2/a"), "two").unwrap();
            fs::remove_file(folder.join("current")).unwrap();
            symlink("v2", folder.join("current")).unwrap();
        }),
        ("the folder behind the link is moved away and made anew", |folder| {
            fs::rename(folder.join("v1"), folder.join("old")).unwrap();
            fs::create_dir(folder.join("v1")).unwrap();
            fs::write(folder.join("v1/a"), "two").unwrap();
        }),
        ("two folders are exchanged", |folder| {
            fs::create_dir(folder.join("v2")).unwrap();
            fs::write(folder.join("v2/a"), "two").unwrap();
            let (from, to) = (folder.join("v1"), folder.join("v2"));
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, flags).unwrap();
        }),
        ("it is edited by another name", |folder| {
            fs::create_dir(folder.join("elsewhere")).unwrap();
            fs::hard_link(folder.join("v1/a"), folder.join("elsewhere/b")).unwrap();
            fs::write(folder.join("elsewhere/b"), "two").unwrap();
        }),
        ("an older file is put there, with its time", |folder| {
            fs::write(folder.join("b"), "two").unwrap();
            fs::File::open(folder.join("b")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            fs::rename(folder.join("b"), folder.join("v1/a")).unwrap();
        }),
    ];
    let prepare = |folder: &Path| {
        fs::create_dir(folder.join("v1")).unwrap();
        one(&folder.join("v1"));
        symlink("v1", folder.join("current")).unwrap();
        symlink("current/a", folder.join("a")).unwrap();
    };
    for (what, act) in act {
        let files = Fixture::new("a", prepare);
        act(files.folder.path());
        let text = files.changes.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("not noticed: {what}"));
        assert_eq!(&*text, "two", "{what}");
    }
}

#[test]
fn files_that_a_file_names_are_watched_once_it_does() {
    let files = Fixture::new("a", one);
    fs::write(files.path("name-1"), "first").unwrap();
    fs::write(files.path("a"), "name-1").unwrap();
    assert_eq!(files.next().0, "name-1|first");
    fs::write(files.path("name-1"), "second").unwrap();
    assert_eq!(files.next().0, "name-1|second");
}

#[test]
fn files_that_are_read_together_are_taken_together() {
    let files = Fixture::new("a", |folder| {
        fs::write(folder.join("a"), "name-1\nname-2").unwrap();
        fs::write(folder.join("name-1"), "0").unwrap();
        fs::write(folder.join("name-2"), "0").unwrap();
    });
    for number in ["1", "2"] {
        fs::write(files.path("name-1"), number).unwrap();
        thread::sleep(tracked_file::QUIET / 2);
        fs::write(files.path("name-2"), number).unwrap();
        assert_eq!(files.next().0, format!("name-1\nname-2|{number}|{number}"));
    }
}

#[test]
fn an_edit_that_is_undone_changes_nothing() {
    let files = Fixture::new("a", one);
    fs::write(files.path("a"), "two").unwrap();
    fs::write(files.path("a"), "one").unwrap();
    fs::write(files.path("b"), "three").unwrap();
    thread::sleep(tracked_file::QUIET * 2);
    fs::rename(files.path("b"), files.path("a")).unwrap();
    assert_eq!(files.next().0, "three");
}
