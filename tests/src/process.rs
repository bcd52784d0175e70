//! A child process that cannot outlive its owner.

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Deadline, Lines};

/// The time that a child has to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// A running child. Its output is collected, and dropping this value ends it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// A command for `program` that gets SIGTERM from the kernel when the calling thread dies, where `setpriv`
    /// exists.
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        let Some(setpriv) = find_program("setpriv") else {
            return Command::new(program);
        };
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        command
    }

    /// Starts `command`. It collects stderr, and stdout too unless the caller redirected it.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child =
            command.stderr(Stdio::piped()).spawn().with_context(|| format!("cannot start `{name}`"))?;
        let stdout = child.stdout.take().map(Lines::read_from).unwrap_or_default();
        let stderr = child.stderr.take().map(Lines::read_from).unwrap_or_default();
        Ok(Self { name: name.to_owned(), child, stdout, stderr })
    }

    /// The process id.
    pub fn id(&self) -> ProcessId {
        ProcessId::new(self.child.id())
    }

    /// The collected standard output.
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// The collected standard error.
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// The pipe to its standard input, if the caller made one.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The exit status if the child has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until the child ends by itself.
    pub fn wait(&mut self, deadline: Deadline) -> Result<ExitStatus> {
        let child = &mut self.child;
        deadline
            .poll(&format!("end of `{}`", self.name), || Ok(child.try_wait()?))
            .with_context(|| format!("stderr of `{}`:\n{}", self.name, self.stderr.text()))
    }

    /// Sends a signal to the child only.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot signal `{}`", self.name))
    }

    /// Sends SIGTERM and waits. Kills the child after ten seconds and returns an error.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        match self.wait(Deadline::after(GRACE)) {
            Ok(status) => Ok(status),
            Err(error) => {
                self.child.kill()?;
                self.child.wait()?;
                Err(error.context(format!("`{}` did not end on SIGTERM", self.name)))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{error:#}");
        }
    }
}

/// One process. Its start time tells it apart from a later process with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessId {
    number: u32,
    started: Option<String>,
}

impl ProcessId {
    fn new(number: u32) -> Self {
        Self { number, started: Stat::read(number).map(|stat| stat.started) }
    }

    /// The process number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns whether the process runs. A zombie counts as ended.
    pub fn is_running(&self) -> bool {
        Stat::read(self.number)
            .is_some_and(|stat| stat.state != "Z" && self.started.as_ref() == Some(&stat.started))
    }

    /// The file name of its program, if the kernel reveals it.
    pub fn program(&self) -> Option<String> {
        let path = fs::read_link(format!("/proc/{}/exe", self.number)).ok()?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    }

    /// The peak of its resident memory, in bytes (`VmHWM` of proc(5)).
    pub fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.number))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let kibibytes: u64 = peak.context("no VmHWM in /proc")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// Returns the process's children and all their descendants, from /proc.
    pub fn descendants(&self) -> Result<Vec<Self>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc").context("no /proc to find child processes in")? {
            let name = entry?.file_name();
            let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // A process may end between the listing and the read.
            if let Some(stat) = Stat::read(number) {
                parents.push((number, stat.parent));
            }
        }
        let mut found = vec![self.number];
        let mut next = 0;
        while let Some(&parent) = found.get(next) {
            found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(number, _)| *number));
            next += 1;
        }
        Ok(found.into_iter().skip(1).map(Self::new).collect())
    }

    /// The only descendant that runs `program`.
    pub fn descendant(&self, program: &str) -> Result<Self> {
        self.descendants()?
            .into_iter()
            .find(|id| id.program().as_deref() == Some(program))
            .ok_or_else(|| anyhow!("process {} has no child that runs `{program}`", self.number))
    }

    /// The TCP addresses that the process listens on, from /proc/net and its open files.
    pub fn listening(&self) -> Result<Vec<SocketAddr>> {
        let mut sockets = Vec::new();
        for file in fs::read_dir(format!("/proc/{}/fd", self.number))? {
            // A file may be closed between the listing and the read.
            let Ok(target) = fs::read_link(file?.path()) else { continue };
            let inode = target.to_string_lossy();
            sockets.extend(
                inode.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).map(str::to_owned),
            );
        }
        let mut addresses = Vec::new();
        for table in ["tcp", "tcp6"] {
            let table = fs::read_to_string(format!("/proc/{}/net/{table}", self.number))?;
            for line in table.lines().skip(1) {
                let fields: Vec<_> = line.split_whitespace().collect();
                let [_, local, _, LISTENING, _, _, _, _, _, inode, ..] = fields.as_slice() else { continue };
                if sockets.iter().any(|socket| socket == inode) {
                    addresses.push(socket_address(local).with_context(|| format!("address `{local}`"))?);
                }
            }
        }
        Ok(addresses)
    }

    /// The process's resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.number))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes.map(|kibibytes| kibibytes * 1024).with_context(|| format!("no VmRSS in {status}"))
    }

    /// The processor time of its threads so far (/proc/PID/task/TID/schedstat, in nanoseconds).
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.number))? {
            let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
            let first = statistics.split_whitespace().next().context("an empty schedstat")?;
            nanoseconds += first.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Ends the process with SIGKILL.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Sends a signal to the process. Fails if it has already ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            return Err(anyhow!("process {} has already ended", self.number));
        }
        let pid = i32::try_from(self.number).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| anyhow!("`{}` is no process id", self.number))?;
        Ok(kill_process(pid, signal)?)
    }
}

/// The state of a listening socket in /proc/net/tcp (TCP_LISTEN of the kernel's tcp_states.h).
const LISTENING: &str = "0A";

/// Parses an address of /proc/net/tcp: 32-bit words in the machine's byte order, and a port, in hexadecimal.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for start in (0..address.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => IpAddr::from(bytes),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The fields of /proc/PID/stat (proc(5)) for a process's parent, state and start.
struct Stat {
    state: String,
    parent: u32,
    started: String,
}

impl Stat {
    fn read(number: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        // The second field is the program's name in brackets, and may itself contain spaces and brackets.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            state: (*fields.first()?).to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            started: (*fields.get(19)?).to_owned(),
        })
    }
}

/// Finds the full path of a program in PATH or in the system's administration folders, which PATH may lack.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

/// Finds a program as [`find_program`] does. A missing program is an error that says what to do.
pub fn require_program(name: &str) -> Result<PathBuf> {
    find_program(name).ok_or_else(|| {
        anyhow!("`{name}` was not found\nhelp: run `cargo xtask test`, which installs what the tests need")
    })
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
