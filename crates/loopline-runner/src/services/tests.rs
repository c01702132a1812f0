//! The servers before the real clients, and before wrong ones.
#![expect(clippy::disallowed_methods, reason = "tests start npm and node")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use fs_err as fs;
use loopline_clock::Clock;

use super::disk::Disk;
use super::storage::CacheScope;
use super::{Server, Session};

struct Fixture {
    folder: tempfile::TempDir,
    server: Server,
    stored: Arc<Mutex<Vec<String>>>,
}

fn serve() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::real();
    let disk = Arc::new(Disk::new(folder.path().join("a"), folder.path().join("c"), clock.clone()));
    let stored = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&stored);
    let session = Session {
        run: "12".to_owned(),
        job: "build".to_owned(),
        scope: CacheScope {
            repository: "o/r".to_owned(),
            write: "refs/heads/main".to_owned(),
            read: vec!["refs/heads/main".to_owned()],
        },
        artifacts: disk.clone(),
        caches: disk,
        clock,
        on_stored: Arc::new(move |artifact| told.lock().unwrap().push(artifact.name.clone())),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    Fixture { server: Server::start(listener, session).unwrap(), folder, stored }
}

/// Returns the folder where npm keeps the clients, or why there is none.
fn clients(name: &str, dependencies: &str) -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .ok_or("no home folder")?;
    let folder = cache.join("loopline-tests").join(name);
    if folder.join("complete").exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let package = format!(r#"{{"private":true,"dependencies":{{{dependencies}}}}}"#);
    fs::write(folder.join("package.json"), package).map_err(|error| error.to_string())?;
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--fetch-timeout=20000", "--fetch-retries=1"])
        .current_dir(&folder)
        .output()
        .map_err(|error| format!("npm: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).lines().take(3).collect());
    }
    fs::write(folder.join("complete"), "").map_err(|error| error.to_string())?;
    Ok(folder)
}

/// Runs `script` with the clients named, and returns what the server was told.
#[track_caller]
fn run_clients(name: &str, dependencies: &str, extension: &str, text: &str) -> Option<Fixture> {
    let folder = match clients(name, dependencies) {
        Ok(folder) => folder,
        Err(reason) => {
            println!("SKIPPED: the npm packages cannot be had: {reason}");
            return None;
        }
    };
    let fixture = serve();
    let work = fixture.folder.path().join("work");
    fs::create_dir_all(&work).unwrap();
    let script = folder.join(format!("clients-{}.{extension}", std::process::id()));
    fs::write(&script, text).unwrap();
    let output = Command::new("node")
        .arg(&script)
        .arg(&work)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("RUNNER_TEMP", fixture.folder.path())
        .env("GITHUB_SERVER_URL", "https://github.com")
        .env("GITHUB_REPOSITORY", "o/r")
        .envs(fixture.server.variables())
        .output()
        .unwrap();
    fs::remove_file(&script).unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("the clients are content"), "{out}\n{err}");
    Some(fixture)
}

#[test]
fn the_real_clients_are_content() {
    let newest = r#""@actions/artifact":"6.2.1","@actions/cache":"6.3.0""#;
    let script = include_str!("clients.mjs");
    if let Some(fixture) = run_clients("npm-clients-6", newest, "mjs", script) {
        assert_eq!(*fixture.stored.lock().unwrap(), ["my site"]);
    }
}

#[test]
fn the_older_cache_client_is_content() {
    let older = r#""@actions/cache":"3.3.0""#;
    run_clients("npm-clients-cache-3", older, "cjs", include_str!("clients_v1.cjs"));
}

fn request(fixture: &Fixture, head: &str, body: &str) -> String {
    let variables = fixture.server.variables();
    let address = variables.iter().find(|(name, _)| name == "ACTIONS_RESULTS_URL").unwrap();
    let host = address.1.strip_prefix("http://").unwrap().trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default();
    format!("{status} {}", answer.split_once("\r\n\r\n").map_or("", |(_, body)| body))
}

#[test]
fn wrong_clients_are_refused() {
    let fixture = serve();
    let call = "/twirp/github.actions.results.api.v1.";
    let token = format!("Authorization: Bearer {}", fixture.server.token());
    for (head, body, status) in [
        (format!("POST {call}ArtifactService/ListArtifacts HTTP/1.1"), "{}", "401"),
        (format!("POST {call}ArtifactService/ListArtifacts HTTP/1.1\r\n{token}x"), "{}", "401"),
        (format!("GET {call}ArtifactService/ListArtifacts HTTP/1.1\r\n{token}"), "{}", "405"),
        (format!("POST {call}ArtifactService/ListArtifacts HTTP/1.1\r\n{token}"), "{", "400"),
        (format!("POST {call}ArtifactService/MigrateArtifact HTTP/1.1\r\n{token}"), "{}", "404"),
        (
            format!("POST {call}ArtifactService/ListArtifacts HTTP/1.1\r\n{token}"),
            r#"{"workflow_run_backend_id":"13"}"#,
            "403",
        ),
        (
            format!("POST {call}ArtifactService/CreateArtifact HTTP/1.1\r\n{token}"),
            r#"{"name":"../x"}"#,
            "400",
        ),
        (
            format!("POST {call}ArtifactService/FinalizeArtifact HTTP/1.1\r\n{token}"),
            r#"{"name":"x"}"#,
            "404",
        ),
        (
            format!("POST {call}CacheService/CreateCacheEntry HTTP/1.1\r\n{token}"),
            r#"{"key":"a,b","version":"v"}"#,
            "400",
        ),
        ("GET /_apis/artifactcache/cache?keys=a&version=v HTTP/1.1".to_owned(), "", "401"),
        (format!("GET /_apis/artifactcache/cache?keys=a HTTP/1.1\r\n{token}"), "", "400"),
        (format!("POST /_apis/artifactcache/caches HTTP/1.1\r\n{token}"), "{}", "400"),
        (format!("POST /_apis/artifactcache/caches/1 HTTP/1.1\r\n{token}"), "{}", "404"),
        (format!("PATCH /_apis/artifactcache/caches/1 HTTP/1.1\r\n{token}"), "x", "404"),
        (format!("GET /_apis/artifactcache/clean HTTP/1.1\r\n{token}"), "", "404"),
        ("GET /blob/artifact/1?sig=0 HTTP/1.1".to_owned(), "", "404"),
        ("PUT /blob/upload/0 HTTP/1.1".to_owned(), "x", "404"),
        ("GET / HTTP/1.1".to_owned(), "", "404"),
    ] {
        let answer = request(&fixture, &head, body);
        assert!(answer.starts_with(status), "{head}: {answer}");
    }
    assert!(!Path::new(&fixture.folder.path().join("x")).exists());
}
