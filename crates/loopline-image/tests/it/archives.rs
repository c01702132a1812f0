//! Archives that other programs wrote.

use std::path::Path;

use loopline_image::archive::{Form, load, save, save_layout};
use loopline_image::layer::{PackOptions, pack};
use loopline_image::store::Store;
use loopline_image::tar::Kind;

use crate::support::{archive, busybox, have, image, listing, run, store};

/// Makes an image of busybox and returns it as an image layout, made by umoci.
fn umoci_layout(folder: &Path) -> Option<std::path::PathBuf> {
    let root = busybox(folder)?;
    if !have(&["umoci"]) {
        return None;
    }
    let layout = folder.join("layout");
    let at = |name: &str| format!("{}:{name}", layout.display());
    run("umoci", &["init", "--layout", layout.to_str().unwrap()]);
    run("umoci", &["new", "--image", &at("app")]);
    run("umoci", &["insert", "--image", &at("app"), root.to_str().unwrap(), "/"]);
    run("umoci", &["config", "--image", &at("app"), "--config.cmd", "/bin/sh"]);
    Some(layout)
}

fn has_busybox(store: &Store, name: &str) {
    let snapshot = store.snapshot(&name.parse().unwrap(), None).unwrap();
    let found = snapshot.lower_directories().any(|it| it.join("bin/busybox").exists());
    assert!(found, "{:?}", snapshot.layers);
    assert_eq!(snapshot.image.raw["config"]["Cmd"][0], "/bin/sh");
}

#[test]
fn layouts_and_archives_of_other_tools_are_loaded() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(layout) = umoci_layout(scratch.path()) else { return };
    let store = store(scratch.path());
    let lease = store.lease().unwrap();
    let loaded = load(&layout, &lease).unwrap();
    // A bare tag is no name.
    assert_eq!((loaded.len(), loaded[0].references.len()), (1, 0));
    store.set(&"from-umoci:1".parse().unwrap(), &loaded[0].descriptor, &lease).unwrap();
    has_busybox(&store, "from-umoci:1");
    if !have(&["skopeo"]) {
        return;
    }
    let from = format!("oci:{}:app", layout.display());
    for (kind, name) in
        [("docker-archive", "docker.io/library/saved:1"), ("oci-archive", "localhost/oci:1")]
    {
        let file = scratch.path().join(format!("{kind}.tar"));
        let to = format!("{kind}:{}:{name}", file.display());
        run("skopeo", &["copy", "--insecure-policy", &from, &to]);
        let loaded = load(&file, &lease).unwrap();
        assert_eq!(loaded.len(), 1, "{kind}");
        assert_eq!(loaded[0].references[0].to_string(), name);
        has_busybox(&store, name);
        // Compressed as a whole, as people send them.
        run("gzip", &["-k", file.to_str().unwrap()]);
        let loaded = load(&file.with_extension("tar.gz"), &lease).unwrap();
        assert_eq!(loaded[0].references[0].to_string(), name);
    }
}

#[test]
fn an_import_is_what_was_packed() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(root) = busybox(scratch.path()) else { return };
    let mut bytes = Vec::new();
    pack(&root, &PackOptions::default(), &mut bytes).unwrap();
    let store = store(scratch.path());
    drop(image(&store, "imported:1", &bytes));
    let snapshot = store.snapshot(&"imported:1".parse().unwrap(), None).unwrap();
    assert_eq!(listing(&snapshot.layers[0])[1..], listing(&root)[1..]);
    assert_eq!(snapshot.image.configuration.history().as_ref().map(Vec::len), Some(1));
}

#[test]
fn archives_that_are_none_say_why() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    let lease = store.lease().unwrap();
    let file = scratch.path().join("a.tar");
    let shown = file.display();
    let manifest = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#;
    let config =
        r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    for (bytes, expected) in [
        (
            b"no archive at all, but long enough to be taken for one".repeat(20),
            format!("read {shown}"),
        ),
        (
            archive(&[("a", Kind::File, "x")]),
            format!(
                "{shown} holds no image: it has neither `manifest.json` (docker save) nor `index.json` (OCI)"
            ),
        ),
        (
            archive(&[("manifest.json", Kind::File, manifest)]),
            format!("{shown} names the file `c.json`, and does not have it"),
        ),
        (
            archive(&[("manifest.json", Kind::File, manifest), ("c.json", Kind::File, config)]),
            format!("{shown} names the file `l.tar`, and does not have it"),
        ),
        (
            archive(&[("manifest.json", Kind::File, "[{}]")]),
            format!("{shown}: `manifest.json`: missing field `Config` at line 1 column 3"),
        ),
    ] {
        fs_err::write(&file, bytes).unwrap();
        assert_eq!(load(&file, &lease).unwrap_err().to_string(), expected);
    }
}

#[test]
fn what_is_saved_is_what_other_tools_load() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(root) = busybox(scratch.path()) else { return };
    let mut bytes = Vec::new();
    pack(&root, &PackOptions::default(), &mut bytes).unwrap();
    let made = store(scratch.path());
    let lease = image(&made, "docker.io/team/saved:1", &bytes);
    let name = "team/saved:1".parse().unwrap();
    let other = "other:latest".parse().unwrap();
    made.set(&other, &made.look_up(&name).unwrap().unwrap(), &lease).unwrap();
    let digest = made.look_up(&name).unwrap().unwrap().digest().to_string();
    for form in [Form::Docker, Form::Oci] {
        let file = scratch.path().join(format!("{form:?}.tar"));
        let mut twice = Vec::new();
        save(&[name.clone(), other.clone()], None, form, &lease, &mut twice).unwrap();
        let output = fs_err::File::create(&file).unwrap();
        save(&[name.clone(), other.clone()], None, form, &lease, output).unwrap();
        assert!(fs_err::read(&file).unwrap() == twice);
        // Ours come back under both names.
        let fresh = scratch.path().join(format!("{form:?}"));
        let fresh = Store::open(fresh, loopline_clock::Clock::real()).unwrap();
        let lease = fresh.lease().unwrap();
        let loaded = load(&file, &lease).unwrap();
        let names: usize = loaded.iter().map(|it| it.references.len()).sum();
        assert_eq!(names, 2, "{loaded:?}");
        has_busybox(&fresh, "other:latest");
        if form == Form::Oci {
            assert_eq!(fresh.look_up(&name).unwrap().unwrap().digest().to_string(), digest);
        }
        if !have(&["skopeo"]) {
            continue;
        }
        let (kind, name) = match form {
            Form::Docker => ("docker-archive", "docker.io/team/saved:1"),
            Form::Oci => ("oci-archive", "1"),
        };
        let to = scratch.path().join(format!("copy-{form:?}"));
        let from = format!("{kind}:{}:{name}", file.display());
        run("skopeo", &["copy", "--insecure-policy", &from, &format!("dir:{}", to.display())]);
    }
    let layout = scratch.path().join("a-layout");
    save_layout(std::slice::from_ref(&name), None, &lease, &layout).unwrap();
    save_layout(&[other], None, &lease, &layout).unwrap();
    save_layout(&[name], None, &lease, &layout).unwrap();
    if have(&["umoci"]) {
        let listed = run("umoci", &["list", "--layout", layout.to_str().unwrap()]);
        assert_eq!(listed.lines().collect::<Vec<_>>(), ["latest", "1"]);
        let bundle = scratch.path().join("bundle");
        let from = format!("{}:1", layout.display());
        run("umoci", &["unpack", "--image", &from, bundle.to_str().unwrap()]);
        assert_eq!(listing(&bundle.join("rootfs"))[1..], listing(&root)[1..]);
    }
}
