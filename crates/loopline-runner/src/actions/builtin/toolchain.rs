//! `actions/setup-python`, `-java` and `-go`: toolchains found on the machine.
//!
//! A version that is not there fails with the list of those that are, or is replaced by the
//! nearest one where the user accepts that. What a toolchain is, its own answer says.

use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_units::version::{Range, Version};

use super::context::{Context, Failure};

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

pub(super) fn python(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(
        &[
            "python-version",
            "python-version-file",
            "architecture",
            "token",
            "check-latest",
            "update-environment",
            "cache-dependency-path",
            "pip-version",
        ],
        &["cache", "allow-prereleases", "freethreaded", "pip-install"],
    )?;
    let wanted = wanted(context, "python-version", "python-version-file", &[".python-version"])?;
    if wanted.to_ascii_lowercase().starts_with("pypy") || wanted.starts_with("graalpy") {
        return Err(Failure(format!("python {wanted} is not supported, only CPython is")));
    }
    let mut folders = in_tool_cache(context, "Python");
    let pyenv = context.env.get("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.unwrap_or_else(|| context.home.join(".pyenv"));
    folders.extend(below(&pyenv.join("versions"), "bin"));
    let mut names = vec!["python3".to_owned(), "python".to_owned()];
    names.extend((8..=20).map(|minor| format!("python3.{minor}")));
    let found = installed(context, &names, &folders, &["--version"])?;
    let chosen = choose(context, "python", &wanted, found)?;
    let version = chosen.version.to_string();
    if context.flag("update-environment", true)? {
        let shims = shims(context, &chosen, &["python", "python3"])?;
        context.paths.push(shims);
        let prefix = chosen.bin.parent().unwrap_or(&chosen.bin).to_string_lossy().into_owned();
        for name in ["pythonLocation", "Python_ROOT_DIR", "Python2_ROOT_DIR", "Python3_ROOT_DIR"] {
            context.variables.push((name.to_owned(), prefix.clone()));
        }
    }
    context.set("python-version", version);
    context.set("python-path", chosen.program.to_string_lossy());
    context.set("cache-hit", "false");
    Ok(())
}

pub(super) fn java(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(
        &[
            "java-version",
            "java-version-file",
            "distribution",
            "java-package",
            "architecture",
            "check-latest",
            "token",
            "cache-dependency-path",
        ],
        &[
            "cache",
            "jdkfile",
            "server-id",
            "server-username",
            "server-password",
            "settings-path",
            "gpg-private-key",
            "gpg-passphrase",
            "mvn-toolchain-id",
            "mvn-toolchain-vendor",
        ],
    )?;
    if context.input("distribution").is_empty() {
        return Err(Failure("input `distribution` is needed".to_owned()));
    }
    let wanted = wanted(context, "java-version", "java-version-file", &[".java-version"])?;
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
    let chosen = choose(context, "java", &wanted, found)?;
    let home = chosen.bin.parent().unwrap_or(&chosen.bin).to_string_lossy().into_owned();
    let distribution = context.input("distribution").to_owned();
    context.log(&format!(
        "The distribution `{distribution}` is not looked at: the machine's Java at {home} is used."
    ));
    context.variables.push(("JAVA_HOME".to_owned(), home.clone()));
    context.paths.push(chosen.bin.to_string_lossy().into_owned());
    context.set("version", chosen.version.to_string());
    context.set("distribution", distribution);
    context.set("path", home);
    context.set("cache-hit", "false");
    Ok(())
}

pub(super) fn go(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(
        &[
            "go-version",
            "go-version-file",
            "check-latest",
            "token",
            "cache",
            "cache-dependency-path",
            "architecture",
        ],
        &["go-download-base-url"],
    )?;
    let wanted = wanted(context, "go-version", "go-version-file", &[])?;
    let mut folders = in_tool_cache(context, "go");
    folders.push(PathBuf::from("/usr/local/go/bin"));
    folders.extend(below(&context.home.join("sdk"), "bin"));
    folders.extend(
        below(Path::new("/usr/lib"), "bin")
            .into_iter()
            .filter(|folder| folder.parent().is_some_and(|f| f.to_string_lossy().contains("/go-"))),
    );
    let found = installed(context, &["go".to_owned()], &folders, &["version"])?;
    let chosen = choose(context, "go", &wanted, found)?;
    if context.flag("cache", true)? {
        context.log("Go's own build and module caches are used as they are.");
    }
    context.paths.push(chosen.bin.to_string_lossy().into_owned());
    context.set("go-version", chosen.version.to_string());
    context.set("cache-hit", "false");
    Ok(())
}

/// Returns the version that the inputs ask for, `*` for any.
pub(super) fn wanted(
    context: &Context<'_>,
    input: &str,
    file_input: &str,
    usual_files: &[&str],
) -> Result<String, Failure> {
    let given = context.lines(input);
    if given.len() > 1 {
        return Err(Failure(format!("input `{input}` names several versions; one is supported")));
    }
    if let Some(version) = given.into_iter().next() {
        return Ok(version);
    }
    let named = context.input(file_input);
    let names: Vec<&str> = if named.is_empty() { usual_files.to_vec() } else { vec![named] };
    for name in names {
        let path = super::files::inside(context.workspace, name)?;
        if !named.is_empty() || path.exists() {
            context.check_readable(&path)?;
            let text = fs::read_to_string(&path)
                .map_err(|error| Failure::of(format!("read {name}"), error))?;
            return from_file(name, &text).ok_or_else(|| {
                Failure(format!("{name} names no version that Loopline understands"))
            });
        }
    }
    Ok("*".to_owned())
}

/// Reads a version from the files in which projects keep it.
fn from_file(name: &str, text: &str) -> Option<String> {
    let file = Path::new(name).file_name()?.to_str()?;
    if file == "package.json" {
        let package: serde_json::Value = serde_json::from_str(text).ok()?;
        return ["/volta/node", "/devEngines/runtime/version", "/engines/node"]
            .iter()
            .find_map(|place| package.pointer(place)?.as_str().map(str::to_owned));
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    if file == "go.mod" || file == "go.work" {
        let word = |keyword: &str| lines().find_map(|line| line.strip_prefix(keyword));
        return word("toolchain go").or_else(|| word("go ")).map(|v| v.trim().to_owned());
    }
    if file == ".tool-versions" {
        return lines().find_map(|line| {
            let (tool, version) = line.split_once(char::is_whitespace)?;
            ["nodejs", "node", "python", "java", "golang", "go"]
                .contains(&tool)
                .then(|| version.trim().to_owned())
        });
    }
    if file == "pyproject.toml" {
        let line = lines().find(|line| line.starts_with("requires-python"))?;
        return Some(line.split_once('=')?.1.trim().trim_matches(['"', '\'']).replace(',', " "));
    }
    lines().find(|line| !line.is_empty()).map(|line| line.trim_start_matches("go").to_owned())
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
        for (name, text, expected) in [
            (".nvmrc", "v20\n", Some("v20")),
            (".node-version", "# c\n18.2.0\n", Some("18.2.0")),
            ("package.json", r#"{"engines":{"node":">=18"}}"#, Some(">=18")),
            ("go.mod", "module x\n\ngo 1.22\n", Some("1.22")),
            (".tool-versions", "ruby 3\nnodejs 20.1.0\n", Some("20.1.0")),
            ("pyproject.toml", "[project]\nrequires-python = \">=3.9,<4\"\n", Some(">=3.9 <4")),
            ("package.json", "{", None),
        ] {
            assert_eq!(from_file(name, text).as_deref(), expected, "{name}");
        }
    }
}
