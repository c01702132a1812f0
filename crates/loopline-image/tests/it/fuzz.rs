//! Whatever comes in: nothing panics, nothing gets out.

use loopline_image::digest::Digest;
use loopline_image::layer::{Form, UnpackOptions, unpack};
use loopline_image::platform::Platform;
use loopline_image::reference::Reference;
use loopline_image::tar::{Bounds, Kind, Reader};

use crate::support::{archive, listing};

/// How many inputs are tried in a test run; a fuzzer goes on.
const ITERATIONS: usize = 3_000;

/// A small archive of everything, which is then damaged.
fn seed() -> Vec<u8> {
    let long = "l".repeat(150);
    archive(&[
        ("d/", Kind::Directory, ""),
        ("d/f", Kind::File, "content"),
        ("s", Kind::Symlink, ".."),
        ("s/out", Kind::File, "x"),
        ("h", Kind::HardLink, "d/f"),
        (&long, Kind::File, "x"),
        ("d/.wh.gone", Kind::File, ""),
    ])
}

/// Changes bytes of the archive as `bytes` say: three for a place, one for a value. The sum of a
/// header that was changed is made right again half of the time.
fn damaged(bytes: &[u8]) -> Vec<u8> {
    let mut archive = seed();
    for change in bytes.chunks_exact(4) {
        let at = usize::from(change[0]) << 8 | usize::from(change[1]);
        let at = at % archive.len();
        archive[at] = change[3];
        if change[2] & 1 == 0 {
            let header = &mut archive[at / 512 * 512..][..512];
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    archive
}

#[test]
fn readers_take_anything() {
    bolero::check!().with_iterations(ITERATIONS).with_max_len(64).for_each(|bytes: &[u8]| {
        for input in [damaged(bytes), bytes.to_vec()] {
            let mut reader = Reader::new(&input[..], Bounds { entries: 100, bytes: 1 << 20 });
            let mut buffer = [0; 100];
            while let Ok(Some(_)) = reader.next_entry() {
                while let Ok(1..) = reader.read_data(&mut buffer) {}
            }
        }
        let text = String::from_utf8_lossy(bytes);
        if let Ok(reference) = text.parse::<Reference>() {
            assert_eq!(reference.to_string().parse(), Ok(reference));
        }
        if let Ok(digest) = text.parse::<Digest>() {
            assert_eq!(digest.as_str(), text);
        }
        if let Ok(platform) = text.parse::<Platform>() {
            assert_eq!(platform.to_string().parse(), Ok(platform));
        }
    });
}

#[test]
fn damaged_layers_stay_inside() {
    let scratch = tempfile::tempdir().unwrap();
    let top = scratch.path().join("top");
    fs_err::create_dir(&top).unwrap();
    let form = Form::of(&top).unwrap();
    let options = UnpackOptions { form, bounds: Bounds { entries: 100, bytes: 1 << 20 } };
    bolero::check!().with_iterations(ITERATIONS / 6).with_max_len(32).for_each(|bytes: &[u8]| {
        let into = top.join("in/fs");
        fs_err::create_dir_all(&into).unwrap();
        let _either = unpack(&damaged(bytes)[..], &into, &options);
        // Nothing but the folder itself is in the one above.
        assert_eq!(fs_err::read_dir(top.join("in")).unwrap().count(), 1);
        assert_eq!(fs_err::read_dir(&top).unwrap().count(), 1);
        fs_err::remove_dir_all(top.join("in")).unwrap();
    });
    assert_eq!(listing(&top).len(), 1);
}
