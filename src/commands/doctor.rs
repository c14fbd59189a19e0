//! `rtune doctor`: what this machine has for rtune, and what would keep it from working.

use std::path::Path;

use rtune_models::hub::{self, CacheState, HubOptions};
use rtune_trainer::gpu::{CudaError, Device, Facts};
use rtune_trainer::machine::{available_memory_bytes, container_memory_bytes, total_memory_bytes};
use serde_json::{Value, json};

use crate::args::tools::DoctorArgs;
use crate::failure::{DONE, FAILED};
use crate::reporter::say;

/// Less free memory holds neither the smallest base nor its activations: SmolLM2-135M takes about 0.7 GiB to train.
const LEAST_MEMORY_BYTES: u64 = 1 << 30;
/// Less free disk does not take the default base and one run of it.
const LEAST_DISK_BYTES: u64 = 1 << 29;
/// Where distributions and containers put the driver's library.
const LIBRARY_FOLDERS: [&str; 8] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/compat",
    "/usr/lib/wsl/lib",
];

/// One thing looked at.
struct Finding {
    name: &'static str,
    /// For people.
    text: String,
    /// For machines.
    value: Value,
    /// What it keeps from working.
    problem: Option<String>,
}

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<u8> {
    let options = HubOptions::from_env();
    let mut findings = vec![version(), processor(), memory()];
    findings.extend(hub::cache_states(&options).iter().zip(["cache", "hub cache"]).map(cache));
    findings.push(hub(&options, args.online));
    findings.push(gpu(&options));
    let problems: Vec<&str> = findings.iter().filter_map(|finding| finding.problem.as_deref()).collect();
    if args.json {
        let found: serde_json::Map<String, Value> =
            findings.iter().map(|one| (one.name.replace(' ', "_"), one.value.clone())).collect();
        say(&serde_json::to_string_pretty(&json!({"format": 1, "found": found, "problems": problems}))?);
    } else {
        for Finding { name, text, .. } in &findings {
            say(&format!("{name:<10} {text}"));
        }
        for problem in &problems {
            say(&format!("problem    {problem}"));
        }
        if problems.is_empty() {
            say("nothing found that would keep rtune from working");
        }
    }
    Ok(if problems.is_empty() { DONE } else { FAILED })
}

fn version() -> Finding {
    let version = env!("CARGO_PKG_VERSION");
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let text = format!("{version} on {platform}");
    Finding { name: "rtune", text, value: json!({"version": version, "platform": platform}), problem: None }
}

fn processor() -> Finding {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of_key = |name: &str| {
        let line = information.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = of_key("model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = rayon::current_num_threads();
    let (set, used) = instruction_sets();
    let text = format!("{model}; {cores} cores, {threads} threads; {used}");
    let value = json!({"model": model, "cores": cores, "threads": threads, "instruction_sets": set});
    Finding { name: "processor", text, value, problem: None }
}

/// The vector instructions that the kernels choose from and this machine has, and which of them they use.
#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> (Vec<&'static str>, &'static str) {
    let there = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ("avx512dq", is_x86_feature_detected!("avx512dq")),
    ];
    let sets: Vec<&str> = there.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    let has = |names: &[&str]| names.iter().all(|name| sets.contains(name));
    let used = if has(&["avx512f", "avx512bw", "avx512vl", "avx512dq"]) {
        "AVX-512 is used"
    } else if has(&["avx2", "fma"]) {
        "AVX2 and FMA are used, there is no AVX-512"
    } else {
        "neither AVX-512 nor AVX2: training will be slow"
    };
    (sets, used)
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> (Vec<&'static str>, &'static str) {
    match cfg!(target_arch = "aarch64") {
        true => (vec!["neon"], "NEON is used"),
        false => (Vec::new(), "no vector instructions are used"),
    }
}

fn memory() -> Finding {
    let (total, available) = (total_memory_bytes(), available_memory_bytes());
    let limit = container_memory_bytes().filter(|&bytes| bytes < total.unwrap_or(u64::MAX));
    let shown = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), gibibytes);
    let mut text = format!("{} in all, {} free", shown(total), shown(available));
    if let Some(limit) = limit {
        text.push_str(&format!(", limited to {}", gibibytes(limit)));
    }
    let problem = available.filter(|bytes| *bytes < LEAST_MEMORY_BYTES).map(|bytes| {
        format!(
            "{} of memory are free; the smallest base needs about {}",
            gibibytes(bytes),
            gibibytes(LEAST_MEMORY_BYTES)
        )
    });
    let value = json!({"total_bytes": total, "available_bytes": available, "limit_bytes": limit});
    Finding { name: "memory", text, value, problem }
}

fn cache((state, name): (&CacheState, &'static str)) -> Finding {
    let CacheState { folder, refused, free_bytes } = state;
    let folder = folder.display();
    let free = free_bytes.map_or_else(|| "unknown".to_owned(), gibibytes);
    let problem = match (refused, free_bytes) {
        (Some(error), _) => Some(format!("nothing can be written to {folder}: {error}")),
        (None, Some(bytes)) if *bytes < LEAST_DISK_BYTES => {
            Some(format!("the disk of {folder} has {free} left"))
        }
        _ => None,
    };
    let writable = refused.is_none();
    let text =
        format!("{folder}, {}, {free} of disk free", if writable { "writable" } else { "NOT writable" });
    let value = json!({"folder": folder.to_string(), "writable": writable, "free_bytes": free_bytes});
    Finding { name, text, value, problem }
}

fn hub(options: &HubOptions, online: bool) -> Finding {
    let endpoint = &hub::shown(&options.endpoint);
    let (text, reached) = if online {
        match hub::reach(options) {
            Ok(status) => (format!("{endpoint} answers ({status})"), Some(true)),
            Err(error) => (format!("{endpoint} cannot be reached: {error}"), Some(false)),
        }
    } else if options.offline {
        (format!("{endpoint}; HF_HUB_OFFLINE forbids the network"), None)
    } else {
        (format!("{endpoint}, not asked (--online asks)"), None)
    };
    let value = json!({"endpoint": endpoint, "offline": options.offline, "reached": reached,
        "has_token": options.token.is_some(), "has_proxy": options.proxy.is_some()});
    // What is in the cache, or on a disk, is trained without a hub: this is no problem of the machine.
    Finding { name: "hub", text, value, problem: None }
}

fn gpu(options: &HubOptions) -> Finding {
    let device = Path::new("/dev/nvidia0").exists() || Path::new("/dev/dxg").exists();
    let driver = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    let driver = driver.and_then(|text| {
        let words = text.lines().next()?.split_whitespace().map(str::to_owned);
        words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
    });
    let library = LIBRARY_FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join("libcuda.so.1"))
        .find(|path| path.exists());
    let mut found = Vec::new();
    if device {
        found.push("an NVIDIA device".to_owned());
    }
    found.extend(driver.iter().map(|version| format!("driver {version}")));
    found.extend(library.iter().map(|path| path.display().to_string()));
    let found_text = if found.is_empty() { "none found".to_owned() } else { found.join(", ") };
    let library = library.map(|path| path.display().to_string());
    let (text, used, problem) = match Device::open(0, &options.places) {
        Ok(device) => (usable(device.facts()), Some(facts(device.facts())), None),
        // The usual machine: the processor trains, and nothing is wrong with that.
        Err(error @ (CudaError::NoDriver | CudaError::NoDevice { .. })) => {
            (format!("{found_text}; the processor trains: {error}"), None, None)
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            (format!("{found_text}; not usable"), None, Some(format!("{error}{hint}")))
        }
    };
    let value = json!({"device": device, "driver": driver, "library": library, "used": used.is_some(), "facts": used});
    Finding { name: "gpu", text, value, problem }
}

fn usable(facts: &Facts) -> String {
    let (major, minor) = facts.capability;
    let [memory, free] = [facts.memory_bytes, facts.room_bytes()].map(|bytes| gibibytes(bytes as u64));
    let [driver, cublas] = [(facts.driver, 1000, 10), (facts.cublas, 10_000, 100)]
        .map(|(version, of, minor)| format!("{}.{}", version / of, version % of / minor));
    format!(
        "{}, {memory} ({free} free), compute capability {major}.{minor}; driver for CUDA {driver}, cuBLAS {cublas}",
        facts.name
    )
}

fn facts(facts: &Facts) -> Value {
    json!({"name": facts.name, "capability": facts.capability, "memory_bytes": facts.memory_bytes, "free_bytes": facts.free_bytes,
        "multiprocessors": facts.multiprocessors, "driver": facts.driver, "cublas": facts.cublas})
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
