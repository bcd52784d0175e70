//! nginx as the origin's front: TLS and h2 outside, HTTP/1.1 inside, without buffering.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Result, bail};

use crate::{Deadline, Process, require_program};

#[derive(Debug)]
pub(super) struct Http2Front {
    process: Process,
    address: SocketAddr,
}

impl Http2Front {
    /// Starts nginx in `directory`, which holds `origin.crt` and `origin.key`.
    pub(super) fn start(directory: &Path, origin: SocketAddr) -> Result<Self> {
        // nginx cannot listen on port 0, so it inherits a socket that is already bound.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let configuration = directory.join("nginx.conf");
        fs::write(&configuration, configure(address, origin))?;
        let mut command = Process::command(require_program("nginx")?);
        command.arg("-p").arg(directory).arg("-c").arg(&configuration).args(["-e", "stderr"]);
        let process = Process::start("nginx", command.env("NGINX", "0;").stdin(OwnedFd::from(listener)))?;
        let mut front = Self { process, address };
        front.wait_until_ready(&directory.join("nginx.pid"))?;
        Ok(front)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_ready(&mut self, pid: &Path) -> Result<()> {
        let process = &mut self.process;
        Deadline::seconds(20).poll("start of nginx", || {
            if let Some(status) = process.ended()? {
                bail!("nginx ended with {status}:\n{}", process.stderr().text());
            }
            Ok(pid.exists().then_some(()))
        })
    }
}

fn configure(address: SocketAddr, origin: SocketAddr) -> String {
    // As root, nginx's workers would run as `nobody`, who may not read the temporary folder. Other users' nginx
    // ignores the line.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    format!(
        r#"
daemon off; worker_processes 1; pid nginx.pid; {user}
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  underscores_in_headers on; ignore_invalid_headers off;
  client_max_body_size 0;
  map $http_upgrade $connection_or_none {{ default upgrade; "" ""; }}
  server {{
    listen {address} ssl http2;
    ssl_certificate origin.crt;
    ssl_certificate_key origin.key;
    location / {{
      proxy_pass http://{origin};
      proxy_http_version 1.1;
      proxy_buffering off; proxy_request_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_or_none;
      proxy_set_header TE $http_te;
      proxy_set_header X-Front-Protocol $server_protocol;
      proxy_pass_header Server; proxy_pass_header Date;
      add_trailer X-Front-Trailer end;
    }}
  }}
}}
"#
    )
}
