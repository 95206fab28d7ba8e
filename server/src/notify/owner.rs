//! The owner of notifications: one task that turns events into messages, and one for each target that delivers them.

use super::board::Board;
use super::gate::Gate;
use super::message::{Incident, Message, Topic};
use super::send::{Trouble, send};
use super::story::{Disk, Story};
use super::target::Target;
use super::write::write;
use crate::history::{floor, free_bytes};
use crate::store::Store;
use crate::supervisor::{Event, World};
use app::model::{ServiceName, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Messages that may wait for one target.
const QUEUE: usize = 32;
/// How often the disk is looked at.
const DISK_EVERY: Duration = Duration::from_secs(60);
/// A message that waits while no dashboard runs is sent by the next one within this.
const WAITS: i64 = 24 * 3_600_000;
/// Where such messages are kept.
const WAITING: &str = "notify-waiting";
/// Before the second and before the third try.
const BACK_OFF: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(8)];

/// What an owner is made from.
struct Parts {
    world: Arc<World>,
    store: Arc<Store>,
    state_dir: PathBuf,
    base: Option<String>,
    board: Arc<Board>,
}

/// Notifications of this dashboard.
pub struct Notifier {
    targets: Arc<Vec<Target>>,
    base: Option<String>,
    board: Arc<Board>,
    /// One test at a time.
    testing: tokio::sync::Mutex<()>,
    task: std::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// A number that no other message has.
fn number() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let nth = LAST.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{nth:x}", Timestamp::now().millis(), std::process::id())
}

impl Notifier {
    /// Begins to listen, where there are targets. `base` is the page's address, for links.
    pub fn start(
        targets: Vec<Target>,
        base: Option<String>,
        world: &Arc<World>,
        store: Arc<Store>,
        state_dir: PathBuf,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let board = Arc::new(Board::default());
        let targets = Arc::new(targets);
        let mut task = None;
        // Without targets nobody listens, and nothing is kept for anybody.
        let events = world.events().listen().filter(|_| !targets.is_empty());
        if let Some(events) = events {
            let parts =
                Parts { world: world.clone(), store, state_dir, base: base.clone(), board: board.clone() };
            task = Some(tokio::spawn(own(parts, targets.clone(), events, stop)));
        }
        let task = std::sync::Mutex::new(task);
        Arc::new(Self { targets, base, board, testing: tokio::sync::Mutex::new(()), task })
    }

    /// All targets.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// How deliveries went.
    pub const fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Sends a test to a target at once, and says what came of it; `None` where there is no such target.
    pub async fn test(&self, name: &str) -> Option<Result<(), Trouble>> {
        let target = self.targets.iter().find(|target| target.name == name)?;
        let _one = self.testing.lock().await;
        let outcome = test(target, self.base.as_deref()).await;
        self.board.change(name, |last| last.last = Some((Timestamp::now(), outcome.clone())));
        Some(outcome)
    }

    /// Waits until the owner has ended, which it does when it was told to stop.
    pub async fn finish(&self) {
        let task = self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(task) = task
            && tokio::time::timeout(Duration::from_secs(1), task).await.is_err()
        {
            tracing::warn!("notifications did not end in time");
        }
    }
}

/// Sends a test, once.
pub(super) async fn test(target: &Target, base: Option<&str>) -> Result<(), Trouble> {
    let message = Incident::test().message(target.lang, base, None);
    send(target, &write(&message, target), &number()).await
}

/// What the store remembers of a service under this key.
fn key(service: &ServiceName) -> String {
    format!("notify/{service}")
}

async fn own(
    parts: Parts,
    targets: Arc<Vec<Target>>,
    mut events: mpsc::Receiver<Event>,
    stop: CancellationToken,
) {
    let mut workers = JoinSet::new();
    let mut gates: Vec<(Gate, mpsc::Sender<Message>)> = Vec::new();
    let mut kept = left_behind(&parts.store);
    for (index, target) in targets.iter().enumerate() {
        // One more than may wait: what was left behind may have been that many, and one under way.
        let (queue, waiting) = mpsc::channel(QUEUE + 1);
        for message in kept.remove(&target.name).unwrap_or_default() {
            put(&queue, message, target, &parts.board);
        }
        let cooldown = u64::try_from(target.cooldown.as_millis()).unwrap_or(u64::MAX);
        gates.push((Gate::new(cooldown), queue));
        workers.spawn(deliver(targets.clone(), index, waiting, parts.board.clone(), stop.clone()));
    }
    let (mut story, mut disk) = (Story::default(), Disk::default());
    let mut looks = tokio::time::interval(DISK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let now = Timestamp::now();
        let next = gates.iter().filter_map(|(gate, _)| gate.next_ms(now)).chain(story.next_ms(now)).min();
        let mut incidents = tokio::select! {
            () = stop.cancelled() => break,
            event = events.recv() => {
                let Some(event) = event else { break };
                let remembered = event.service.as_ref().and_then(|(name, _)| parts.store.fact(&key(name)));
                let told = story.take(event, remembered.as_deref());
                if let Some((name, what)) = &told.remember {
                    parts.store.set_fact(&key(name), what);
                }
                told.incidents
            }
            () = tokio::time::sleep(Duration::from_millis(next.unwrap_or_default())), if next.is_some() => Vec::new(),
            _ = looks.tick() => look(&mut disk, &parts.state_dir).into_iter().collect(),
        };
        let now = Timestamp::now();
        // Whoever stopped it meanwhile needs no word that it runs.
        let runs = |i: &Incident| {
            let service = i.service.as_ref().and_then(|(name, _)| parts.world.service(name));
            i.topic != Topic::Recovered || service.is_some_and(|service| service.state.serves())
        };
        incidents.extend(story.due(now).into_iter().filter(runs));
        for ((gate, queue), target) in gates.iter_mut().zip(targets.iter()) {
            for message in messages(&incidents, gate, target, parts.base.as_deref(), now) {
                put(queue, message, target, &parts.board);
            }
            for (count, last) in gate.due(now) {
                let service = last.service.as_ref().and_then(|(name, _)| parts.world.service(name));
                let state = service.map(|service| (target.lang.words().state)(&service.state).to_owned());
                let minutes = target.cooldown.as_secs().div_ceil(60);
                let message = last.message(target.lang, parts.base.as_deref(), Some((count, minutes, state)));
                put(queue, message, target, &parts.board);
            }
        }
    }
    let (mut gates, queues): (Vec<Gate>, Vec<mpsc::Sender<Message>>) = gates.into_iter().unzip();
    drop(queues);
    let mut left: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    // What they were handed and have not sent they hand back.
    while let Some(ended) = workers.join_next().await {
        if let Ok((name, messages)) = ended
            && !messages.is_empty()
        {
            left.insert(name, messages);
        }
    }
    // A failure whose cause is not known yet: nobody will learn it.
    let (last, now) = (story.end(), Timestamp::now());
    for (gate, target) in gates.iter_mut().zip(targets.iter()) {
        let more = messages(&last, gate, target, parts.base.as_deref(), now);
        if !more.is_empty() {
            left.entry(target.name.clone()).or_default().extend(more);
        }
    }
    if !left.is_empty() {
        let count: usize = left.values().map(Vec::len).sum();
        tracing::warn!(count, "notifications wait: the next dashboard sends them");
        parts.store.set_fact(WAITING, &serde_json::to_string(&left).unwrap_or_default());
    }
}

/// What the dashboard before could not send, by target: taken once.
fn left_behind(store: &Store) -> BTreeMap<String, Vec<Message>> {
    let Some(text) = store.fact(WAITING).filter(|text| !text.is_empty()) else { return BTreeMap::new() };
    store.set_fact(WAITING, "");
    let mut kept: BTreeMap<String, Vec<Message>> = serde_json::from_str(&text).unwrap_or_default();
    let oldest = Timestamp::now().plus_millis(-WAITS);
    let count = |kept: &BTreeMap<String, Vec<Message>>| kept.values().map(Vec::len).sum::<usize>();
    let before = count(&kept);
    kept.values_mut().for_each(|messages| messages.retain(|message| message.at >= oldest));
    let old = before - count(&kept);
    if old > 0 {
        tracing::warn!(count = old, "notifications that waited for more than a day are not sent any more");
    }
    kept
}

/// The messages of those incidents that a target wants to know of, and has not just been told.
fn messages(
    incidents: &[Incident],
    gate: &mut Gate,
    target: &Target,
    base: Option<&str>,
    now: Timestamp,
) -> Vec<Message> {
    let wanted = |i: &&Incident| {
        target.wants(i.service.as_ref().map(|(name, _)| name), i.severity) && gate.pass(i, now)
    };
    incidents.iter().filter(wanted).map(|incident| incident.message(target.lang, base, None)).collect()
}

fn look(disk: &mut Disk, folder: &std::path::Path) -> Option<Incident> {
    let (free, size) = free_bytes(folder)?;
    disk.look(free, size, floor(size), &folder.display().to_string())
}

fn put(queue: &mpsc::Sender<Message>, message: Message, target: &Target, board: &Board) {
    // One that does not fit is counted, and the next that is sent tells of it.
    let fits = queue.try_send(message).is_ok();
    board.change(&target.name, |last| if fits { last.waiting += 1 } else { last.dropped += 1 });
}

/// Delivers to one target, one message after the other; at the end, what could not be sent any more.
async fn deliver(
    targets: Arc<Vec<Target>>,
    index: usize,
    mut queue: mpsc::Receiver<Message>,
    board: Arc<Board>,
    stop: CancellationToken,
) -> (String, Vec<Message>) {
    let Some(target) = targets.get(index) else { return Default::default() };
    let mut told = 0;
    while let Some(mut message) = queue.recv().await {
        let dropped = board.of(&target.name).dropped - told;
        if dropped > 0 {
            message.text = format!("{} {}", message.text, (target.lang.notify_words().dropped)(dropped));
        }
        let outcome = tokio::select! {
            outcome = tries(target, &message) => outcome,
            () = stop.cancelled() => {
                queue.close();
                let mut left = vec![message];
                left.extend(std::iter::from_fn(|| queue.try_recv().ok()));
                return (target.name.clone(), left);
            }
        };
        match &outcome {
            Ok(()) => told += dropped,
            Err(why) => {
                tracing::warn!(target_name = %target.name, kind = message.topic.as_str(), %why, "a notification was not sent");
            }
        }
        board.change(&target.name, |last| {
            last.waiting = last.waiting.saturating_sub(1);
            if outcome.is_ok() {
                last.sent += 1;
            } else {
                last.failed += 1;
            }
            last.last = Some((Timestamp::now(), outcome));
        });
    }
    (target.name.clone(), Vec::new())
}

/// Three tries, with longer and longer pauses, where another try may help.
async fn tries(target: &Target, message: &Message) -> Result<(), Trouble> {
    let (written, number) = (write(message, target), number());
    let mut pauses = BACK_OFF.iter();
    loop {
        let why = match send(target, &written, &number).await {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        let (Some(wait), Some(pause)) = (why.again(), pauses.next()) else { return Err(why) };
        tokio::time::sleep(wait.max(*pause)).await;
    }
}
