//! Memory of this process, of the machine and of the container around both, as Linux tells.

use std::fs;
use std::path::{Path, PathBuf};

/// Most memory the process has held, where the system tells (Linux: `VmHWM`).
pub fn peak_memory_bytes() -> Option<u64> {
    memory_line("/proc/self/status", "VmHWM:")
}

/// Memory that a new process could have without swapping, where the system tells: of the machine, and of the control groups
/// that this one runs in, such as a container's.
pub fn available_memory_bytes() -> Option<u64> {
    let machine = memory_line("/proc/meminfo", "MemAvailable:");
    let groups = groups(Path::new("/")).into_iter().filter_map(|group| group.room_bytes()).min();
    machine.into_iter().chain(groups).min()
}

/// The most memory that the control groups of this process may have, where one of them has a limit.
pub fn container_memory_bytes() -> Option<u64> {
    groups(Path::new("/")).into_iter().filter_map(|group| group.limit_bytes()).min()
}

/// How Linux tells of the memory of control groups: by which line a process says where it is, and by which files.
struct Kind {
    /// Where the groups are mounted.
    mount: &'static str,
    /// Whether the controllers of a line of `/proc/self/cgroup` are this kind's.
    is_own: fn(&str) -> bool,
    limit: &'static str,
    used: &'static str,
    statistics: &'static str,
    /// Of the statistics: contents of files that nobody uses, and that go where memory is wanted.
    reclaimed: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        mount: "sys/fs/cgroup",
        is_own: str::is_empty,
        limit: "memory.max",
        used: "memory.current",
        statistics: "memory.stat",
        reclaimed: "inactive_file ",
    },
    Kind {
        mount: "sys/fs/cgroup/memory",
        is_own: |controllers| controllers.split(',').any(|one| one == "memory"),
        limit: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        statistics: "memory.stat",
        reclaimed: "total_inactive_file ",
    },
];
/// What the older files say where there is no limit: a number close to the largest.
const UNLIMITED_BYTES: u64 = 1 << 62;

/// One control group.
struct Group {
    kind: &'static Kind,
    folder: PathBuf,
}

/// The groups that this process is in, each with those that it is part of, up to the root: each of them limits it. In a
/// container the path may be that outside, which is not there; the root of the mount is the container's own then.
fn groups(root: &Path) -> Vec<Group> {
    let told = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut groups = Vec::new();
    for kind in &KINDS {
        let mount = root.join(kind.mount);
        let lines = told.lines().filter_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            (kind.is_own)(controllers).then_some(path)
        });
        let own = lines.map(|path| mount.join(path.trim_start_matches('/')));
        let own = own.filter(|folder| !folder.components().any(|part| part.as_os_str() == ".."));
        let above = own.flat_map(|folder| folder.ancestors().map(Path::to_owned).collect::<Vec<_>>());
        let mut folders: Vec<PathBuf> = above.filter(|folder| folder.starts_with(&mount)).collect();
        folders.push(mount);
        folders.dedup();
        groups.extend(folders.into_iter().map(|folder| Group { kind, folder }));
    }
    groups
}

impl Group {
    /// `None` where there is no limit: the newer files say "max" then.
    fn limit_bytes(&self) -> Option<u64> {
        let limit: u64 = fs::read_to_string(self.folder.join(self.kind.limit)).ok()?.trim().parse().ok()?;
        (limit < UNLIMITED_BYTES).then_some(limit)
    }

    fn room_bytes(&self) -> Option<u64> {
        let limit = self.limit_bytes()?;
        let used: u64 = fs::read_to_string(self.folder.join(self.kind.used)).ok()?.trim().parse().ok()?;
        let statistics = fs::read_to_string(self.folder.join(self.kind.statistics)).unwrap_or_default();
        let reclaimed = statistics.lines().find_map(|line| line.strip_prefix(self.kind.reclaimed));
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

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("above")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn room(root: &Path) -> Option<u64> {
        groups(root).into_iter().filter_map(|group| group.room_bytes()).min()
    }

    #[test]
    fn a_container_has_what_is_left_of_its_limit() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        assert_eq!(room(root), None, "no such files");
        write(root, "sys/fs/cgroup/memory.max", "max\n");
        write(root, "sys/fs/cgroup/memory.current", "700\n");
        assert_eq!(room(root), None, "no limit");
        write(root, "sys/fs/cgroup/memory.max", "1000\n");
        assert_eq!(room(root), Some(300));
        write(root, "sys/fs/cgroup/memory.stat", "anon 5\ninactive_file 200\nactive_file 7\n");
        assert_eq!(room(root), Some(500), "unused contents of files go");
        write(root, "sys/fs/cgroup/memory.current", "5000\n");
        assert_eq!(room(root), Some(0));
    }

    /// A limit of any group above counts, and none of a group beside.
    #[test]
    fn groups_are_limited_by_those_they_are_part_of() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        write(root, "proc/self/cgroup", "0::/user.slice/job/step\n");
        let group = |name: &str, limit: &str, used: &str| {
            write(root, &format!("sys/fs/cgroup/{name}/memory.max"), limit);
            write(root, &format!("sys/fs/cgroup/{name}/memory.current"), used);
        };
        group("user.slice/job/step", "max", "100");
        group("user.slice/job", "1000", "600");
        group("user.slice", "5000", "4900");
        group("user.slice/other", "10", "10");
        assert_eq!(room(root), Some(100), "of the group with the least left");
        group("user.slice", "max", "4900");
        assert_eq!(room(root), Some(400));
        group("user.slice/job/step", "300", "100");
        assert_eq!(room(root), Some(200));
        let limits = groups(root).into_iter().filter_map(|group| group.limit_bytes()).min();
        assert_eq!(limits, Some(300));
    }

    #[test]
    fn older_groups_are_found_by_their_controller() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        write(root, "proc/self/cgroup", "5:cpu,cpuacct:/elsewhere\n4:memory:/docker/ab\n0::/\n");
        for (name, limit) in [("docker/ab", "2000"), ("docker", "9223372036854771712"), ("elsewhere", "1")] {
            let folder = format!("sys/fs/cgroup/memory/{name}");
            write(root, &format!("{folder}/memory.limit_in_bytes"), limit);
            write(root, &format!("{folder}/memory.usage_in_bytes"), "500");
            write(root, &format!("{folder}/memory.stat"), "inactive_file 1\ntotal_inactive_file 200\n");
        }
        assert_eq!(room(root), Some(1700));
        // In a container the path is that outside: what is mounted is its own.
        write(root, "proc/self/cgroup", "4:memory:/not/there\n");
        write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "800");
        write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "500");
        assert_eq!(room(root), Some(300));
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
