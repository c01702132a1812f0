//! The real kubectl against a real server: every verb, and what it prints.
//!
//! A session is a file of `sessions/`: commands behind `$ `, each with the lines it prints
//! (standard error behind `! `, a failure's status behind `? `), and then the files it needs
//! (`== NAME`). `[..]` stands for any text within a line. Every session has a server's namespace
//! of its own name and a folder of its own; all run at the same time. `KUBECTL_SESSIONS=FOLDER`
//! writes what the commands print there, to begin a session from.

mod forms;
mod session;

use std::collections::BTreeSet;

use crate::support::Served;
use session::Session;

/// How many different forms of commands the sessions have at least.
const MIN_FORMS: usize = 60;

/// The versions of kubectl whose wording the sessions have.
const WORDED: &[&str] = &["v1.32.", "v1.33."];

fn sessions() -> Vec<Session> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kubectl/sessions");
    let mut sessions: Vec<Session> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| Session::read(&entry.unwrap().path()))
        .collect();
    sessions.sort_by(|a, b| a.name.cmp(&b.name));
    sessions
}

#[test]
fn the_sessions_go_through_every_form() {
    let found: BTreeSet<String> = sessions()
        .iter()
        .flat_map(|session| session.commands.iter().flat_map(|command| forms::of(&command.line)))
        .collect();
    assert!(found.len() >= MIN_FORMS, "{} forms: {found:?}", found.len());
    let missing: Vec<&&str> = forms::EXPECTED.iter().filter(|one| !found.contains(**one)).collect();
    assert!(missing.is_empty(), "no session has {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_prints_what_it_prints_for_any_cluster() {
    let served = Served::new().await;
    let Some((_, version)) = served.kubectl(&["version", "--client"]).await else { return };
    let exact = WORDED.iter().any(|known| version.contains(known));
    if !exact {
        println!("only how commands end is compared: this kubectl words some lines its own way");
        println!("{version}");
    }
    let mut running = tokio::task::JoinSet::new();
    for session in sessions() {
        let server = served.server.clone();
        let url = served.url();
        running.spawn(async move {
            session.prepare(&server).await;
            tokio::task::spawn_blocking(move || session.run(&url, exact)).await.unwrap()
        });
    }
    let wrong: Vec<String> = running.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
