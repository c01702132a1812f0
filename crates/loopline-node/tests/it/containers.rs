//! Containers by name: what an image and options make together.

use std::io::{Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopline_clock::Clock;
use loopline_image::archive::{ImportOptions, import};
use loopline_image::layer::Compression;
use loopline_image::platform::Platform;
use loopline_image::reference::Reference;
use loopline_image::store::Store;
use loopline_image::tar::{Entry, Kind, Writer};
use loopline_node::{Containers, NodeError, Options, Volume, VolumeSource};
use loopline_sandbox::{Container, Status};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A data folder with one image, `box:1`.
pub(crate) struct Machine {
    _scratch: TempDir,
    pub(crate) data: PathBuf,
    pub(crate) containers: Containers,
}

pub(crate) fn machine(config: &Value) -> Option<Machine> {
    let paths = ["/usr/bin/busybox", "/bin/busybox"].map(Path::new);
    let Some(busybox) = paths.into_iter().find(|it| it.exists()) else {
        println!("skipped: no busybox (apt-get install busybox-static)");
        return None;
    };
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().to_owned();
    let store = Store::open(data.join("images"), Clock::real()).unwrap();
    let lease = store.lease().unwrap();
    let archive = archive(&fs_err::read(busybox).unwrap());
    let options = ImportOptions {
        platform: Platform::of_this_machine(),
        compression: Compression::None,
        config: config.clone(),
        created: 0,
        comment: "a test".to_owned(),
    };
    let descriptor = import(archive.as_slice(), "box.tar", &options, &lease).unwrap();
    store.set(&"box:1".parse().unwrap(), &descriptor, &lease).unwrap();
    let containers = Containers::open(&data, store, Clock::real());
    Some(Machine { _scratch: scratch, data, containers })
}

fn archive(busybox: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut writer = Writer::new(&mut text);
    let mut add = |path: &str, kind: Kind, mode: u32, link: &str, content: &[u8]| {
        let entry =
            Entry { mode, link: link.into(), size: content.len() as u64, ..Entry::new(path, kind) };
        writer.append(&entry, content).unwrap();
    };
    for folder in ["bin/", "etc/", "data/", "data/below/"] {
        add(folder, Kind::Directory, 0o755, "", b"");
    }
    add("bin/busybox", Kind::File, 0o755, "", busybox);
    for name in [
        "sh", "cat", "id", "env", "ls", "sleep", "hostname", "touch", "pwd", "rm", "stat", "mkdir",
        "ln", "echo", "grep", "find",
    ] {
        add(&format!("bin/{name}"), Kind::Symlink, 0o777, "busybox", b"");
    }
    add(
        "etc/passwd",
        Kind::File,
        0o644,
        "",
        b"root:x:0:0::/root:/bin/sh\napp:x:10:20::/home:/bin/sh\n",
    );
    add("etc/group", Kind::File, 0o644, "", b"root:x:0:\n");
    add("data/below/file", Kind::File, 0o600, "", b"from the image");
    writer.finish().unwrap();
    text
}

impl Machine {
    /// Runs a container of the image to its end and returns its code and what it printed.
    pub(crate) fn run(&self, options: &Options) -> Result<(u8, String), NodeError> {
        self.run_image("box:1", options)
    }

    /// Runs a container of an image to its end.
    pub(crate) fn run_image(
        &self,
        image: &str,
        options: &Options,
    ) -> Result<(u8, String), NodeError> {
        let image: Reference = image.parse().unwrap();
        let found = self.containers.create(&image, options)?;
        let mut file = tempfile::tempfile().unwrap();
        let null = fs_err::File::open("/dev/null").unwrap();
        let streams = [null.as_fd(), file.as_fd(), file.as_fd()];
        let code = self.containers.start(&found, Some(streams))?.wait().unwrap().code;
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        Ok((code, text))
    }
}

pub(crate) fn shell(script: &str) -> Options {
    Options { command: ["sh", "-c", script].map(str::to_owned).to_vec(), ..Options::default() }
}

#[test]
fn an_images_configuration_is_followed_and_options_go_first() {
    let config = json!({
        "Env": ["A=image", "B=image"],
        "Entrypoint": ["sh", "-c"],
        "Cmd": ["echo $A $B $HOME; pwd; id -u"],
        "WorkingDir": "/made/here",
        "User": "app",
        "Labels": {"kept": "yes"},
    });
    let Some(machine) = machine(&config) else { return };
    let (code, text) = machine.run(&Options::default()).unwrap();
    assert_eq!((code, text.as_str()), (0, "image image /home\n/made/here\n10\n"));
    let options = Options {
        command: vec!["echo $A $B; pwd; id -g; hostname; cat /etc/hosts /etc/resolv.conf".into()],
        env: vec!["B=option".to_owned()],
        workdir: Some("/".into()),
        user: Some("0:7".to_owned()),
        hostname: Some("named".to_owned()),
        hosts: vec![("other".to_owned(), "10.0.0.1".to_owned())],
        ..Options::default()
    };
    let (_, text) = machine.run(&options).unwrap();
    assert!(text.starts_with("image option\n/\n7\nnamed\n127.0.0.1\tlocalhost\n"), "{text}");
    assert!(text.contains("10.0.0.1\tother\n") && text.contains("nameserver 198.18."), "{text}");
    // Another entry point is not given the image's arguments.
    let options = Options { entrypoint: Some(vec!["env".to_owned()]), ..Options::default() };
    let (_, text) = machine.run(&options).unwrap();
    assert!(text.contains("A=image\n") && text.contains("PATH=/usr/local/sbin:"), "{text}");
    let all = machine.containers.list().unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|it| it.record.labels["kept"] == "yes"));
    let options = Options { entrypoint: Some(Vec::new()), ..Options::default() };
    let error = machine.run(&options).unwrap_err();
    assert_eq!(error.to_string(), "no command is given, and the image has none");
}

#[test]
fn volumes_begin_with_what_the_image_has_and_outlive_containers() {
    let Some(machine) = machine(&json!({"Volumes": {"/data": {}}})) else { return };
    let named = |read_only| Volume {
        source: VolumeSource::Named("kept".to_owned()),
        target: "/data".into(),
        read_only,
    };
    let mut options = shell("cat /data/below/file; touch /data/mine; ls /data");
    options.volumes = vec![named(false)];
    let (code, text) = machine.run(&options).unwrap();
    assert_eq!((code, text.as_str()), (0, "from the imagebelow\nmine\n"));
    options = shell("ls /data; touch /data/other");
    options.volumes = vec![named(true)];
    let (code, text) = machine.run(&options).unwrap();
    assert_eq!(code, 1);
    assert!(text.starts_with("below\nmine\n") && text.contains("Read-only"), "{text}");
    // One that the image asks for is the container's own, and goes with it.
    let found = machine.containers.create(&"box:1".parse().unwrap(), &shell("ls /data")).unwrap();
    let volume = machine.data.join("volumes").join(&found.record.anonymous_volumes[0]);
    assert!(volume.is_dir());
    machine.containers.remove(&found, true).unwrap();
    assert!(!volume.exists() && !found.folder.exists());
    assert!(machine.data.join("volumes/kept/mine").exists());
}

#[test]
fn containers_are_found_by_name_and_by_the_beginning_of_an_identifier() {
    let Some(machine) = machine(&json!({})) else { return };
    let image: Reference = "box:1".parse().unwrap();
    let options = Options { name: Some("one".to_owned()), ..shell("exit 3") };
    let one = machine.containers.create(&image, &options).unwrap();
    assert_eq!(one.state.status, Status::Created);
    let taken = machine.containers.create(&image, &options).unwrap_err();
    assert!(matches!(taken, NodeError::Taken { .. }), "{taken}");
    let two = machine.containers.create(&image, &shell("true")).unwrap();
    assert!(two.record.name.contains('_'));
    let found = machine.containers.find(&two.record.id[..20]).unwrap();
    assert_eq!(found.record.id, two.record.id);
    assert!(matches!(machine.containers.find("none"), Err(NodeError::Unknown { .. })));
    assert!(matches!(machine.containers.find(""), Err(NodeError::Unknown { .. })));
    machine.containers.rename(&two, "renamed").unwrap();
    assert_eq!(machine.containers.find("renamed").unwrap().record.id, two.record.id);
    let bad = machine.containers.rename(&two, "a/b").unwrap_err();
    assert!(bad.to_string().starts_with("`a/b` cannot be the name of a container"), "{bad}");
    machine.containers.start(&one, None).unwrap().wait().unwrap();
    let ended = machine.containers.find("one").unwrap();
    assert_eq!((ended.state.status, ended.state.ended.unwrap().code), (Status::Exited, 3));
}

#[test]
fn a_container_goes_on_without_whoever_started_it_and_is_known_afterwards() {
    let Some(machine) = machine(&json!({"StopSignal": "SIGINT"})) else { return };
    let options = Options {
        detached: true,
        name: Some("service".to_owned()),
        ..shell("trap 'exit 9' INT; echo up; while :; do sleep 0.01; done")
    };
    let found = machine.containers.create(&"box:1".parse().unwrap(), &options).unwrap();
    drop(machine.containers.start(&found, None).unwrap());
    let running = machine.containers.find("service").unwrap();
    assert_eq!(running.state.status, Status::Running);
    assert!(matches!(machine.containers.remove(&running, false), Err(NodeError::Running { .. })));
    assert!(matches!(machine.containers.start(&running, None), Err(NodeError::Running { .. })));
    // The image is kept as long as the container is.
    assert!(machine.containers.store().remove_name(&"box:1".parse().unwrap()).unwrap());
    machine.containers.store().collect().unwrap();
    // A first process hears only what it has asked for, so it must have come so far.
    while !fs_err::read_to_string(found.folder.join("log.ndjson")).unwrap().contains("up") {}
    let ended = Container::connect(&found.folder).unwrap().stop(None).unwrap();
    assert_eq!(ended.code, 9);
    drop(machine.containers.start(&found, None).unwrap());
    Container::connect(&found.folder).unwrap().stop(Some(Duration::ZERO)).unwrap();
    machine.containers.remove(&found, false).unwrap();
}
