//! Memory of this process, of the machine and of the container around both, as Linux tells.

use std::fs;
use std::path::Path;

/// Most memory the process has held, where the system tells (Linux: `VmHWM`).
pub fn peak_memory_bytes() -> Option<u64> {
    memory_line("/proc/self/status", "VmHWM:")
}

/// Memory that a new process could have without swapping, where the system tells: of the machine, and of the container that
/// this one runs in.
pub fn available_memory_bytes() -> Option<u64> {
    let machine = memory_line("/proc/meminfo", "MemAvailable:");
    let container = CONTAINERS.iter().filter_map(|container| container.room_bytes(Path::new("/"))).min();
    machine.into_iter().chain(container).min()
}

/// The most memory that the container of this process may have, where there is one with a limit.
pub fn container_memory_bytes() -> Option<u64> {
    CONTAINERS.iter().filter_map(|container| container.limit_bytes(Path::new("/"))).min()
}

/// Files in which Linux tells of the memory of a control group, as a container sees its own.
struct Container {
    limit: &'static str,
    used: &'static str,
    statistics: &'static str,
    /// Of the statistics: contents of files that nobody uses, and that go where memory is wanted.
    reclaimed: &'static str,
}

const CONTAINERS: [Container; 2] = [
    Container {
        limit: "sys/fs/cgroup/memory.max",
        used: "sys/fs/cgroup/memory.current",
        statistics: "sys/fs/cgroup/memory.stat",
        reclaimed: "inactive_file ",
    },
    Container {
        limit: "sys/fs/cgroup/memory/memory.limit_in_bytes",
        used: "sys/fs/cgroup/memory/memory.usage_in_bytes",
        statistics: "sys/fs/cgroup/memory/memory.stat",
        reclaimed: "total_inactive_file ",
    },
];
/// What the older files say where there is no limit: a number close to the largest.
const UNLIMITED_BYTES: u64 = 1 << 62;

impl Container {
    /// `None` where there is no limit: the newer files say "max" then.
    fn limit_bytes(&self, root: &Path) -> Option<u64> {
        let limit: u64 = fs::read_to_string(root.join(self.limit)).ok()?.trim().parse().ok()?;
        (limit < UNLIMITED_BYTES).then_some(limit)
    }

    fn room_bytes(&self, root: &Path) -> Option<u64> {
        let limit = self.limit_bytes(root)?;
        let used: u64 = fs::read_to_string(root.join(self.used)).ok()?.trim().parse().ok()?;
        let statistics = fs::read_to_string(root.join(self.statistics)).unwrap_or_default();
        let reclaimed = statistics.lines().find_map(|line| line.strip_prefix(self.reclaimed));
        let reclaimed = reclaimed.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(reclaimed)))
    }
}

/// Memory of the machine, where the system tells.
pub fn total_memory_bytes() -> Option<u64> {
    memory_line("/proc/meminfo", "MemTotal:")
}

fn memory_line(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_what_is_left_of_its_limit() {
        let root = tempfile::tempdir().expect("a folder");
        let [container, _] = &CONTAINERS;
        assert_eq!(container.room_bytes(root.path()), None, "no such files");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("above")).expect("made");
            fs::write(path, text).expect("written");
        };
        write(container.limit, "max\n");
        write(container.used, "700\n");
        assert_eq!(container.room_bytes(root.path()), None, "no limit");
        write(container.limit, "1000\n");
        assert_eq!(container.room_bytes(root.path()), Some(300));
        write(container.statistics, "anon 5\ninactive_file 200\nactive_file 7\n");
        assert_eq!(container.room_bytes(root.path()), Some(500), "unused contents of files go");
        write(container.used, "5000\n");
        assert_eq!(container.room_bytes(root.path()), Some(0));
    }

    #[test]
    fn this_machine_tells() {
        if cfg!(target_os = "linux") {
            let [available, total, peak] =
                [available_memory_bytes(), total_memory_bytes(), peak_memory_bytes()]
                    .map(|bytes| bytes.expect("told"));
            assert!(peak < total && available < total);
        }
    }
}
