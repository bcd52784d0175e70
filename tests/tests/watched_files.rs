//! Edits of files in force, by each way to replace a file: a request that the new file denies is denied within seconds,
//! half a file is never in force, and Weir reports a missing file.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use e2e::{
    ALPHA, BETA, Client, Deadline, EnvoyBinary, Run, RunningGateway, ServerOptions, UpstreamHosts, bundle,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// A way to replace the policy at `policy.yaml`, which is a link to `..data/policy.yaml`, where `..data` is a link to a
/// folder, as in Kubernetes and many deployments. The number is new each time.
type Way = fn(folder: &Path, number: usize, policy: &str) -> Result<()>;

const WAYS: [(&str, Way); 9] = [
    ("an edit through the links", |folder, _, policy| Ok(fs::write(folder.join("policy.yaml"), policy)?)),
    ("a file renamed over the target of the links", |folder, number, policy| {
        let new = folder.join(number.to_string());
        fs::write(&new, policy)?;
        Ok(fs::rename(new, folder.join("..data/policy.yaml"))?)
    }),
    ("a link of the way swapped by a rename", |folder, number, policy| {
        let new = release(folder, number, policy)?;
        let link = folder.join("..data_tmp");
        symlink(new.file_name().context("no name")?, &link)?;
        Ok(fs::rename(link, folder.join("..data"))?)
    }),
    ("a link of the way removed and made again", |folder, number, policy| {
        let new = release(folder, number, policy)?;
        fs::remove_file(folder.join("..data"))?;
        Ok(symlink(new, folder.join("..data"))?)
    }),
    ("a folder exchanged for another", |folder, number, policy| {
        let (old, new) = (folder.join("..data").canonicalize()?, release(folder, number, policy)?);
        Ok(renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE)?)
    }),
    ("a folder moved away and made again", |folder, number, policy| {
        let old = folder.join("..data").canonicalize()?;
        fs::rename(&old, folder.join(format!("old-{number}")))?;
        fs::create_dir(&old)?;
        Ok(fs::write(old.join("policy.yaml"), policy)?)
    }),
    ("an edit by another name of the file", |folder, number, policy| {
        let other = folder.join(format!("other-{number}"));
        fs::create_dir(&other)?;
        fs::hard_link(folder.join("policy.yaml").canonicalize()?, other.join("name"))?;
        Ok(fs::write(other.join("name"), policy)?)
    }),
    ("an older file, with the time of its last edit", |folder, number, policy| {
        let new = folder.join(number.to_string());
        fs::write(&new, policy)?;
        fs::File::open(&new)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
        Ok(fs::rename(new, folder.join("..data/policy.yaml"))?)
    }),
    ("a link in place of the file", |folder, number, policy| {
        let new = release(folder, number, policy)?.join("policy.yaml");
        let file = folder.join("policy.yaml").canonicalize()?;
        fs::remove_file(&file)?;
        Ok(symlink(new, file)?)
    }),
];

/// Makes a new folder with a policy.
fn release(folder: &Path, number: usize, policy: &str) -> Result<PathBuf> {
    let release = folder.join(format!("release-{number}"));
    fs::create_dir(&release)?;
    fs::write(release.join("policy.yaml"), policy)?;
    Ok(release)
}

/// A run whose policy is behind links, and its folder.
fn behind_links(envoy: &EnvoyBinary, hosts: &UpstreamHosts) -> Result<(Run, PathBuf)> {
    let run = Run::new(envoy, hosts, "")?;
    let policy = run.policy();
    let folder = policy.parent().context("no folder")?.to_owned();
    fs::remove_file(&policy)?;
    release(&folder, 0, &hosts.policy())?;
    symlink("release-0", folder.join("..data"))?;
    symlink("..data/policy.yaml", policy)?;
    Ok((run, folder))
}

fn without(hosts: &UpstreamHosts, name: &str) -> String {
    hosts.policy().replace(name, "elsewhere.weir.test")
}

/// Returns the status of a request, or of its CONNECT if the filter denied that.
fn status(client: &Client, url: &str) -> Result<u16> {
    let response = client.get(url)?;
    Ok(if response.status == 0 { response.connect_status } else { response.status })
}

fn another_file_is_in_force_within_seconds_whatever_way_it_comes(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let (run, folder) = behind_links(envoy, &hosts)?;
    let gateway = run.start()?;
    let (client, beta) = (gateway.client(), hosts.url(BETA, "/"));
    assert_eq!(status(&client, &beta)?, 200);
    for (index, (what, way)) in WAYS.into_iter().enumerate() {
        way(&folder, index * 2 + 1, &without(&hosts, BETA))?;
        let begun = Instant::now();
        Deadline::seconds(10)
            .poll_eq(&format!("the refusal after {what}"), &403, || status(&client, &beta))?;
        println!("{what}: {} ms", begun.elapsed().as_millis());
        assert_eq!(status(&client, &hosts.url(ALPHA, "/"))?, 200, "{what}");
        way(&folder, index * 2 + 2, &hosts.policy())?;
        Deadline::seconds(10)
            .poll_eq(&format!("the answer after {what}"), &200, || status(&client, &beta))?;
    }
    Ok(())
}

fn half_a_policy_is_never_in_force(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let port = hosts.port();
    let allow = format!(
        "rules:\n  - {{id: all, effect: allow, hosts: [{BETA}], ports: [{port}], addresses: [127.0.0.1/32]}}\n"
    );
    let deny = |id: &str, path: &str| {
        format!("  - {{id: {id}, effect: deny, hosts: [{BETA}], ports: [{port}], paths: ['{path}/*']}}\n")
    };
    let secret = deny("secret", "/secret");
    let gateway = Run::new(envoy, &hosts, &format!("{allow}{secret}"))?.start()?;
    let (client, policy) = (gateway.client(), gateway.run().policy());
    let ask = |path: &str| status(&client, &hosts.url(BETA, path));
    assert_eq!((ask("/")?, ask("/secret/x")?), (200, 403));
    // Every allow rule is in the first half, and the deny rule is in the second.
    let closed_between: fn(&Path, &str) -> Result<Option<fs::File>> = |path, half| {
        fs::write(path, half)?;
        Ok(None)
    };
    let held_open: fn(&Path, &str) -> Result<Option<fs::File>> = |path, half| {
        let mut file = fs::File::create(path)?;
        file.write_all(half.as_bytes())?;
        Ok(Some(file))
    };
    for (write, pause, next) in [(closed_between, 600, "/first"), (held_open, 3_000, "/second")] {
        let file = write(&policy, &allow)?;
        let half = Instant::now();
        while half.elapsed() < Duration::from_millis(pause) {
            assert_eq!(ask("/secret/x")?, 403, "half a policy after {:?}", half.elapsed());
        }
        let mut file = match file {
            Some(file) => file,
            None => fs::File::options().append(true).open(&policy)?,
        };
        file.write_all(format!("{secret}{}", deny("next", next)).as_bytes())?;
        drop(file);
        Deadline::seconds(10).poll("the whole policy", || {
            assert_eq!(ask("/secret/x")?, 403);
            Ok((ask(&format!("{next}/x"))? == 403).then_some(()))
        })?;
    }
    Ok(())
}

fn a_policy_that_is_gone_is_said_and_so_is_its_return(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let (run, folder) = behind_links(envoy, &hosts)?;
    let gateway = run.start()?;
    let (client, beta) = (gateway.client(), hosts.url(BETA, "/"));
    let said = |words: &str, times: usize| {
        Deadline::seconds(6).poll_eq(&format!("word that a file {words}"), &times, || {
            Ok(gateway.stderr().matches(words).count())
        })
    };
    let data = folder.join("..data");
    let (aside, release) = (folder.join("aside"), folder.join("release-0"));
    let file = release.join("policy.yaml");
    for (place, times) in [&data, &release, &file].into_iter().zip(1..) {
        fs::rename(place, &aside)?;
        if times == 3 {
            // A folder in place of the file is not a policy either.
            fs::create_dir(place)?;
        }
        said("cannot be read any more", times)?;
        assert_eq!(status(&client, &beta)?, 200, "the last good policy stays");
        if times == 3 {
            fs::remove_dir(place)?;
        }
        fs::rename(&aside, place)?;
        said("can be read again", times)?;
    }
    fs::write(gateway.run().policy(), without(&hosts, BETA))?;
    Deadline::seconds(10).poll_eq("the refusal after all of it", &403, || status(&client, &beta))
}

fn roots_and_credentials_behind_links_are_in_force_within_seconds(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.ask_for_credentials("")?;
    let users = run.credentials();
    let folder = users.parent().context("no folder")?.to_owned();
    let put = |number: usize, users: &str, roots: &str| -> Result<()> {
        let release = folder.join(format!("release-{number}"));
        fs::create_dir(&release)?;
        let mut file =
            fs::File::options().write(true).create_new(true).mode(0o600).open(release.join("users"))?;
        file.write_all(users.as_bytes())?;
        fs::write(release.join("roots.pem"), roots)?;
        symlink(release, folder.join("new"))?;
        Ok(fs::rename(folder.join("new"), folder.join("current"))?)
    };
    let both = bundle(&[&hosts.alpha_authority, &hosts.beta_authority]);
    put(0, "ci:one\nold:two\n", &both)?;
    fs::remove_file(&users)?;
    symlink("current/users", users)?;
    run.upstream_ca = Some(folder.join("current/roots.pem"));
    let gateway = run.start()?;
    let [kept, revoked] = ["ci:one", "old:two"].map(|user| gateway.client().with_credentials(user));
    let (alpha, beta) = (hosts.url(ALPHA, "/"), hosts.url(BETA, "/"));
    assert_eq!((status(&kept, &alpha)?, status(&revoked, &alpha)?, status(&kept, &beta)?), (200, 200, 200));
    put(1, "ci:one\n", hosts.alpha_authority.pem())?;
    Deadline::seconds(10).poll_eq("the refusal of who is not listed", &407, || status(&revoked, &alpha))?;
    Deadline::seconds(10).poll_eq("the refusal of the other root", &503, || status(&kept, &beta))?;
    assert_eq!(status(&kept, &alpha)?, 200);
    Ok(())
}

#[test]
fn a_policy_that_is_named_from_the_working_directory_is_the_one_at_its_path() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(&EnvoyBinary::newest()?, &hosts, "")?;
    let folder = run.policy().parent().context("no folder")?.to_owned();
    let allowing = release(&folder, 0, &hosts.policy())?;
    run.working_directory = Some(allowing.clone());
    let gateway = run.start()?;
    let (client, beta) = (gateway.client(), hosts.url(BETA, "/"));
    assert_eq!(status(&client, &beta)?, 200);
    // The process keeps its working directory, which has another path now.
    let denying = release(&folder, 1, &without(&hosts, BETA))?;
    renameat_with(CWD, &denying, CWD, &allowing, RenameFlags::EXCHANGE)?;
    Deadline::seconds(10).poll_eq("the refusal after the exchange", &403, || status(&client, &beta))?;
    fs::remove_dir_all(&denying)?;
    fs::remove_dir_all(&allowing)?;
    release(&folder, 0, &hosts.policy())?;
    Deadline::seconds(10).poll_eq("the answer of the folder made again", &200, || status(&client, &beta))
}

#[test]
fn a_policy_from_standard_input_stays_and_the_files_beside_it_are_watched() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(&EnvoyBinary::newest()?, &hosts, "")?;
    let folder = run.policy().parent().context("no folder")?.to_owned();
    fs::remove_file(run.policy())?;
    let allow = |allowed: bool| format!("package p\ndefault allow := {allowed}\n");
    fs::write(folder.join("all.rego"), allow(true))?;
    let policy = format!("rego: {{policy: all.rego, query: data.p.allow}}\n{}", hosts.policy());
    fs::write(folder.join("document"), policy)?;
    run.standard_input = Some(folder.join("document"));
    let gateway = run.start()?;
    let (client, beta) = (gateway.client(), hosts.url(BETA, "/"));
    assert_eq!(status(&client, &beta)?, 200);
    fs::write(folder.join("-"), "allowed_domains: []\n")?;
    fs::write(folder.join("all.rego"), allow(false))?;
    Deadline::seconds(20).poll_eq("the refusal by the edited file", &403, || status(&client, &beta))?;
    ensure!(!gateway.stderr().contains("last good policy"), "{}", gateway.stderr());
    Ok(())
}

/// The share of a processor that an idle run may use to watch its files.
const IDLE_SHARE: f64 = 0.01;

#[test]
fn an_idle_run_takes_next_to_no_processor() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let (run, _) = behind_links(&EnvoyBinary::newest()?, &hosts)?;
    let gateway: RunningGateway = run.start()?;
    let window = Duration::from_secs(10);
    // Weir looks once more at a file that it loaded just after a write.
    std::thread::sleep(window / 2);
    let (before, begun) = (gateway.id().cpu()?, Instant::now());
    std::thread::sleep(window);
    let share = (gateway.id().cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("share of a processor when idle: {share:.5}");
    assert!(share < IDLE_SHARE, "{share}");
    Ok(())
}

on_oldest_and_newest_envoy!(
    another_file_is_in_force_within_seconds_whatever_way_it_comes,
    half_a_policy_is_never_in_force,
    a_policy_that_is_gone_is_said_and_so_is_its_return,
    roots_and_credentials_behind_links_are_in_force_within_seconds,
);
