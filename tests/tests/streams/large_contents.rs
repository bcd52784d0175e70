//! Large contents arrive byte for byte, and Envoy keeps little of them in memory.

use std::fs;

use anyhow::{Context, Result};
use e2e::{EnvoyBinary, Head, Wire};
use tempfile::TempDir;

use super::curl::Curl;
use super::pattern::{self, Pattern};
use super::{MIB, OVER_TLS, VERSIONS, pairs, start};

fn sixty_four_mebibytes_come_down_byte_for_byte(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy, &OVER_TLS, || {
        |_: &Head, wire: &mut Wire| {
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 64 * MIB))?;
            Pattern::new(64 * MIB).try_for_each(|block| wire.write(block))
        }
    })?;
    let folder = TempDir::new()?;
    for (origin, version) in pairs(&origins) {
        let file = folder.path().join("content");
        let arguments = [version, "--output", file.to_str().context("the path is not UTF-8")?];
        Curl::new(&gateway)?.args(arguments).start(&origin.url("/"))?.succeed()?;
        let content = fs::read(&file)?;
        assert_eq!(content.len() as u64, 64 * MIB);
        assert!(content.chunks(pattern::BLOCK).eq(Pattern::new(64 * MIB)), "{version}: other bytes");
    }
    Ok(())
}

fn sixty_four_mebibytes_go_up_byte_for_byte(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy, &OVER_TLS, || {
        |head: &Head, wire: &mut Wire| {
            let mut content = Vec::new();
            wire.read_content(head, |piece| content.extend_from_slice(piece))?;
            let same = content.chunks(pattern::BLOCK).eq(Pattern::new(64 * MIB));
            let said = format!("{} bytes, {}\n", content.len(), if same { "the same" } else { "others" });
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len()))
        }
    })?;
    let folder = TempDir::new()?;
    let file = folder.path().join("content");
    fs::write(&file, Pattern::new(64 * MIB).flatten().collect::<Vec<u8>>())?;
    for (origin, version) in pairs(&origins) {
        let arguments = [version, "--upload-file", file.to_str().context("the path is not UTF-8")?];
        let mut curl = Curl::new(&gateway)?.args(arguments).start(&origin.url("/"))?;
        curl.wait_line(&format!("{} bytes, the same", 64 * MIB))?;
        curl.succeed()?;
    }
    Ok(())
}

fn a_gibibyte_each_way_takes_little_memory(envoy: &EnvoyBinary) -> Result<()> {
    const LENGTH: u64 = 1024 * MIB;
    const MOST: u64 = 32 * MIB;
    let (_hosts, origins, gateway) = start(envoy, &OVER_TLS, || {
        |head: &Head, wire: &mut Wire| {
            let mut length = 0;
            wire.read_content(head, |piece| length += piece.len() as u64)?;
            if length == LENGTH {
                return wire.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n"))?;
            Pattern::new(LENGTH).try_for_each(|block| wire.write(block))
        }
    })?;
    let folder = TempDir::new()?;
    let file = folder.path().join("content");
    // A file with a hole takes no space on the disk.
    fs::File::create(&file)?.set_len(LENGTH)?;
    let id = gateway.envoy()?;
    for (origin, version) in origins.iter().zip(VERSIONS) {
        let before = id.peak_memory()?;
        let upload =
            ["--upload-file", file.to_str().context("the path is not UTF-8")?, "--header", "expect:"];
        for (upload, up, down) in [(upload.as_slice(), LENGTH, 0), (&[], 0, LENGTH)] {
            let said = ["--output", "/dev/null", "--write-out", "%{size_upload} %{size_download}\\n"];
            let curl = Curl::new(&gateway)?.args([version, "--max-time", "300"]);
            let mut curl = curl.args(said).args(upload.iter().copied()).start(&origin.url("/"))?;
            curl.succeed_within(300)?;
            curl.wait_line(&format!("{up} {down}"))?;
        }
        let grown = id.peak_memory()?.saturating_sub(before);
        assert!(grown < MOST, "{version}: {} MiB more", grown / MIB);
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    sixty_four_mebibytes_come_down_byte_for_byte,
    sixty_four_mebibytes_go_up_byte_for_byte,
);
mod gibibyte {
    use super::a_gibibyte_each_way_takes_little_memory;

    on_newest_envoy!(a_gibibyte_each_way_takes_little_memory);
}
