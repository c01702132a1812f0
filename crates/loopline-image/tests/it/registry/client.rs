//! The client, against registries that behave and registries that do not.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use loopline_image::digest::Digest;
use loopline_image::reference::Reference;
use loopline_image::registry::client::{Client, DockerConfig, Platforms, Pulled, RegistryError};
use loopline_image::store::Store;
use loopline_image::tar::Kind;

use super::server::{Served, client, client_with, push, users};
use crate::support::{archive, image, store};

fn parse(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Returns an error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn pull(
    served: &Served,
    client: &Client,
    store: &Store,
    name: &str,
) -> Result<Pulled, RegistryError> {
    let lease = Arc::new(store.lease().unwrap());
    let platforms = Platforms::One("linux/amd64".parse().unwrap());
    served.runtime.block_on(client.pull(store, &parse(name), &platforms, &lease))
}

/// A large archive that does not compress away.
fn large() -> Vec<u8> {
    let mut seed = 1_u64;
    let text: String = (0..3_000_000)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + ((seed >> 33) % 26) as u8)
        })
        .collect();
    archive(&[("large", Kind::File, &text)])
}

#[test]
fn an_image_goes_there_and_comes_back() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let store = store(scratch.path());
    let lease = image(&store, "app:1", &large());
    let (client, told) = client();
    let remote = served.name("team/app:v1");
    let push = |local: &str, remote: &str| push(&served.runtime, &client, &lease, local, remote);
    let pushed = push("app:1", &remote);
    assert_eq!((pushed.blobs, pushed.known, pushed.mounted), (2, 0, 0));
    let pushed = push("app:1", &remote);
    assert_eq!((pushed.blobs, pushed.known, pushed.mounted), (0, 2, 0));
    // It is known here that the other repository has the layers.
    let descriptor = store.look_up(&parse("app:1")).unwrap().unwrap();
    store.set(&parse(&remote), &descriptor, &lease).unwrap();
    let pushed = push("app:1", &served.name("other/app:v1"));
    assert_eq!((pushed.blobs, pushed.known, pushed.mounted), (0, 0, 2));

    let other = Store::open(scratch.path().join("other"), loopline_clock::Clock::real()).unwrap();
    let pulled = pull(&served, &client, &other, &remote).unwrap();
    assert_eq!((pulled.blobs, pulled.known), (2, 0));
    assert_eq!(pulled.descriptor.digest().as_ref(), pushed.digest.as_str());
    let snapshot = other.snapshot(&parse(&remote), None).unwrap();
    assert!(snapshot.layers[0].join("large").exists());
    assert_eq!(pull(&served, &client, &other, &remote).unwrap().known, 2);
    assert!(told.lock().unwrap().iter().any(|it| it.starts_with("Done")));
    // By its digest alone, too.
    let by_digest = format!("{}@{}", served.name("team/app"), pushed.digest);
    pull(&served, &client, &other, &by_digest).unwrap();
    other.remove_name(&parse(&remote)).unwrap();
    drop(snapshot);
    other.collect().unwrap();
    other.snapshot(&parse(&by_digest), None).unwrap();
}

#[test]
fn errors_name_the_image_the_registry_and_the_answer() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::with(scratch.path(), |options| {
        options.users = Some(users(scratch.path()));
    });
    let store = store(scratch.path());
    let address = served.address;
    let (nobody, _) = client();
    let name = served.name("app:1");
    let error = chain(&pull(&served, &nobody, &store, &name).unwrap_err());
    assert_eq!(
        error,
        format!(
            "pull {name} from {address}: the registry wants a login (UNAUTHORIZED: say who you \
             are: `docker login`, `skopeo login`): none is kept for {address}"
        )
    );
    let config = scratch.path().join("config.json");
    let login = |password: &str| {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("ada:{password}"));
        let text = format!(r#"{{"auths":{{"{address}":{{"auth":"{auth}"}}}}}}"#);
        fs_err::write(&config, text).unwrap();
        let credentials = DockerConfig::read(&config, None).unwrap();
        client_with(|options| options.credentials = Arc::new(credentials)).0
    };
    let error = chain(&pull(&served, &login("wrong"), &store, &name).unwrap_err());
    assert!(error.ends_with("it did not take what it was given"), "{error}");
    let error = chain(&pull(&served, &login("secret"), &store, &name).unwrap_err());
    assert_eq!(
        error,
        format!(
            "pull {name} from {address}: the registry answered 404 Not Found (NAME_UNKNOWN: there \
             is no such repository)"
        )
    );
    let lease = image(&store, "app:1", &archive(&[]));
    push(&served.runtime, &login("secret"), &lease, "app:1", &name);
    // Nobody is there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = chain(&pull(&served, &nobody, &store, &format!("{closed}/a:1")).unwrap_err());
    let expected = format!("pull {closed}/a:1 from {closed}: connect to {closed}: ");
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn mirrors_are_asked_first() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let store = store(scratch.path());
    let lease = image(&store, "local:1", &archive(&[("file", Kind::File, "x")]));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (client, told) = client_with(|options| {
        options.mirrors = vec![
            ("docker.io".to_owned(), format!("http://{closed}")),
            ("docker.io".to_owned(), format!("http://{}/", served.address)),
        ];
    });
    let remote = served.name("library/busybox:1");
    push(&served.runtime, &client, &lease, "local:1", &remote);
    let pulled = pull(&served, &client, &store, "busybox:1").unwrap();
    assert_eq!(store.look_up(&parse("busybox:1")).unwrap(), Some(pulled.descriptor));
    let told = told.lock().unwrap().join("\n");
    assert!(told.contains(&format!("connect to {closed}")), "{told}");
    let (client, _) = client_with(|options| {
        options.mirrors = vec![("docker.io".to_owned(), "http://mirror.example".to_owned())];
    });
    let error = chain(&pull(&served, &client, &store, "busybox:1").unwrap_err());
    assert!(error.contains("--insecure-registry"), "{error}");
}

/// Answers requests as a test wants it, one connection each.
fn scripted(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            // What does not begin like a request wants to encrypt.
            while !head.ends_with(b"\r\n\r\n") && head.first() != Some(&0x16) {
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            if head.starts_with(b"GET") {
                let _gone = stream.write_all(&answer(&String::from_utf8_lossy(&head)));
            }
        }
    });
    address
}

fn reply(head: &str, body: &[u8]) -> Vec<u8> {
    let mut reply = format!("HTTP/1.1 {head}\r\nconnection: close\r\n").into_bytes();
    if !head.contains("content-length") {
        reply.extend(format!("content-length: {}\r\n", body.len()).bytes());
    }
    reply.extend(b"\r\n");
    reply.extend(body);
    reply
}

/// An image of one blob, and how a registry gives it out.
fn lying(give: impl Fn(u64, &[u8]) -> Vec<u8> + Send + 'static) -> (SocketAddr, Digest) {
    let blob = b"0123456789".repeat(100_000);
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let descriptor = |bytes: &[u8]| {
        serde_json::json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": Digest::of(bytes), "size": bytes.len() })
    };
    let manifest = serde_json::json!({ "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(config), "layers": [descriptor(&blob)] })
    .to_string();
    let digest = Digest::of(&blob);
    let wanted = digest.clone();
    let address = scripted(move |head| {
        let path = head.split([' ', '?']).nth(1).unwrap_or_default();
        if path.contains("/manifests/") {
            reply("200 OK", manifest.as_bytes())
        } else if path.ends_with(digest.as_str()) {
            let from = head.to_lowercase();
            let from = from.split("range: bytes=").nth(1).and_then(|it| it.split('-').next());
            give(from.and_then(|it| it.parse().ok()).unwrap_or(0), &blob)
        } else if path.contains("/blobs/") {
            reply("200 OK", config)
        } else {
            reply("200 OK", b"{}")
        }
    });
    (address, wanted)
}

#[test]
fn a_download_that_breaks_off_is_gone_on_with() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let store = store(scratch.path());
    // Each answer breaks off after a quarter of the blob.
    let (address, digest) = lying(|from, blob| {
        let start = usize::try_from(from).unwrap();
        let end = (start + 300_000).min(blob.len());
        let status = if from == 0 {
            format!("200 OK\r\ncontent-length: {}", blob.len())
        } else {
            let total = blob.len();
            let left = total - start;
            format!(
                "206 Partial Content\r\ncontent-range: bytes {start}-{}/{total}\r\ncontent-length: {left}",
                total - 1
            )
        };
        reply(&status, &blob[start..end])
    });
    let (client, told) = client();
    let pulled = pull(&served, &client, &store, &format!("{address}/a:1")).unwrap();
    assert_eq!(pulled.blobs, 2);
    assert_eq!(store.blob_size(&digest).unwrap(), Some(1_000_000));
    let told = told.lock().unwrap();
    assert!(told.iter().filter(|it| it.starts_with("Retried")).count() >= 3, "{told:?}");
}

#[test]
fn a_pull_goes_on_where_an_earlier_one_stopped() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let store = store(scratch.path());
    let (address, digest) = lying(|from, blob| {
        assert_eq!(from, 400_000);
        let status = "206 Partial Content\r\ncontent-range: bytes 400000-999999/1000000";
        reply(status, &blob[400_000..])
    });
    let partial = store.root().join("partial");
    fs_err::create_dir(&partial).unwrap();
    fs_err::write(partial.join(digest.hex()), b"0123456789".repeat(40_000)).unwrap();
    let (client, told) = client();
    pull(&served, &client, &store, &format!("{address}/a:1")).unwrap();
    assert_eq!(store.blob_size(&digest).unwrap(), Some(1_000_000));
    assert!(told.lock().unwrap().iter().any(|it| it.contains("resumed: 400000")));
    assert_eq!(fs_err::read_dir(partial).unwrap().count(), 0);
}

#[test]
fn a_registry_that_lies_is_found_out() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let store = store(scratch.path());
    let (client, _) = client();
    for (expected, give) in [
        (
            "and sha256:",
            (|_, blob| reply("200 OK", &vec![b'x'; blob.len()])) as fn(u64, &[u8]) -> Vec<u8>,
        ),
        ("1000001 bytes, and 1000000 are said", |_, blob| reply("200 OK", &[blob, b"x"].concat())),
        ("the registry answered 404 Not Found", |_, _| reply("404 Not Found", b"")),
        ("begins with neither https:// nor http://", |_, _| {
            reply("307 Temporary Redirect\r\nlocation: ftp://x/", b"")
        }),
        ("more than 5 times", |_, _| reply("307 Temporary Redirect\r\nlocation: ?again", b"")),
        ("it was asked for what follows byte", |from, blob| match from {
            0 => reply("200 OK\r\ncontent-length: 1000000", &blob[..100_000]),
            _ => reply("206 Partial Content\r\ncontent-range: bytes 0-999999/1000000", blob),
        }),
    ] {
        let (address, digest) = lying(give);
        let error = chain(&pull(&served, &client, &store, &format!("{address}/a:1")).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert_eq!(store.blob_size(&digest).unwrap(), None);
        let partial = store.root().join("partial").join(digest.hex());
        if partial.exists() {
            fs_err::remove_file(partial).unwrap();
        }
    }
    // A manifest that is not the one whose digest was asked for.
    let (address, _) = lying(|_, blob| reply("200 OK", blob));
    let name = format!("{address}/a@{}", Digest::of(b"another"));
    let error = chain(&pull(&served, &client, &store, &name).unwrap_err());
    assert!(error.contains("the manifest is sha256:"), "{error}");
}

#[test]
fn tokens_are_fetched_where_the_registry_says() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let store = store(scratch.path());
    let manifest = serde_json::json!({ "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [] })
    .to_string();
    let address = Arc::new(std::sync::OnceLock::<SocketAddr>::new());
    let known = Arc::clone(&address);
    let here = scripted(move |head| {
        let lower = head.to_lowercase();
        if head.starts_with("GET /token?") {
            let scope = "service=the+registry&scope=repository%3Aa%3Apull";
            return if head.contains(scope)
                && lower.contains("authorization: basic ywrhonnly3jlda==")
            {
                reply("200 OK", br#"{"access_token":"t0ken"}"#)
            } else {
                reply("401 Unauthorized", br#"{"details":"who are you?"}"#)
            };
        }
        if lower.contains("authorization: bearer t0ken") || !head.contains("/manifests/") {
            return reply("200 OK", manifest.as_bytes());
        }
        let realm = format!("http://{}/token", known.get().unwrap());
        let challenge =
            format!("www-authenticate: Bearer realm=\"{realm}\",service=\"the registry\"");
        reply(&format!("401 Unauthorized\r\n{challenge}"), b"")
    });
    address.set(here).unwrap();
    let config = scratch.path().join("config.json");
    let text = format!(r#"{{"auths":{{"{here}":{{"username":"ada","password":"secret"}}}}}}"#);
    fs_err::write(&config, text).unwrap();
    let credentials = DockerConfig::read(&config, None).unwrap();
    let (known, _) = client_with(|options| options.credentials = Arc::new(credentials));
    let name = format!("{here}/a:1");
    // The index has no image for anybody, but it came.
    let error = chain(&pull(&served, &known, &store, &name).unwrap_err());
    assert!(error.contains("is for no platform, not for linux/amd64"), "{error}");
    let (nobody, _) = client();
    let error = chain(&pull(&served, &nobody, &store, &name).unwrap_err());
    assert!(error.contains("(who are you?)") && error.contains("none is kept"), "{error}");
}

#[test]
fn a_registry_hands_on_another() {
    let scratch = tempfile::tempdir().unwrap();
    let upstream = Served::new(scratch.path());
    let store = store(scratch.path());
    let lease = image(&store, "app:1", &archive(&[("file", Kind::File, "x")]));
    let (client, _) = client();
    let remote = upstream.name("team/app:1");
    let pushed = push(&upstream.runtime, &client, &lease, "app:1", &remote);
    let behind = upstream.address.to_string();
    let caching = Served::with(&scratch.path().join("cache"), |options| {
        options.upstream = Some((client.clone(), behind));
    });
    let name = caching.name("team/app:1");
    let other = Store::open(scratch.path().join("other"), loopline_clock::Clock::real()).unwrap();
    let pulled = pull(&caching, &client, &other, &name).unwrap();
    assert_eq!(pulled.descriptor.digest().as_ref(), pushed.digest.as_str());
    caching.get("/v2/team/app/manifests/2").is_error(404, "MANIFEST_UNKNOWN");
    let refused = caching.ask(http::Method::POST, "/v2/team/app/blobs/uploads/", &[], "");
    refused.is_error(405, "UNSUPPORTED");
    // What was handed on is kept, also when the other registry is gone.
    drop(upstream);
    let third = Store::open(scratch.path().join("third"), loopline_clock::Clock::real()).unwrap();
    let (fresh, _) = super::server::client();
    assert_eq!(pull(&caching, &fresh, &third, &name).unwrap().blobs, 2);
}
