//! Arguments → settings → wiring → serve → shut down.

use clap::Parser;
use leptos::config::LeptosOptions;
use server::access::Access;
use server::notify::Notifier;
use server::settings::{Config, ConfigError, Flags, Sources, exposed};
use server::store::Store;
use server::supervisor::Fleet;
use server::vitals::journal::Journal;
use server::web::serve::{Certificates, Door, Limits, enough_files, serve as connections};
use server::web::{Hosts, Site, router};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the first page waits for the states of all services.
const SETTLE: Duration = Duration::from_millis(1500);

/// The page that manages the background services of this machine.
#[derive(Debug, Parser)]
#[command(name = "server", version)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// Print every setting with its origin, or what is wrong, and exit
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    // These are other programs in the same file: they must run before anything of the dashboard exists.
    match words.get(1).map(String::as_str) {
        Some("shim") => return server::runtime::process::shim_main(words[2..].to_vec()),
        Some("install") => return server::install::command(&words[2..], takes),
        Some("backup" | "restore") => return server::backup::command(&words[1..]),
        Some("user" | "token") => return server::access::command(&words[1..]),
        Some("doctor") => return server::doctor::command(&words[2..], assets),
        Some("notify") => return server::notify::command(&words[2..]),
        Some("explain") => return server::vllm::explain::command(&words[2..]),
        Some("vllm-sim") => return vllm_sim::run(words[2..].to_vec(), &["vllm-sim".to_owned()]),
        _ => {}
    }
    let arguments = Arguments::parse();
    let sources = Sources::from_process(arguments.flags);
    let config = match sources.load() {
        Ok(config) => config,
        Err(ConfigError(wrong)) => {
            for line in wrong {
                eprintln!("{line}");
            }
            return ExitCode::from(2);
        }
    };
    if arguments.check_config {
        if let Err(wrong) = certificates(&config) {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
        return print_config(&config);
    }
    allow_files();
    // Two threads: one may be reading a flood of log lines while the other answers.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Eight readers of long answers may hold one each for as long as they read.
        .max_blocking_threads(24)
        .enable_all()
        .build();
    let outcome = match enough_files()
        .and_then(|_| runtime.map_err(|e| format!("the runtime cannot be started: {e}")))
    {
        Ok(runtime) => {
            let outcome = runtime.block_on(serve(config, sources));
            // A hung driver or disk holds its thread for ever; the process must end all the same.
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the dashboard would take these flags.
fn takes(flags: &[String]) -> Result<(), String> {
    let words = std::iter::once("server".to_owned()).chain(flags.iter().cloned());
    Arguments::try_parse_from(words).map(drop).map_err(|error| error.to_string())
}

/// Viewers, runs that are read and the engine's sockets are all files: as many as the system lets us have, within reason.
fn allow_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    const WANTED: u64 = 65_536;
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
    if limit.current.is_some_and(|now| now < most) {
        limit.current = Some(most);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            eprintln!("the limit of open files stays as it is: {error}");
        }
    }
}

fn print_config(config: &Config) -> ExitCode {
    let mut out = String::new();
    let mut table = |title: &str, rows: Vec<app::model::Setting>| {
        out.push_str(title);
        out.push('\n');
        for row in rows {
            let origin = match row.origin {
                app::model::Origin::Flag => "flag",
                app::model::Origin::Environment => "environment",
                app::model::Origin::File => "services.toml",
                app::model::Origin::Adopted => "adopted",
                app::model::Origin::Default => "default",
            };
            let value = match (row.secret, row.set, row.value) {
                (true, true, _) => "(set, not shown)".to_owned(),
                (_, _, Some(value)) => value,
                _ => "(not set)".to_owned(),
            };
            out.push_str(&format!("  {:<24} {:<44} {origin}\n", row.name, value));
        }
    };
    table("dashboard", config.dashboard.report());
    for service in &config.services {
        table(&format!("service {}", service.name), service.report());
    }
    for target in &config.notify {
        table(&format!("notify {}", target.name), target.report());
    }
    for warning in &config.warnings {
        out.push_str(&format!("warning: {warning}\n"));
    }
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().write_all(out.as_bytes());
    ExitCode::SUCCESS
}

/// Where the page's files are: named, beside the binary, or where the build leaves them.
fn assets() -> Result<PathBuf, String> {
    let beside =
        std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from)).unwrap_or_default();
    let named = std::env::var_os("LEPTOS_SITE_ROOT").map(PathBuf::from);
    let places: Vec<PathBuf> =
        named.into_iter().chain([beside.join("site"), beside.join("../site")]).collect();
    places.iter().find(|p| p.join("pkg/services.js").is_file()).cloned().ok_or_else(|| {
        let looked: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        format!("the page's files are missing (looked in {}). Build them with `make run`, or name their folder with LEPTOS_SITE_ROOT", looked.join(", "))
    })
}

/// The certificate, where one was named.
fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>, String> {
    match (&config.dashboard.tls_cert.value, &config.dashboard.tls_key.value) {
        (Some(cert), Some(key)) => Certificates::load(cert, key).map(|read| Some(Arc::new(read))),
        _ => Ok(None),
    }
}

async fn serve(config: Config, sources: Sources) -> Result<(), String> {
    let journal = Journal::begin(config.dashboard.log_level.value, config.dashboard.log_format.value);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for path in [&config.dashboard.state_dir.value, &config.dashboard.config.value] {
        if let Some(warning) = exposed(path) {
            tracing::warn!("{warning}");
        }
    }
    // Leptos renders on this runtime. An error would mean that it was told before: that is fine, too.
    let _ = any_spawner::Executor::init_tokio();
    let assets = assets()?;
    let tls = certificates(&config)?;
    let address = config.dashboard.addr.value;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| format!("SERVICES_ADDR: cannot listen on {address}: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let store = Store::open(&config.dashboard.state_dir.value).map_err(|e| e.to_string())?;

    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let fleet_stop = CancellationToken::new();
    let store = Arc::new(store);
    let limits = Limits::default().within_files();
    // A stream holds its connection for as long as a tab is open: the other half is for everything else.
    let access =
        Access::new(store.clone(), config.dashboard.no_auth.value).with_streams(limits.connections / 2);
    let access = Arc::new(access);
    if let Some(first) = &config.dashboard.first_account
        && access.needs_setup()
    {
        let password = first.password.as_ref().map_err(Clone::clone)?;
        let made = access.set_up_unattended(&first.name, password).await;
        made.map_err(|refused| format!("SERVICES_ADMIN, SERVICES_ADMIN_PASSWORD: {refused}"))?;
    }
    let fleet = Fleet::start(&config, sources, store.clone(), fleet_stop.clone());
    let notifier = Notifier::start(
        config.notify.clone(),
        config.dashboard.public_url(),
        fleet.world(),
        store,
        config.dashboard.state_dir.value.clone(),
        fleet_stop,
    );
    // Whoever ends it while it starts need not wait either.
    let ended = tokio::select! {
        () = fleet.settle(SETTLE) => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    if ended {
        fleet.shut_down().await;
        notifier.finish().await;
        return Ok(());
    }

    app::live_below(&config.dashboard.base_path.value);
    let leptos = LeptosOptions::builder()
        .output_name("services")
        .site_root(assets.display().to_string())
        .site_pkg_dir("pkg")
        .site_addr(address)
        .build();
    let site = Site::new(fleet.clone(), access.clone(), leptos, config.dashboard.links.clone(), stop.clone())
        .with_journal(journal)
        .with_notifier(notifier.clone());
    let hosts = Hosts::new(config.dashboard.hosts.value.clone());
    let app = router(site, hosts.clone(), &assets);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let base = &config.dashboard.base_path.value;
    let mut greeting = format!("Services is at {scheme}://{address}{base}\n");
    if access.is_open() {
        greeting.push_str("Nobody signs in (--no-auth): whoever reaches this address may do everything.\n");
    } else if let Some(code) = access.setup_code() {
        greeting.push_str(&format!(
            "There is no account yet. Open {scheme}://{address}{base}/setup and give this code: {code}\n"
        ));
    }
    // Whoever closed the output does not want to know.
    let mut out = std::io::stdout();
    let _ = out.write_all(greeting.as_bytes()).and_then(|()| out.flush());
    if !address.ip().is_loopback() && tls.is_none() {
        tracing::warn!(
            "{address} is reached by others: passwords travel in clear text unless a proxy in front speaks HTTPS"
        );
    }

    let proxies = config.dashboard.proxies.value.clone();
    let door = Door { tls, proxies, base: base.clone(), hosts, limits };
    let mut server = tokio::spawn(connections(listener, app, door, stop.clone()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = &mut server => return ended.map_err(|e| e.to_string()),
    }
    tracing::info!("stopping; services go on");
    stop.cancel();
    // It has a limit of its own.
    let _ = server.await;
    fleet.shut_down().await;
    notifier.finish().await;
    Ok(())
}
