//! Images and a registry of them, as commands.
#![expect(clippy::disallowed_methods, reason = "a test starts and ends processes")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::api::Place;
use crate::repository::Ran;

/// A registry that runs; it is killed at the end.
struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    fn new(place: &Place, arguments: &[&str]) -> Self {
        let mut child = place
            .command(&["registry", "--json", "--listen", "127.0.0.1:0", "--data", "served"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        Self { child, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[track_caller]
fn ok(ran: Ran) -> String {
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    ran.out
}

/// Makes an archive of a root file system with one file.
fn root(place: &Place) {
    let folder = place.path().join("root/etc");
    std::fs::DirBuilder::new().recursive(true).create(&folder).unwrap();
    fs_err::write(folder.join("motd"), "hello\n").unwrap();
    let made = std::process::Command::new("tar")
        .args(["-C", "root", "-cf", "root.tar", "."])
        .current_dir(place.path())
        .status();
    assert!(made.unwrap().success());
}

#[test]
fn an_image_is_taken_in_shown_written_and_removed() {
    let place = Place::new();
    root(&place);
    let import = |name: &str| {
        let mut command = place.command(&["image", "import", "root.tar", name]);
        command.args([
            "--change",
            "CMD [\"/bin/sh\"]",
            "--platform",
            "linux/amd64",
            "-m",
            "by hand",
        ]);
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        ok(Ran::of(&command.output().unwrap()))
    };
    let first = import("app:1");
    // The same archive at another time, under another name, is the same image.
    assert_eq!(import("twin:1").replace("twin", "app"), first);
    ok(place.run(&["image", "tag", "app:1", "localhost:5000/team/app:v1"]));
    ok(place.run(&["image", "alias", "node:22-alpine", "app:1"]));
    let listed = ok(place.run(&["image", "ls"]));
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{listed}");
    let names: Vec<&str> = lines[1..].iter().map(|it| it.split("  ").next().unwrap()).collect();
    let expected = ["app:1", "node:22-alpine -> app:1", "twin:1", "localhost:5000/team/app:v1"];
    assert_eq!(names, expected);
    let shown: Value =
        serde_json::from_str(&ok(place.run(&["image", "inspect", "--json", "node:22-alpine"])))
            .unwrap();
    let image = &shown["images"][0];
    assert_eq!(image["configuration"]["config"]["Cmd"][0], "/bin/sh");
    assert_eq!(image["configuration"]["created"], "2023-11-14T22:13:20Z");
    let id = image["id"].as_str().unwrap()["sha256:".len()..][..12].to_owned();
    let history = ok(place.run(&["image", "history", &id]));
    assert!(history.lines().nth(1).unwrap().ends_with("by hand"), "{history}");

    ok(place.run(&["image", "save", "app:1", "twin:1", "-o", "saved.tar"]));
    let gone = ok(place.run(&["image", "prune", "--all"]));
    assert!(gone.ends_with("3 blobs (") || gone.contains("\n3 blobs ("), "{gone}");
    assert_eq!(ok(place.run(&["image", "ls"])).lines().count(), 1);
    let loaded = ok(place.run(&["image", "load", "saved.tar"]));
    assert!(loaded.starts_with("app:1, twin:1 sha256:"), "{loaded}");
    ok(place.run(&["image", "load", "saved.tar", "--tag", "third:1"]));
    ok(place.run(&["image", "rm", "app:1", "third:1"]));
    let last = ok(place.run(&["image", "rm", &id]));
    assert!(last.starts_with("removed twin:1\n3 blobs"), "{last}");
}

#[test]
fn mistakes_say_what_to_do() {
    let place = Place::new();
    fs_err::write(place.path().join("no.tar"), "nothing").unwrap();
    for (arguments, code, message, hint) in [
        (
            &["image", "inspect", "nowhere:1"][..],
            2,
            "there is no image `nowhere:1` here",
            "image pull nowhere:1",
        ),
        (&["image", "inspect", "Upper"], 2, "a repository's name is lowercase", ""),
        (&["image", "pull", "127.0.0.1:1/a:1"], 1, "connect to 127.0.0.1:1", "image load FILE"),
        (&["image", "pull", "a", "--platform", "x y"], 2, "`x y` is no platform", ""),
        (&["image", "load", "no.tar"], 2, "the archive ends in the middle of an entry", ""),
        (&["image", "import", "no.tar", "a:1"], 2, "read no.tar", ""),
        (&["image", "alias", "a:1"], 2, "an alias needs the name that it means", "image rm NAME"),
        (&["registry", "--listen", "0.0.0.0:0"], 4, "the registry has no users", "--add-user NAME"),
    ] {
        let ran = place.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.all());
        assert!(ran.err.contains(message) && ran.err.contains(hint), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn an_image_goes_through_a_registry() {
    let place = Place::new();
    root(&place);
    ok(place.run(&["image", "import", "root.tar", "app:1"]));
    let mut adding = place
        .command(&["registry", "--data", "served", "--add-user", "ada"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    adding.stdin.take().unwrap().write_all(b"s3cret\n").unwrap();
    assert!(adding.wait().unwrap().success());
    let registry = Registry::new(&place, &[]);
    let remote = format!("{}/team/app:1", registry.address);
    let refused = place.run(&["image", "push", "app:1", &remote]);
    assert_eq!(refused.code, Some(4), "{}", refused.all());
    assert!(refused.err.contains("docker login"), "{}", refused.err);
    // A login that a program keeps, as Docker's own do: asked on standard input.
    let helper = place.path().join("docker-credential-test");
    let script = "#!/bin/sh\nread server\necho \"$* $server\" >> \"$HOME/asked\"\n\
                  echo '{\"ServerURL\":\"x\",\"Username\":\"ada\",\"Secret\":\"s3cret\"}'\n";
    fs_err::write(&helper, script).unwrap();
    fs_err::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    fs_err::create_dir(place.path().join(".docker")).unwrap();
    fs_err::write(place.path().join(".docker/config.json"), r#"{"credsStore":"test"}"#).unwrap();
    let path = format!("{}:{}", place.path().display(), std::env::var("PATH").unwrap());
    let with_helper = |arguments: &[&str]| {
        let output = place.command(arguments).env("PATH", &path).output().unwrap();
        ok(Ran::of(&output))
    };
    let pushed = with_helper(&["image", "push", "app:1", &remote]);
    assert!(pushed.contains("2 blobs (") && pushed.contains("0 were there"), "{pushed}");
    let asked = fs_err::read_to_string(place.path().join("asked")).unwrap();
    assert_eq!(asked.lines().next().unwrap(), format!("get {}", registry.address));
    ok(place.run(&["image", "prune", "--all"]));
    let pulled = with_helper(&["image", "pull", &remote]);
    assert!(pulled.contains("2 blobs ("), "{pulled}");
    ok(place.run(&["image", "inspect", &remote]));
}
