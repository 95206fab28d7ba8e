//! The port: free, ours, or whose.

use super::Finding;
use super::setup::holder;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// Entries of `/proc` that are looked through for who listens.
const PROCESSES: usize = 65_536;

/// Whether the dashboard could listen, or does.
pub fn port(address: SocketAddr, state_dir: &Path) -> Finding {
    let check = "port";
    // It is let go of at once: nobody can have connected.
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(check, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let listens = listener(address.port());
            let ours = holder(state_dir);
            match listens {
                Some((pid, _)) if Some(pid) == ours => {
                    Finding::ok(check, format!("{address} is held by the dashboard that runs (PID {pid})"))
                }
                Some((pid, name)) => Finding::error(
                    check,
                    format!("{address} is held by {name} (PID {pid})"),
                    "End that, or choose another with SERVICES_ADDR.",
                ),
                None => Finding::error(
                    check,
                    format!("{address} is held by somebody else, whose name only root may see"),
                    "`ss -ltnp` as root tells who; or choose another with SERVICES_ADDR.",
                ),
            }
        }
        Err(error) => Finding::error(
            check,
            format!("{address} cannot be listened on: {error}"),
            "Choose another with SERVICES_ADDR.",
        ),
    }
}

/// Who listens on a port: PID and name.
fn listener(port: u16) -> Option<(u32, String)> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|text| text.lines().filter_map(|line| socket(line, port)).collect::<Vec<_>>())
        .collect();
    let processes = std::fs::read_dir("/proc").ok()?.flatten().take(PROCESSES);
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find_map(|pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let holds = open.flatten().any(|fd| {
            std::fs::read_link(fd.path())
                .is_ok_and(|to| sockets.iter().any(|socket| to.as_os_str() == socket.as_str()))
        });
        let name =
            || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
        holds.then(|| (pid, name()))
    })
}

/// The socket of a line of `/proc/net/tcp` that listens on this port, as links in `/proc/PID/fd` name it.
fn socket(line: &str, port: u16) -> Option<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let local = words.get(1)?.rsplit_once(':')?.1;
    let listens = *words.get(3)? == "0A" && u16::from_str_radix(local, 16) == Ok(port);
    listens.then(|| Some(format!("socket:[{}]", words.get(9)?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let line = "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0";
        assert_eq!(socket(line, 3000).as_deref(), Some("socket:[4242]"));
        assert_eq!(socket(line, 3001), None);
        assert_eq!(socket(&line.replace(" 0A ", " 01 "), 3000), None, "a connection, no listener");
        assert_eq!(socket("  sl  local_address rem_address   st", 3000), None);
    }

    #[test]
    fn who_listens_is_found() {
        let held = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = held.local_addr().expect("an address");
        assert_eq!(listener(address.port()).map(|(pid, _)| pid), Some(std::process::id()));
        let finding = port(address, Path::new("/nonexistent"));
        assert!(finding.what.contains(&format!("PID {}", std::process::id())), "{finding:?}");
    }
}
