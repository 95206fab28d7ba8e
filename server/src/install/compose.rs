//! The text of a compose file for the dashboard. In: its flags. Out: YAML that says what each line is needed for.

use super::unit::RequestError;

/// The compose file's text.
///
/// # Errors
/// [`RequestError::Word`].
pub fn compose_file(flags: &[String]) -> Result<String, RequestError> {
    let mut command = String::new();
    if !flags.is_empty() {
        let mut words = Vec::new();
        for flag in flags {
            if flag.chars().any(char::is_control) {
                return Err(RequestError::Word(flag.chars().take(120).collect()));
            }
            // A double-quoted YAML word; compose itself replaces what follows a single `$`.
            words.push(format!("\"{}\"", flag.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$")));
        }
        command = format!("    command: [{}]\n", words.join(", "));
    }
    Ok(TEXT.replace("@COMMAND@", &command))
}

const TEXT: &str = "# Printed by `server install --compose`. Start it with: docker compose up --detach
#
# What does not work from inside a container: services that are processes or systemd units of the host. Containers do.
services:
  services-dashboard:
    # There is no published image: build one that holds the `server` program with its `site` folder beside it, and name it here.
    image: services-dashboard:latest
@COMMAND@    # Docker starts it again after a crash and at boot, unless somebody stopped it.
    restart: unless-stopped
    # The dashboard listens on 127.0.0.1:3000 and refuses any other kind of address, and it asks services at the host's
    # 127.0.0.1, where their ports are published. In a network of its own neither would be reachable.
    network_mode: host
    # Needed to name the process that holds a GPU's memory, and to end what a container left behind: the driver tells PIDs
    # of the host. Without it the page still shows how much is used, but not by whom.
    pid: host
    environment:
      SERVICES_STATE_DIR: /var/lib/services
      # Lets the NVIDIA container toolkit bring the driver's management library; figures of GPUs come from it.
      NVIDIA_DRIVER_CAPABILITIES: utility
    volumes:
      # Starting and stopping containers. Whoever can use this socket is root on the host, also when it is mounted read-only.
      - /var/run/docker.sock:/var/run/docker.sock
      # Wishes, runs and settings: what the dashboard must remember.
      - services-state:/var/lib/services
    # Only for machines with an NVIDIA GPU and its container toolkit; take the comment signs away there.
    # deploy:
    #   resources:
    #     reservations:
    #       devices:
    #         - driver: nvidia
    #           count: all
    #           capabilities: [gpu]

volumes:
  services-state:
";
