//! Other people's clients against our registry, and our client against theirs.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use loopline_image::registry::client::Platforms;
use loopline_image::store::Store;

use super::server::{Served, client, push};
use crate::support::{busybox, have, image, run, store};

/// A program that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

fn import_busybox(store: &Store, folder: &Path, name: &str) -> bool {
    let Some(root) = busybox(folder) else { return false };
    let mut bytes = Vec::new();
    let options = loopline_image::layer::PackOptions::default();
    loopline_image::layer::pack(&root, &options, &mut bytes).unwrap();
    drop(image(store, name, &bytes));
    true
}

#[test]
fn skopeo_pushes_and_pulls() {
    if !have(&["skopeo", "umoci"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    if !import_busybox(&store, scratch.path(), "app:1") {
        return;
    }
    let served = Served::new(scratch.path());
    let (client, _) = client();
    let lease = store.lease().unwrap();
    let ours = served.name("team/app:ours");
    let pushed = push(&served.runtime, &client, &lease, "app:1", &ours);
    // What we pushed, skopeo sees and copies, and umoci unpacks.
    let policy = "--insecure-policy";
    let seen = run("skopeo", &["inspect", "--tls-verify=false", &format!("docker://{ours}")]);
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["Digest"], pushed.digest.as_str());
    let layout = scratch.path().join("layout");
    let to = format!("oci:{}:app", layout.display());
    let from = format!("docker://{ours}");
    run("skopeo", &["copy", policy, "--src-tls-verify=false", &from, &to]);
    let bundle = scratch.path().join("bundle");
    let at = format!("{}:app", layout.display());
    run("umoci", &["unpack", "--image", &at, bundle.to_str().unwrap()]);
    assert!(bundle.join("rootfs/bin/busybox").exists());
    assert_eq!(fs_err::read_link(bundle.join("rootfs/bin/sh")).unwrap(), Path::new("busybox"));
    // What skopeo pushes, we pull; in Docker's format, which it makes of ours.
    for (tag, format) in [("oci", "oci"), ("docker", "v2s2")] {
        let theirs = served.name(&format!("theirs/app:{tag}"));
        let to = format!("docker://{theirs}");
        let from = format!("oci:{at}");
        run("skopeo", &["copy", policy, "--dest-tls-verify=false", "--format", format, &from, &to]);
        let other = Store::open(scratch.path().join(tag), loopline_clock::Clock::real()).unwrap();
        let lease = Arc::new(other.lease().unwrap());
        let name = theirs.parse().unwrap();
        let pulling = client.pull(&other, &name, &Platforms::All, &lease);
        served.runtime.block_on(pulling).unwrap();
        let snapshot = other.snapshot(&name, None).unwrap();
        assert!(snapshot.lower_directories().any(|it| it.join("bin/busybox").exists()));
    }
    let tags = run(
        "skopeo",
        &["list-tags", "--tls-verify=false", &format!("docker://{}", served.name("theirs/app"))],
    );
    let tags: serde_json::Value = serde_json::from_str(&tags).unwrap();
    assert_eq!(tags["Tags"], serde_json::json!(["docker", "oci"]));
    run(
        "skopeo",
        &["delete", "--tls-verify=false", &format!("docker://{}", served.name("theirs/app:oci"))],
    );
}

#[test]
fn our_client_and_debians_registry() {
    if !have(&["docker-registry"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    if !import_busybox(&store, scratch.path(), "app:1") {
        return;
    }
    // A free port; nobody else takes it in so short a time, or the test says so.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = scratch.path().join("config.yml");
    let data = scratch.path().join("docker-registry");
    let text = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, \
         delete: {{ enabled: true }} }}\nhttp: {{ addr: {address}, secret: s }}\n",
        data.display()
    );
    fs_err::write(&config, text).unwrap();
    let child = Command::new("docker-registry")
        .args(["serve", config.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(running.0.try_wait().unwrap().is_none(), "docker-registry did not start");
        std::thread::yield_now();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (client, told) = client();
    let lease = Arc::new(store.lease().unwrap());
    let remote = format!("{address}/team/app:1").parse().unwrap();
    let local = "app:1".parse().unwrap();
    let pushed = runtime.block_on(client.push(&store, &local, &remote, &lease)).unwrap();
    assert_eq!(pushed.blobs, 2, "{told:?}");
    let descriptor = store.look_up(&local).unwrap().unwrap();
    store.set(&remote, &descriptor, &lease).unwrap();
    let second = format!("{address}/team/second:1").parse().unwrap();
    let mounted = runtime.block_on(client.push(&store, &local, &second, &lease)).unwrap();
    assert_eq!((mounted.blobs, mounted.mounted), (0, 2));
    // Larger than one request's worth: it goes in pieces.
    let mut seed = 7_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(40 << 20)
    .collect();
    let folder = scratch.path().join("noise");
    fs_err::create_dir(&folder).unwrap();
    fs_err::write(folder.join("noise"), &noise).unwrap();
    let options = loopline_image::layer::PackOptions {
        compression: loopline_image::layer::Compression::None,
        ..Default::default()
    };
    let layer = lease.pack(&folder, &options).unwrap();
    let configuration = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] } });
    let image = lease.write_image(&configuration, vec![layer.descriptor]).unwrap();
    let large = format!("{address}/team/large:1").parse().unwrap();
    store.set(&large, &image, &lease).unwrap();
    runtime.block_on(client.push(&store, &large, &large, &lease)).unwrap();
    let other = Store::open(scratch.path().join("other"), loopline_clock::Clock::real()).unwrap();
    let lease = Arc::new(other.lease().unwrap());
    for name in [&remote, &large] {
        runtime.block_on(client.pull(&other, name, &Platforms::All, &lease)).unwrap();
        let found = other.snapshot(name, None).unwrap();
        assert!(!found.layers.is_empty());
    }
    let snapshot = other.snapshot(&large, None).unwrap();
    assert!(fs_err::read(snapshot.layers[0].join("noise")).unwrap() == noise);
}

#[test]
fn podman_pushes_and_pulls() {
    if !have(&["podman"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    if !import_busybox(&store, scratch.path(), "app:1") {
        return;
    }
    let served = Served::new(scratch.path());
    let (client, _) = client();
    let lease = store.lease().unwrap();
    let ours = served.name("team/app:ours");
    push(&served.runtime, &client, &lease, "app:1", &ours);
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (root, state) = (at("storage"), at("state"));
    let podman = |arguments: &[&str]| {
        let mut all = vec!["--root", &root, "--runroot", &state, "--storage-driver", "vfs"];
        all.extend(arguments);
        run("podman", &all)
    };
    podman(&["pull", "--quiet", "--tls-verify=false", &ours]);
    let theirs = served.name("theirs/app:podman");
    podman(&["push", "--quiet", "--tls-verify=false", &ours, &theirs]);
    let lease = Arc::new(store.lease().unwrap());
    let name = theirs.parse().unwrap();
    served.runtime.block_on(client.pull(&store, &name, &Platforms::All, &lease)).unwrap();
    let snapshot = store.snapshot(&name, None).unwrap();
    assert!(snapshot.lower_directories().any(|it| it.join("bin/busybox").exists()));
}
