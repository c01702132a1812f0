//! `actions/setup-python`, `-java` and `-go`: toolchains found on the machine.
//!
//! A version that is not there fails with the list of those that are, or is replaced by the
//! nearest one where the user accepts that. What a toolchain is, its own answer says.

use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_units::version::{Range, Version};

use super::context::{Context, Failure};
use super::packages;

/// How many folders are looked into for toolchains.
const MAX_CANDIDATES: usize = 200;

/// A toolchain that is there.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) version: Version,
    /// The folder of its programs.
    pub(super) bin: PathBuf,
    /// The program that told the version.
    pub(super) program: PathBuf,
}

/// How a toolchain's version is asked for.
pub(super) struct Tool {
    /// What messages call it.
    name: &'static str,
    /// The input with the version.
    input: &'static str,
    /// The input with a file that holds it.
    file_input: &'static str,
    /// Files that are looked at where neither is given.
    usual_files: &'static [&'static str],
    /// Its names in `.tool-versions`.
    asdf: &'static [&'static str],
    /// Whether several versions may be asked for at once.
    several: bool,
}

pub(super) const NODE: Tool = Tool {
    name: "node",
    input: "node-version",
    file_input: "node-version-file",
    usual_files: &[],
    asdf: &["nodejs", "node"],
    several: false,
};
const PYTHON: Tool = Tool {
    name: "python",
    input: "python-version",
    file_input: "python-version-file",
    usual_files: &[".python-version"],
    asdf: &["python"],
    several: true,
};
const JAVA: Tool = Tool {
    name: "java",
    input: "java-version",
    file_input: "java-version-file",
    usual_files: &[".java-version"],
    asdf: &["java"],
    several: true,
};
const GO: Tool = Tool {
    name: "go",
    input: "go-version",
    file_input: "go-version-file",
    usual_files: &[],
    asdf: &["golang", "go"],
    several: false,
};

/// Refuses a toolchain for another processor than the machine's.
pub(super) fn check_architecture(context: &Context<'_>) -> Result<(), Failure> {
    let own: &[&str] =
        if cfg!(target_arch = "aarch64") { &["arm64", "aarch64"] } else { &["x64", "amd64"] };
    match context.input("architecture") {
        "" => Ok(()),
        given if own.iter().any(|own| own.eq_ignore_ascii_case(given)) => Ok(()),
        given => Err(Failure(format!(
            "input `architecture` is `{given}`, and this machine's toolchains are for {}",
            own[0]
        ))),
    }
}

pub(super) fn python(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(
        &[
            "python-version",
            "python-version-file",
            "architecture",
            "token",
            "update-environment",
            "cache",
            "cache-dependency-path",
        ],
        &["allow-prereleases", "freethreaded", "pip-install", "pip-version", "check-latest"],
    )?;
    check_architecture(context)?;
    let manager = packages::named(context, packages::PYTHON)?;
    let all = wanted(context, &PYTHON)?;
    let mut folders = in_tool_cache(context, "Python");
    let pyenv = context.env.get("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.unwrap_or_else(|| context.home.join(".pyenv"));
    folders.extend(below(&pyenv.join("versions"), "bin"));
    let mut names = vec!["python3".to_owned(), "python".to_owned()];
    names.extend((8..=20).map(|minor| format!("python3.{minor}")));
    let found = installed(context, &names, &folders, &["--version"])?;
    let mut last = String::new();
    // Each goes before those that were named before it, so the last one is `python`.
    for wanted in all {
        if wanted.to_ascii_lowercase().starts_with("pypy") || wanted.starts_with("graalpy") {
            return Err(Failure(format!("python {wanted} is not supported, only CPython is")));
        }
        let chosen = choose(context, PYTHON.name, &wanted, found.clone())?;
        last = chosen.version.to_string();
        if context.flag("update-environment", true)? {
            let shims = shims(context, &chosen, &["python", "python3"])?;
            context.paths.push(shims);
            let prefix = chosen.bin.parent().unwrap_or(&chosen.bin).to_string_lossy().into_owned();
            for name in
                ["pythonLocation", "Python_ROOT_DIR", "Python2_ROOT_DIR", "Python3_ROOT_DIR"]
            {
                context.variables.push((name.to_owned(), prefix.clone()));
            }
        }
        context.set("python-version", last.clone());
        context.set("python-path", chosen.program.to_string_lossy());
    }
    context.set("cache-hit", "false");
    match manager {
        Some(manager) => {
            let exact = manager.name != "pip";
            packages::restore(context, manager, &format!("setup-python-{last}"), exact)
        }
        None => Ok(()),
    }
}

pub(super) fn java(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(
        &[
            "java-version",
            "java-version-file",
            "distribution",
            "java-package",
            "architecture",
            "token",
            "cache",
            "cache-dependency-path",
        ],
        &[
            "check-latest",
            "jdkfile",
            "server-id",
            "server-username",
            "server-password",
            "settings-path",
            "overwrite-settings",
            "gpg-private-key",
            "gpg-passphrase",
            "mvn-toolchain-id",
            "mvn-toolchain-vendor",
        ],
    )?;
    check_architecture(context)?;
    let manager = packages::named(context, packages::JAVA)?;
    if context.input("distribution").is_empty() {
        return Err(Failure("input `distribution` is needed".to_owned()));
    }
    if !matches!(context.input("java-package"), "" | "jdk") {
        let package = context.input("java-package");
        return Err(Failure(format!(
            "input `java-package` is `{package}`; only `jdk` is supported"
        )));
    }
    let all = wanted(context, &JAVA)?;
    let mut folders = below(Path::new("/usr/lib/jvm"), "bin");
    folders.extend(below(&context.home.join(".sdkman/candidates/java"), "bin"));
    let homes: Vec<PathBuf> = context
        .env
        .iter()
        .filter(|(name, _)| *name == "JAVA_HOME" || name.starts_with("JAVA_HOME_"))
        .map(|(_, home)| Path::new(home).join("bin"))
        .collect();
    folders.extend(homes);
    let found = installed(context, &["java".to_owned()], &folders, &["-version"])?;
    let distribution = context.input("distribution").to_owned();
    let arch = if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" };
    // The last one is the one that is used; the others are found by their variables.
    for wanted in all {
        let chosen = choose(context, JAVA.name, &wanted, found.clone())?;
        let home = chosen.bin.parent().unwrap_or(&chosen.bin).to_string_lossy().into_owned();
        context.log(&format!(
            "The distribution `{distribution}` is not looked at: the machine's Java at {home} is \
             used."
        ));
        let version = chosen.version.to_string();
        let major = version.split('.').next().unwrap_or_default();
        context.variables.push((format!("JAVA_HOME_{major}_{arch}"), home.clone()));
        context.variables.push(("JAVA_HOME".to_owned(), home.clone()));
        context.paths.push(chosen.bin.to_string_lossy().into_owned());
        context.set("version", version);
        context.set("path", home);
    }
    context.set("distribution", distribution);
    context.set("cache-hit", "false");
    match manager {
        Some(manager) => packages::restore(context, manager, "setup-java", true),
        None => Ok(()),
    }
}

pub(super) fn go(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(
        &[
            "go-version",
            "go-version-file",
            "token",
            "cache",
            "cache-dependency-path",
            "architecture",
        ],
        &["go-download-base-url", "check-latest"],
    )?;
    check_architecture(context)?;
    let wanted = wanted(context, &GO)?.remove(0);
    let mut folders = in_tool_cache(context, "go");
    folders.push(PathBuf::from("/usr/local/go/bin"));
    folders.extend(below(&context.home.join("sdk"), "bin"));
    folders.extend(
        below(Path::new("/usr/lib"), "bin")
            .into_iter()
            .filter(|folder| folder.parent().is_some_and(|f| f.to_string_lossy().contains("/go-"))),
    );
    let found = installed(context, &["go".to_owned()], &folders, &["version"])?;
    let chosen = choose(context, GO.name, &wanted, found)?;
    context.paths.push(chosen.bin.to_string_lossy().into_owned());
    let version = chosen.version.to_string();
    context.set("go-version", version.clone());
    context.set("cache-hit", "false");
    if context.flag("cache", true)?
        && let [manager] = packages::GO
        && let Err(error) =
            packages::restore(context, manager, &format!("setup-go-{version}"), true)
    {
        // The original goes on without its cache, which is on unless it is switched off.
        context.log(&format!("::warning::Restore cache failed: {error}"));
    }
    Ok(())
}

/// Returns the versions that the inputs ask for, `*` for any; at least one.
pub(super) fn wanted(context: &Context<'_>, tool: &Tool) -> Result<Vec<String>, Failure> {
    let given = context.lines(tool.input);
    if given.len() > 1 && !tool.several {
        return Err(Failure(format!(
            "input `{}` names several versions; one is supported",
            tool.input
        )));
    }
    if !given.is_empty() {
        return Ok(given);
    }
    let named = context.input(tool.file_input);
    let names: Vec<&str> = if named.is_empty() { tool.usual_files.to_vec() } else { vec![named] };
    for name in names {
        let path = super::files::inside(context.workspace, name)?;
        if !named.is_empty() || path.exists() {
            context.check_readable(&path)?;
            let text = fs::read_to_string(&path)
                .map_err(|error| Failure::of(format!("read {name}"), error))?;
            let versions = from_file(tool, name, &text);
            if versions.is_empty() {
                return Err(Failure(format!(
                    "{name} names no {} version that Loopline understands",
                    tool.name
                )));
            }
            return Ok(versions);
        }
    }
    Ok(vec!["*".to_owned()])
}

/// Reads the versions from the files in which projects keep them.
fn from_file(tool: &Tool, name: &str, text: &str) -> Vec<String> {
    let file = Path::new(name).file_name().and_then(|file| file.to_str()).unwrap_or_default();
    let lines = || text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let one = match file {
        "package.json" => serde_json::from_str(text).ok().and_then(|package: serde_json::Value| {
            ["/volta/node", "/devEngines/runtime/version", "/engines/node"]
                .iter()
                .find_map(|place| package.pointer(place)?.as_str().map(str::to_owned))
        }),
        "go.mod" | "go.work" => {
            let word = |keyword: &str| lines().find_map(|line| line.strip_prefix(keyword));
            word("toolchain go").or_else(|| word("go ")).map(|v| v.trim().to_owned())
        }
        ".tool-versions" => lines().find_map(|line| {
            let (name, versions) = line.split_once(char::is_whitespace)?;
            let version = versions.split_whitespace().next()?;
            // `temurin-17.0.9+9` and `v20` name what is before the number too.
            let number = version.find(|char: char| char.is_ascii_digit())?;
            tool.asdf.contains(&name).then(|| version[number..].to_owned())
        }),
        ".sdkmanrc" => lines().find_map(|line| {
            let version = line.strip_prefix("java=")?;
            Some(version.split('-').next()?.to_owned())
        }),
        "pyproject.toml" => toml_value(text, "project", "requires-python")
            .or_else(|| toml_value(text, "tool.poetry.dependencies", "python"))
            .map(|range| range.replace(',', " ")),
        "Pipfile" => toml_value(text, "requires", "python_full_version")
            .or_else(|| toml_value(text, "requires", "python_version")),
        _ => {
            let all = lines().filter(|line| !line.is_empty());
            let all = all.map(|line| line.trim_start_matches("go").to_owned());
            return all.take(if tool.several { usize::MAX } else { 1 }).collect();
        }
    };
    one.into_iter().collect()
}

/// Returns a text value of a TOML table whose key stands on a line of its own.
fn toml_value(text: &str, table: &str, key: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            inside = name.trim_end_matches(']').trim() == table;
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let value = value.split('#').next()?.trim();
            let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            return value[1..].split(quote).next().map(str::to_owned);
        }
    }
    None
}

/// Returns `bin` of every folder in `folder`.
fn below(folder: &Path, bin: &str) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        listing.flatten().take(MAX_CANDIDATES).map(|entry| entry.path().join(bin)).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

/// Returns the folders of a tool's programs in the tool cache (`TOOL/VERSION/ARCH`).
pub(super) fn in_tool_cache(context: &Context<'_>, tool: &str) -> Vec<PathBuf> {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    below(&context.tool_cache.join(tool), &format!("{arch}/bin"))
}

/// Asks every program of these names, in `folders` and then on `PATH`, for its version.
pub(super) fn installed(
    context: &mut Context<'_>,
    names: &[String],
    folders: &[PathBuf],
    arguments: &[&str],
) -> Result<Vec<Installed>, Failure> {
    let path = context.env.get("PATH").cloned().unwrap_or_default();
    let mut found: Vec<Installed> = Vec::new();
    let mut seen = Vec::new();
    let on_path = path.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from);
    for bin in folders.iter().cloned().chain(on_path) {
        for name in names {
            let program = bin.join(name);
            let Ok(real) = fs::canonicalize(&program) else { continue };
            // Version managers put a script of one name in front of every version.
            let is_shim = bin.ends_with("shims");
            if is_shim || seen.contains(&real) || seen.len() >= MAX_CANDIDATES {
                continue;
            }
            seen.push(real.clone());
            let run = (context.start)(&program.to_string_lossy(), arguments)?;
            if let Some(version) = version_in(&run.output).filter(|_| run.exit_code == Some(0)) {
                let home = real.parent().map_or_else(|| bin.clone(), Path::to_path_buf);
                // Java's programs are links to where the toolchain is; the others' are not.
                let bin = if name == "java" { home } else { bin.clone() };
                found.push(Installed { version, bin, program });
            }
        }
    }
    Ok(found)
}

/// Returns the first thing that looks like a version.
fn version_in(text: &str) -> Option<Version> {
    text.split(|char: char| char.is_whitespace() || char == '"')
        .map(|word| word.trim_start_matches("go").trim_start_matches('v'))
        .filter(|word| word.starts_with(|char: char| char.is_ascii_digit()))
        // Java 8 calls itself `1.8.0_402`.
        .map(|word| word.strip_prefix("1.8.0_").map_or(word.to_owned(), |n| format!("8.0.{n}")))
        .find_map(|word| Version::parse(word.split(['+', '-']).next()?))
}

/// Returns the newest toolchain of the wanted version.
pub(super) fn choose(
    context: &mut Context<'_>,
    tool: &str,
    wanted: &str,
    mut found: Vec<Installed>,
) -> Result<Installed, Failure> {
    // A stable sort keeps the first found of equal ones first from the end's point of view.
    found.reverse();
    found.sort_by(|one, two| one.version.cmp(&two.version));
    let range = match wanted {
        "*" | "latest" | "stable" | "current" | "node" | "x" => Range::parse("*"),
        wanted => Range::parse(wanted),
    };
    let Some(range) = range else {
        return Err(Failure(format!("{tool} version `{wanted}` is not understood")));
    };
    if let Some(chosen) = found.iter().rev().find(|one| range.contains(&one.version)) {
        context.log(&format!("Found {tool} {} in {}", chosen.version, chosen.bin.display()));
        return Ok(chosen.clone());
    }
    let mut there: Vec<String> =
        found.iter().map(|one| format!("{} ({})", one.version, one.bin.display())).collect();
    there.dedup();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    match found.last() {
        Some(newest) if context.lenient_tools => {
            context.log(&format!(
                "::warning::{tool} {wanted} is not on this machine; {} is used instead, as \
                 --lenient-tools allows",
                newest.version
            ));
            Ok(newest.clone())
        }
        _ => Err(Failure(format!(
            "{tool} {wanted} is not on this machine; there is: {there}. Install it, or accept \
             another version with --lenient-tools"
        ))),
    }
}

/// Makes a folder in which `names` lead to the chosen program, so that putting it on `PATH`
/// does not put everything else of a system folder before what was there.
fn shims(context: &Context<'_>, chosen: &Installed, names: &[&str]) -> Result<String, Failure> {
    let own = names.iter().all(|name| {
        fs::canonicalize(chosen.bin.join(name)).ok() == fs::canonicalize(&chosen.program).ok()
    });
    let system = ["/usr/bin", "/bin", "/usr/local/bin"].iter().any(|f| chosen.bin == Path::new(f));
    if own && !system {
        return Ok(chosen.bin.to_string_lossy().into_owned());
    }
    let folder = context.temp.join("loopline-tools").join(chosen.version.to_string());
    let failed = |error| Failure::of("make the toolchain's folder", error);
    super::files::empty(context.temp, &folder)?;
    for name in names {
        rustix::fs::symlink(&chosen.program, folder.join(name))
            .map_err(|error| failed(std::io::Error::from(error)))?;
    }
    Ok(folder.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_answers() {
        for (text, expected) in [
            ("Python 3.11.2\n", "3.11.2"),
            ("v20.20.2", "20.20.2"),
            ("go version go1.22.3 linux/amd64", "1.22.3"),
            ("openjdk version \"17.0.10\" 2024-01-16", "17.0.10"),
            ("java version \"1.8.0_402\"", "8.0.402"),
        ] {
            assert_eq!(version_in(text).unwrap().to_string(), expected, "{text}");
        }
        assert!(version_in("no version").is_none());
    }

    #[test]
    fn versions_in_files() {
        let all = ".tool-versions";
        let tools =
            "ruby 3\npython 3.12.1 3.11\nnodejs v20.1.0\njava temurin-17.0.9+9\ngolang 1.22\n";
        for (tool, name, text, expected) in [
            (&NODE, ".nvmrc", "v20\n", "v20"),
            (&NODE, ".node-version", "# c\n18.2.0\n", "18.2.0"),
            (&NODE, "package.json", r#"{"engines":{"node":">=18"}}"#, ">=18"),
            (&NODE, "package.json", r#"{"engines":{"node":"1"},"volta":{"node":"20"}}"#, "20"),
            (&NODE, "package.json", "{", ""),
            (&NODE, all, tools, "20.1.0"),
            (&PYTHON, all, tools, "3.12.1"),
            (&JAVA, all, tools, "17.0.9+9"),
            (&GO, all, tools, "1.22"),
            (&GO, "go.mod", "module x\n\ngo 1.22\n", "1.22"),
            (&GO, "go.mod", "module x\ngo 1.22\ntoolchain go1.22.4\n", "1.22.4"),
            (&GO, ".go-version", "go1.21\n1.20\n", "1.21"),
            (&JAVA, ".java-version", "21\n17\n", "21|17"),
            (&JAVA, ".sdkmanrc", "# c\njava=21.0.5-tem\n", "21.0.5"),
            (&PYTHON, ".python-version", "3.12\n3.11\n", "3.12|3.11"),
            (
                &PYTHON,
                "pyproject.toml",
                "[project]\nrequires-python = \">=3.9,<4\" # c\n",
                ">=3.9 <4",
            ),
            (&PYTHON, "pyproject.toml", "[other]\nrequires-python = '1'\n", ""),
            (&PYTHON, "pyproject.toml", "[tool.poetry.dependencies]\npython = '^3.10'\n", "^3.10"),
            (&PYTHON, "Pipfile", "[requires]\npython_version = \"3.11\"\n", "3.11"),
        ] {
            assert_eq!(from_file(tool, name, text).join("|"), expected, "{name}");
        }
    }
}
