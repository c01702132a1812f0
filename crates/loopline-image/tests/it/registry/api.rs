//! The distribution API, request by request.

use http::Method;
use loopline_image::digest::Digest;
use serde_json::{Value, json};

use super::server::{Answered, Served, users};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pushes a blob in one request and returns its descriptor.
fn push_blob(served: &Served, name: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
    let answer = served.ask(Method::POST, &path, &[], bytes.to_vec());
    answer.is(201);
    assert_eq!(answer.header("location"), format!("/v2/{name}/blobs/{digest}"));
    json!({ "mediaType": "application/octet-stream", "digest": digest, "size": bytes.len() })
}

fn put(served: &Served, name: &str, reference: &str, manifest: &Value) -> Answered {
    let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
    let path = format!("/v2/{name}/manifests/{reference}");
    served.ask(Method::PUT, &path, &[("content-type", &media_type)], manifest.to_string())
}

/// Pushes an image and returns its manifest's descriptor.
fn push(served: &Served, name: &str, tag: &str, extra: Value) -> Value {
    let config = push_blob(served, name, b"{}");
    let layer = push_blob(served, name, tag.as_bytes());
    let mut manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    for (key, value) in extra.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    let answer = put(served, name, tag, &manifest);
    answer.is(201);
    let digest = Digest::of(manifest.to_string().as_bytes());
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
    json!({ "mediaType": MANIFEST, "digest": digest, "size": manifest.to_string().len() })
}

#[test]
fn blobs_are_uploaded_in_pieces_and_resumed() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let root = served.get("/v2/");
    assert_eq!(root.is(200).header("docker-distribution-api-version"), "registry/2.0");
    let begun = served.ask(Method::POST, "/v2/a/b/blobs/uploads/", &[], "");
    let location = begun.is(202).header("location").to_owned();
    assert_eq!(begun.header("range"), "0-0");
    let patch = |range: &str, body: &'static str| {
        served.ask(Method::PATCH, &location, &[("content-range", range)], body)
    };
    assert_eq!(patch("0-3", "0123").is(202).header("range"), "0-3");
    // Out of order, doubled, and of another length than said.
    let refused = patch("6-7", "67");
    refused.is_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!((refused.header("range"), refused.header("location")), ("0-3", location.as_str()));
    patch("0-3", "0123").is_error(416, "BLOB_UPLOAD_INVALID");
    patch("4-9", "45").is_error(400, "SIZE_INVALID");
    patch("x", "45").is_error(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(served.get(&location).is(204).header("range"), "0-3");
    assert_eq!(patch("bytes 4-5", "45").is(202).header("range"), "0-5");
    // The repository is part of the upload.
    served.get(&location.replace("/a/b/", "/a/c/")).is_error(404, "BLOB_UPLOAD_UNKNOWN");
    let whole = Digest::of(b"01234567");
    let finish = |digest: &str, body: &'static str| {
        served.ask(
            Method::PUT,
            &format!("{location}?digest={digest}"),
            &[("content-range", "6-7")],
            body,
        )
    };
    finish("sha256:0", "67").is_error(400, "DIGEST_INVALID");
    let stored = finish(whole.as_str(), "67");
    assert_eq!(stored.is(201).header("docker-content-digest"), whole.as_str());
    served.get(&location).is_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(served.get(stored.header("location")).is(200).body, "01234567");
}

#[test]
fn an_upload_outlives_the_registry() {
    let scratch = tempfile::tempdir().unwrap();
    let location = {
        let served = Served::new(scratch.path());
        let begun = served.ask(Method::POST, "/v2/a/blobs/uploads/", &[], "");
        let location = begun.is(202).header("location").to_owned();
        served.ask(Method::PATCH, &location, &[], "0123").is(202);
        location
    };
    let served = Served::new(scratch.path());
    assert_eq!(served.get(&location).is(204).header("range"), "0-3");
    let digest = Digest::of(b"012345");
    served.ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "45").is(201);
    let begun = served.ask(Method::POST, "/v2/a/blobs/uploads/", &[], "");
    let location = begun.header("location");
    served.ask(Method::DELETE, location, &[], "").is(204);
    served.get(location).is_error(404, "BLOB_UPLOAD_UNKNOWN");
    // What came is wrong: it is thrown away.
    let begun = served.ask(Method::POST, "/v2/a/blobs/uploads/", &[], "");
    let location = begun.header("location");
    served
        .ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "other")
        .is_error(400, "DIGEST_INVALID");
    served.get(location).is_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn blobs_are_downloaded_whole_and_in_part() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let blob = push_blob(&served, "a", b"0123456789");
    let path = format!("/v2/a/blobs/{}", blob["digest"].as_str().unwrap());
    let head = served.ask(Method::HEAD, &path, &[], "");
    assert_eq!((head.is(200).header("content-length"), head.body.len()), ("10", 0));
    let range = |range: &str| served.ask(Method::GET, &path, &[("range", range)], "");
    for (asked, body, shown) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
    ] {
        let part = range(asked);
        assert_eq!(
            (part.is(206).body.as_ref(), part.header("content-range")),
            (body.as_bytes(), shown)
        );
    }
    let beyond = range("bytes=10-");
    beyond.is_error(416, "SIZE_INVALID");
    assert_eq!(beyond.header("content-range"), "bytes */10");
    // A blob is its repository's, until it is mounted.
    let digest = blob["digest"].as_str().unwrap();
    served.get(&format!("/v2/b/blobs/{digest}")).is_error(404, "BLOB_UNKNOWN");
    let mount = |from: &str| {
        let path = format!("/v2/b/blobs/uploads/?mount={digest}&from={from}");
        served.ask(Method::POST, &path, &[], "")
    };
    mount("nowhere").is(202);
    mount("a").is(201);
    served.get(&format!("/v2/b/blobs/{digest}")).is(200);
    served.ask(Method::DELETE, &path, &[], "").is(202);
    served.ask(Method::DELETE, &path, &[], "").is_error(404, "BLOB_UNKNOWN");
    served.get(&path).is_error(404, "BLOB_UNKNOWN");
    served.get(&format!("/v2/b/blobs/{digest}")).is(200);
}

#[test]
fn manifests_are_checked() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    served.get("/v2/a/manifests/v1").is_error(404, "NAME_UNKNOWN");
    served.get("/v2/a/tags/list").is_error(404, "NAME_UNKNOWN");
    let pushed = push(&served, "a", "v1", json!({}));
    let digest = pushed["digest"].as_str().unwrap();
    served.get("/v2/a/manifests/v2").is_error(404, "MANIFEST_UNKNOWN");
    for reference in ["v1", digest] {
        let found = served.get(&format!("/v2/a/manifests/{reference}"));
        assert_eq!(found.is(200).header("content-type"), MANIFEST);
        assert_eq!(found.header("docker-content-digest"), digest);
        assert_eq!(Digest::of(&found.body).as_str(), digest);
    }
    let accept =
        |types: &str| served.ask(Method::GET, "/v2/a/manifests/v1", &[("accept", types)], "");
    accept(INDEX).is_error(404, "MANIFEST_UNKNOWN");
    accept(&format!("{INDEX}, {MANIFEST};q=0.5")).is(200);
    accept("*/*").is(200);
    let missing = Digest::of(b"missing");
    let mut manifest = served.get("/v2/a/manifests/v1").json();
    manifest["layers"][0]["digest"] = json!(missing);
    let refused = put(&served, "a", "v2", &manifest);
    refused.is_error(404, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], missing.as_str());
    // A layer that lives elsewhere need not be here.
    manifest["layers"][0]["urls"] = json!(["https://elsewhere.example/layer"]);
    put(&served, "a", "v2", &manifest).is(201);
    put(&served, "a", missing.as_str(), &manifest).is_error(400, "DIGEST_INVALID");
    let index = |digest: &str| {
        json!({ "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{ "mediaType": MANIFEST, "digest": digest, "size": 1 }] })
    };
    put(&served, "a", "all", &index(missing.as_str())).is_error(404, "MANIFEST_BLOB_UNKNOWN");
    put(&served, "a", "all", &index(digest)).is(201);
    let sent = |media_type: &str, body: &str| {
        let headers = [("content-type", media_type)];
        served.ask(Method::PUT, "/v2/a/manifests/x", &headers, body.to_owned())
    };
    sent(MANIFEST, "{").is_error(400, "MANIFEST_INVALID");
    sent(MANIFEST, "{}").is_error(400, "MANIFEST_INVALID");
    sent(INDEX, &manifest.to_string()).is_error(400, "MANIFEST_INVALID");
    sent("text/plain", &manifest.to_string()).is_error(400, "MANIFEST_INVALID");
    sent(MANIFEST, &" ".repeat(5 << 20)).is_error(413, "MANIFEST_INVALID");
    served.ask(Method::PUT, "/v2/A/manifests/x", &[], "").is_error(400, "NAME_INVALID");
    served.ask(Method::POST, "/v2/a/manifests/x", &[], "").is_error(405, "UNSUPPORTED");
    // A tag is deleted alone, a manifest with its tags.
    served.ask(Method::DELETE, "/v2/a/manifests/v2", &[], "").is(202);
    served.ask(Method::DELETE, "/v2/a/manifests/v2", &[], "").is_error(404, "MANIFEST_UNKNOWN");
    served.ask(Method::DELETE, &format!("/v2/a/manifests/{digest}"), &[], "").is(202);
    served.get("/v2/a/manifests/v1").is_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(served.get("/v2/a/tags/list").json()["tags"], json!(["all"]));
}

#[test]
fn lists_come_in_pages() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    for tag in ["b", "a", "d", "c", "B", "a.1"] {
        push(&served, "x/y", tag, json!({}));
    }
    push(&served, "w", "1", json!({}));
    push(&served, "x/y/z", "1", json!({}));
    let all = served.get("/v2/x/y/tags/list");
    assert_eq!(all.json(), json!({ "name": "x/y", "tags": ["B", "a", "a.1", "b", "c", "d"] }));
    assert_eq!(all.header("link"), "");
    let mut next = "/v2/x/y/tags/list?n=4".to_owned();
    let mut pages = Vec::new();
    while !next.is_empty() {
        let page = served.get(&next);
        pages.push(page.is(200).json()["tags"].clone());
        let link = page.header("link");
        next = link.strip_prefix('<').map_or("", |it| it.split('>').next().unwrap()).to_owned();
    }
    assert_eq!(json!(pages), json!([["B", "a", "a.1", "b"], ["c", "d"]]));
    assert_eq!(served.get("/v2/x/y/tags/list?n=0").json()["tags"], json!([]));
    assert_eq!(
        served.get("/v2/x/y/tags/list?last=a").json()["tags"],
        json!(["a.1", "b", "c", "d"])
    );
    served.get("/v2/x/y/tags/list?n=x").is_error(400, "UNSUPPORTED");
    assert_eq!(served.get("/v2/_catalog").json()["repositories"], json!(["w", "x/y", "x/y/z"]));
    let page = served.get("/v2/_catalog?n=1");
    assert_eq!(page.json()["repositories"], json!(["w"]));
    assert_eq!(page.header("link"), "</v2/_catalog?last=w&n=1>; rel=\"next\"");
}

#[test]
fn what_refers_to_a_manifest_is_listed() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let subject = push(&served, "a", "v1", json!({}));
    let digest = subject["digest"].as_str().unwrap().to_owned();
    let refer = |tag: &str, artifact_type: Value, annotations: Value| {
        let mut extra = json!({ "subject": subject });
        if !artifact_type.is_null() {
            extra["artifactType"] = artifact_type;
        }
        extra["annotations"] = annotations;
        push(&served, "a", tag, extra)
    };
    let list = |query: &str| served.get(&format!("/v2/a/referrers/{digest}{query}"));
    assert_eq!(list("").is(200).json()["manifests"], json!([]));
    let signature = refer("sig", json!("x/signature"), json!({ "k": "v" }));
    let bill = refer("sbom", Value::Null, json!({}));
    let all = list("");
    assert_eq!(all.is(200).header("content-type"), INDEX);
    assert_eq!(all.json()["manifests"].as_array().unwrap().len(), 2);
    let filtered = list("?artifactType=x/signature");
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let found = filtered.json()["manifests"].clone();
    assert_eq!(found[0]["digest"], signature["digest"]);
    assert_eq!((&found[0]["annotations"]["k"], found.as_array().unwrap().len()), (&json!("v"), 1));
    // Without a type of its own, it is that of the configuration.
    let other = list("?artifactType=application/octet-stream").json()["manifests"].clone();
    assert_eq!(other[0]["digest"], bill["digest"]);
    // What is referred to need not be there.
    let nowhere = json!({ "mediaType": MANIFEST, "digest": Digest::of(b"x"), "size": 1 });
    let pushed = push(&served, "a", "early", json!({ "subject": nowhere }));
    let early = served.get(&format!("/v2/a/referrers/{}", Digest::of(b"x"))).json();
    assert_eq!(early["manifests"][0]["digest"], pushed["digest"]);
    let path = format!("/v2/a/manifests/{}", signature["digest"].as_str().unwrap());
    served.ask(Method::DELETE, &path, &[], "").is(202);
    assert_eq!(list("").json()["manifests"].as_array().unwrap().len(), 1);
    served.get("/v2/a/referrers/x").is_error(400, "DIGEST_INVALID");
    // A pushed manifest says that the registry understood.
    let manifest = served.get("/v2/a/manifests/sbom").json();
    assert_eq!(put(&served, "a", "again", &manifest).header("oci-subject"), digest);
}

#[test]
fn who_asks_has_to_say_who_they_are() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::with(scratch.path(), |options| {
        options.users = Some(users(scratch.path()));
        options.anonymous_pull = true;
    });
    let refused = served.get("/v2/");
    refused.is_error(401, "UNAUTHORIZED");
    assert!(refused.header("www-authenticate").starts_with("Basic realm="));
    let right = format!("Basic {}", STANDARD.encode("ada:secret"));
    let wrong = format!("Basic {}", STANDARD.encode("ada:wrong"));
    let begin =
        |headers: &[(&str, &str)]| served.ask(Method::POST, "/v2/a/blobs/uploads/", headers, "");
    begin(&[]).is_error(401, "UNAUTHORIZED");
    begin(&[("authorization", &wrong)]).is_error(401, "UNAUTHORIZED");
    begin(&[("authorization", &right)]).is(202);
    served.ask(Method::GET, "/v2/", &[("authorization", &right)], "").is(200);
    // Pulling is for everybody here.
    served.get("/v2/a/manifests/v1").is_error(404, "NAME_UNKNOWN");
}

#[test]
fn collections_leave_what_is_being_pushed_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                served.registry.collect().unwrap();
            }
        });
        let pushers: Vec<_> = (0..3)
            .map(|pusher| {
                let served = &served;
                scope.spawn(move || {
                    for round in 0..25 {
                        let name = format!("r{pusher}");
                        // The same layers come and go in all repositories.
                        let tag = format!("t{}", round % 4);
                        let pushed = push(
                            served,
                            &name,
                            &tag,
                            json!({ "annotations": { "r": round.to_string() } }),
                        );
                        let digest = pushed["digest"].as_str().unwrap();
                        if round % 3 == 0 {
                            let path = format!("/v2/{name}/manifests/{digest}");
                            served.ask(Method::DELETE, &path, &[], "").is(202);
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = pushers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        ended.into_iter().for_each(|it| it.unwrap());
    });
    served.registry.collect().unwrap();
    let catalog = served.get("/v2/_catalog").json();
    for name in catalog["repositories"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        for tag in served.get(&format!("/v2/{name}/tags/list")).json()["tags"].as_array().unwrap() {
            let manifest = served.get(&format!("/v2/{name}/manifests/{}", tag.as_str().unwrap()));
            for layer in manifest.is(200).json()["layers"].as_array().unwrap() {
                let digest = layer["digest"].as_str().unwrap();
                let blob = served.get(&format!("/v2/{name}/blobs/{digest}"));
                assert_eq!(Digest::of(&blob.is(200).body).as_str(), digest);
            }
        }
    }
}

#[test]
fn what_nothing_leads_to_goes_after_a_day() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::new(scratch.path());
    let orphan = push_blob(&served, "a", b"orphan");
    push(&served, "a", "v1", json!({}));
    assert_eq!(served.registry.collect().unwrap().blobs, 0);
    let blobs = scratch.path().join("registry/repositories/a/_blobs");
    let yesterday = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    for entry in fs_err::read_dir(blobs).unwrap() {
        let file = fs_err::OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap();
        file.file().set_modified(yesterday).unwrap();
    }
    assert_eq!(served.registry.collect().unwrap().blobs, 1);
    let path = format!("/v2/a/blobs/{}", orphan["digest"].as_str().unwrap());
    served.get(&path).is_error(404, "BLOB_UNKNOWN");
    let manifest = served.get("/v2/a/manifests/v1").json();
    let path = format!("/v2/a/blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap());
    served.get(&path).is(200);
}
