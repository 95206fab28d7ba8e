//! The command, the unit's text, the writing and the boot status, each rule as a sentence.

use super::*;
use proptest::prelude::*;
use std::path::Path;

fn request(scope: Scope, flags: &[&str]) -> Request {
    Request {
        scope,
        program: "/opt/services/server".into(),
        flags: flags.iter().map(|f| (*f).to_owned()).collect(),
        path: Some("/usr/bin:/bin".into()),
        site_root: None,
    }
}

fn exec_start(text: &str) -> &str {
    text.lines().find_map(|l| l.strip_prefix("ExecStart=")).unwrap()
}

#[test]
fn the_unit_runs_this_program_with_its_flags_and_lets_services_outlive_it() {
    let text = unit_file(&request(Scope::System, &["--addr", "127.0.0.1:3001"])).unwrap();
    assert_eq!(exec_start(&text), "/opt/services/server --addr 127.0.0.1:3001");
    for line in [
        "KillMode=process",
        "Restart=always",
        "RestartPreventExitStatus=2",
        "OOMPolicy=continue",
        "WantedBy=multi-user.target",
        "Environment=\"PATH=/usr/bin:/bin\"",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    let user = unit_file(&request(Scope::User, &[])).unwrap();
    assert!(user.contains("WantedBy=default.target") && !user.contains("ProtectSystem=yes"));
    assert!(!user.contains("network-online"), "there is none in a user's manager");
}

#[test]
fn an_ordinary_user_has_the_groups_that_are_here_and_no_capability() {
    let etc_group = "root:x:0:\ndocker:x:998:\nrender:x:105:\nbroken\n";
    let groups = unit::groups(etc_group, Path::new("/nonexistent"));
    assert_eq!(groups, ["docker", "render"]);
    let scope = |user: &str| Scope::SystemAs { user: user.to_owned(), groups: groups.clone() };
    let text = unit_file(&request(scope("services"), &[])).unwrap();
    for line in [
        "User=services",
        "SupplementaryGroups=docker render",
        "CapabilityBoundingSet=",
        "Environment=SERVICES_STATE_DIR=/var/lib/services",
        "StateDirectory=services",
        "WantedBy=multi-user.target",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    for user in ["", "a b", "a\nUser=root", "Ann", "-x", "%u"] {
        assert!(matches!(unit_file(&request(scope(user), &[])), Err(RequestError::User(_))), "{user:?}");
    }
    // Root's group lets nobody in.
    let dir = tempfile::tempdir().unwrap();
    let owner = std::fs::metadata(dir.path()).unwrap();
    let gid = std::os::unix::fs::MetadataExt::gid(&owner);
    assert_eq!(unit::groups(&format!("engine:x:{gid}:\ndocker:x:99999:\n"), dir.path()), ["engine"]);
    assert_eq!(unit::groups(&format!("root:x:{gid}:\n"), dir.path()), Vec::<String>::new());
}

#[test]
fn what_is_left_to_do_names_where_the_first_code_is() {
    assert!(next(&Scope::System).contains("  journalctl --unit services-dashboard.service"));
    assert!(next(&Scope::User).contains("  journalctl --user --unit services-dashboard.service"));
    let words = ["--as".to_owned()];
    assert!(answer(&words, |_| Ok(())).unwrap_err().contains("--as needs"));
}

#[test]
fn words_with_a_meaning_to_systemd_are_quoted() {
    let text = unit_file(&request(Scope::System, &["a b", "50%", "$HOME", "\"x\\"])).unwrap();
    assert_eq!(exec_start(&text), r#"/opt/services/server "a b" "50%%" "$$HOME" "\"x\\""#);
    assert!(matches!(unit_file(&request(Scope::System, &["a\nExecStart=b"])), Err(RequestError::Word(_))));
    let relative = Request { program: "server".into(), ..request(Scope::System, &[]) };
    assert!(matches!(unit_file(&relative), Err(RequestError::Relative(_))));
}

#[test]
fn a_unit_is_written_once_kept_when_it_is_the_same_and_replaced_when_it_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("systemd/user");
    let path = folder.join(UNIT);
    let first = unit_file(&request(Scope::User, &[])).unwrap();
    let second = unit_file(&request(Scope::User, &["--addr", "127.0.0.1:1"])).unwrap();
    assert_eq!(write_unit(&folder, &first).unwrap(), Written::New(path.clone()));
    assert_eq!(write_unit(&folder, &first).unwrap(), Written::Same(path.clone()));
    assert_eq!(write_unit(&folder, &second).unwrap(), Written::Replaced(path.clone()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), second);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_file_of_somebody_else_or_one_that_was_changed_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(UNIT);
    let text = unit_file(&request(Scope::User, &[])).unwrap();
    std::fs::write(&path, "[Service]\nExecStart=/bin/mine\n").unwrap();
    assert!(matches!(write_unit(dir.path(), &text), Err(WriteError::NotOurs(_))));
    let changed = text.replace("RestartSec=2", "RestartSec=9");
    std::fs::write(&path, &changed).unwrap();
    assert!(matches!(write_unit(dir.path(), &text), Err(WriteError::Changed(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), changed);
    for target in ["/dev/null", "/nonexistent"] {
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(target, &path).unwrap();
        assert!(matches!(write_unit(dir.path(), &text), Err(WriteError::NotOurs(_))), "{target}");
    }
}

#[test]
fn print_and_compose_only_print_and_wrong_flags_are_refused() {
    let words = |list: &[&str]| -> Vec<String> { list.iter().map(|w| (*w).to_owned()).collect() };
    let any = |_: &[String]| Ok(());
    let unit = answer(&words(&["--print", "--addr", "127.0.0.1:9"]), any).unwrap();
    assert!(exec_start(&unit).ends_with(" --addr 127.0.0.1:9"));
    let compose = answer(&words(&["--compose", "--addr", "127.0.0.1:9", "$x\""]), any).unwrap();
    assert!(compose.contains(r#"    command: ["--addr", "127.0.0.1:9", "$$x\""]"#), "{compose}");
    let refused = answer(&words(&["--print", "--nonsense"]), |_| Err("unknown flag".to_owned()));
    assert_eq!(refused, Err("unknown flag".to_owned()));
}

/// A machine with these files; a text that begins with `->` is a link.
fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("->") {
            Some(to) => std::os::unix::fs::symlink(to, path).unwrap(),
            None => std::fs::write(path, text).unwrap(),
        }
    }
    dir
}

fn status(files: &[(&str, &str)]) -> BootStatus {
    let dir = machine(files);
    boot_status(dir.path(), Some(&dir.path().join("home/.config")), Some("ann"))
}

const SYSTEMD: (&str, &str) = ("proc/1/comm", "systemd\n");
const SYSTEM_UNIT: (&str, &str) = ("etc/systemd/system/services-dashboard.service", "");
const SYSTEM_WANTS: (&str, &str) = (
    "etc/systemd/system/multi-user.target.wants/services-dashboard.service",
    "->../services-dashboard.service",
);
const USER_WANTS: (&str, &str) = (
    "home/.config/systemd/user/default.target.wants/services-dashboard.service",
    "->../services-dashboard.service",
);

#[test]
fn a_unit_that_a_target_wants_is_installed_and_one_that_none_wants_is_not_enabled() {
    assert_eq!(status(&[SYSTEMD]), BootStatus::NotInstalled);
    assert_eq!(status(&[SYSTEMD, SYSTEM_UNIT]), BootStatus::NotEnabled);
    assert_eq!(status(&[SYSTEMD, SYSTEM_UNIT, SYSTEM_WANTS]), BootStatus::Installed { how: How::System });
}

#[test]
fn a_masked_unit_is_not_enabled_though_a_target_wants_it() {
    let masked = (SYSTEM_UNIT.0, "->/dev/null");
    assert_eq!(status(&[SYSTEMD, masked, SYSTEM_WANTS]), BootStatus::NotEnabled);
}

#[test]
fn a_users_unit_starts_at_boot_only_when_the_user_lingers() {
    let how = |lingers| BootStatus::Installed { how: How::User { lingers } };
    assert_eq!(status(&[SYSTEMD, USER_WANTS]), how(false));
    assert_eq!(status(&[SYSTEMD, USER_WANTS, ("var/lib/systemd/linger/ann", "")]), how(true));
}

#[test]
fn a_unit_of_another_name_is_known_by_the_control_group_it_runs_in() {
    let files = [
        SYSTEMD,
        ("proc/self/cgroup", "0::/system.slice/mine.service\n"),
        ("etc/systemd/system/multi-user.target.wants/mine.service", "->../mine.service"),
    ];
    assert_eq!(status(&files), BootStatus::Installed { how: How::System });
    let shell = [
        SYSTEMD,
        ("proc/self/cgroup", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run.scope\n"),
    ];
    assert_eq!(status(&shell), BootStatus::NotInstalled);
}

#[test]
fn without_systemd_or_in_a_container_nothing_is_claimed() {
    assert_eq!(status(&[("proc/1/comm", "init\n"), SYSTEM_WANTS]), BootStatus::Unknown);
    assert_eq!(status(&[]), BootStatus::Unknown);
    assert_eq!(status(&[SYSTEMD, SYSTEM_WANTS, (".dockerenv", "")]), BootStatus::InContainer);
}

proptest! {
    #[test]
    fn no_flag_can_add_a_line_to_the_unit(flag in any::<String>()) {
        let plain = unit_file(&request(Scope::System, &[])).unwrap().lines().count();
        if let Ok(text) = unit_file(&request(Scope::System, &[&flag])) {
            prop_assert_eq!(text.lines().count(), plain);
            prop_assert!(Path::new(exec_start(&text).split(' ').next().unwrap()).is_absolute());
        }
    }
}
