//! `apply`, `get`, `delete`, `diff` and `wait` beside the real kubectl: the same commands on the
//! same files, in two namespaces of one server, print the same and end the same.
#![expect(clippy::disallowed_methods, reason = "a test starts the binary and kubectl")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::api::{Place, Running};
use crate::repository::Ran;

/// What both are given.
const FILES: &[(&str, &str)] = &[
    ("app/config.yaml", CONFIG),
    ("app/deep/web.yaml", WEB),
    ("changed.yaml", CHANGED),
    ("strings.yaml", STRINGS),
    (
        "conflict.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: theirs}}",
    ),
    ("secret.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {k: one}}"),
    ("thing.yaml", THING),
    ("thing2.yaml", THING2),
    ("typo.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: typo\ndate:\n  a: b\n"),
    ("unknown.yaml", "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: x}\n"),
    ("nokind.yaml", "a: b\n"),
];

const CONFIG: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data:
  a: "1"
  yes: "on"
  long: "word word word word word word word word word word word word word word word word word word word"
  quoted: "x: word word word word word word word word word word word word word word word word word"
  lines: "a\n  b\nc"
  tab: "a\tb word word word word word word word word word word word word word word word word word word"
  empty: ""
  html: "<&>"
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: item, labels: {app: other}}}
"#;

/// Strings that YAML would read as something else, or that look odd.
const STRINGS: &str = r##"{apiVersion: v1, kind: ConfigMap, metadata: {name: strings}, data: {
a1: "y", a2: "n", a3: "on", a4: "0x1F", a5: "1_000", a6: ".5", a7: "1e3", a8: "+1", a9: "0o7",
b1: "-", b2: ".inf", b3: ".NaN", b4: "12:30:45", b5: "2024-1-1", b6: "2024-01-01T00:00:00Z",
b7: "~", b8: "null", b9: "0b1", c1: "08", c2: "1.", c3: "=", c4: "<<", c5: "é", c6: "a: b",
c7: "a #b", c8: "?", c9: "? a", d1: ":a", d2: "a:", d3: "@a", d4: "`", d5: "%a", d6: "!a",
d7: "a\u0007b", d8: " a", d9: "a\n", e1: "\na", e2: "a\n\n", e3: "a \nb", e4: "a\n b",
e5: "190:20:30", e6: "0.1.2", e7: "1.2.3.4", e8: "-.5", e9: "e5", f1: "1e", f2: "{a}",
f3: "a,b", f4: "[a", f5: "--- a", f6: "...", f7: "\u00a0x", f8: "😀", f9: "it's", g1: "\"q\"",
g2: "-0", g3: "0.0", g4: "1e400", g5: "True", g6: "NULL", g7: "-1_0", g8: "0x", g9: "00",
h1: "0", h2: "9223372036854775808", h3: "18446744073709551616", h4: "2024-01-01 00:00:00",
h5: "2024-13-01", h6: "1:60", h7: "*", h8: "-a", h9: "- a", i1: "|", i2: ">", i3: "#",
i4: "a\t", "on": a, "1": b, "1.5": c, k10: d, k9: e, k-a: f, k_b: g, K: h, k.c: i}}
"##;

const WEB: &str = r"apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: nginx, ports: [{containerPort: 80}]}
      - {name: d, image: busybox}
---
{apiVersion: v1, kind: Service, metadata: {name: web, labels: {app: web}}, spec: {selector: {app: web}, ports: [{port: 80}]}}
";

const CHANGED: &str = r"apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: nginx:2, ports: [{containerPort: 80}, {containerPort: 81}]}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: '2', new: x}}
";

const THING: &str = r"apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: rate}
spec: {provider: {type: prometheus, address: 'http://p:9090'}, query: up}
";

const THING2: &str = r"apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: rate}
spec: {provider: {type: prometheus}, query: down}
";

/// The commands, in their order; both programs are given each of them.
const COMMANDS: &[&str] = &[
    "apply -f app --dry-run=client",
    "apply -f app -R --dry-run=server",
    "get configmap settings",
    "apply -f app",
    "apply -f app -R",
    "apply -f app -R",
    "get configmaps",
    "get deploy,svc",
    "get deployment/web service/web",
    "get cm -l app=web",
    "get cm -l app=nobody",
    "get cm settings -o yaml",
    "get deployment web -o yaml",
    "get deployments.apps web -o json",
    "get cm settings item -o name",
    "get cm -l app -o yaml",
    "get deploy web -o jsonpath={.spec.template.spec.containers[*].name}",
    "get cm -o jsonpath={range\u{a0}.items[*]}{.metadata.name}{\"\\n\"}{end}",
    "get deploy -o wide",
    "get cm --show-labels --no-headers",
    "get -f app/deep/web.yaml",
    "get nothings",
    "get cm missing --ignore-not-found",
    "get all",
    "diff -f app -R",
    "diff -f changed.yaml",
    "apply -f changed.yaml",
    "get deploy web -o yaml",
    "apply -f strings.yaml",
    "get cm strings -o yaml",
    "get cm strings -o json",
    "apply -f strings.yaml",
    "get cm settings -o yaml",
    "diff -f changed.yaml",
    "diff -f thing.yaml",
    "apply -f thing.yaml",
    "apply -f thing.yaml",
    "diff -f thing2.yaml",
    "apply -f thing2.yaml",
    "get metrictemplate rate -o yaml",
    "apply -f secret.yaml",
    "apply -f secret.yaml",
    "apply --server-side -f conflict.yaml --field-manager=other",
    "apply --server-side -f conflict.yaml --field-manager=other --force-conflicts",
    "diff --server-side -f conflict.yaml --field-manager=other",
    "get cm settings -o jsonpath={.data.a}",
    "apply -f typo.yaml",
    "apply -f unknown.yaml",
    "apply -f nokind.yaml",
    "apply -f missing.yaml",
    "apply -f app -l app=other",
    "wait --for=jsonpath={.spec.replicas}=3 deploy/web",
    "wait --for=jsonpath={.spec.replicas}=9 deploy/web --timeout=1s",
    "wait --for=condition=Available deploy/web --timeout=0s",
    "wait --for=create cm/settings",
    "wait --for=delete cm/missing",
    "wait --for=condition=Ready cm/missing",
    "wait --for=nonsense cm/settings",
    "delete cm settings --dry-run=server",
    "delete cm settings --dry-run=client",
    "delete deploy",
    "delete cm item missing",
    "delete cm missing --ignore-not-found",
    "delete cm -l app=nobody",
    "delete deploy/web --cascade=orphan",
    "delete -f app -R --ignore-not-found",
    "delete -f thing.yaml -o name",
    "delete -f thing.yaml",
    "get cm,deploy,svc",
];

/// Runs a command of either program in a namespace.
fn run(place: &Place, server: &Running, program: Option<&str>, line: &str, input: &str) -> Ran {
    let space = if program.is_some() { "theirs" } else { "mines" };
    let mut command = match program {
        Some(program) => Command::new(program),
        None => place.command(&[]),
    };
    command
        // A no-break space stands for a space within an argument.
        .args(line.split(' ').map(|word| word.replace('\u{a0}', " ")))
        .args(["-n", space])
        .current_dir(place.path())
        .env("HOME", place.path())
        .env("KUBECONFIG", &server.kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Ran::of(&child.wait_with_output().unwrap())
}

/// Returns what is the same for both: without times, identities and the places of files.
fn comparable(text: &str) -> Vec<String> {
    let lines = text.replace("theirs", "SPACE").replace("mines", "SPACE");
    lines
        .lines()
        .map(|line| {
            for field in ["creationTimestamp", "resourceVersion", "uid", "clusterIP", "time"] {
                let bare = line.trim_start_matches([' ', '+', '-', '"']);
                if bare.starts_with(&format!("{field}:"))
                    || bare.starts_with(&format!("{field}\":"))
                {
                    return format!("{field} differs");
                }
            }
            let words = line.split_whitespace().map(|word| {
                let age = word.strip_suffix('s').is_some_and(|number| {
                    number.chars().all(|char| char.is_ascii_digit() || char == 'm')
                        && !number.is_empty()
                });
                if age || (word.contains("10.") && word.split('.').count() == 4) {
                    return "VARIES".to_owned();
                }
                match (word.find("LIVE-"), word.find("MERGED-")) {
                    (Some(_), _) => format!("LIVE/{}", word.rsplit('/').next().unwrap_or(word)),
                    (_, Some(_)) => format!("MERGED/{}", word.rsplit('/').next().unwrap_or(word)),
                    _ => word.to_owned(),
                }
            });
            let mut words: Vec<String> = words.collect();
            if matches!(words.first().map(String::as_str), Some("---" | "+++")) {
                words.truncate(2);
            }
            words.join(" ")
        })
        .collect()
}

/// Returns kubectl, if one of the versions whose lines are known is there.
fn kubectl() -> Option<&'static str> {
    let version = Command::new("kubectl").args(["version", "--client"]).output().ok()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    ["v1.32.", "v1.33."].iter().any(|known| version.contains(known)).then_some("kubectl")
}

#[test]
fn the_verbs_print_what_kubectl_prints() {
    let Some(kubectl) = kubectl() else {
        println!("SKIPPED: no kubectl 1.32 or 1.33");
        return;
    };
    let place = Place::new();
    for (path, text) in FILES {
        let path = place.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let server = place.serve(&["--crds", "flagger.app"]);
    for space in ["theirs", "mines"] {
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {space}}}\n");
        let made = place.path().join("space.yaml");
        fs_err::write(&made, text).unwrap();
        // Without KUBECONFIG the server of the data folder is found.
        let ran = place.run(&["apply", "-f", "space.yaml"]);
        assert_eq!(ran.out, format!("namespace/{space} created\n"), "{}", ran.err);
        let ready = ["wait", "--for=create", "cm/kube-root-ca.crt", "-n", space];
        assert_eq!(place.run(&ready).code, Some(0));
    }
    let mut wrong = Vec::new();
    for line in COMMANDS {
        let theirs = run(&place, &server, Some(kubectl), line, "");
        let ours = run(&place, &server, None, line, "");
        let (wanted, got) = (comparable(&theirs.out), comparable(&ours.out));
        if wanted != got {
            let differs: Vec<String> = wanted
                .iter()
                .filter(|line| !got.contains(line))
                .map(|line| format!("  kubectl:  {line}"))
                .chain(
                    got.iter()
                        .filter(|line| !wanted.contains(line))
                        .map(|line| format!("  loopline: {line}")),
                )
                .collect();
            let (wanted, got) = (wanted.len(), got.len());
            wrong.push(format!("{line} ({wanted} and {got} lines)\n{}", differs.join("\n")));
        }
        // What is wrong with the command line or a file ends with 2 here, and with 1 there.
        let same = match (theirs.code, ours.code) {
            (Some(1), Some(2)) => !line.starts_with("diff"),
            (a, b) => a == b,
        };
        if !same {
            let codes = format!("{:?} and {:?}", theirs.code, ours.code);
            wrong.push(format!("{line}: ends with {codes}\n{}{}", theirs.err, ours.err));
        }
        if ours.code != Some(0) && !line.starts_with("diff") && ours.err.trim().is_empty() {
            wrong.push(format!("{line}: fails without a word"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // Both go on with each other's objects.
    let text = fs_err::read_to_string(place.path().join("app/config.yaml")).unwrap();
    assert_eq!(run(&place, &server, None, "apply -f -", &text).code, Some(0));
    let other = place.command(&["apply", "-f", "app", "-n", "theirs"]).output().unwrap();
    let other = String::from_utf8_lossy(&other.stdout).into_owned();
    assert_eq!(other, "configmap/settings created\nconfigmap/item created\n");
    let again = run(&place, &server, Some(kubectl), "apply -f app", "");
    assert_eq!(again.out, "configmap/settings unchanged\nconfigmap/item unchanged\n");
    server.end();
}

#[test]
fn mistakes_are_named_with_their_place() {
    let place = Place::new();
    fs_err::write(place.path().join("two.yaml"), "a: b\n---\nkind: X\n").unwrap();
    fs_err::write(
        place.path().join("typo.yaml"),
        "\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: \
         ConfigMap\nmetadata: {name: b}\ndate: {}\n",
    )
    .unwrap();
    fs_err::write(place.path().join("twice.yaml"), "kind: X\napiVersion: v1\nkind: Y\n").unwrap();
    let none = place.run(&["apply", "-f", "two.yaml"]);
    assert_eq!(none.code, Some(2), "{}", none.err);
    assert!(none.err.contains("two.yaml:1: apiVersion, kind not set"), "{}", none.err);
    let unknown = place.run(&["get", "pods"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.err);
    assert!(unknown.err.contains("`loopline api` starts one"), "{}", unknown.err);
    let server = place.serve(&[]);
    let typo = place.run(&["--json", "apply", "-f", "typo.yaml"]);
    assert_eq!(typo.code, Some(1), "{}", typo.out);
    let lines: Vec<serde_json::Value> =
        typo.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["operation"], "created");
    let error = lines[1]["error"].as_str().unwrap();
    assert!(error.starts_with("typo.yaml:6: ") && error.contains("\"date\""), "{error}");
    let twice = place.run(&["apply", "-f", "twice.yaml"]);
    assert!(twice.err.contains("twice.yaml:1: the key \"kind\" stands twice"), "{}", twice.err);
    let prune = place.run(&["apply", "--prune", "-f", "typo.yaml"]);
    assert_eq!(prune.code, Some(2), "{}", prune.err);
    assert!(prune.err.contains("--prune"), "{}", prune.err);
    server.end();
    let gone = place.run(&["get", "pods"]);
    assert_eq!(gone.code, Some(1), "{}", gone.err);
    assert!(gone.err.contains("`loopline api` starts it"), "{}", gone.err);
}
