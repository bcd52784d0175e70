//! Programs that the set-up installs work behind Weir with the variables alone. `cargo xtask programs` runs many more.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::{ALPHA, BETA, EnvoyBinary, Run, ServerOptions, UpstreamHosts, require_program, weir_command};
use tempfile::TempDir;

fn start() -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?;
    Ok((hosts, run))
}

/// Runs a program that fetches `/` of alpha and of beta and prints both.
fn assert_fetches_both(run: &Run, program: &[&str]) -> Result<()> {
    let output = run.output(program)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}: {stderr}");
    let expected = format!("{ALPHA} says hello\n{BETA} says hello\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{program:?}: {stderr}");
    Ok(())
}

/// Clones a repository from alpha.
fn assert_clones(hosts: &UpstreamHosts, run: &Run) -> Result<()> {
    require_program("git")?;
    let folder = TempDir::new()?;
    let git = |arguments: &[&str]| -> Result<()> {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Weir",
                "-c",
                "user.email=weir@weir.test",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(arguments)
            .current_dir(folder.path())
            .output()?;
        ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    git(&["init", "--quiet", "source"])?;
    fs::write(folder.path().join("source/hello"), "hello\n")?;
    git(&["-C", "source", "add", "hello"])?;
    git(&["-C", "source", "commit", "--quiet", "--message", "Say hello"])?;
    let served = hosts.nginx.files().join("source.git");
    git(&["clone", "--quiet", "--bare", "source", served.to_str().context("the path is not UTF-8")?])?;
    // A server without git's own protocol needs the files that this command writes.
    git(&["--git-dir", served.to_str().context("the path is not UTF-8")?, "update-server-info"])?;

    let clone = folder.path().join("clone");
    let output = run.output([
        "git".as_ref(),
        "clone".as_ref(),
        "--quiet".as_ref(),
        hosts.url(ALPHA, "/files/source.git").as_ref(),
        clone.as_os_str(),
    ])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(clone.join("hello"))?, "hello\n");
    Ok(())
}

#[test]
fn git_clones() -> Result<()> {
    let (hosts, run) = start()?;
    assert_clones(&hosts, &run)
}

#[test]
fn programs_send_the_credentials_that_their_variables_hold() -> Result<()> {
    let (hosts, mut run) = start()?;
    run.ask_for_credentials("ci job:p@ss:w/rd%\u{e9}\nother:1\n")?;
    assert_clones(&hosts, &run)?;
    let urls = [hosts.url(ALPHA, "/"), hosts.url(BETA, "/")];
    let python = "import sys, urllib.request\n\
        for url in sys.argv[1:]: sys.stdout.write(urllib.request.urlopen(url, timeout=20).read().decode())";
    assert_fetches_both(&run, &["python3", "-c", python, &urls[0], &urls[1]])?;
    assert_fetches_both(&run, &["curl", "--disable", "-sS", "--max-time", "20", &urls[0], &urls[1]])
}

#[test]
fn pythons_standard_library_fetches() -> Result<()> {
    let (hosts, run) = start()?;
    require_program("python3")?;
    let script = "import sys, urllib.request\n\
        for url in sys.argv[1:]: sys.stdout.write(urllib.request.urlopen(url, timeout=20).read().decode())";
    assert_fetches_both(&run, &["python3", "-c", script, &hosts.url(ALPHA, "/"), &hosts.url(BETA, "/")])
}

/// Node's `fetch` reads the proxy variables since Node 24. Before, a program opens the tunnel itself, and only Weir's
/// root comes from the variables.
#[test]
fn node_fetches() -> Result<()> {
    let (hosts, run) = start()?;
    require_program("node")?;
    let script = r"
const http = require('http'), https = require('https');
const proxy = new URL(process.env.HTTPS_PROXY);
const modern = Number(process.versions.node.split('.')[0]) >= 24;
function tunnelled(url) {
  return new Promise((resolve, reject) => {
    const { host, hostname, pathname } = new URL(url);
    http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: host })
      .on('connect', (response, socket) => https.get(
        { socket, servername: hostname, host: hostname, path: pathname, headers: { host }, agent: false },
        answer => { let text = ''; answer.on('data', data => text += data).on('end', () => resolve(text)); }
      ).on('error', reject))
      .on('error', reject).end();
  });
}
(async () => {
  for (const url of process.argv.slice(1))
    process.stdout.write(modern ? await (await fetch(url)).text() : await tunnelled(url));
  process.exit(0);
})();
";
    assert_fetches_both(&run, &["node", "-e", script, &hosts.url(ALPHA, "/"), &hosts.url(BETA, "/")])
}

#[test]
fn go_fetches() -> Result<()> {
    let (hosts, run) = start()?;
    require_program("go")?;
    let folder = TempDir::new()?;
    let program = folder.path().join("fetch");
    fs::write(
        folder.path().join("fetch.go"),
        "package main\nimport (\"io\"; \"net/http\"; \"os\")\nfunc main() {\n\
         for _, url := range os.Args[1:] {\n response, err := http.Get(url)\n if err != nil { panic(err) }\n\
         io.Copy(os.Stdout, response.Body)\n }\n}\n",
    )?;
    let output = Command::new("go")
        .args(["build", "-o", "fetch", "fetch.go"])
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GO111MODULE", "off")
        // The program is static: it has a resolver of its own, and reads the roots in its own way.
        .env("CGO_ENABLED", "0")
        .current_dir(folder.path())
        .output()?;
    ensure!(output.status.success(), "go build: {}", String::from_utf8_lossy(&output.stderr));
    let program = program.to_str().context("the path is not UTF-8")?;
    assert_fetches_both(&run, &[program, &hosts.url(ALPHA, "/"), &hosts.url(BETA, "/")])
}

#[test]
fn java_fetches() -> Result<()> {
    let (hosts, run) = start()?;
    let folder = TempDir::new()?;
    let program = folder.path().join("Fetch.java");
    fs::write(
        &program,
        "public class Fetch { public static void main(String[] urls) throws Exception { for (String url : urls)\n\
         new java.net.URI(url).toURL().openStream().transferTo(System.out); } }\n",
    )?;
    let program = program.to_str().context("the path is not UTF-8")?;
    require_program("java")?;
    assert_fetches_both(&run, &["java", program, &hosts.url(ALPHA, "/"), &hosts.url(BETA, "/")])
}

#[test]
fn javas_key_stores_take_what_is_exported() -> Result<()> {
    let (_hosts, run) = start()?;
    require_program("keytool")?;
    let export = |format: &str| -> Result<Vec<u8>> {
        let mut weir = weir_command()?;
        let output = weir.args(["ca", "export", "--format", format, "--state"]).arg(run.state()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout)
    };
    let keytool = |arguments: &[&OsStr]| -> Result<String> {
        let mut keytool = Command::new(require_program("keytool")?);
        let output =
            keytool.args(["-J-Duser.language=en", "-storepass", "changeit"]).args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{text}");
        Ok(text)
    };
    let certificates = String::from_utf8(export("bundle")?)?.matches("BEGIN CERTIFICATE").count();
    let folder = TempDir::new()?;
    for format in ["jks", "pkcs12"] {
        let store = folder.path().join(format);
        fs::write(&store, export(format)?)?;
        let list = ["-list", "-storetype", format, "-keystore"].map(OsStr::new);
        let list = keytool(&[list.as_slice(), &[store.as_os_str()]].concat())?;
        assert_eq!(list.matches("trustedCertEntry").count(), certificates, "{format}: {list}");
        assert!(list.contains("weir-1"), "{list}");
    }
    let (root, store) = (folder.path().join("roots.pem"), folder.path().join("own"));
    fs::write(&root, export("pem")?)?;
    let import = ["-importcert", "-noprompt", "-alias", "weir", "-file"].map(OsStr::new);
    let rest = [root.as_os_str(), OsStr::new("-keystore"), store.as_os_str()];
    keytool(&[import.as_slice(), &rest].concat())?;
    Ok(())
}
