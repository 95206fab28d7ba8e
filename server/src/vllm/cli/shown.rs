//! Writes the commands that do what we do. In: a launch's parts, without its secrets. Out: words, for [`super::quote`].

/// What is launched. Secrets have no place in it: variables are named only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The container's name.
    pub container: String,
    /// The image.
    pub image: String,
    /// The engine's arguments, in order.
    pub args: Vec<String>,
    /// Names of the variables that are set; their values come from the shell in which the command is run.
    pub env_names: Vec<String>,
    /// GPUs as in `Launch`: indices or UUIDs, `all` alone for all; empty for none.
    pub gpus: Vec<String>,
    /// The port of the loopback.
    pub host_port: u16,
    /// The port inside.
    pub inner_port: u16,
    /// `SOURCE:TARGET[:ro]`.
    pub binds: Vec<String>,
    /// Shared memory, in bytes; 0 for the engine's own size.
    pub shm_bytes: u64,
}

/// `docker run …`, as the container is created.
pub fn docker_run(shown: &Shown) -> Vec<String> {
    let mut out = ["docker", "run", "-d", "--name"].map(str::to_owned).to_vec();
    out.push(shown.container.clone());
    match shown.gpus.as_slice() {
        [] => {}
        [all] if all == "all" => out.extend(["--gpus", "all"].map(str::to_owned)),
        [one] => out.extend(["--gpus".to_owned(), format!("device={one}")]),
        // Docker reads a line of CSV: the list is one field of it.
        these => out.extend(["--gpus".to_owned(), format!("\"device={}\"", these.join(","))]),
    }
    out.extend(["-p".to_owned(), format!("127.0.0.1:{}:{}", shown.host_port, shown.inner_port)]);
    if shown.shm_bytes > 0 {
        out.extend(["--shm-size".to_owned(), shown.shm_bytes.to_string()]);
    }
    for bind in &shown.binds {
        out.extend(["-v".to_owned(), bind.clone()]);
    }
    for name in &shown.env_names {
        out.extend(["-e".to_owned(), name.clone()]);
    }
    out.push(shown.image.clone());
    out.extend(shown.args.iter().cloned());
    out
}

/// `vllm serve …`, as the process is started; variables with secrets are those of the shell.
pub fn vllm_serve(shown: &Shown) -> Vec<String> {
    let mut out = Vec::new();
    match shown.gpus.as_slice() {
        [all] if all == "all" => {}
        // `env`, because a quoted assignment would be a program's name to a shell.
        these => out.extend(["env".to_owned(), format!("CUDA_VISIBLE_DEVICES={}", these.join(","))]),
    }
    out.push("vllm".to_owned());
    if shown.args.first().is_none_or(|word| word != "serve") {
        out.push("serve".to_owned());
    }
    out.extend(shown.args.iter().cloned());
    out
}
