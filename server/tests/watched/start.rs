//! What a start refuses, and what it tells; a start with very many services.

use crate::machine::{LIMIT, Machine, command, until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

fn refused(dir: &std::path::Path, variables: &[(&str, &str)]) -> String {
    let output: Output = command(dir, "", variables).output().expect("run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

#[test]
fn thousands_of_services_neither_delay_the_start_nor_the_end() {
    let many: String = (0..2000)
        .map(|n| format!("[[service]]\nname = \"s{n}\"\nkind = \"process\"\ncommand = [\"/bin/true\"]\n"))
        .collect();
    let mut machine = Machine::start(&many, &[]);
    assert_eq!(machine.get("/healthz").status, 200);
    let all = || machine.get("/api/services").body;
    let names = until("all services", || {
        let body = all();
        let list: Vec<serde_json::Value> = serde_json::from_str(&body).ok()?;
        let names: Vec<String> = list.iter().filter_map(|s| s["name"].as_str().map(str::to_owned)).collect();
        (names.len() == 2000).then_some(names)
    });
    assert!(
        names.iter().enumerate().all(|(n, name)| *name == format!("s{n}")),
        "in the order of the settings"
    );
    let (status, took) = machine.terminate();
    assert_eq!(status.code(), Some(0), "{}", machine.log());
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn the_first_accounts_password_file_is_needed_while_there_is_no_account() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = dir.path().join("password");
    let path = missing.to_str().expect("text");
    let variables = [("SERVICES_NO_AUTH", "false"), ("SERVICES_ADMIN_PASSWORD_FILE", path)];
    assert!(refused(dir.path(), &variables).contains(path));
    fs::create_dir(&missing).expect("made");
    assert!(refused(dir.path(), &variables).contains(path), "a folder is no file");
    fs::remove_dir(&missing).expect("removed");
    fs::write(&missing, "correct horse battery\n").expect("written");
    let machine = Machine::start_in(dir, "", &variables);
    fs::remove_file(&missing).expect("removed");
    // It did what it was for.
    let machine = machine.again("", &variables);
    assert_eq!(machine.get("/healthz").status, 200);
}

#[test]
fn too_few_files_and_folders_that_others_may_change_are_told_at_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(command(dir.path(), "", &[]));
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\"", env!("CARGO_BIN_EXE_server")])
        .env("SERVICES_STATE_DIR", dir.path().join("state"))
        .env("LEPTOS_SITE_ROOT", dir.path().join("site"))
        .env("SERVICES_ADDR", "127.0.0.1:0")
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("64 files") && said.contains("256"), "{said}");
    let state = dir.path().join("state");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).expect("set");
    let machine = Machine::start_in(dir, "", &[]);
    until("the warning", || machine.log().contains("can be changed by others (mode 777)").then_some(()));
}

#[test]
fn what_is_no_file_of_settings_is_refused_by_its_path() {
    let dir = tempfile::tempdir().expect("a folder");
    let place = dir.path().join("settings.toml");
    let path = place.to_str().expect("text");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &place).expect("linked");
    assert!(refused(dir.path(), &[("SERVICES_CONFIG", path)]).contains(path));
    fs::remove_file(&place).expect("removed");
    rustix::fs::mknodat(rustix::fs::CWD, &place, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a pipe");
    assert!(refused(dir.path(), &[("SERVICES_CONFIG", path)]).contains(path));
    let doctor = command(dir.path(), "", &[("SERVICES_CONFIG", path)]).arg("doctor").output().expect("run");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains(path));
}
