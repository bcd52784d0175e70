//! Set-up of this machine for the build, the tests and the demo. Each part installs only missing things, so that a
//! second run does nothing.

pub(crate) mod debian_package;
pub(crate) mod envoy;
pub(crate) mod opa;
pub(crate) mod wasm_target;

use anyhow::Result;

use crate::step::step;
use debian_package::Program;
use wasm_target::WasmTarget;

const NGINX: Program = Program { name: "nginx", package: "nginx-light" };
const CURL: Program = Program { name: "curl", package: "curl" };
const OPENSSL: Program = Program { name: "openssl", package: "openssl" };
const GIT: Program = Program { name: "git", package: "git" };

/// Servers that read paths in their own way.
const SERVERS: [Program; 4] = [
    Program { name: "node", package: "nodejs" },
    Program { name: "go", package: "golang-go" },
    // A source is launched by the compiler's module of it.
    Program { name: "javac", package: "default-jdk-headless" },
    Program { name: "php", package: "php-cli" },
];

const NFT: Program = Program { name: "nft", package: "nftables" };
const IP: Program = Program { name: "ip", package: "iproute2" };

/// Sets up everything for all of `cargo xtask`.
pub(crate) fn everything() -> Result<WasmTarget> {
    step("set-up", || {
        let target = wasm_target::ensure()?;
        envoy::ensure_all_pinned()?;
        debian_package::ensure(&[NGINX, CURL, OPENSSL, GIT, NFT, IP])?;
        debian_package::ensure(&SERVERS)?;
        opa::ensure()?;
        Ok(target)
    })
}

/// Sets up everything, and the Envoys that only the TLS matrix runs on.
pub(crate) fn for_the_matrix() -> Result<WasmTarget> {
    let target = everything()?;
    step("set-up of the matrix", envoy::ensure_those_of_the_matrix)?;
    Ok(target)
}

/// Programs that only the table of programs runs.
const TABLE: [Program; 7] = [
    Program { name: "wget", package: "wget" },
    Program { name: "npm", package: "npm" },
    Program { name: "ruby", package: "ruby" },
    Program { name: "mvn", package: "maven" },
    Program { name: "gh", package: "gh" },
    Program { name: "chromium", package: "chromium" },
    Program { name: "certutil", package: "libnss3-tools" },
];

/// Packages without a program that only the table of programs needs.
const TABLE_LIBRARIES: [&str; 4] = ["python3-venv", "php-curl", "libwww-perl", "liblwp-protocol-https-perl"];

/// Sets up everything, and the system packages of the table of programs.
pub(crate) fn for_the_programs() -> Result<WasmTarget> {
    let target = everything()?;
    step("set-up of the programs", || {
        debian_package::ensure(&TABLE)?;
        if debian_package::is_debian() && !debian_package::are_installed(&TABLE_LIBRARIES) {
            debian_package::install(&TABLE_LIBRARIES)?;
        }
        Ok(())
    })?;
    Ok(target)
}

/// Sets up the demo, and returns the Envoy that it should use.
pub(crate) fn for_the_demo() -> Result<(WasmTarget, envoy::Chosen)> {
    step("set-up", || {
        let target = wasm_target::ensure()?;
        let envoy = envoy::choose()?;
        debian_package::ensure(&[NGINX, CURL])?;
        Ok((target, envoy))
    })
}

/// Sets up what the filter needs to compile.
pub(crate) fn wasm_target() -> Result<WasmTarget> {
    step("set-up", wasm_target::ensure)
}
