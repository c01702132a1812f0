//! Layers as folders: whiteouts, overlayfs, and layers that want to get out.

use std::path::Path;

use loopline_image::digest::Digest;
use loopline_image::layer::{
    Compression, Form, PackOptions, Packed, UnpackError, UnpackOptions, Unpacked, pack, unpack,
};
use loopline_image::tar::{Bounds, Entry, Kind, Writer};
use rustix::fs::{AtFlags, CWD, FileType, statat};

use crate::support::{Line, archive, have, is_root, listing, run};

const D: Kind = Kind::Directory;
const F: Kind = Kind::File;
const S: Kind = Kind::Symlink;
const H: Kind = Kind::HardLink;

fn try_unpack(bytes: &[u8], into: &Path) -> Result<Unpacked, UnpackError> {
    fs_err::create_dir_all(into).unwrap();
    unpack(bytes, into, &UnpackOptions { form: Form::of(into).unwrap(), bounds: Bounds::default() })
}

fn unpacked(lines: &[Line<'_>], into: &Path) -> Unpacked {
    try_unpack(&archive(lines), into).unwrap()
}

fn packed(folder: &Path, options: &PackOptions) -> (Packed, Vec<u8>) {
    let mut bytes = Vec::new();
    let packed = pack(folder, options, &mut bytes).unwrap();
    assert_eq!(packed.digest, Digest::of(&bytes));
    assert_eq!(packed.size, bytes.len() as u64);
    (packed, bytes)
}

fn is_removed(path: &Path) -> bool {
    let stat = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    FileType::from_raw_mode(stat.st_mode).is_char_device() && stat.st_rdev == 0
}

fn is_opaque(path: &Path) -> bool {
    let name = format!("{}.overlay.opaque", Form::of(path).unwrap().name());
    let mut value = [0; 8];
    matches!(rustix::fs::lgetxattr(path, name.as_str(), &mut value), Ok(1)) && value[0] == b'y'
}

#[test]
fn whiteouts_mark_what_is_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("fs");
    unpacked(
        &[
            ("a/", D, ""),
            ("a/.wh.gone", F, ""),
            ("b/.wh..wh..opq", F, ""),
            ("b/kept", F, "kept"),
            // A file that is removed below and there anew, in either order.
            (".wh.first", F, ""),
            ("first", F, "new"),
            ("second", F, "new"),
            (".wh.second", F, ""),
            // A folder in the place of a removed one shows nothing of it.
            (".wh.c", F, ""),
            ("c/", D, ""),
            ("c/in", F, ""),
            ("d/in", F, ""),
            (".wh.d", F, ""),
            (".wh.e", F, ""),
            ("e/x/in", F, ""),
            (".wh..wh.plnk", F, ""),
        ],
        &into,
    );
    assert!(is_removed(&into.join("a/gone")));
    assert!(is_opaque(&into.join("b")) && !is_opaque(&into.join("a")));
    assert_eq!(fs_err::read_to_string(into.join("first")).unwrap(), "new");
    assert_eq!(fs_err::read_to_string(into.join("second")).unwrap(), "new");
    assert!(is_opaque(&into.join("c")) && into.join("c/in").exists());
    assert!(is_opaque(&into.join("d")) && into.join("d/in").exists());
    assert!(is_opaque(&into.join("e")) && into.join("e/x/in").exists());
    assert!(!into.join(".wh..wh.plnk").exists() && !into.join("b/.wh..wh..opq").exists());
}

#[test]
fn an_overlay_is_packed_and_its_layer_shows_the_same() {
    if !is_root() || !have(&["unshare", "mount", "tar"]) {
        return;
    }
    for (form, option) in
        [(Form::Trusted, "redirect_dir=off,metacopy=off"), (Form::User, "userxattr")]
    {
        overlay_shows_the_same(form, option);
    }
}

fn overlay_shows_the_same(form: Form, option: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    unpacked(
        &[
            ("etc/", D, ""),
            ("etc/removed", F, "x"),
            ("etc/kept", F, "x"),
            ("etc/changed", F, "old"),
            ("opaque/", D, ""),
            ("opaque/hidden", F, "x"),
            ("folder/", D, ""),
            ("folder/in", F, "x"),
        ],
        &at("lower"),
    );
    for name in ["upper", "work", "merged", "expected", "merged2"] {
        fs_err::create_dir(at(name)).unwrap();
    }
    let script = "set -e; cd \"$0\"
        mount -t overlay overlay -o $1,lowerdir=lower,upperdir=upper,workdir=work merged
        cd merged
        rm etc/removed; echo new > etc/changed; echo new > etc/new; ln etc/new etc/twin
        rm -r opaque; mkdir opaque; echo x > opaque/new
        rm -r folder; ln -s etc/new folder; mknod null c 1 3
        chown 1234:4321 etc/kept; chmod 4711 etc/new
        cp -a . ../expected";
    let here = scratch.path().to_str().unwrap();
    run("unshare", &["-m", "sh", "-c", script, here, option]);
    let options = PackOptions { overlay: true, ..PackOptions::default() };
    let (layer, bytes) = packed(&at("upper"), &options);
    let names: Vec<String> = {
        let file = at("layer.tar.gz");
        fs_err::write(&file, &bytes).unwrap();
        run("tar", &["-tzf", file.to_str().unwrap()]).lines().map(str::to_owned).collect()
    };
    for name in ["etc/.wh.removed", "opaque/.wh..wh..opq", "opaque/new", "folder", "null"] {
        assert!(names.iter().any(|it| it == name), "{name} in {names:?}");
    }
    fs_err::create_dir(at("layer")).unwrap();
    let how = UnpackOptions { form, bounds: Bounds::default() };
    let again = unpack(&bytes[..], &at("layer"), &how).unwrap();
    assert_eq!(again.diff_id, layer.diff_id);
    let script = "set -e; cd \"$0\"
        mount -t overlay overlay -o $1,lowerdir=layer:lower merged2
        rm -rf copy; cp -a merged2 copy";
    run("unshare", &["-m", "sh", "-c", script, here, option]);
    assert_eq!(listing(&at("copy"))[1..], listing(&at("expected"))[1..]);
}

#[test]
fn the_same_folder_gives_the_same_layer() {
    let scratch = tempfile::tempdir().unwrap();
    let mut layers = Vec::new();
    for (name, order) in [("one", ["b", "a", "c"]), ("two", ["c", "b", "a"])] {
        let folder = scratch.path().join(name);
        fs_err::create_dir(&folder).unwrap();
        for file in order {
            fs_err::write(folder.join(file), file.repeat(100_000)).unwrap();
        }
        let options = PackOptions { newest: Some(1_000_000_000), ..PackOptions::default() };
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            layers.push(packed(&folder, &PackOptions { compression, ..options }).0);
        }
    }
    let (one, two) = layers.split_at(3);
    assert_eq!(one, two);
    assert!(one.iter().all(|layer| layer.diff_id == one[0].diff_id));
    assert_eq!(one[2].digest, one[2].diff_id);
}

#[test]
fn all_compressions_are_unpacked() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("in");
    fs_err::create_dir(&folder).unwrap();
    fs_err::write(folder.join("file"), vec![b'x'; 3_000_000]).unwrap();
    for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
        let options = PackOptions { compression, ..PackOptions::default() };
        let (layer, bytes) = packed(&folder, &options);
        let into = scratch.path().join(format!("{compression:?}"));
        let found = try_unpack(&bytes, &into).unwrap();
        assert_eq!(found.diff_id, layer.diff_id);
        assert_eq!(listing(&into)[1..], listing(&folder)[1..]);
        if compression != Compression::None {
            let cut = try_unpack(&bytes[..bytes.len() - 20], &scratch.path().join("cut"));
            assert!(cut.is_err(), "{compression:?}");
            fs_err::remove_dir_all(scratch.path().join("cut")).unwrap();
        }
    }
}

#[test]
fn nothing_is_made_outside() {
    for lines in [
        &[("../out", F, "x")][..],
        &[("a/../../out", F, "x")],
        &[("..", D, "")],
        &[("link", S, ".."), ("link/out", F, "x")],
        &[("link", S, "/"), ("link/out", F, "x")],
        &[("a", S, "b"), ("b", S, "../.."), ("a/out", F, "x")],
        &[("link", S, "../out"), ("link", F, "x")],
        &[("twin", H, "../victim"), ("twin", F, "x")],
        &[("twin", H, "/../victim")],
        &[("l", S, "../victim"), ("twin", H, "l"), ("twin", F, "x")],
        &[("l", S, ".."), ("twin", H, "l/victim")],
        &[("l", S, "/proc/self/root"), ("l/out", F, "x")],
        &[("l", S, ".."), ("l/.wh.victim", F, "")],
        &[("l", S, ".."), ("l/.wh..wh..opq", F, "")],
        &[(".wh...", F, "")],
        &[(".wh...", F, ""), ("/../victim", F, "x")],
    ] {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::write(scratch.path().join("victim"), "untouched").unwrap();
        let before = listing(scratch.path());
        let into = scratch.path().join("fs");
        // Some are refused and some stay inside; neither reaches out.
        let _either = try_unpack(&archive(lines), &into);
        fs_err::remove_dir_all(&into).unwrap();
        let mut after = listing(scratch.path());
        // Making and removing the folder itself changed its parent's time.
        after[0].clone_from(&before[0]);
        assert_eq!(after, before, "{lines:?}");
        assert_eq!(fs_err::read_to_string(scratch.path().join("victim")).unwrap(), "untouched");
    }
}

#[test]
fn what_cannot_be_says_which_entry() {
    for (lines, expected) in [
        (&[("a/../b", F, "")][..], "entry `a/../b`: its path leads out of the layer"),
        (&[("x/.wh.", F, "")], "entry `x/.wh.`: a whiteout names no file"),
        (
            &[("twin", H, "nowhere")],
            "entry `twin`: it is a hard link to a file that the layer does not have",
        ),
        (&[("d/", D, ""), ("twin", H, "d")], "entry `twin`: it is a hard link to a folder"),
        (
            &[("f", F, ""), ("f/in", F, "")],
            "entry `f/in`: its path goes through something that is no folder",
        ),
        (&[("l", S, "l"), ("l/in", F, "")], "entry `l/in`: a link in its path leads nowhere"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let error = try_unpack(&archive(lines), &scratch.path().join("fs")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let mut writer = Writer::new(Vec::new());
    writer.append(&Entry::new("dev", Kind::CharDevice), std::io::empty()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let error = try_unpack(&writer.finish().unwrap(), &scratch.path().join("fs")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry `dev`: it is the device 0:0, which removes a file in an overlay"
    );
}

#[test]
fn later_entries_take_the_place_of_earlier_ones() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("fs");
    unpacked(
        &[
            ("a", F, "first"),
            ("a", F, "second"),
            ("d/", D, ""),
            ("d/in", F, "x"),
            ("d", S, "a"),
            ("f", F, "x"),
            ("f/", D, ""),
            ("f/in", F, "x"),
            ("usr/lib/", D, ""),
            ("lib", S, "usr/lib"),
            ("lib/through", F, "x"),
            ("abs", S, "/usr/lib"),
            ("abs/through2", F, "x"),
            ("self", F, "x"),
            ("self", H, "self"),
        ],
        &into,
    );
    assert_eq!(fs_err::read_to_string(into.join("a")).unwrap(), "second");
    assert_eq!(fs_err::read_link(into.join("d")).unwrap(), Path::new("a"));
    assert!(into.join("f/in").exists());
    assert!(into.join("usr/lib/through").exists() && into.join("usr/lib/through2").exists());
    assert!(into.join("self").exists());
}

#[test]
fn bombs_are_defused() {
    let scratch = tempfile::tempdir().unwrap();
    // A hole of an exabyte costs nothing to write down; a file system has a limit, so do we.
    let into = scratch.path().join("fs");
    let mut entry = Entry::new("bomb", Kind::File);
    entry.size = 1 << 60;
    let mut bytes = Writer::new(Vec::new());
    // The data is missing: the size alone has to be refused.
    assert!(bytes.append(&entry, std::io::empty()).is_err());
    let bytes = {
        let mut header = Vec::new();
        let mut writer = Writer::new(&mut header);
        let _too_short = writer.append(&entry, std::io::empty());
        header
    };
    let error = try_unpack(&bytes, &into).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the files of the archive hold more than {} bytes", 256_u64 << 30)
    );
}
