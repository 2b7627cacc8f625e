//! nginx, from the system's own package, with the same files over TLS.

use super::client::Client;
use super::shelf::Served;
use anyhow::{Context as _, Result, ensure};
use rcgen::{CertificateParams, KeyPair};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// It, at work.
pub struct Nginx {
    child: Child,
    pub client: Client,
}

/// Starts it where it is installed.
pub fn start(folder: &Path, files: &[Served]) -> Result<Option<Nginx>> {
    if Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        return Ok(None);
    }
    let root = folder.join("nginx");
    fs::create_dir_all(root.join("www/content"))?;
    for file in files {
        let name = root.join("www/content").join(file.digest.to_string());
        fs::hard_link(&file.on_disk, name)?;
    }
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    fs::write(root.join("key.pem"), key.serialize_pem())?;
    fs::write(root.join("certificate.pem"), certificate.pem())?;
    // A port that was free a moment ago: nginx takes none by itself.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    fs::write(root.join("nginx.conf"), configuration(&root, address))?;
    let child = Command::new("nginx")
        .arg("-c")
        .arg(root.join("nginx.conf"))
        .arg("-e")
        .arg(root.join("error.log"))
        .spawn()
        .context("start nginx")?;
    let client = Client::new(certificate.der().clone(), address)?;
    let nginx = Nginx { child, client };
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(
            began.elapsed() < PATIENCE,
            "nginx does not listen; see {}",
            root.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Some(nginx))
}

fn configuration(root: &Path, address: SocketAddr) -> String {
    let root = root.display();
    format!(
        "daemon off;\nuser root;\nworker_processes auto;\npid {root}/pid;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n access_log off;\n sendfile on;\n tcp_nopush on;\n tcp_nodelay on;\n\
         keepalive_timeout 75;\n keepalive_requests 100000000;\n open_file_cache max=1000;\n\
         client_body_temp_path {root}/t1;\n proxy_temp_path {root}/t2;\n fastcgi_temp_path {root}/t3;\n\
         uwsgi_temp_path {root}/t4;\n scgi_temp_path {root}/t5;\n\
         server {{\n  listen {address} ssl;\n  root {root}/www;\n  ssl_certificate {root}/certificate.pem;\n\
         ssl_certificate_key {root}/key.pem;\n  ssl_protocols TLSv1.3;\n }}\n}}\n"
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers when it is told to end.
        let pid = i32::try_from(self.child.id()).unwrap_or_default();
        if let Some(pid) = rustix::process::Pid::from_raw(pid) {
            // One that ended by itself cannot be told any more.
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        drop(self.child.wait());
    }
}
