//! A control group (version 2) for programs that a ruleset exempts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

/// A control group below the root. Dropping this value removes the group; its processes must have ended before.
#[derive(Debug)]
pub struct ControlGroup {
    folder: PathBuf,
    name: String,
}

impl ControlGroup {
    /// Creates a group. Needs root.
    pub fn new() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (point, kind) = (fields.next()?, fields.next()?);
            (kind == "cgroup2").then_some(point)
        });
        let name = format!("weir-test-{}", std::process::id());
        let folder = PathBuf::from(mount.context("no control groups of version 2 are mounted")?).join(&name);
        fs::create_dir(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        Ok(Self { folder, name })
    }

    /// The group's path, as `/proc/PID/cgroup` shows it.
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// A command for the program, which joins the group before it runs.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(self.folder.join("cgroup.procs"))
            .arg(program);
        command
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.folder).ok();
    }
}
