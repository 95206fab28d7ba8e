//! What is kept, and what goes: the oldest runs first, the current run and the one before never as a whole.

use super::History;
use super::files::{folder_bytes, segments};
use app::model::ServiceName;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all services; a tenth of the disk when `None`, but no more than 20 GiB.
    pub total: Option<u64>,
    /// Bytes of one service; half of the total when `None`.
    pub service: Option<u64>,
    /// Days; for ever when 0.
    pub days: u64,
}

/// Most that is kept where nobody said anything.
const DEFAULT_TOTAL: u64 = 20 << 30;

impl Bounds {
    /// Bytes of all services, and of one, on a disk of this size.
    fn on(&self, size: u64) -> (u64, u64) {
        let total = self.total.unwrap_or_else(|| DEFAULT_TOTAL.min(size / 10));
        (total, self.service.unwrap_or(total / 2))
    }

    /// Bytes of what one start of a process writes, as it comes, on the disk of this folder. The last two starts are there:
    /// they take a quarter of what the service may have at most, and of so many services together half of the total.
    fn raw(&self, folder: &Path, services: u64) -> u64 {
        let size = free_bytes(folder).map_or(u64::MAX, |(_, size)| size);
        let (total, service) = self.on(size);
        (service / 8).min(total / 4 / services.max(1)).clamp(LEAST_RAW, MOST_RAW)
    }
}

/// Least and most of what one start of a process may write.
const LEAST_RAW: u64 = 1 << 20;
const MOST_RAW: u64 = 512 << 20;

/// A run on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRun {
    /// Its number.
    pub run: u64,
    /// Bytes on disk.
    pub bytes: u64,
    changed: SystemTime,
}

/// Free bytes and all bytes of the disk that a folder lies on, or will lie on.
pub fn free_bytes(folder: &Path) -> Option<(u64, u64)> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
}

/// The room that stays free on a disk of this size: 2 % of it, but no more than 256 MiB.
pub const fn floor(size: u64) -> u64 {
    let share = size / 50;
    if share < 256 << 20 { share } else { 256 << 20 }
}

/// Below so much free room there is trouble ahead: 5 % of a disk of this size, but no more than 20 GiB.
pub const fn scarce(size: u64) -> u64 {
    let share = size / 20;
    if share < 20 << 30 { share } else { 20 << 30 }
}

impl History {
    /// The runs of a service that are on disk, the oldest first.
    pub fn kept(&self, service: &str) -> Vec<KeptRun> {
        let Ok(entries) = std::fs::read_dir(self.root.join(service)) else { return Vec::new() };
        let mut runs: Vec<KeptRun> = entries
            .flatten()
            .filter_map(|entry| {
                let run = entry.file_name().to_str()?.parse().ok()?;
                let files = std::fs::read_dir(entry.path()).ok()?;
                let changed = files.flatten().filter_map(|file| file.metadata().ok()?.modified().ok()).max();
                let changed = changed.or_else(|| entry.metadata().ok()?.modified().ok())?;
                Some(KeptRun { run, bytes: folder_bytes(&entry.path()), changed })
            })
            .collect();
        runs.sort_by_key(|kept| kept.run);
        runs
    }

    /// Deletes what is too old or too much. Of each service the last two runs are kept; where even they are too much, they
    /// lose their oldest segments. Returns the runs that are gone.
    pub fn tidy(&self, now: SystemTime) -> Vec<(String, u64)> {
        let Ok(entries) = std::fs::read_dir(&self.root) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut kept: BTreeMap<String, Vec<KeptRun>> = names
            .filter(|name| ServiceName::parse(name).is_ok())
            .map(|name| (name.clone(), self.kept(&name)))
            .collect();
        let size = free_bytes(&self.root).map_or(u64::MAX, |(_, size)| size);
        let (total, per_service) = self.bounds.on(size);
        let raw = self.raw_bytes();
        // Whatever else is there, some of the log itself stays.
        let total = total.saturating_sub(raw.values().sum()).max(total / 4);
        let per_service =
            |name: &str| per_service.saturating_sub(raw.get(name).copied().unwrap_or(0)).max(per_service / 4);
        let mut gone = Vec::new();
        let mut delete = |service: &str, runs: &mut Vec<KeptRun>| {
            let run = runs.remove(0);
            let folder = self.root.join(service).join(run.run.to_string());
            self.indexes.forget(&folder);
            if let Err(error) = std::fs::remove_dir_all(&folder) {
                tracing::warn!(folder = %folder.display(), %error, "an old log cannot be deleted");
            } else {
                gone.push((service.to_owned(), run.run));
            }
        };
        let oldest_age = Duration::from_secs(self.bounds.days.saturating_mul(86_400));
        for (service, runs) in &mut kept {
            let too_old = |run: &KeptRun| {
                self.bounds.days > 0 && now.duration_since(run.changed).is_ok_and(|age| age > oldest_age)
            };
            while runs.len() > 2
                && (runs.first().is_some_and(too_old) || bytes_of(runs) > per_service(service))
            {
                delete(service, runs);
            }
        }
        while kept.values().map(|runs| bytes_of(runs)).sum::<u64>() > total {
            let oldest = kept
                .iter_mut()
                .filter(|(_, runs)| runs.len() > 2)
                .min_by_key(|(_, runs)| runs.first().map(|run| run.changed));
            let Some((service, runs)) = oldest else { break };
            delete(service, runs);
        }
        // The last two runs alone are too much: they lose their oldest lines, the earlier run first.
        for (service, runs) in &mut kept {
            let mut over = bytes_of(runs).saturating_sub(per_service(service));
            for run in runs {
                let freed = self.shorten(&self.root.join(service).join(run.run.to_string()), over);
                run.bytes = run.bytes.saturating_sub(freed);
                over = over.saturating_sub(freed);
            }
        }
        let mut over = kept.values().map(|runs| bytes_of(runs)).sum::<u64>().saturating_sub(total);
        let mut largest: Vec<(&String, &KeptRun)> =
            kept.iter().flat_map(|(service, runs)| runs.iter().map(move |run| (service, run))).collect();
        largest.sort_by_key(|(_, run)| std::cmp::Reverse(run.bytes));
        for (service, run) in largest {
            over =
                over.saturating_sub(self.shorten(&self.root.join(service).join(run.run.to_string()), over));
        }
        // Runs that lost segments were counted before: the next time tells it.
        let mut bytes = raw;
        for (service, runs) in &kept {
            *bytes.entry(service.clone()).or_default() += bytes_of(runs);
        }
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        gone
    }

    /// Bytes that one start of a process may write as it comes.
    pub fn raw_limit(&self, services: usize) -> u64 {
        self.bounds.raw(&self.root, services as u64)
    }

    /// Bytes of what processes wrote as it came, per service: the runtime bounds it, here it counts.
    fn raw_bytes(&self) -> BTreeMap<String, u64> {
        let services = self.raw.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
        let named = services.filter_map(|entry| {
            let name =
                entry.file_name().into_string().ok().filter(|name| ServiceName::parse(name).is_ok())?;
            let starts = std::fs::read_dir(entry.path()).ok()?.flatten();
            Some((name, starts.map(|start| folder_bytes(&start.path())).sum::<u64>()))
        });
        let mut bytes = BTreeMap::new();
        for (name, more) in named {
            *bytes.entry(name).or_default() += more;
        }
        bytes
    }

    /// Deletes a run's oldest segments until so much is free; the last one stays. Returns how much was freed.
    fn shorten(&self, folder: &Path, over: u64) -> u64 {
        let mut freed = 0;
        let found: Vec<PathBuf> =
            segments(folder).unwrap_or_default().into_iter().map(|(_, path)| path).collect();
        for path in found.iter().take(found.len().saturating_sub(1)) {
            if freed >= over {
                break;
            }
            let length = std::fs::metadata(path).map_or(0, |meta| meta.len());
            self.indexes.forget(path);
            if std::fs::remove_file(path).is_ok() {
                tracing::info!(segment = %path.display(), "the oldest lines of a long log were deleted");
                freed += length;
            }
        }
        freed
    }
}

fn bytes_of(runs: &[KeptRun]) -> u64 {
    runs.iter().map(|run| run.bytes).sum()
}
