//! Folders of a run that another user could replace: root starts Weir with the environment of another user, as `su`
//! without a dash or `sudo -E` does.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use e2e::{ALPHA, Deadline, EnvoyBinary, Process, Run, ServerOptions, UpstreamHosts, as_user, weir_command};
use rustix::process::Signal;
use tempfile::TempDir;

/// `nobody`
const OTHER: u32 = 65_534;

/// A folder of another user, who replaces every folder that a run makes in it.
struct Theirs {
    folder: TempDir,
    replaced: AtomicUsize,
    over: AtomicBool,
}

impl Theirs {
    fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        fs::create_dir(folder.path().join("theirs"))?;
        chown(folder.path().join("theirs"), Some(OTHER), Some(OTHER))?;
        Ok(Self { folder, replaced: AtomicUsize::new(0), over: AtomicBool::new(false) })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("theirs")
    }

    /// Replaces the folders, as their owner, while the function runs.
    fn while_replacing<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        thread::scope(|scope| {
            let attack = scope.spawn(|| as_user(OTHER, || self.replace_all()));
            let result = call();
            self.over.store(true, Ordering::Relaxed);
            attack.join().map_err(|_| anyhow::anyhow!("the other user's thread panicked"))??;
            result
        })
    }

    fn replace_all(&self) -> Result<()> {
        while !self.over.load(Ordering::Relaxed) {
            for entry in fs::read_dir(self.path())? {
                let entry = entry?;
                let (name, path) = (entry.file_name(), entry.path());
                if name.to_string_lossy().starts_with("weir-") && path.metadata()?.uid() != OTHER {
                    let count = self.replaced.fetch_add(1, Ordering::Relaxed);
                    fs::rename(&path, self.path().join(format!("taken-{count}")))?;
                    fs::create_dir(&path)?;
                    fs::write(
                        path.join("bootstrap.json"),
                        r#"{"node": {"id": "theirs", "cluster": "theirs"}}"#,
                    )?;
                }
            }
            thread::yield_now();
        }
        Ok(())
    }
}

/// Starts a run with these variables until its command runs. Returns its output and the path of Envoy's bootstrap.
fn started(run: &Run, variables: &[(&str, &OsStr)]) -> Result<(String, PathBuf)> {
    let mut command = run.command()?;
    command.env_remove("XDG_RUNTIME_DIR").envs(variables.iter().copied()).stdout(Stdio::piped());
    command.args(["--", "sh", "-c", "echo started; exec sleep 600"]);
    let mut weir = Process::start("weir run -- CMD", &mut command)?;
    let started = |lines: &[String]| lines.iter().any(|line| line == "started").then_some(());
    let started = weir.stdout().wait(Deadline::seconds(60), "start of the command", started);
    started.with_context(|| weir.stderr().text())?;
    let arguments = fs::read(format!("/proc/{}/cmdline", weir.id().descendant("envoy")?.number()))?;
    let mut arguments = arguments.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    arguments.find(|argument| argument == "-c");
    let bootstrap = PathBuf::from(arguments.next().context("no -c")?.into_owned());
    assert_nobody_else_can_change(&bootstrap)?;
    weir.signal(Signal::TERM)?;
    weir.wait(Deadline::seconds(15))?;
    assert!(!bootstrap.exists(), "the folder goes at the end");
    Ok((weir.stderr().text(), bootstrap))
}

fn assert_nobody_else_can_change(path: &Path) -> Result<()> {
    for path in path.ancestors() {
        let metadata = path.symlink_metadata()?;
        assert_eq!(metadata.uid(), 0, "{}", path.display());
        let mode = metadata.mode();
        assert!(mode & 0o022 == 0 || mode & 0o1000 != 0, "{}: {mode:o}", path.display());
    }
    Ok(())
}

fn run() -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?;
    Ok((hosts, run))
}

#[test]
fn root_runs_no_bootstrap_of_another_users_folder() -> Result<()> {
    let (_hosts, run) = run()?;
    for variable in ["XDG_RUNTIME_DIR", "TMPDIR"] {
        let theirs = Theirs::new()?;
        // Another user's link to a folder of ours could lead to another folder at the next look.
        let (ours, link) = (theirs.folder.path().join("ours"), theirs.path().join("link"));
        fs::create_dir(&ours)?;
        symlink(&ours, &link)?;
        for named in [theirs.path(), link] {
            let (said, bootstrap) =
                theirs.while_replacing(|| started(&run, &[(variable, named.as_os_str())]))?;
            assert!(!bootstrap.starts_with(theirs.folder.path()), "{}", bootstrap.display());
            let reason = format!("`{}` belongs to user {OTHER}", theirs.path().display());
            assert!(said.contains(&reason) && said.contains(variable), "{said}");
            theirs.over.store(false, Ordering::Relaxed);
        }
        assert_eq!(theirs.replaced.load(Ordering::Relaxed), 0);
    }
    Ok(())
}

#[test]
fn a_folder_that_others_may_write_to_and_a_long_path_are_passed_over() -> Result<()> {
    let (_hosts, run) = run()?;
    let folder = TempDir::new()?;
    let (open, long) = (folder.path().join("open"), folder.path().join("long-".repeat(20)));
    for folder in [&open, &long] {
        fs::create_dir(folder)?;
    }
    fs::set_permissions(&open, Permissions::from_mode(0o777))?;
    for (named, reason) in [(&open, "may be written to by other users"), (&long, "is too long a path")] {
        let (said, bootstrap) = started(&run, &[("XDG_RUNTIME_DIR", named.as_os_str())])?;
        assert!(said.contains(reason) && !bootstrap.starts_with(folder.path()), "{said}");
    }
    Ok(())
}

#[test]
fn a_state_folder_that_others_can_replace_is_an_error() -> Result<()> {
    let (hosts, mut run) = run()?;
    let theirs = Theirs::new()?;
    let (ours, link) = (theirs.folder.path().join("ours"), theirs.path().join("link"));
    fs::create_dir(&ours)?;
    symlink(&ours, &link)?;
    for state in [theirs.path().join("state"), link.join("state")] {
        run.shared_state = Some(state);
        let output = run.output(["curl", "-sS", &hosts.url(ALPHA, "/")])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("belongs to user {OTHER}")) && said.contains("help: "), "{said}");
        assert!(said.contains("--state"), "{said}");
    }
    for variable in ["HOME", "XDG_STATE_HOME"] {
        let mut command = weir_command()?;
        let output = command
            .env_remove("XDG_STATE_HOME")
            .env(variable, theirs.path())
            .args(["ca", "show"])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("belongs to user {OTHER}")) && said.contains("help: "), "{said}");
    }
    let left: Vec<_> =
        fs::read_dir(theirs.path())?.map(|entry| entry.map(|entry| entry.file_name())).collect();
    assert_eq!(left.len(), 1, "the link alone: {left:?}");
    Ok(())
}
