//! Containers and builds beside runc, podman and buildah, where they are installed.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use fs_err as fs;

use super::measure::{Taken, measure, prepare};
use super::{build_release, contestant_cell, empty_folder};

/// How often each contestant runs each case.
const ROUNDS: usize = 20;
/// How often a build from nothing is measured; each round throws the cache away.
const BUILDS: usize = 5;
/// How many containers run at the same time.
const CROWD: usize = 200;

/// What a build is measured on.
const DOCKERFILE: &str = "FROM base:1\nRUN echo one > /one\nWORKDIR /app\nCOPY in .\nENV A=b\n\
                          RUN echo two > /two\nRUN cat /one /two > /three\n";

/// Runs the benchmark and prints its table.
pub(crate) fn containers(root: &Path) -> anyhow::Result<()> {
    let binary = build_release(root)?;
    let scratch = empty_folder(&root.join("target/bench-containers"))?;
    let yard = Yard::new(binary, scratch)?;
    println!("| case | loopline | beside | ratio |\n|---|---|---|---|");
    yard.starts();
    yard.crowd()?;
    yard.builds()?;
    fs::remove_dir_all(&yard.scratch)?;
    Ok(())
}

struct Yard {
    binary: PathBuf,
    scratch: PathBuf,
    rootfs: PathBuf,
}

impl Yard {
    /// Makes a root file system of busybox, and an image of it for everybody.
    fn new(binary: PathBuf, scratch: PathBuf) -> anyhow::Result<Self> {
        let busybox = ["/usr/bin/busybox", "/bin/busybox"]
            .into_iter()
            .find(|it| Path::new(it).exists())
            .context("no busybox (apt-get install busybox-static)")?;
        let rootfs = scratch.join("rootfs");
        fs::create_dir_all(rootfs.join("bin"))?;
        fs::create_dir_all(rootfs.join("etc"))?;
        fs::copy(busybox, rootfs.join("bin/busybox"))?;
        for name in ["sh", "true", "echo", "cat", "sleep"] {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(name))?;
        }
        fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n")?;
        let archive = scratch.join("rootfs.tar");
        prepare(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&rootfs).arg("."))?;
        let yard = Self { binary, scratch, rootfs };
        prepare(yard.loopline(&["image", "import"]).arg(&archive).arg("base:1"))?;
        fs::create_dir_all(yard.scratch.join("context"))?;
        fs::write(yard.scratch.join("context/Dockerfile"), DOCKERFILE)?;
        fs::write(yard.scratch.join("context/in"), "in\n")?;
        Ok(yard)
    }

    fn loopline(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("LOOPLINE_DATA", self.scratch.join("data")).args(arguments);
        command
    }

    /// A program that is installed, with what keeps its state here.
    fn podman(&self, program: &str) -> Option<Command> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join(program).exists())?;
        let mut command = Command::new(program);
        command.arg("--root").arg(self.scratch.join("podman"));
        command.arg("--runroot").arg(self.scratch.join("podman-run"));
        // Its other drivers leave a mount behind.
        command.args(["--storage-driver", "vfs"]);
        Some(command)
    }

    /// The start and end of a container with a network, a control group and an overlay.
    fn starts(&self) {
        let ours = measure(ROUNDS, || {
            self.loopline(&["container", "run", "--rm", "--network", "none", "base:1", "true"])
        });
        let show = |name: &str, taken: Option<Taken>| {
            let ratio = match (ours, taken) {
                (Some(ours), Some(taken)) => format!("{:.1}", taken.median_ms / ours.median_ms),
                _ => String::new(),
            };
            println!(
                "| start and end of a container (15 ms) | {} | {name}: {} | {ratio} |",
                contestant_cell(ours),
                contestant_cell(taken)
            );
        };
        show("runc", self.runc());
        let import = self.podman("podman").is_some_and(|mut podman| {
            prepare(podman.arg("import").arg(self.scratch.join("rootfs.tar")).arg("base:1")).is_ok()
        });
        let podman = import
            .then(|| {
                measure(ROUNDS, || {
                    let mut podman = self.podman("podman").unwrap_or_else(|| Command::new("false"));
                    podman.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
                    podman.args(["run", "--rm", "--network", "none"]);
                    // Without CAP_SYS_RESOURCE its own limits cannot be set.
                    podman.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]);
                    podman.args(["base:1", "/bin/true"]);
                    podman
                })
            })
            .flatten();
        show("podman", podman);
    }

    fn runc(&self) -> Option<Taken> {
        let bundle = self.scratch.join("bundle");
        fs::create_dir_all(&bundle).ok()?;
        prepare(Command::new("runc").arg("spec").current_dir(&bundle)).ok()?;
        let path = bundle.join("config.json");
        let text = fs::read_to_string(&path).ok()?;
        let rootfs = format!("\"path\": \"{}\"", self.rootfs.display());
        let text = text
            .replace("\"terminal\": true", "\"terminal\": false")
            .replace("\"sh\"", "\"/bin/true\"")
            .replace("\"path\": \"rootfs\"", &rootfs);
        fs::write(&path, text).ok()?;
        let number = std::cell::Cell::new(0);
        measure(ROUNDS, || {
            number.set(number.get() + 1);
            let mut runc = Command::new("runc");
            runc.args(["run", &format!("bench-{}-{}", std::process::id(), number.get())]);
            runc.current_dir(&bundle);
            runc
        })
    }

    /// Many containers at the same time: until the last one runs.
    fn crowd(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut children = Vec::new();
        for _ in 0..CROWD {
            let mut command = self.loopline(&["container", "run", "--detach", "--network", "none"]);
            command.args(["base:1", "sleep", "600"]).stdout(Stdio::piped());
            children.push(command.spawn()?);
        }
        let mut ids = Vec::new();
        for child in children {
            let output = child.wait_with_output()?;
            if !output.status.success() {
                bail!("a container of the crowd did not start");
            }
            ids.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let taken = started.elapsed().as_secs_f64();
        println!(
            "| {CROWD} containers started at once | {taken:.2} s, {:.1} ms each | | |",
            taken * 1000.0 / f64::from(u32::try_from(CROWD)?)
        );
        let mut remove = self.loopline(&["container", "rm", "--force"]);
        prepare(remove.args(&ids))
    }

    /// A build with three programs: with everything cached, and from nothing.
    fn builds(&self) -> anyhow::Result<()> {
        let context = self.scratch.join("context");
        let build = |more: &[&str]| {
            let mut command = self.loopline(&["image", "build", "--offline", "--tag", "made:1"]);
            command.args(more).arg(&context);
            command
        };
        let buildah = |more: &[&str]| {
            let mut command = self.podman("buildah")?;
            command.args(["bud", "--isolation", "chroot", "--layers", "-t", "made:1"]).args(more);
            command.arg(&context);
            Some(command)
        };
        let theirs = |rounds, more: &'static [&'static str]| {
            buildah(more)?;
            measure(rounds, || buildah(more).unwrap_or_else(|| Command::new("false")))
        };
        let rows = [
            ("build of three RUNs, nothing cached (80 ms)", &["--no-cache"][..], BUILDS),
            ("the same, everything cached (15 ms)", &[][..], ROUNDS),
        ];
        for (name, more, rounds) in rows {
            prepare(&mut build(&[]))?;
            let ours = measure(rounds, || build(more));
            let taken = theirs(rounds, more);
            let ratio = match (ours, taken) {
                (Some(ours), Some(taken)) => format!("{:.1}", taken.median_ms / ours.median_ms),
                _ => String::new(),
            };
            println!(
                "| {name} | {} | buildah: {} | {ratio} |",
                contestant_cell(ours),
                contestant_cell(taken)
            );
        }
        Ok(())
    }
}
