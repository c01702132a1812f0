//! Measures the user-mode network of a sandbox: how much a job sends and receives in a second
//! over one connection and over several, and how many connections it opens. Run it with
//! `cargo run --release -p loopline-sandbox --example network_throughput`.
#![expect(clippy::print_stdout, reason = "an example prints what it measured")]

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::ExitCode;

use loopline_sandbox::{
    Bounds, Machine as _, Network, Output, ProcessSpec, Sandbox, SandboxSpec, Stdin,
};
use rustix::time::{ClockId, clock_gettime};

const MEGABYTES: usize = 2000;
const CONNECTIONS: usize = 1000;

fn main() -> ExitCode {
    if let Some(code) = loopline_sandbox::maybe_run_helper() {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let scratch = std::env::temp_dir().join(format!("loopline-throughput-{}", std::process::id()));
    let sandbox = Sandbox::start(&SandboxSpec {
        state: scratch.clone(),
        pool: None,
        home: "/root".into(),
        binds: Vec::new(),
        scaffolds: Vec::new(),
        hostname: "throughput".to_owned(),
        network: Network::User,
        bounds: Bounds::of_machine(),
    })?;
    for note in sandbox.notes() {
        println!("note: {note}");
    }
    let route = UdpSocket::bind("0.0.0.0:0")?;
    route.connect("192.0.2.1:9")?;
    let listener = TcpListener::bind((route.local_addr()?.ip(), 0))?;
    let address = listener.local_addr()?;
    let target = format!("/dev/tcp/{}/{}", address.ip(), address.port());
    for streams in [1, 8] {
        let each = MEGABYTES / streams;
        let all = |script: &str| format!("for i in $(seq {streams}); do {script} & done; wait");
        let up = format!("dd if=/dev/zero bs=1M count={each} 2>/dev/null >{target}");
        let seconds = timed(&sandbox, &listener, &all(&up), streams, 0)?;
        println!("{streams} streams up:   {:.0} MB/s", rate(each * streams, seconds));
        let down = format!("cat <{target} >/dev/null");
        let seconds = timed(&sandbox, &listener, &all(&down), streams, each)?;
        println!("{streams} streams down: {:.0} MB/s", rate(each * streams, seconds));
    }
    let many = format!("for i in $(seq {CONNECTIONS}); do : <{target}; done");
    let seconds = timed(&sandbox, &listener, &many, CONNECTIONS, 0)?;
    println!("one after another: {:.0} connections a second", CONNECTIONS as f64 / seconds);
    sandbox.teardown()?;
    loopline_sandbox::remove_state(&scratch)?;
    Ok(())
}

fn rate(megabytes: usize, seconds: f64) -> f64 {
    (megabytes * 1024 * 1024) as f64 / 1e6 / seconds
}

/// Runs a script that opens connections; each gets `megabytes` and is read to its end.
fn timed(
    sandbox: &Sandbox,
    listener: &TcpListener,
    script: &str,
    connections: usize,
    megabytes: usize,
) -> Result<f64, Box<dyn Error>> {
    let begin = seconds();
    let mut process = sandbox.spawn(&ProcessSpec {
        program: "bash".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: Path::new("/").to_owned(),
        stdin: Stdin::Null,
        output: Output::Inherit,
    })?;
    let mut served = Vec::new();
    for _ in 0..connections {
        let (mut stream, _) = listener.accept()?;
        let mut serve = move || -> io::Result<()> {
            let mut buffer = vec![0; 1024 * 1024];
            for _ in 0..megabytes {
                stream.write_all(&buffer)?;
            }
            stream.shutdown(std::net::Shutdown::Write)?;
            while stream.read(&mut buffer)? > 0 {}
            Ok(())
        };
        if connections > 100 {
            serve()?;
        } else {
            served.push(std::thread::spawn(serve));
        }
    }
    for thread in served {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    process.wait_blocking(None, None)?;
    Ok(seconds() - begin)
}

fn seconds() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
