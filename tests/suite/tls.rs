//! TLS to a server, to sentinels, to the nodes of a cluster: `watch`, `sale` and `replay` speak it, and check
//! certificates. On servers without TLS these tests are ignored, and the summary of the run counts them as such.

use std::fs;

use crate::common::ways::{
    FOLLOWED, Sentinel, completed, free_port, join, names_of, pause_writes, replay, server_of, wait_for_promotion,
    watch,
};
use crate::common::{Client, DEADLINE, Server, ServerBinary, console, tests, wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

tests![
    tls_is_spoken_and_certificates_are_checked,
    sentinels_and_their_servers_speak_tls,
    a_cluster_speaks_nothing_but_tls,
];

/// A short sale.
const SALE: [&str; 7] = ["sale", "--duration", "6", "--units", "30", "--watch", "off"];

/// An authority, and the certificates that it made, as files.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Certificates {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).expect("written");
        let named = |name: &str, hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            let mut params = CertificateParams::new(hosts).expect("names");
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut params = named("an authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().expect("a key"));
        let authority = authority.expect("an authority");
        write("ca.pem", authority.pem());
        let other = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        write("other.pem", other.pem());
        for name in ["server", "client"] {
            let key = KeyPair::generate().expect("a key");
            let params = named(name, &["localhost", "127.0.0.1"]);
            write(&format!("{name}.pem"), params.signed_by(&key, &authority).expect("signed").pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Certificates { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("a path").to_string()
    }

    /// The configuration of a server, or a sentinel, that speaks TLS at this port, and asks for a certificate.
    fn config(&self, port: u16) -> String {
        let [ca, cert, key] = ["ca.pem", "server.pem", "server.key"].map(|name| self.path(name));
        format!(
            "tls-port {port}\ntls-ca-cert-file {ca}\ntls-cert-file {cert}\ntls-key-file {key}\ntls-auth-clients yes",
        )
    }

    /// The options of who has a certificate, and trusts the authority.
    fn options(&self, url: &str) -> Vec<String> {
        let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| self.path(name));
        ["--url", url, "--cacert", &ca, "--cert", &cert, "--key", &key].map(str::to_string).to_vec()
    }
}

fn tls_is_spoken_and_certificates_are_checked(binary: &ServerBinary) {
    let (certificates, port) = (Certificates::make(), free_port());
    let server = Server::with(binary, &[&certificates.config(port)]);
    server.client().int("INV.SET popup sku-1 10");
    let url = format!("rediss://127.0.0.1:{port}");
    let [ca, cert, key, other] =
        ["ca.pem", "client.pem", "client.key", "other.pem"].map(|name| certificates.path(name));
    let ours = ["--url", &url, "--cert", &cert, "--key", &key];
    let trusting = [&ours[..], &["--cacert", &ca]].concat();
    let watcher = watch(binary, &trusting, &[]);
    watcher.wait_for("the store is found over TLS", "popup", |_| true);
    assert_eq!(server_of(&watcher)["url"], url);
    watch(binary, &[&ours[..], &["--insecure"]].concat(), &[]).wait_for("any certificate will do", "popup", |_| true);
    replay(binary, "tls", &trusting, &[]);
    console::holdfast(binary, &[&SALE[..], &["--store", "sale"], &trusting].concat()).assert_success();
    for wrong in [
        // Another authority; that of the system; no certificate of our own.
        &[&ours[..], &["--cacert", &other]].concat()[..],
        &ours,
        &["--url", &url, "--cacert", &ca],
    ] {
        let watcher = watch(binary, wrong, &[]);
        wait_until(DEADLINE, "it says why not", || {
            let error = server_of(&watcher)["error"].as_str().unwrap_or("connecting").to_string();
            error != "connecting"
        });
        assert_eq!(server_of(&watcher)["connected"], false, "{wrong:?}");
    }
    let plain = console::holdfast(binary, &["watch", "--url", "redis://localhost:1", "--insecure"]);
    assert!(plain.code != Some(0) && plain.stderr.contains("rediss://"), "{}", plain.stderr);
}

/// These, as arguments.
fn args(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// Sentinels say where the servers speak TLS: nothing else could be said there.
fn sentinels_and_their_servers_speak_tls(binary: &ServerBinary) {
    let certificates = Certificates::make();
    let [first, second, sentinels] = [(); 3].map(|()| free_port());
    let config = |port| certificates.config(port) + "\ntls-replication yes";
    let primary = Server::with(binary, &[&config(first)]);
    let replica = Server::with(binary, &[&config(second), &format!("replicaof 127.0.0.1 {first}")]);
    replica.wait_for_link();
    let more = format!("{}\nsentinel down-after-milliseconds shop 2000", config(sentinels));
    let sentinel = Sentinel::at(binary, first, &more);
    sentinel.wait_for("1");
    let url = format!("rediss-sentinel://localhost:1,127.0.0.1:{sentinels}/shop");
    let options = certificates.options(&url);
    let options = args(&options);
    let watcher = watch(binary, &options, &[]);
    replay(binary, "retail", &options, &[]);
    watcher.wait_for("the store is found", "retail", |_| true);
    assert_eq!(server_of(&watcher)["url"], url);
    // Any certificate will do, and our own is shown all the same.
    let insecure: Vec<&str> =
        options.iter().map(|option| if *option == "--cacert" { "--insecure" } else { option }).collect();
    let insecure: Vec<&str> = insecure.into_iter().filter(|option| !option.ends_with("ca.pem")).collect();
    watch(binary, &insecure, &[]).wait_for("the store is found", "retail", |_| true);
    // Few who connect: a handshake takes its time.
    let sale = ["sale", "--duration", "15", "--units", "150", "--workers", "2", "--watch", "off"];
    let sale = [&sale[..], &options].concat();
    let sale = console::start(binary, &sale, &std::env::temp_dir());
    wait_until(DEADLINE, "the sale goes on", || completed(primary.port(), "popup") > 10);
    pause_writes(&primary, &[&replica]);
    let sold = completed(primary.port(), "popup");
    sentinel.fail_over();
    wait_for_promotion(&replica);
    replica.client().ok("CONFIG SET holdfast.sample-ms 100");
    wait_until(FOLLOWED, "the sale goes on there", || completed(replica.port(), "popup") > sold);
    watcher.wait_for("the page shows it", "popup", |line| line["metrics"]["completed"].as_i64() > Some(sold));
    sale.wait().assert_success();
}

fn a_cluster_speaks_nothing_but_tls(binary: &ServerBinary) {
    let certificates = Certificates::make();
    let ports = [(); 2].map(|()| free_port());
    let config = |port| certificates.config(port) + "\ntls-cluster yes";
    let nodes = ports.map(|port| Server::cluster_node_with(binary, &[&config(port)]));
    join(&nodes, ports[1]);
    let stores = names_of(&nodes[0]);
    for (node, store) in nodes.iter().zip(&stores) {
        let mut client = node.client();
        client.int(format!("INV.SET {store} sku-1 10"));
        client.ok("CONFIG SET port 0");
        wait_until(DEADLINE, "only TLS is spoken", || Client::connect(node.port()).is_err());
    }
    let options = certificates.options(&format!("rediss://127.0.0.1:{}", ports[0]));
    let options = args(&options);
    let watcher = watch(binary, &options, &[]);
    for (number, store) in stores.iter().enumerate() {
        let line = watcher.wait_for("the store is found, with its node", store, |line| line["node"].is_string());
        assert_eq!(line["node"], format!("127.0.0.1:{}", ports[number]));
        replay(binary, &format!("{{{store}}}-retail"), &options, &[]);
        let sale = format!("{{{store}}}-sale");
        console::holdfast(binary, &[&SALE[..], &["--store", &sale], &options].concat()).assert_success();
        watcher.wait_for("the sale is on the page", &id_of(&sale), |line| line["node"].is_string());
    }
    assert_eq!(server_of(&watcher)["nodes"].as_array().map(Vec::len), Some(2));
}

/// A key as the page's API has it.
fn id_of(key: &str) -> String {
    key.replace('{', "%7B").replace('}', "%7D")
}
