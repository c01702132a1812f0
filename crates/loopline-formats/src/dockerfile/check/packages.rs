//! What `RUN`s install: versions, questions, caches.

use loopline_diagnostic::{Rule, rule_set as rules};
use loopline_source::Span;

use super::context::{Checker, RunView};
use super::shell::{Argument, Command};
use crate::dockerfile::instruction::CommandKind;
use crate::dockerfile::mount::Kind;

pub(super) fn check(checker: &mut Checker<'_>) {
    apt(checker);
    apk(checker);
    pip(checker);
    npm(checker);
    gem(checker);
    go(checker);
    yarn(checker);
    zypper(checker);
    let yum = [&rules::DL3030, &rules::DL3032, &rules::DL3033];
    rpm(checker, &["yum"], yum);
    rpm(checker, &["dnf", "microdnf"], [&rules::DL3038, &rules::DL3040, &rules::DL3041]);
}

/// Returns the first command called one of `names` for which `is` says something.
fn in_commands<'s>(
    run: &'s RunView<'_>,
    names: &'s [&str],
    is: impl Fn(&'s Command) -> Option<&'s Argument>,
) -> Option<(Span, &'s Argument)> {
    run.called(names).find_map(is).map(|word| (run.word(word), word))
}

fn unpinned(word: &Argument, example: &str) -> String {
    format!("`{}` has no version: write `{}{example}`", word.text, word.text)
}

/// DL3008, DL3009, DL3014, DL3015 and DL3027.
fn apt(checker: &mut Checker<'_>) {
    const WITH_VALUE: [&str; 3] = ["-t", "--target-release", "--default-release"];
    let install = |command: &Command| command.name() == "apt-get" && command.has_plain("install");
    checker.each_run(&rules::DL3027, |run| {
        let command = run.called(&["apt"]).next()?;
        let message = "`apt` is for people: use `apt-get` or `apt-cache`";
        Some((run.word(&command.words[0]), message.to_owned()))
    });
    checker.each_run(&rules::DL3008, |run| {
        let (span, word) = in_commands(run, &["apt-get"], |command| {
            if !install(command) {
                return None;
            }
            command.operands(&WITH_VALUE).into_iter().find(|word| {
                let text = word.text.as_str();
                text != "install"
                    && !text.contains('=')
                    && !text.ends_with(".deb")
                    && !text.contains('/')
                    && !text.is_empty()
            })
        })?;
        Some((span, unpinned(word, "=<version>")))
    });
    checker.each_run(&rules::DL3014, |run| {
        let (span, _) = in_commands(run, &["apt-get"], |command| {
            let quiet = command.flags().filter(|flag| matches!(*flag, "q" | "quiet")).count();
            let answered = command.has_flag(&["y", "yes", "assume-yes"])
                || quiet > 1
                || command
                    .words
                    .iter()
                    .any(|word| matches!(word.text.as_str(), "-q=2" | "--quiet=2"));
            (install(command) && !answered).then(|| &command.words[0])
        })?;
        Some((span, "`apt-get install` asks before it installs: add `-y`".to_owned()))
    });
    checker.each_run(&rules::DL3015, |run| {
        let (span, _) = in_commands(run, &["apt-get"], |command| {
            let without = command.has_flag(&["no-install-recommends"])
                || command.words.iter().any(|word| {
                    word.text.ends_with("APT::Install-Recommends=false")
                        || word.text.ends_with("APT::Install-Recommends=0")
                        || word.text == "--install-recommends=false"
                });
            (install(command) && !without).then(|| &command.words[0])
        })?;
        let message = "recommended packages are installed too: add `--no-install-recommends`";
        Some((span, message.to_owned()))
    });
    let shipped = shipped(checker);
    checker.each_run(&rules::DL3009, |run| {
        // Removing the folder or one above it removes the lists.
        let removes = |word: &Argument| {
            let path = word.text.trim_end_matches(['*', '/']);
            path.starts_with("/var/lib/apt/lists") || matches!(path, "/var/lib/apt" | "/var/lib")
        };
        let removed = run.called(&["rm"]).any(|command| command.plain().any(removes));
        if removed || !shipped[run.stage] || run.mounted_over("/var/lib/apt/lists") {
            return None;
        }
        let command = run
            .called(&["apt-get", "apt", "aptitude"])
            .find(|command| command.has_plain("update"))?;
        let message = "the package lists stay in the layer: remove `/var/lib/apt/lists/*`";
        Some((run.word(&command.words[0]), message.to_owned()))
    });
}

/// Returns for every stage whether its layers are in the image: the last one and those it stands
/// on.
fn shipped(checker: &Checker<'_>) -> Vec<bool> {
    let mut shipped = vec![false; checker.build.stages.len()];
    for index in (0..shipped.len()).rev() {
        let last = index + 1 == shipped.len();
        shipped[index] |= last;
        let base = checker.stage_named(&checker.build.stages[index].base.text, index);
        if let Some((base, _)) = base
            && shipped[index]
        {
            shipped[base] = true;
        }
    }
    shipped
}

/// DL3018 and DL3019.
fn apk(checker: &mut Checker<'_>) {
    const WITH_VALUE: [&str; 8] =
        ["-t", "--virtual", "-X", "--repository", "-p", "--root", "--arch", "--keys-dir"];
    checker.each_run(&rules::DL3018, |run| {
        let (span, word) = in_commands(run, &["apk"], |command| {
            if !command.has_plain("add") {
                return None;
            }
            command.operands(&WITH_VALUE).into_iter().find(|word| {
                let text = word.text.as_str();
                text != "add" && !text.contains(['=', '<', '>', '~']) && !text.ends_with(".apk")
            })
        })?;
        Some((span, unpinned(word, "=<version>")))
    });
    checker.each_run(&rules::DL3019, |run| {
        if run.mounted_over("/var/cache/apk") || run.mounted_over("/etc/apk/cache") {
            return None;
        }
        let (span, _) = in_commands(run, &["apk"], |command| {
            (command.has_plain("add") && !command.has_flag(&["no-cache"]))
                .then(|| &command.words[0])
        })?;
        Some((span, "`apk add` keeps its index: add `--no-cache`".to_owned()))
    });
}

/// Returns pip's own words of a command: `pip install x`, `python -m pip install x`.
fn pip_words(command: &Command) -> Option<&[Argument]> {
    let name = command.name();
    if is_versioned(name, "pip") || name == "pipx" {
        return Some(&command.words[1..]);
    }
    if is_versioned(name, "python") {
        let at = command
            .words
            .windows(2)
            .position(|pair| pair[0].text == "-m" && pair[1].text == "pip")?;
        return Some(&command.words[at + 2..]);
    }
    None
}

fn is_versioned(name: &str, program: &str) -> bool {
    name.strip_prefix(program).is_some_and(|version| {
        version.chars().all(|c| c.is_ascii_digit() || c == '.') && !version.starts_with('.')
    })
}

/// DL3013 and DL3042.
fn pip(checker: &mut Checker<'_>) {
    const WITH_VALUE: [&str; 29] = [
        "-i",
        "--index-url",
        "--extra-index-url",
        "-f",
        "--find-links",
        "-c",
        "--constraint",
        "-r",
        "--requirement",
        "-t",
        "--target",
        "--platform",
        "--python-version",
        "--implementation",
        "--abi",
        "--root",
        "--prefix",
        "--src",
        "-b",
        "--build",
        "--trusted-host",
        "--log",
        "--proxy",
        "--retries",
        "--timeout",
        "--no-binary",
        "-e",
        "--editable",
        "--upgrade-strategy",
    ];
    fn install(words: &[Argument]) -> bool {
        words
            .iter()
            .find(|word| !word.text.starts_with('-'))
            .is_some_and(|word| word.text == "install")
    }
    checker.each_run(&rules::DL3013, |run| {
        let commands = run.script.commands.iter();
        let word =
            commands.filter_map(pip_words).filter(|words| install(words)).find_map(|words| {
                let from_file = |word: &Argument| {
                    let text = word.text.as_str();
                    matches!(text, "-r" | "--requirement" | "-c" | "--constraint")
                        || text.starts_with("--requirement=")
                        || text.starts_with("--constraint=")
                        || text.starts_with("-r") && !text.starts_with("--") && text.len() > 2
                };
                if words.iter().any(from_file) {
                    return None;
                }
                let mut rest = words.iter().skip_while(|word| word.text != "install").skip(1);
                while let Some(word) = rest.next() {
                    let text = word.text.as_str();
                    if WITH_VALUE.contains(&text) || text == "--only-binary" {
                        rest.next();
                    } else if !text.starts_with('-') && !pip_pinned(text) {
                        return Some(word);
                    }
                }
                None
            })?;
        Some((run.word(word), unpinned(word, "==<version>")))
    });
    // From which instruction on a stage has the cache turned off.
    let mut cacheless: Vec<Option<usize>> = vec![None; checker.build.stages.len()];
    for (index, stage) in checker.build.stages.iter().enumerate() {
        let base = checker.stage_named(&stage.base.text, index).map(|(base, _)| base);
        let sets = stage.commands.iter().find(|command| match &command.kind {
            CommandKind::Env(pairs) => pairs.iter().any(|pair| {
                let off = ["", "0", "off", "no", "false"];
                pair.key.text == "PIP_NO_CACHE_DIR"
                    && !off.contains(&pair.value.text.trim_matches('"').to_lowercase().as_str())
            }),
            _ => false,
        });
        cacheless[index] = match base.and_then(|base| cacheless[base]) {
            Some(_) => Some(stage.instruction),
            None => sets.map(|command| command.instruction),
        };
    }
    checker.each_run(&rules::DL3042, |run| {
        let inline = run.instruction.logical.text.contains("PIP_NO_CACHE_DIR=");
        let mounted = run.mounts.iter().any(|mount| {
            let target = mount.target.as_deref().unwrap_or("").trim_end_matches('/');
            mount.kind == Kind::Cache
                && (target.ends_with("/.cache/pip") || target.ends_with("/.cache"))
        });
        let off = cacheless[run.stage].is_some_and(|from| from < run.index);
        if off || inline || mounted {
            return None;
        }
        let command = run.script.commands.iter().find(|command| {
            pip_words(command).filter(|_| command.name() != "pipx").is_some_and(|words| {
                install(words) && !words.iter().any(|word| word.text == "--no-cache-dir")
            })
        })?;
        Some((run.word(&command.words[0]), "pip keeps its cache: add `--no-cache-dir`".to_owned()))
    });
}

/// Returns whether one word of `pip install` is fixed to a version, or is a file.
fn pip_pinned(text: &str) -> bool {
    let file = text.contains('/') && !text.contains("://")
        || text.starts_with('.')
        || [".whl", ".tar.gz", ".zip"].iter().any(|end| text.ends_with(end));
    file || text.contains("==")
        || text.contains("===")
        || text.contains("~=")
        || text.contains(">=")
        || text.contains("<=")
        || text.contains('@')
        || text.contains("!=")
        || text.contains('>')
        || text.contains('<')
}

/// DL3016.
fn npm(checker: &mut Checker<'_>) {
    const WITH_VALUE: [&str; 6] =
        ["--registry", "--prefix", "--loglevel", "--cache", "-C", "--userconfig"];
    checker.each_run(&rules::DL3016, |run| {
        let (span, word) = in_commands(run, &["npm"], |command| {
            let mut packages = command.operands(&WITH_VALUE).into_iter();
            packages.next().filter(|verb| verb.text == "install")?;
            packages.into_iter().find(|word| !npm_pinned(&word.text))
        })?;
        Some((span, unpinned(word, "@<version>")))
    });
}

fn npm_pinned(text: &str) -> bool {
    let remote = ["git:", "git+", "ssh:", "http:", "https:", "github:", "gitlab:", "bitbucket:"];
    let local = ["/", "./", "../", "~/", "."];
    let archive = [".tar", ".tar.gz", ".tgz"];
    let name = text.strip_prefix('@').unwrap_or(text);
    let archived = archive.iter().any(|end| text.ends_with(end));
    // A repository is fixed by what follows `#`.
    if remote.iter().any(|start| text.starts_with(start)) {
        return archived || text.contains('#');
    }
    name.contains('@')
        || text.starts_with("file:")
        || local.iter().any(|start| text.starts_with(start))
        || archived
}

/// DL3028.
fn gem(checker: &mut Checker<'_>) {
    checker.each_run(&rules::DL3028, |run| {
        let (span, word) = in_commands(run, &["gem"], |command| {
            if !command.verb(&["install", "i"]) || command.has_flag(&["v", "version"]) {
                return None;
            }
            let names = command.words[1..].iter().take_while(|word| word.text != "--");
            let mut names = names.filter(|word| !word.text.starts_with('-')).skip(1);
            names.find(|word| !word.text.contains(':') && !word.text.ends_with(".gem"))
        })?;
        Some((span, unpinned(word, ":<version>")))
    });
}

/// DL3062.
fn go(checker: &mut Checker<'_>) {
    checker.each_run(&rules::DL3062, |run| {
        let (span, word) = in_commands(run, &["go"], |command| {
            if !command.verb(&["install", "get", "run"]) {
                return None;
            }
            let module = command.operands(&["-ldflags", "-tags", "-o"]).into_iter().skip(1);
            module.into_iter().find(|word| {
                let text = word.text.as_str();
                let version = text.split_once('@').map(|(_, version)| version);
                !text.starts_with(['.', '/'])
                    && !text.ends_with(".go")
                    && version.is_none_or(|version| version == "latest")
            })
        })?;
        let name = word.text.trim_end_matches("@latest");
        Some((span, format!("`{}` is no fixed version: write `{name}@<version>`", word.text)))
    });
}

/// DL3060.
fn yarn(checker: &mut Checker<'_>) {
    let shipped = shipped(checker);
    checker.each_run(&rules::DL3060, |run| {
        // What is installed after the cache was cleaned fills it again.
        let cleaned = run
            .called(&["yarn"])
            .skip_while(|command| !command.verb(&["install"]))
            .any(|command| command.has_plain("cache") && command.has_plain("clean"));
        let mounted = run.mounts.iter().any(|mount| {
            mount.kind == Kind::Cache
                && mount.target.as_deref().is_some_and(|target| target.contains("yarn"))
        });
        if cleaned || mounted || !shipped[run.stage] {
            return None;
        }
        let command = run.called(&["yarn"]).find(|command| command.verb(&["install"]))?;
        let message = "what yarn downloaded stays in the layer: `yarn cache clean`";
        Some((run.word(&command.words[0]), message.to_owned()))
    });
}

/// DL3034 to DL3037.
fn zypper(checker: &mut Checker<'_>) {
    const INSTALL: [&str; 2] = ["install", "in"];
    const ASKS: [&str; 10] = [
        "install",
        "in",
        "remove",
        "rm",
        "source-install",
        "si",
        "patch",
        "update",
        "up",
        "dist-upgrade",
    ];
    const WITH_VALUE: [&str; 4] = ["-r", "--repo", "-t", "--type"];
    checker.each_run(&rules::DL3034, |run| {
        let (span, _) = in_commands(run, &["zypper"], |command| {
            let answered = command.has_flag(&[
                "n",
                "non-interactive",
                "no-confirm",
                "y",
                "non-interactive-include-reboot-patches",
            ]);
            (command.verb(&ASKS) && !answered).then(|| &command.words[0])
        })?;
        Some((span, "`zypper` asks before it acts: add `-n`".to_owned()))
    });
    checker.each_run(&rules::DL3035, |run| {
        let (span, _) = in_commands(run, &["zypper"], |command| {
            (command.has_plain("dist-upgrade") || command.has_plain("dup"))
                .then(|| &command.words[0])
        })?;
        Some((span, "the base image's distribution is replaced: take a newer base".to_owned()))
    });
    checker.each_run(&rules::DL3036, |run| {
        let cleaned = run.called(&["zypper"]).any(|command| command.verb(&["clean", "cc"]));
        let (span, _) = in_commands(run, &["zypper"], |command| {
            command.verb(&INSTALL).then(|| &command.words[0])
        })?;
        (!cleaned && !run.mounted_over("/var/cache/zypp"))
            .then(|| (span, "packages stay in the layer: `zypper clean`".to_owned()))
    });
    checker.each_run(&rules::DL3037, |run| {
        let (span, word) = in_commands(run, &["zypper"], |command| {
            if !command.verb(&INSTALL) {
                return None;
            }
            let mut packages = command.operands(&WITH_VALUE).into_iter().skip(1);
            packages
                .find(|word| !word.text.contains(['=', '<', '>']) && !word.text.ends_with(".rpm"))
        })?;
        Some((span, unpinned(word, "=<version>")))
    });
}

/// The three rules of `yum` and of `dnf`: questions, caches, versions.
fn rpm(checker: &mut Checker<'_>, names: &[&str], [yes, clean, version]: [&'static Rule; 3]) {
    const INSTALL: [&str; 3] = ["install", "groupinstall", "localinstall"];
    let installs = |command: &Command| INSTALL.iter().any(|verb| command.has_plain(verb));
    checker.each_run(yes, |run| {
        let (span, word) = in_commands(run, names, |command| {
            (installs(command) && !command.has_flag(&["y", "assumeyes"])).then(|| &command.words[0])
        })?;
        Some((span, format!("`{}` asks before it installs: add `-y`", word.text)))
    });
    checker.each_run(clean, |run| {
        let fills = |command: &Command| {
            let upgrades = command.name() != "yum" && command.has_plain("upgrade");
            names.contains(&command.name()) && (installs(command) || upgrades)
        };
        let cleans = |command: &Command| {
            let tool = names.contains(&command.name())
                && command.has_plain("clean")
                && command.has_plain("all");
            // `dnf` keeps its cache in one of three places.
            let paths = ["/var/cache/yum", "/var/cache/dnf", "/var/cache/libdnf5"];
            let removed = |word: &Argument| paths.iter().any(|path| word.text.starts_with(path));
            tool || command.name() == "rm" && command.plain().any(removed)
        };
        // What is installed after the cache was cleaned fills it again.
        let commands = run.script.commands.iter();
        let cleaned = commands.skip_while(|command| !fills(command)).any(cleans);
        let mounted = names.iter().any(|name| run.mounted_over(&format!("/var/cache/{name}")))
            || run.mounted_over("/var/cache/libdnf5");
        let (span, word) =
            in_commands(run, names, |command| fills(command).then(|| &command.words[0]))?;
        (!cleaned && !mounted)
            .then(|| (span, format!("packages stay in the layer: `{} clean all`", word.text)))
    });
    checker.each_run(version, |run| {
        let (span, word) = in_commands(run, names, |command| {
            if !command.has_plain("install") {
                return None;
            }
            command.plain().find(|word| {
                let text = word.text.as_str();
                let pinned = text
                    .match_indices('-')
                    .any(|(at, _)| text[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
                !INSTALL.contains(&text)
                    && text != "module"
                    && !pinned
                    && !text.contains(':')
                    && !text.starts_with(['/', '@'])
                    && !text.ends_with(".rpm")
            })
        })?;
        Some((span, unpinned(word, "-<version>")))
    });
}
