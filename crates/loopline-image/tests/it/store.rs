//! The store: names, leases and what collections leave alone.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;

use loopline_image::digest::Digest;
use loopline_image::layer::PackOptions;
use loopline_image::store::{Item, Store, StoreError};
use loopline_image::tar::Kind;

use crate::support::{archive, image, store};

#[test]
fn an_image_is_kept_while_it_has_a_name() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    drop(image(&store, "app:1", &archive(&[("file", Kind::File, "one")])));
    let name = "app:1".parse().unwrap();
    let snapshot = store.snapshot(&name, None).unwrap();
    assert_eq!(snapshot.layers.len(), 1);
    assert_eq!(fs_err::read_to_string(snapshot.layers[0].join("file")).unwrap(), "one");
    assert_eq!(snapshot.image.raw["config"]["Cmd"][0], "/bin/sh");
    let folder = snapshot.layers[0].clone();
    drop(snapshot);
    assert_eq!(store.collect().unwrap(), Default::default());
    assert!(store.remove_name(&name).unwrap());
    assert!(!store.remove_name(&name).unwrap());
    let collected = store.collect().unwrap();
    assert_eq!((collected.blobs, collected.layers), (3, 1));
    assert!(!folder.exists());
    let error = store.snapshot(&name, None).unwrap_err();
    assert_eq!(error.to_string(), "there is no image `app:1` here");
}

#[test]
fn what_is_leased_or_pinned_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    let name = "app:1".parse().unwrap();
    let lease = image(&store, "app:1", &archive(&[("file", Kind::File, "one")]));
    store.remove_name(&name).unwrap();
    assert_eq!(store.collect().unwrap().blobs, 0);
    drop(lease);
    assert_eq!(store.collect().unwrap().blobs, 3);

    drop(image(&store, "app:1", &archive(&[("file", Kind::File, "one")])));
    let snapshot = store.snapshot(&name, None).unwrap();
    snapshot.pin("container-1").unwrap();
    store.remove_name(&name).unwrap();
    let folder = snapshot.layers[0].clone();
    drop(snapshot);
    assert_eq!(store.collect().unwrap(), Default::default());
    assert!(folder.join("file").exists());
    store.unpin("container-1").unwrap();
    store.unpin("container-1").unwrap();
    let collected = store.collect().unwrap();
    assert_eq!((collected.blobs, collected.layers), (3, 1));
    assert!(store.pin("../out", &[]).is_err());
}

#[test]
fn a_lease_ends_with_its_process() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    let blob = Digest::of(b"left behind");
    // A process that is killed while it holds a lease and is writing another blob.
    let lock = scratch.path().join("images/leases/0123");
    let ingest = scratch.path().join("images/ingest/0123");
    fs_err::create_dir(&ingest).unwrap();
    fs_err::write(ingest.join("0"), "half").unwrap();
    fs_err::write(store.blob_path(&blob), "left behind").unwrap();
    fs_err::write(&lock, format!("blob {blob}\nblob sha2")).unwrap();
    if crate::support::have(&["flock", "sleep"]) {
        let mut child = std::process::Command::new("flock")
            .args(["--exclusive", "--no-fork", lock.to_str().unwrap(), "sleep", "600"])
            .spawn()
            .unwrap();
        // Until the lock is held; the store looks at nothing else.
        let held = || {
            let file = fs_err::File::open(&lock).unwrap();
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
        };
        while !held() {
            std::thread::yield_now();
        }
        assert_eq!(store.collect().unwrap().blobs, 0);
        assert!(ingest.exists());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
    assert_eq!(store.collect().unwrap().blobs, 1);
    assert!(!ingest.exists() && !lock.exists());
}

#[test]
fn collections_never_take_what_others_begin_to_use() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    let rounds = 40;
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::sync_channel::<()>(1);
        let collector = store.clone();
        scope.spawn(move || {
            while let Err(std::sync::mpsc::TryRecvError::Empty) = told.try_recv() {
                collector.collect().unwrap();
            }
        });
        let workers: Vec<_> = (0..3)
            .map(|worker| {
                let store = store.clone();
                scope.spawn(move || {
                    for round in 0..rounds {
                        // Few different images, so that workers meet at the same blobs.
                        let content = format!("{}", round % 3);
                        let name = format!("app{worker}:{}", round % 2);
                        let bytes = archive(&[("file", Kind::File, &content)]);
                        let lease = image(&store, &name, &bytes);
                        let snapshot = store.snapshot(&name.parse().unwrap(), None).unwrap();
                        let found = fs_err::read_to_string(snapshot.layers[0].join("file"));
                        assert_eq!(found.unwrap(), content);
                        drop(lease);
                        if round % 2 == 0 {
                            store.remove_name(&name.parse().unwrap()).unwrap();
                        }
                        // The snapshot holds what the name held.
                        let file = snapshot.layers[0].join("file");
                        assert_eq!(fs_err::read_to_string(file).unwrap(), content);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        drop(tell);
    });
    for named in store.names().unwrap() {
        store.snapshot(&named.reference, None).unwrap();
    }
}

#[test]
fn aliases_lead_to_images() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    drop(image(&store, "busybox:1", &archive(&[])));
    let parse = |text: &str| text.parse().unwrap();
    store.set_alias(&parse("node:22-alpine"), &parse("busybox:1")).unwrap();
    store.set_alias(&parse("ghcr.io/o/node:x"), &parse("node:22-alpine")).unwrap();
    let lease = store.lease().unwrap();
    let of = |text: &str| store.image(&parse(text), None, &lease).unwrap().manifest_digest;
    assert_eq!(of("ghcr.io/o/node:x"), of("busybox:1"));
    let error = store.set_alias(&parse("a:1"), &parse("nothing:1")).unwrap_err();
    assert_eq!(error.to_string(), "there is no image `nothing:1` here");
    assert_eq!(store.target(&parse("a:1")).unwrap(), None);
    let error = store.set_alias(&parse("node:22-alpine"), &parse("ghcr.io/o/node:x")).unwrap_err();
    assert!(matches!(error, StoreError::AliasLoop(_)), "{error}");
    assert_eq!(of("node:22-alpine"), of("busybox:1"));
    // An alias alone keeps nothing.
    store.remove_name(&parse("busybox:1")).unwrap();
    drop(lease);
    assert_eq!(store.collect().unwrap().blobs, 3);
    assert_eq!(store.look_up(&parse("node:22-alpine")).unwrap(), None);
}

#[test]
fn blobs_are_what_they_are_called() {
    use std::io::Write as _;
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    let lease = store.lease().unwrap();
    let mut writer = lease.blob_writer().unwrap();
    writer.write_all(b"something").unwrap();
    let error = writer.commit(Some(&Digest::of(b"else"))).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    assert_eq!(store.blob_size(&Digest::of(b"something")).unwrap(), None);
    let blob = lease.put(b"{}").unwrap();
    fs_err::write(store.blob_path(&blob.digest), "{ }").unwrap();
    let error = store.document("manifest", &blob.digest).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
}

#[test]
fn a_layer_that_is_not_what_the_configuration_says_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    let lease = image(&store, "app:1", &archive(&[("file", Kind::File, "one")]));
    let image = store.image(&"app:1".parse().unwrap(), None, &lease).unwrap();
    let mut configuration = image.raw.clone();
    let other = Digest::of(b"another layer");
    configuration["rootfs"]["diff_ids"][0] = other.as_str().into();
    let lying = lease.write_image(&configuration, image.manifest.layers().clone()).unwrap();
    store.set(&"lying:1".parse().unwrap(), &lying, &lease).unwrap();
    let error = store.snapshot(&"lying:1".parse().unwrap(), None).unwrap_err();
    let StoreError::Mismatch { expected, .. } = error else { panic!("{error}") };
    assert_eq!(expected, other);
    configuration["rootfs"]["diff_ids"] = serde_json::json!([]);
    let lying = lease.write_image(&configuration, image.manifest.layers().clone()).unwrap();
    store.set(&"lying:2".parse().unwrap(), &lying, &lease).unwrap();
    let error = store.snapshot(&"lying:2".parse().unwrap(), None).unwrap_err().to_string();
    assert!(error.ends_with("it has 0 diff_ids for 1 layers"), "{error}");
}

#[test]
fn a_change_becomes_an_image() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    drop(image(&store, "base:1", &archive(&[("file", Kind::File, "one")])));
    let base = store.snapshot(&"base:1".parse().unwrap(), None).unwrap();
    let upper = scratch.path().join("upper");
    fs_err::create_dir(&upper).unwrap();
    fs_err::write(upper.join("added"), "two").unwrap();
    let lease = store.lease().unwrap();
    let options = PackOptions { overlay: true, ..PackOptions::default() };
    let layer = lease.pack(&upper, &options).unwrap();
    let mut configuration = base.image.raw.clone();
    let ids = configuration["rootfs"]["diff_ids"].as_array_mut().unwrap();
    ids.push(layer.diff_id.as_str().into());
    let mut layers = base.image.manifest.layers().clone();
    layers.push(layer.descriptor);
    let descriptor = lease.write_image(&configuration, layers).unwrap();
    store.set(&"derived:1".parse().unwrap(), &descriptor, &lease).unwrap();
    let derived = store.snapshot(&"derived:1".parse().unwrap(), None).unwrap();
    let lower: Vec<_> = derived.lower_directories().collect();
    assert!(lower[0].join("added").exists() && lower[1].join("file").exists());
    assert_eq!(lower[1], base.layers[0]);
}

#[test]
fn layers_of_an_earlier_boot_are_unpacked_again() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    drop(image(&store, "app:1", &archive(&[("file", Kind::File, "one")])));
    let name = "app:1".parse().unwrap();
    let folder = store.snapshot(&name, None).unwrap().layers[0].clone();
    let mark = folder.parent().unwrap().join("unsynced");
    // As if the power had failed before the file's content was written.
    fs_err::write(folder.join("file"), "").unwrap();
    fs_err::write(&mark, "an earlier boot").unwrap();
    store.snapshot(&name, None).unwrap();
    assert_eq!(fs_err::read_to_string(folder.join("file")).unwrap(), "one");
    store.sync_layers().unwrap();
    assert!(!mark.exists());
    fs_err::write(folder.join("file"), "kept").unwrap();
    store.snapshot(&name, None).unwrap();
    assert_eq!(fs_err::read_to_string(folder.join("file")).unwrap(), "kept");
}

#[test]
fn a_newer_store_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let made = store(scratch.path());
    fs_err::write(made.root().join("VERSION"), "2\n").unwrap();
    let error = Store::open(made.root(), loopline_clock::Clock::real()).unwrap_err().to_string();
    assert!(error.ends_with("has layout 2, and this Loopline knows up to 1"), "{error}");
}

#[test]
fn names_are_listed() {
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    for name in ["b:2", "b:1", "a/c:x", "localhost:5000/a:latest"] {
        drop(image(&store, name, &archive(&[])));
    }
    let names = store.names().unwrap();
    let found: BTreeSet<String> = names.iter().map(|it| it.reference.familiar()).collect();
    let expected = ["a/c:x", "b:1", "b:2", "localhost:5000/a:latest"];
    assert_eq!(found, expected.iter().map(|it| (*it).to_owned()).collect());
    let lease = store.lease().unwrap();
    lease.hold(&Item::Blob(Digest::of(b"nothing"))).unwrap();
    store.collect().unwrap();
    assert_eq!(store.names().unwrap().len(), 4);
}

#[test]
fn a_folder_that_a_layer_does_not_describe_is_what_it_is_below() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let scratch = tempfile::tempdir().unwrap();
    let store = store(scratch.path());
    let lease = image(&store, "base:1", &archive(&[("file", Kind::File, "one")]));
    let make = |folder: &str, mode: u32| {
        let path = scratch.path().join(folder);
        fs_err::create_dir_all(path.join("tmp/in")).unwrap();
        fs_err::set_permissions(path.join("tmp"), std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let below = lease.pack(&make("below", 0o1777), &PackOptions::default()).unwrap();
    // Only the file, not the folders that it is in.
    let above = archive(&[("tmp/in/file", Kind::File, "x"), ("other/file", Kind::File, "x")]);
    let blob = lease.put(&above).unwrap();
    let descriptor = serde_json::from_value(serde_json::json!({ "digest": blob.digest,
        "mediaType": "application/vnd.oci.image.layer.v1.tar", "size": blob.size }))
    .unwrap();
    let configuration = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [below.diff_id, blob.digest] } });
    let made = lease.write_image(&configuration, vec![below.descriptor, descriptor]).unwrap();
    store.set(&"app:1".parse().unwrap(), &made, &lease).unwrap();
    let snapshot = store.snapshot(&"app:1".parse().unwrap(), None).unwrap();
    assert_eq!(snapshot.layers.len(), 3);
    let top = &snapshot.layers[2];
    let (is, was) = (|path: &str| fs_err::metadata(top.join(path)).unwrap(), &snapshot.layers[0]);
    assert_eq!(is("tmp").permissions().mode() & 0o7777, 0o1777);
    assert_eq!(is("tmp").mtime_nsec(), fs_err::metadata(was.join("tmp")).unwrap().mtime_nsec());
    assert!(top.join("tmp/in").is_dir() && !top.join("tmp/in/file").exists());
    // What only the one layer has stays as that made it.
    assert!(!top.join("other").exists());
    snapshot.pin("c1").unwrap();
    drop((snapshot, lease));
    let collected = store.collect().unwrap();
    assert_eq!(collected.layers, 0);
    assert_eq!(store.snapshot(&"app:1".parse().unwrap(), None).unwrap().layers.len(), 3);
}
