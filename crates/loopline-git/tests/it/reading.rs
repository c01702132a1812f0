//! Discovery, HEAD, revisions, history and the list of files, each beside git's own answer.

use std::path::Path;

use loopline_git::{Error, FileKind, Repository, TreeLimit};

use crate::{git, write};

fn two_commits(folder: &Path) -> (String, String) {
    git(folder, &["init", "-q"]);
    write(folder, "a.txt", "a\n");
    write(folder, "src/b.txt", "b\n");
    write(folder, "gone.txt", "gone\n");
    git(folder, &["add", "."]);
    git(folder, &["commit", "-qm", "First"]);
    let first = git(folder, &["rev-parse", "HEAD"]);
    write(folder, "src/b.txt", "changed\n");
    write(folder, "new/c.txt", "c\n");
    git(folder, &["rm", "-q", "gone.txt"]);
    git(folder, &["mv", "a.txt", "moved.txt"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "-qm", "Second\n\nA body"]);
    (first, git(folder, &["rev-parse", "HEAD"]))
}

#[test]
fn head_remote_tags_and_commit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, second) = two_commits(folder);
    git(folder, &["remote", "add", "origin", "git@github.com:acme/shop.git"]);
    git(folder, &["tag", "light"]);
    git(folder, &["tag", "-a", "v1", "-m", "one"]);
    git(folder, &["tag", "old", &first]);
    for packed in [false, true] {
        if packed {
            git(folder, &["gc", "-q"]);
        }
        let repository = Repository::discover(&folder.join("src")).unwrap();
        let head = repository.head().unwrap();
        assert_eq!(head.commit.as_deref(), Some(second.as_str()));
        assert_eq!(head.branch.as_deref(), Some("main"));
        assert_eq!(repository.tags_at(&second).unwrap(), ["light", "v1"]);
        assert_eq!(repository.slug().to_string(), "acme/shop");
        assert_eq!(repository.default_branch(), "main");
        for revision in ["HEAD", "main", "v1", &second[..8], second.as_str()] {
            assert_eq!(repository.rev_parse(revision).unwrap(), second, "{revision}");
        }
        assert_eq!(repository.rev_parse("HEAD~1").unwrap(), first);
        assert!(matches!(repository.rev_parse("nothing"), Err(Error::Revision { .. })));
        let summary = repository.commit_summary("HEAD").unwrap();
        assert_eq!(summary.message, "Second\n\nA body\n");
        assert_eq!(summary.parents, std::slice::from_ref(&first));
        assert_eq!(summary.tree, git(folder, &["rev-parse", "HEAD^{tree}"]));
        assert_eq!(
            (summary.author.name.as_str(), summary.author.time_seconds),
            ("Ada", 1_700_000_000)
        );
        assert_eq!(
            (summary.committer.email.as_str(), summary.committer.offset_seconds),
            ("bob@example.com", -18_000)
        );
    }
    git(folder, &["checkout", "-q", &first]);
    let head = Repository::discover(folder).unwrap().head().unwrap();
    assert_eq!((head.commit.as_deref(), head.branch), (Some(first.as_str()), None));
}

#[test]
fn changes_and_merge_base_are_gits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, second) = two_commits(folder);
    git(folder, &["checkout", "-qb", "side", &first]);
    write(folder, "side.txt", "side\n");
    git(folder, &["add", "."]);
    git(folder, &["commit", "-qm", "Side"]);
    let repository = Repository::discover(folder).unwrap();
    for (base, head) in [(first.as_str(), second.as_str()), ("side", "main"), ("main", "main")] {
        let expected = git(folder, &["diff", "--name-only", "--no-renames", base, head]);
        assert_eq!(repository.changed_files(Some(base), head).unwrap().join("\n"), expected);
    }
    assert_eq!(repository.changed_files(None, &first).unwrap(), ["a.txt", "gone.txt", "src/b.txt"]);
    assert_eq!(repository.merge_base("main", "side").unwrap(), Some(first));
    git(folder, &["checkout", "-q", "--orphan", "other"]);
    git(folder, &["commit", "-qm", "Other"]);
    assert_eq!(repository.merge_base("main", "other").unwrap(), None);
}

#[test]
fn a_shallow_clone_ends_at_its_boundary() {
    let (folder, clone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = two_commits(folder.path());
    let url = format!("file://{}", folder.path().display());
    git(clone.path(), &["clone", "-q", "--depth=1", &url, "."]);
    let repository = Repository::discover(clone.path()).unwrap();
    let summary = repository.commit_summary("HEAD").unwrap();
    assert_eq!((summary.id, summary.is_boundary), (second, true));
    assert_eq!(summary.parents, [""; 0]);
    git(clone.path(), &["fetch", "-q", "--unshallow"]);
    let summary = Repository::discover(clone.path()).unwrap().commit_summary("HEAD").unwrap();
    assert_eq!((summary.parents, summary.is_boundary), (vec![first], false));
    assert!(!repository.is_partial());
}

#[test]
fn the_size_of_a_tree_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    two_commits(folder.path());
    let repository = Repository::discover(folder.path()).unwrap();
    // moved.txt (2), new/c.txt (2), src/b.txt (8), and two folders.
    let check =
        |entries, size_bytes| repository.check_tree_size("HEAD", TreeLimit { entries, size_bytes });
    check(5, 12).unwrap();
    for (entries, size_bytes) in [(4, 12), (5, 11)] {
        let error = check(entries, size_bytes).unwrap_err();
        assert!(matches!(error, Error::TooMuch { .. }), "{error}");
    }
}

#[test]
fn working_files_are_tracked_and_untracked_but_not_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let inner = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_commits(inner.path());
    two_commits(folder);
    write(folder, ".gitignore", "*.log\n/target/\n!keep.log\n");
    write(folder, "forced.log", "tracked although ignored\n");
    git(folder, &["add", "-f", "forced.log"]);
    git(folder, &["submodule", "-q", "add", &inner.path().to_string_lossy(), "module"]);
    for path in [
        "x.log",
        "keep.log",
        "target/big",
        "deep/er/new.txt",
        "deep/.gitignore",
        "nested/file",
        ".git/info/exclude",
    ] {
        write(folder, path, if path.ends_with("exclude") { "excluded\n" } else { "" });
    }
    write(folder, "excluded", "");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    git(&folder.join("nested"), &["init", "-q"]);
    let repository = Repository::discover(folder).unwrap();
    let files = repository.working_files().unwrap();
    let listed: Vec<_> =
        files.iter().map(|file| file.path.to_string_lossy().into_owned()).collect();
    let mut expected: Vec<_> =
        git(folder, &["ls-files", "--cached", "--others", "--exclude-standard"])
            .lines()
            .map(|line| line.trim_end_matches('/').to_owned())
            .collect();
    expected.sort_by(|one, two| Path::new(one).cmp(Path::new(two)));
    assert_eq!(listed, expected);
    let kind = |path: &str| {
        files.iter().find(|file| file.path == Path::new(path)).map(|file| (file.kind, file.tracked))
    };
    assert_eq!(kind("link"), Some((FileKind::Symlink, false)));
    assert_eq!(kind("module"), Some((FileKind::Repository, true)));
    assert_eq!(kind("nested"), Some((FileKind::Repository, false)));
    assert_eq!(kind("forced.log"), Some((FileKind::File, true)));
}

#[test]
fn empty_bare_broken_and_absent_repositories() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(matches!(
        Repository::discover(&folder.join("none")),
        Err(Error::NotARepository { .. })
    ));
    git(folder, &["init", "-q", "shop"]);
    let repository = Repository::discover(&folder.join("shop")).unwrap();
    let head = repository.head().unwrap();
    assert_eq!((head.commit, head.branch.as_deref()), (None, Some("main")));
    assert!(matches!(repository.rev_parse("HEAD"), Err(Error::NoCommit)));
    assert_eq!(repository.slug().to_string(), "local/shop");
    assert!(repository.working_files().unwrap().is_empty());
    git(folder, &["init", "-q", "--bare", "bare.git"]);
    let bare = Repository::discover(&folder.join("bare.git")).unwrap();
    assert!(matches!(bare.working_files(), Err(Error::Bare)));
    assert_eq!(bare.slug().to_string(), "local/bare");
    write(folder, "shop/.git/index", "not an index");
    assert!(matches!(repository.working_files(), Err(Error::Read { .. })));
}

#[test]
fn programs_named_by_a_repository_are_never_started() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    two_commits(folder);
    let mark = folder.join(".git/started");
    let program = format!("touch {}", mark.display());
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "filter.evil.clean",
        "filter.evil.smudge",
        "diff.external",
        "credential.helper",
    ] {
        git(folder, &["config", key, &program]);
    }
    write(folder, ".gitattributes", "* filter=evil diff=evil\n");
    let repository = Repository::discover(folder).unwrap();
    repository.working_files().unwrap();
    repository.changed_files(None, "HEAD").unwrap();
    repository.commit_summary("HEAD").unwrap();
    assert!(!mark.exists());
}

#[test]
fn linked_worktrees_share_history() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("top");
    fs_err::create_dir(&top).unwrap();
    let (_, second) = two_commits(&top);
    git(&top, &["worktree", "add", "-q", "-b", "linked", "../linked"]);
    let repository = Repository::discover(&folder.path().join("linked")).unwrap();
    let head = repository.head().unwrap();
    assert_eq!((head.commit, head.branch.as_deref()), (Some(second), Some("linked")));
    assert_eq!(repository.working_files().unwrap().len(), 3);
    assert_eq!(
        fs_err::canonicalize(repository.common_folder()).unwrap(),
        fs_err::canonicalize(top.join(".git")).unwrap()
    );
}
