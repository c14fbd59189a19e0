//! What computes: the model of the processor decides the last bits of every sum.

use std::fs;

use rtune_kernels::cuda::Facts;
use serde::{Deserialize, Serialize};

/// A device, as far as it decides bits. The order of a sum follows from the instruction sets that are used and from the
/// sizes of the caches, by which products of matrices are cut; both belong to a processor's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceModel {
    /// `cpu` or `cuda`.
    pub kind: String,
    /// The processor's name, where the system tells, or the GPU's.
    pub model: Option<String>,
    /// The instruction sets beyond the architecture's least that the kernels use where they are there; of a GPU its compute
    /// capability and the version of cuBLAS, which sums as it sees fit.
    pub instructions: Vec<String>,
}

impl DeviceModel {
    /// A GPU.
    pub fn of_gpu(facts: &Facts) -> Self {
        let (major, minor) = facts.capability;
        let instructions = vec![format!("sm_{major}{minor}"), format!("cublas {}", facts.cublas)];
        Self { kind: "cuda".to_owned(), model: Some(facts.name.clone()), instructions }
    }

    /// The processor of this machine.
    pub fn of_this_machine() -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let instructions = instructions().into_iter().map(str::to_owned).collect();
        Self { kind: "cpu".to_owned(), model: model_name(&text), instructions }
    }
}

impl std::fmt::Display for DeviceModel {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let model = self.model.as_deref().unwrap_or("of an unknown model");
        write!(out, "{} {model} ({})", self.kind, self.instructions.join(", "))
    }
}

/// `model name` of x86; other architectures have other lines, and often none.
fn model_name(text: &str) -> Option<String> {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    ["model name", "Model", "CPU part"].into_iter().find_map(value).filter(|name| !name.is_empty())
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Vec<&'static str> {
    let found = [
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
    ];
    found.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn instructions() -> Vec<&'static str> {
    // Part of the architecture.
    vec!["neon"]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instructions() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_the_processors_name() {
        let text = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7B13\n\nmodel name\t: another\n";
        assert_eq!(model_name(text).as_deref(), Some("AMD EPYC 7B13"));
        assert_eq!(model_name("processor\t: 0\nCPU part\t: 0xd0c\n").as_deref(), Some("0xd0c"));
        assert_eq!(model_name("model name\t:\n"), None);
    }
}
