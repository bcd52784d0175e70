//! Package managers that install through Weir with the variables alone. `cargo xtask programs` runs more of them.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::{ALPHA, EnvoyBinary, Run, ServerOptions, UpstreamHosts, require_program};
use tempfile::TempDir;

/// A gateway, the folder that alpha serves below `/files/`, and a working folder.
struct Fixture {
    hosts: UpstreamHosts,
    run: Run,
    work: TempDir,
}

impl Fixture {
    fn start() -> Result<Self> {
        let hosts = UpstreamHosts::start(ServerOptions::default())?;
        let run = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?;
        Ok(Self { hosts, run, work: TempDir::new()? })
    }

    fn url(&self, path: &str) -> String {
        self.hosts.url(ALPHA, &format!("/files/{path}"))
    }

    /// Writes a file that alpha serves.
    fn serve(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let file = self.hosts.nginx.files().join(path);
        fs::create_dir_all(file.parent().context("no folder")?)?;
        Ok(fs::write(file, content)?)
    }

    /// Makes a gzipped tar of one folder with these files.
    fn archive(&self, folder: &str, files: &[(&str, &str)]) -> Result<Vec<u8>> {
        for (name, content) in files {
            let file = self.work.path().join(folder).join(name);
            fs::create_dir_all(file.parent().context("no folder")?)?;
            fs::write(file, content)?;
        }
        tool("tar", ["--create", "--gzip", "--file", "archive", folder], self.work.path())?;
        Ok(fs::read(self.work.path().join("archive"))?)
    }

    /// Runs a program behind the gateway.
    fn succeeds(&self, program: &[&OsStr]) -> Result<()> {
        let output = self.run.output(program)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(output.status.success(), "{program:?}: {}{}", text(&output.stdout), text(&output.stderr));
        Ok(())
    }
}

fn tool<'a>(name: &str, arguments: impl IntoIterator<Item = &'a str>, folder: &Path) -> Result<String> {
    let output = Command::new(require_program(name)?).args(arguments).current_dir(folder).output()?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns the first word of the output of `sha256sum` and similar programs for some bytes.
fn checksum(program: &str, bytes: &[u8]) -> Result<String> {
    let folder = TempDir::new()?;
    fs::write(folder.path().join("bytes"), bytes)?;
    let said = tool(program, ["bytes"], folder.path())?;
    said.split(' ').next().map(str::to_owned).context("no checksum")
}

#[test]
fn pip_downloads() -> Result<()> {
    let fixture = Fixture::start()?;
    let wheel = "weirdemo-1.0.0-py3-none-any.whl";
    let script = format!(
        "import zipfile\nwith zipfile.ZipFile('{wheel}', 'w') as w:\n\
         \x20w.writestr('weirdemo-1.0.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: weirdemo\\nVersion: 1.0.0\\n')\n\
         \x20w.writestr('weirdemo-1.0.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
         \x20w.writestr('weirdemo-1.0.0.dist-info/RECORD', '')\n"
    );
    tool("python3", ["-c", &script], fixture.work.path())?;
    fixture.serve(&format!("simple/weirdemo/{wheel}"), fs::read(fixture.work.path().join(wheel))?)?;
    fixture.serve("simple/weirdemo/index.html", format!("<a href=\"{wheel}\">{wheel}</a>"))?;
    let (index, folder) = (fixture.url("simple/"), fixture.work.path().join("got"));
    let pip = ["env", "PIP_CONFIG_FILE=/dev/null", "python3", "-m", "pip", "download", "--no-deps"];
    let rest = ["--no-cache-dir", "--disable-pip-version-check", "--index-url", &index, "weirdemo", "--dest"];
    let pip = pip.iter().chain(&rest);
    let command: Vec<&OsStr> = pip.map(AsRef::as_ref).chain([folder.as_os_str()]).collect();
    fixture.succeeds(&command)?;
    assert!(folder.join(wheel).is_file());
    Ok(())
}

#[test]
fn cargo_fetches() -> Result<()> {
    let fixture = Fixture::start()?;
    let manifest = "[package]\nname = \"weirdemo\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    let package = fixture.archive("weirdemo-1.0.0", &[("Cargo.toml", manifest), ("src/lib.rs", "")])?;
    let entry = serde_json::json!({
        "name": "weirdemo", "vers": "1.0.0", "deps": [], "features": {}, "yanked": false,
        "cksum": checksum("sha256sum", &package)?,
    });
    fixture.serve("crates/weirdemo.crate", package)?;
    fixture.serve("index/we/ir/weirdemo", entry.to_string() + "\n")?;
    let downloads = fixture.url("crates/{crate}.crate");
    fixture.serve("index/config.json", serde_json::json!({ "dl": downloads }).to_string())?;

    let project = fixture.work.path().join("project");
    fs::create_dir_all(project.join("src"))?;
    fs::create_dir_all(project.join(".cargo"))?;
    fs::write(project.join("src/lib.rs"), "")?;
    let index = fixture.url("index/");
    fs::write(
        project.join(".cargo/config.toml"),
        format!("[registries.alpha]\nindex = \"sparse+{index}\"\n"),
    )?;
    let dependency = "[dependencies]\nweirdemo = { version = \"1\", registry = \"alpha\" }\n[workspace]\n";
    let package = "[package]\nname = \"project\"\nversion = \"0.0.0\"\nedition = \"2021\"\n";
    fs::write(project.join("Cargo.toml"), package.to_owned() + dependency)?;
    let home = fixture.work.path().join("home");
    let script = "cd \"$1\" && CARGO_HOME=\"$2\" exec cargo fetch";
    let words = ["sh", "-c", script, "sh"].map(OsStr::new);
    fixture.succeeds(&[words.as_slice(), &[project.as_os_str(), home.as_os_str()]].concat())?;
    let got = tool("find", [".", "-name", "weirdemo-1.0.0.crate"], &home)?;
    assert_eq!(got.lines().count(), 1, "{got}");
    Ok(())
}
