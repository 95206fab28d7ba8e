//! The last part of a life: listening, and the ways in which that ends.

use super::{Ending, Life};
use crate::children::{Children, Death};
use crate::demo;
use crate::engine::{Engine, Health};
use crate::fault::Moment;
use crate::http::{self, Command};
use crate::log::{Level, Process, Stream};
use crate::script::start;
use crate::script::stop::Mode;
use crate::signals::Stops;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Connections that may wait to be accepted: uvicorn's number.
const BACKLOG: u32 = 2048;
/// How long connections may take to close.
const CLOSING: Duration = Duration::from_secs(2);

/// The HTTP server and what stops it.
struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Closes the port and, once `meanwhile` is done, gives the connections a moment to end.
    async fn close(self, meanwhile: impl Future<Output = ()>) {
        // The server is gone already if nobody listens to this.
        let _ = self.stop.send(());
        meanwhile.await;
        let abort = self.task.abort_handle();
        if tokio::time::timeout(CLOSING, self.task).await.is_err() {
            abort.abort();
        }
    }
}

impl Life {
    /// Listens and serves until something ends it.
    pub(super) async fn serve(
        &self,
        socket: TcpSocket,
        stops: &mut Stops,
        mut children: Children,
        deaths: &mut mpsc::Receiver<Death>,
    ) -> std::io::Result<Ending> {
        let player = &self.player;
        player.play(start::LISTEN).await;
        for route in start::routes() {
            player.log.vllm(Process::ApiServer, Level::Info, "launcher.py:195", &format!("Route: {route}"));
        }
        player.play(start::UVICORN).await;
        player.play(start::READY).await;
        let listener = match socket.listen(BACKLOG) {
            Ok(listener) => listener,
            // Another process bound the same port and was first to listen.
            Err(error) => {
                player.log.plain(Stream::Stderr, &format!("ERROR:    {error}"));
                return Ok(Ending::Code(1));
            }
        };
        let engine = Arc::new(Engine::new(
            self.args.clone(),
            player.knobs.clone(),
            player.log.clone(),
            player.vars.max_model_len,
            player.vars.cache_tokens,
        ));
        let (commands, mut asked) = mpsc::channel(4);
        let app = http::router(engine.clone(), player.clone(), commands)
            .into_make_service_with_connect_info::<SocketAddr>();
        let (stop, stopped) = oneshot::channel::<()>();
        let closed = async move {
            // A dropped sender means the same.
            let _ = stopped.await;
        };
        let task = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(closed).into_future());
        let server = Server { stop, task };
        let work = Background(vec![
            spawn_throughput(&engine),
            tokio::spawn(demo::live(engine.clone(), player.knobs.demo)),
        ]);

        let crash = async {
            match self.strikes(Moment::Serving) {
                Some(_) => tokio::time::sleep(player.knobs.fail_after).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(crash);
        let mut crashed = false;
        let death = loop {
            tokio::select! {
                _ = stops.next() => break None,
                Some(death) = deaths.recv() => break Some(death),
                Some(command) = asked.recv() => match command {
                    Command::Exit(code) => {
                        children.end();
                        return Ok(Ending::Code(code));
                    }
                    Command::Crash => if !children.crash_engine() { break Some(Death::EngineCore) },
                },
                () = &mut crash, if !crashed => {
                    crashed = true;
                    if !children.crash_engine() {
                        break Some(Death::EngineCore);
                    }
                }
            }
        };
        match death {
            Some(death) => self.end_after_crash(&engine, &mut children, server, death).await,
            None => self.end_on_request(&engine, &mut children, server).await,
        }
        drop(work);
        Ok(Ending::Code(0))
    }

    async fn end_on_request(&self, engine: &Engine, children: &mut Children, server: Server) {
        let in_flight = engine.in_flight();
        let timeout = self.args.shutdown_timeout;
        if timeout.is_zero() {
            self.player.stop_begins(Mode::Abort, in_flight).await;
        } else {
            self.player.stop_begins(Mode::Drain(timeout.as_secs()), in_flight).await;
            engine.set_health(Health::Draining);
            let drained = async {
                while engine.in_flight() > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if tokio::time::timeout(timeout, drained).await.is_ok() {
                self.player.drained(in_flight > 0).await;
            }
        }
        children.end();
        engine.set_health(Health::Dead);
        self.player.engine_stopped(in_flight > 0).await;
        server.close(self.player.goodbye()).await;
    }

    /// The engine is gone: unhealthy until uvicorn's watchdog notices, then exit code 0.
    async fn end_after_crash(&self, engine: &Engine, children: &mut Children, server: Server, death: Death) {
        engine.set_health(Health::Dead);
        children.end();
        self.player.engine_died(death == Death::Worker);
        if death == Death::EngineCore {
            self.player.wait(1500).await;
        }
        server.close(self.player.goodbye_after_crash()).await;
    }
}

fn spawn_throughput(engine: &Arc<Engine>) -> JoinHandle<()> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.report_throughput().await })
}

/// Tasks that end with their owner.
struct Background(Vec<JoinHandle<()>>);

impl Drop for Background {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
