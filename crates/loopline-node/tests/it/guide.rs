//! The guide's Dockerfiles, built to the end: on stand-in base images under the names they ask for,
//! with stand-ins for the programs that would fetch from the internet.

use std::path::{Path, PathBuf};

use loopline_formats::dockerfile::{instruction, parse};
use loopline_source::SourceFile;

use crate::build::Yard;

/// What the files are built on: all of busybox, and programs that do what the files need of theirs.
const STAND_IN: &str = r#"FROM box:1
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /usr/local/bin /tmp /root /var/lib/apt/lists && chmod 1777 /tmp
COPY --chmod=755 <<"APK" <<"NPM" <<"MVN" /bin/
#!/bin/sh
true
APK
#!/bin/sh
set -e
case "$*" in
ci*) test -f package.json; mkdir -p node_modules; echo here > node_modules/one ;;
"run build") mkdir -p dist; echo built > dist/server.js; cp dist/server.js dist/index.js ;;
esac
NPM
#!/bin/sh
set -e
test -f pom.xml
case "$*" in *package*) test -d src/main/java; mkdir -p target; echo jar > target/app.jar ;; esac
MVN
COPY --chmod=755 <<"GROUP" <<"USER" /bin/
#!/bin/sh
for name; do :; done
while [ $# -gt 0 ]; do case "$1" in -g) id=$2; shift ;; esac; shift; done
echo "$name:x:${id:-500}:" >> /etc/group
GROUP
#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in -u) id=$2; shift ;; -G | -g) shift ;; -*) ;; *) name=$1 ;; esac; shift
done
echo "$name:x:${id:-500}:${id:-500}::/home:/bin/sh" >> /etc/passwd
USER
RUN cd /bin && mv APK apk && mv NPM npm && mv MVN mvn && cp apk apt-get && \
    mv GROUP addgroup && cp addgroup groupadd && mv USER adduser && cp adduser useradd
"#;

fn dockerfiles(guide: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![guide.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.file_name().is_some_and(|it| it == "Dockerfile") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn the_guides_dockerfiles_are_built_to_the_end() {
    let Some(guide) = std::env::var_os("LOOPLINE_GUIDE") else {
        return println!("skipped: LOOPLINE_GUIDE names no folder");
    };
    let Some(yard) = Yard::new() else { return };
    yard.build(&yard.request(STAND_IN)).unwrap();
    let store = yard.machine.containers.store();
    let files = dockerfiles(Path::new(&guide));
    assert_eq!(files.len(), 4);
    let mut stages = 0;
    for file in files {
        let text = fs_err::read_to_string(&file).unwrap();
        let parsed = parse(&SourceFile::new("Dockerfile", text.as_str()));
        let (read, problems) = instruction::read(&parsed.dockerfile);
        assert_eq!((parsed.problems.len(), problems.len()), (0, 0), "{}", file.display());
        let own: Vec<_> = read.stages.iter().filter_map(|it| it.name.as_ref()).collect();
        for stage in &read.stages {
            if !own.iter().any(|name| name.text == stage.base.text) {
                store
                    .set_alias(&stage.base.text.parse().unwrap(), &"made:1".parse().unwrap())
                    .unwrap();
            }
        }
        for (name, content) in [
            ("package.json", "{}"),
            ("package-lock.json", "{}"),
            ("pom.xml", "<project/>"),
            ("src/main/resources/application.yml", "a: b"),
            ("src/main/java/A.java", "class A {}"),
        ] {
            yard.file(name, content);
        }
        let mut request = yard.request(&text);
        request.tags = vec!["guide:1".parse().unwrap()];
        let (built, _) =
            yard.build(&request).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(built.steps > 5);
        stages += read.stages.len();
    }
    println!("{stages} stages built");
    assert_eq!(stages, 10);
}
