//! Where an engine is looked for when no address was given: Docker's socket, that of rootless Docker, then Podman's.

use rustix::fs::{Access, access};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Docker's socket, for all users of the machine.
const DOCKER: &str = "/var/run/docker.sock";
/// Podman's, for root.
const PODMAN: &str = "/run/podman/podman.sock";

/// Where an engine usually listens, for whom no address was given; whether a socket is there.
pub fn default_engine() -> (String, bool) {
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let user = format!("/run/user/{}", rustix::process::geteuid().as_raw());
    let places = places(&named.unwrap_or_else(|| PathBuf::from(user)));
    let found = pick(&places);
    let address = format!("unix://{}", found.unwrap_or(Path::new(DOCKER)).display());
    (address, found.is_some())
}

fn places(runtime_dir: &Path) -> [PathBuf; 4] {
    [
        PathBuf::from(DOCKER),
        runtime_dir.join("docker.sock"),
        runtime_dir.join("podman/podman.sock"),
        PathBuf::from(PODMAN),
    ]
}

/// The first socket that this user may open; else the first there is, whose refusal is then told.
fn pick(places: &[PathBuf]) -> Option<&Path> {
    let sockets = || {
        places
            .iter()
            .map(PathBuf::as_path)
            .filter(|place| std::fs::metadata(place).is_ok_and(|meta| meta.file_type().is_socket()))
    };
    sockets()
        .find(|place| access(*place, Access::READ_OK | Access::WRITE_OK).is_ok())
        .or_else(|| sockets().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn sockets_are_found_in_order_and_files_are_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = |name: &str| dir.path().join(name);
        let all = [place("none"), place("file"), place("second"), place("third")];
        assert_eq!(pick(&all), None);
        std::fs::write(place("file"), "").expect("written");
        assert_eq!(pick(&all), None);
        let _third = UnixListener::bind(place("third")).expect("bound");
        assert_eq!(pick(&all), Some(place("third").as_path()));
        let _second = UnixListener::bind(place("second")).expect("bound");
        assert_eq!(pick(&all), Some(place("second").as_path()));
    }

    #[test]
    fn dockers_sockets_come_before_podmans() {
        let shown: Vec<String> =
            places(Path::new("/run/user/7")).iter().map(|place| place.display().to_string()).collect();
        assert_eq!(
            shown,
            [DOCKER, "/run/user/7/docker.sock", "/run/user/7/podman/podman.sock", PODMAN].map(str::to_owned)
        );
    }
}
