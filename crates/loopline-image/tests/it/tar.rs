//! The tar format beside GNU tar: what it writes is read, what is written it reads.

use std::io::Read as _;
use std::path::Path;

use loopline_image::layer::{Form, UnpackOptions, Unpacked, unpack};
use loopline_image::tar::{Bounds, Entry, Kind, Reader, TarError, Time, Writer};

use crate::support::{archive, have, listing, run};

fn unpack_into(bytes: &[u8], into: &Path) -> Unpacked {
    fs_err::create_dir_all(into).unwrap();
    let options = UnpackOptions { form: Form::of(into).unwrap(), bounds: Bounds::default() };
    unpack(bytes, into, &options).unwrap()
}

/// A folder with everything that is easy to get wrong.
fn sample(folder: &Path) {
    let long = "n".repeat(120);
    let deep = format!("{}/{long}", "d".repeat(80));
    fs_err::create_dir_all(folder.join(&deep)).unwrap();
    fs_err::write(folder.join(&deep).join(&long), "long").unwrap();
    std::os::unix::fs::symlink("x".repeat(300), folder.join("long-link")).unwrap();
    fs_err::write(folder.join("plain"), "plain\n").unwrap();
    fs_err::hard_link(folder.join("plain"), folder.join("twin")).unwrap();
    fs_err::write(folder.join("ünïcode"), vec![7; 100_000]).unwrap();
    fs_err::write(folder.join("empty"), "").unwrap();
    let holes = fs_err::File::create(folder.join("holes")).unwrap();
    for (at, size) in [(1 << 20, 5000), (9 << 20, 70_000), (30 << 20, 4096)] {
        rustix::io::pwrite(&holes, &vec![b'h'; size], at).unwrap();
    }
    holes.set_len(40 << 20).unwrap();
    let many = fs_err::File::create(folder.join("many-holes")).unwrap();
    for at in 0..60_u64 {
        rustix::io::pwrite(&many, &[b'm'; 512], at * 65_536).unwrap();
    }
    run("mkfifo", &[folder.join("pipe").to_str().unwrap()]);
    run("chmod", &["6755", folder.join("plain").to_str().unwrap()]);
}

#[test]
fn what_gnu_tar_writes_is_unpacked() {
    if !have(&["tar"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("in");
    fs_err::create_dir(&folder).unwrap();
    sample(&folder);
    let from = folder.to_str().unwrap();
    for (index, options) in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=pax"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
        &["--format=pax", "--gzip"],
    ]
    .iter()
    .enumerate()
    {
        let file = scratch.path().join(format!("{index}.tar"));
        let mut arguments = vec!["-C", from, "-cf", file.to_str().unwrap()];
        arguments.extend(*options);
        arguments.push(".");
        run("tar", &arguments);
        let into = scratch.path().join(format!("out{index}"));
        let unpacked = unpack_into(&fs_err::read(&file).unwrap(), &into);
        assert_eq!(unpacked.skipped, loopline_image::layer::Skipped::default(), "{options:?}");
        let whole = |lines: Vec<String>| -> Vec<String> {
            // GNU's own format has whole seconds.
            let cut = |line: String| match (options[0], line.split_once('.')) {
                ("--format=gnu", Some((before, _))) if !line.contains("->") => before.to_owned(),
                _ => line,
            };
            lines
                .into_iter()
                .map(cut)
                .filter(|it| !it.contains("->") || options[0] != "--format=gnu")
                .collect()
        };
        assert_eq!(whole(listing(&into)), whole(listing(&folder)), "{options:?}");
        for name in ["plain", "twin", "ünïcode", "holes", "many-holes"] {
            let (found, expected) =
                (fs_err::read(into.join(name)), fs_err::read(folder.join(name)));
            assert!(found.unwrap() == expected.unwrap(), "{options:?} {name}");
        }
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(fs_err::metadata(into.join("twin")).unwrap().nlink(), 2);
        if options.contains(&"--sparse") {
            assert!(fs_err::metadata(into.join("holes")).unwrap().blocks() * 512 < 1 << 20);
        }
    }
}

#[test]
fn gnu_tar_reads_what_is_written() {
    if !have(&["tar"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("in");
    fs_err::create_dir(&folder).unwrap();
    sample(&folder);
    let file = scratch.path().join("out.tar");
    let options = loopline_image::layer::PackOptions {
        compression: loopline_image::layer::Compression::None,
        ..Default::default()
    };
    let output = fs_err::File::create(&file).unwrap();
    loopline_image::layer::pack(&folder, &options, output).unwrap();
    let into = scratch.path().join("out");
    fs_err::create_dir(&into).unwrap();
    run("tar", &["-C", into.to_str().unwrap(), "-xpf", file.to_str().unwrap()]);
    // The root itself is not part of a layer.
    assert_eq!(listing(&into)[1..], listing(&folder)[1..]);
    assert!(
        fs_err::read(into.join("holes")).unwrap() == fs_err::read(folder.join("holes")).unwrap()
    );
}

#[test]
fn what_does_not_fit_the_header_survives() {
    let mut entry = Entry::new(vec![b'p'; 3000], Kind::File);
    entry.uid = 3_000_000;
    entry.gid = 4_294_967_294;
    entry.mtime = Time { seconds: -5, nanoseconds: 250_000_001 };
    entry.size = 3;
    entry.mode = 0o4751;
    entry.xattrs.insert(
        b"user.a=b".to_vec().into_iter().filter(|it| *it != b'=').collect(),
        vec![0, 10, b'=', 255],
    );
    let mut writer = Writer::new(Vec::new());
    writer.append(&entry, &b"abc"[..]).unwrap();
    let bytes = writer.finish().unwrap();
    let mut reader = Reader::new(&bytes[..], Bounds::default());
    assert_eq!(reader.next_entry().unwrap(), Some(entry));
    let mut data = String::new();
    reader.data().read_to_string(&mut data).unwrap();
    assert_eq!(data, "abc");
    assert_eq!(reader.next_entry().unwrap(), None);
}

#[test]
fn broken_archives_are_refused_with_their_place() {
    let sound = archive(&[("a", Kind::File, "abc"), ("b", Kind::File, "")]);
    let read = |bytes: &[u8], bounds| -> Result<u64, TarError> {
        let mut reader = Reader::new(bytes, bounds);
        while reader.next_entry()?.is_some() {}
        Ok(reader.entries())
    };
    let all = Bounds::default();
    assert_eq!(read(&sound, all).unwrap(), 2);
    // An archive without its end is one nevertheless.
    assert_eq!(read(&sound[..512 * 3], all).unwrap(), 2);
    for cut in [1, 511, 513, 1023] {
        let error = read(&sound[..cut], all).unwrap_err();
        assert!(matches!(error, TarError::Truncated { .. }), "{cut}: {error}");
    }
    let mut changed = sound.clone();
    changed[512 * 2 + 3] ^= 1;
    let error = read(&changed, all).unwrap_err().to_string();
    assert_eq!(error, "there is no tar header at byte 1024: its check sum is wrong");
    let few = Bounds { entries: 1, ..all };
    assert!(matches!(read(&sound, few), Err(TarError::TooManyEntries(1))));
    let small = Bounds { bytes: 2, ..all };
    assert!(matches!(read(&sound, small), Err(TarError::TooLarge(2))));
}
