//! `cargo xtask bench images`: layers beside tar and zstd, the registry beside Debian's.
//!
//! Contestants take turns and medians are shown, with the processor time of what is measured,
//! because wall time alone says little on a machine that has other work. What is not installed is
//! left out, and said. `layers` and `registries` can be measured by themselves.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should say where")]
#![expect(clippy::print_stdout, reason = "a benchmark's figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use loopline_clock::Clock;
use loopline_image::layer::{Compression, Form, PackOptions, UnpackOptions, pack, unpack};
use loopline_image::registry::client::{Client, DockerConfig, Options as ClientOptions, Platforms};
use loopline_image::registry::server::{Listener, Options, Registry, serve};
use loopline_image::store::Store;
use loopline_image::tar::Bounds;
use loopline_tls::{Trust, client_config};

/// How often each contestant runs.
const ROUNDS: usize = 3;
/// The layer: so many large and so many small files.
const LARGE_FILES: usize = 16;
const LARGE_BYTES: usize = 50 << 20;
const SMALL_FILES: usize = 20_000;
const SMALL_BYTES: usize = 10 << 10;
/// The blob that goes through a registry.
const BLOB_BYTES: usize = 200_000_000;

/// What one run took: wall time and processor time, in seconds.
#[derive(Clone, Copy)]
struct Taken {
    wall: f64,
    cpu: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|it| it == "--serve") {
        return serve_here(Path::new(&arguments[at + 1]));
    }
    let scratch = tempfile::tempdir().unwrap();
    println!("load {}", load());
    // Cargo adds options of its own, which begin with dashes.
    let parts: Vec<&str> =
        arguments[1..].iter().map(String::as_str).filter(|it| !it.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    if wanted("layers") {
        layers(scratch.path());
    }
    if wanted("registries") {
        registries(scratch.path());
    }
    println!("load {}", load());
}

fn load() -> String {
    fs_err::read_to_string("/proc/loadavg")
        .unwrap()
        .split(' ')
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A name, and what is run under it.
type Contestant<'a> = (&'a str, Box<dyn FnMut() -> Taken + 'a>);

/// Runs contestants in turns and prints their medians.
fn compare(title: &str, bytes: usize, contestants: &mut [Contestant<'_>]) {
    let mut taken: Vec<Vec<Taken>> = contestants.iter().map(|_| Vec::new()).collect();
    // Gzip takes as long as everything else together.
    let rounds = if title.contains("gzip") { 1 } else { ROUNDS };
    for _ in 0..rounds {
        for (index, (_, run)) in contestants.iter_mut().enumerate() {
            taken[index].push(run());
        }
    }
    for ((name, _), mut taken) in contestants.iter().zip(taken) {
        taken.sort_by(|a, b| a.wall.total_cmp(&b.wall));
        let cpu = {
            let mut cpu: Vec<f64> = taken.iter().map(|it| it.cpu).collect();
            cpu.sort_by(f64::total_cmp);
            cpu[cpu.len() / 2]
        };
        let wall = taken[taken.len() / 2].wall;
        let rate = bytes as f64 / 1e6 / wall;
        println!("| {title} | {name} | {wall:.2} s | {rate:.0} MB/s | {cpu:.2} s cpu |");
    }
}

/// Returns the processor time of a process and of its children that ended, in seconds.
fn cpu_of(pid: &str) -> f64 {
    let text = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = text.rsplit_once(')').unwrap().1;
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(4).map(|it| it.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

fn timed(run: impl FnOnce()) -> Taken {
    let before = cpu_of("self");
    let started = Instant::now();
    run();
    Taken { wall: started.elapsed().as_secs_f64(), cpu: cpu_of("self") - before }
}

fn program(program: &str, arguments: &[&str]) -> Taken {
    timed(|| {
        let status = Command::new(program).args(arguments).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    })
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !found {
        println!("{program} is not installed: left out");
    }
    found
}

/// Words in a random order: they compress about as well as programs and texts do.
fn words(seed: &mut u64, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 32);
    while text.len() < bytes {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = *seed >> 33;
        write!(text, "{:x} {} ", number % 5000, number % 700).unwrap();
    }
    text.truncate(bytes);
    text
}

fn layers(scratch: &Path) {
    let folder = scratch.join("layer");
    fs_err::create_dir(&folder).unwrap();
    let mut seed = 1;
    for index in 0..LARGE_FILES {
        let text = words(&mut seed, LARGE_BYTES);
        fs_err::write(folder.join(format!("large-{index}")), text).unwrap();
    }
    for index in 0..SMALL_FILES {
        let place = folder.join(format!("d{}", index % 200));
        if index < 200 {
            fs_err::create_dir(&place).unwrap();
        }
        fs_err::write(place.join(index.to_string()), words(&mut seed, SMALL_BYTES)).unwrap();
    }
    let bytes = LARGE_FILES * LARGE_BYTES + SMALL_FILES * SMALL_BYTES;
    let at = |name: &str| scratch.join(name);
    let from = folder.to_str().unwrap();
    let has_tar = is_installed("tar") && is_installed("zstd");
    for (title, compression, option, name) in [
        ("pack, zstd", Compression::Zstd, "--zstd", "layer.tar.zst"),
        ("pack, gzip", Compression::Gzip, "--gzip", "layer.tar.gz"),
    ] {
        let (ours, theirs) = (at(name), at(&format!("theirs.{name}")));
        let mut contestants: Vec<Contestant<'_>> = vec![(
            "loopline, both digests known",
            Box::new(|| {
                timed(|| {
                    let output = fs_err::File::create(&ours).unwrap();
                    let options = PackOptions { compression, ..PackOptions::default() };
                    pack(&folder, &options, output).unwrap();
                })
            }),
        )];
        if has_tar {
            let file = theirs.to_str().unwrap();
            contestants.push((
                "tar",
                Box::new(move || program("tar", &["-C", from, option, "-cf", file, "."])),
            ));
        }
        compare(title, bytes, &mut contestants);
    }
    let into = at("out");
    let clean = || {
        if into.exists() {
            fs_err::remove_dir_all(&into).unwrap();
        }
        fs_err::create_dir(&into).unwrap();
    };
    for (title, option, name) in
        [("unpack, zstd", "--zstd", "layer.tar.zst"), ("unpack, gzip", "--gzip", "layer.tar.gz")]
    {
        let file = at(name);
        let mut contestants: Vec<Contestant<'_>> = vec![(
            "loopline, digest checked",
            Box::new(|| {
                clean();
                timed(|| {
                    let form = Form::of(&into).unwrap();
                    let options = UnpackOptions { form, bounds: Bounds::default() };
                    unpack(fs_err::File::open(&file).unwrap(), &into, &options).unwrap();
                })
            }),
        )];
        if has_tar {
            let (file, into) = (file.to_str().unwrap(), into.to_str().unwrap());
            contestants.push((
                "tar",
                Box::new(move || {
                    clean();
                    program("tar", &["-C", into, option, "-xpf", file])
                }),
            ));
        }
        compare(title, bytes, &mut contestants);
    }
    fs_err::remove_dir_all(&into).unwrap();
    fs_err::remove_dir_all(&folder).unwrap();
}

/// A registry in a process of its own.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn cpu(&self) -> f64 {
        cpu_of(&self.child.id().to_string())
    }

    fn peak_mb(&self) -> f64 {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn serve_here(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(folder, Clock::real()).unwrap();
        let options = Options { store, users: None, anonymous_pull: false, upstream: None };
        let registry = Registry::new(options).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        println!("{}", listener.address());
        serve(registry, listener).await;
    });
}

fn ours(scratch: &Path) -> Served {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("--serve")
        .arg(scratch.join("served"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    Served { child, address: address.trim().to_owned() }
}

fn debians(scratch: &Path) -> Served {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let config = scratch.join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
         http: {{ addr: \"{address}\", secret: s }}\n",
        scratch.join("debian").display()
    );
    fs_err::write(&config, text).unwrap();
    let child = Command::new("docker-registry")
        .args(["serve", config.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while std::net::TcpStream::connect(&address).is_err() {
        std::thread::yield_now();
    }
    Served { child, address }
}

fn registries(scratch: &Path) {
    let mut served = vec![("loopline", ours(scratch))];
    if is_installed("docker-registry") {
        served.push(("docker-registry", debians(scratch)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let client = Client::new(ClientOptions {
        tls: Arc::new(client_config(Trust::Machine).unwrap()),
        credentials: Arc::new(DockerConfig::none()),
        mirrors: Vec::new(),
        insecure: Vec::new(),
        progress: Arc::new(|_| {}),
    });
    let store = Store::open(scratch.join("images"), Clock::real()).unwrap();
    let mut seed = 7_u64;
    let mut round = 0;
    // Each push is of a blob that the registry has never seen.
    let mut fresh = |lease: &loopline_image::store::Lease| {
        round += 1;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 32) as u32
        })
        .take(BLOB_BYTES / 4)
        .flat_map(u32::to_le_bytes)
        .collect();
        let blob = lease.put(&noise).unwrap();
        let layer = serde_json::from_value(serde_json::json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": blob.digest,
            "size": blob.size,
        }));
        let configuration = serde_json::json!({ "architecture": "amd64", "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [blob.digest] } });
        let image = lease.write_image(&configuration, vec![layer.unwrap()]).unwrap();
        let name = format!("bench:{round}").parse().unwrap();
        store.set(&name, &image, lease).unwrap();
        name
    };
    let mut pushes: Vec<Vec<(f64, f64)>> = vec![Vec::new(); served.len()];
    let mut pulls = pushes.clone();
    for _ in 0..ROUNDS {
        for (index, (_, registry)) in served.iter().enumerate() {
            let lease = store.lease().unwrap();
            let local = fresh(&lease);
            let remote = format!("{}/bench:{}", registry.address, local.tag().unwrap());
            let remote = remote.parse().unwrap();
            let (before, started) = (registry.cpu(), Instant::now());
            runtime.block_on(client.push(&store, &local, &remote, &lease)).unwrap();
            pushes[index].push((started.elapsed().as_secs_f64(), registry.cpu() - before));
            let folder = scratch.join("pulled");
            let pulled = Store::open(&folder, Clock::real()).unwrap();
            let lease = Arc::new(pulled.lease().unwrap());
            let (before, started) = (registry.cpu(), Instant::now());
            let pulling = client.pull(&pulled, &remote, &Platforms::All, &lease);
            runtime.block_on(pulling).unwrap();
            pulls[index].push((started.elapsed().as_secs_f64(), registry.cpu() - before));
            drop(lease);
            fs_err::remove_dir_all(folder).unwrap();
        }
    }
    for (title, all) in [("push 200 MB", pushes), ("pull 200 MB, verified and kept", pulls)] {
        for ((name, _), mut taken) in served.iter().zip(all) {
            taken.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (wall, cpu) = taken[taken.len() / 2];
            let rate = BLOB_BYTES as f64 / 1e6;
            println!(
                "| {title} | {name} | {wall:.2} s | {:.0} MB/s | {cpu:.2} s cpu of the registry, {:.0} MB per cpu second |",
                rate / wall,
                rate / cpu.max(0.01)
            );
        }
    }
    for (name, registry) in &served {
        println!("| memory of the registry | {name} | {:.0} MB |", registry.peak_mb());
    }
}
