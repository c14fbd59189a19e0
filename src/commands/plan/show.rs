//! A plan as tables, and as JSON.

use std::time::Duration;

use rtune_models::SavePolicy;
use rtune_trainer::device::DeviceModel;
use rtune_trainer::memory::TrainingMemory;
use rtune_trainer::outlook::Outlook;
use rtune_trainer::plan::GpuMemory;
use serde_json::{Value, json};

use super::Plan;
use crate::reporter::say;
use crate::table::{align_right, table};

const MEBIBYTE: f64 = (1 << 20) as f64;
const SECONDS_OF_HOUR: f64 = 3600.0;

pub(super) fn show(plan: &Plan, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        say(&serde_json::to_string_pretty(&to_json(plan))?);
        return Ok(());
    }
    let place =
        plan.room.gpu.as_ref().map_or_else(|| "memory".to_owned(), |name| format!("memory of {name}"));
    let mut table = table([place.as_str(), "MiB"]);
    let parts = match plan.room.gpu {
        None => parts(&plan.memory).to_vec(),
        Some(_) => parts_on_gpu(&GpuMemory::of(&plan.memory, &plan.config)).to_vec(),
    };
    for (name, bytes) in parts {
        table.add_row([name.to_owned(), format!("{:.0}", bytes as f64 / MEBIBYTE)]);
    }
    table.add_row(["at the most".to_owned(), format!("{:.0}", plan.taken_bytes() as f64 / MEBIBYTE)]);
    align_right(&mut table, 1);
    say(&table.to_string());
    let allowed = plan.room.allowed_bytes.map_or_else(String::new, |bytes| {
        format!("; {} may be taken", amount(usize::try_from(bytes).unwrap_or(usize::MAX)))
    });
    let policies = plan.by_policy.map(|(policy, bytes)| format!("{policy}: {}", amount(bytes)));
    say(&format!(
        "\nactivations: {} kept (passes with {}); packed rows of up to {} tokens{allowed}",
        kept(plan.memory.policy),
        policies.join(", "),
        plan.memory.tokens,
    ));
    if let Some(outlook) = &plan.outlook {
        say(&format!(
            "{} steps, {:.2} epochs over {} examples; {} tokens, {:.1}% of them computed, where rows of a step begin alike \
             once, and {:.1}% learnt; the longest row has {}",
            outlook.steps,
            outlook.epochs,
            outlook.examples[0],
            outlook.tokens,
            100.0 * share(outlook.computed_tokens, outlook.tokens),
            100.0 * share(outlook.supervised_tokens, outlook.tokens),
            outlook.longest_tokens,
        ));
        say(&format!(
            "{} evaluations of {} tokens in {} held-out examples and {} questions",
            outlook.evaluations,
            outlook.evaluation_tokens,
            outlook.examples[1],
            questions(outlook),
        ));
    }
    if let (Some(probe), Some(seconds)) = (&plan.probe, plan.run_s()) {
        let price = plan.price_per_hour.map_or_else(String::new, |price| {
            format!(", {:.2} at {price} an hour", price * seconds / SECONDS_OF_HOUR)
        });
        say(&format!(
            "about {}{price} on this machine: {:.1} tokens/s of training in the step that was tried, {:.1} s for loading, {} for evaluations",
            words(seconds),
            probe.tokens_per_s(),
            probe.load_s,
            words(plan.outlook.as_ref().map_or(0.0, |outlook| probe.evaluations_s(outlook))),
        ));
    }
    Ok(())
}

/// Examples, texts and prompts that an evaluation asks.
fn questions(outlook: &Outlook) -> usize {
    outlook.sizes.asks.sets.iter().map(|set| set.rows.len() + set.texts.len()).sum()
}

/// Bytes by what they are for. The run has all of them at once but for the last three.
fn parts(memory: &TrainingMemory) -> [(&'static str, usize); 10] {
    let trained = size_of::<f32>() * memory.trained;
    [
        ("weights of the base", memory.base_bytes),
        ("trained numbers and gradients", 2 * trained + memory.beside_bytes),
        ("moments of AdamW", 2 * trained),
        ("activations kept", memory.kept_bytes),
        ("scratch", memory.work_bytes),
        ("rows", memory.rows_bytes),
        ("tokenizer and program", memory.program_bytes + memory.tokenizer_bytes),
        ("while loading, besides", memory.loading_bytes),
        ("while saving, besides", memory.saving_bytes()),
        ("while answering, in place of activations", memory.evaluation.bytes()),
    ]
}

/// The same of what lies on a GPU.
fn parts_on_gpu(memory: &GpuMemory) -> [(&'static str, usize); 5] {
    [
        ("weights of the base", memory.base_bytes),
        ("trained numbers, gradients and moments", memory.trained_bytes),
        ("activations kept", memory.kept_bytes),
        ("scratch", memory.work_bytes),
        ("logits, cuBLAS and driver", memory.beside_bytes),
    ]
}

fn kept(policy: SavePolicy) -> String {
    match policy {
        SavePolicy::All => "all".to_owned(),
        SavePolicy::Last(last) => format!("all of the last {last} blocks, of the others the inputs"),
        SavePolicy::InputOnly | SavePolicy::Offloaded => "inputs of blocks alone".to_owned(),
        SavePolicy::Nothing => "nothing".to_owned(),
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Bytes in words.
pub(super) fn amount(bytes: usize) -> String {
    let mebibytes = bytes as f64 / MEBIBYTE;
    if mebibytes < 1024.0 { format!("{mebibytes:.0} MiB") } else { format!("{:.2} GiB", mebibytes / 1024.0) }
}

/// Seconds in words.
fn words(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match whole {
        0..120 => format!("{seconds:.0} s"),
        120..7200 => format!("{} min", (whole + 30) / 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

fn to_json(plan: &Plan) -> Value {
    let memory = &plan.memory;
    let seconds = plan.run_s();
    json!({
        "base": plan.config.model.base,
        "gpu": plan.room.gpu,
        "memory": {
            "base_bytes": memory.base_bytes,
            "trained_parameters": memory.trained,
            "adapter_and_gradient_bytes": 2 * size_of::<f32>() * memory.trained + memory.beside_bytes,
            "moment_bytes": 2 * size_of::<f32>() * memory.trained,
            "activation_bytes": memory.kept_bytes,
            "scratch_bytes": memory.work_bytes,
            "pass_bytes_by_policy": plan.by_policy.map(|(policy, bytes)| (policy.to_string(), json!(bytes))).into_iter()
                .collect::<serde_json::Map<_, _>>(),
            "row_bytes": memory.rows_bytes,
            "tokenizer_bytes": memory.tokenizer_bytes,
            "program_bytes": memory.program_bytes,
            "loading_bytes": memory.loading_bytes,
            "saving_bytes": memory.saving_bytes(),
            "answering": {
                "cache_bytes": memory.evaluation.cache_bytes,
                "pass_bytes": memory.evaluation.pass_bytes,
            },
            "peak_bytes": plan.taken_bytes(),
            "allowed_bytes": plan.room.allowed_bytes,
        },
        "save_activations": memory.policy.to_string(),
        "micro_batch_tokens": plan.config.train.micro_batch_tokens,
        "packed_row_tokens": memory.tokens,
        "fits": plan.fits(),
        "would_fit": plan.remedy.as_ref().map(|remedy| json!({
            "set": remedy.overrides,
            "peak_bytes": remedy.peak_bytes,
        })),
        "run": plan.outlook.as_ref().map(|outlook| json!({
            "steps": outlook.steps,
            "epochs": outlook.epochs,
            "examples": outlook.examples[0],
            "validation_examples": outlook.examples[1],
            "tokens": outlook.tokens,
            "computed_tokens": outlook.computed_tokens,
            "supervised_tokens": outlook.supervised_tokens,
            "supervised_share": share(outlook.supervised_tokens, outlook.tokens),
            "longest_row_tokens": outlook.longest_tokens,
            "evaluations": outlook.evaluations,
            "evaluation_tokens": outlook.evaluation_tokens,
            "evaluation_questions": questions(outlook),
        })),
        "time": plan.probe.map(|probe| json!({
            "load_s": probe.load_s,
            "tokens_per_s": probe.tokens_per_s(),
            "update_s": probe.update_s,
            "evaluation_tokens_per_s": 1.0 / probe.evaluation_token_s,
            "evaluations_s": plan.outlook.as_ref().map(|outlook| probe.evaluations_s(outlook)),
            "run_s": seconds,
            "machine": DeviceModel::of_this_machine().to_string(),
        })),
        "price": plan.price_per_hour.zip(seconds).map(|(price, seconds)| price * seconds / SECONDS_OF_HOUR),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_times_have_units() {
        assert_eq!(amount(300 << 20), "300 MiB");
        assert_eq!(amount(3 << 29), "1.50 GiB");
        assert_eq!((words(3.2).as_str(), words(150.0).as_str()), ("3 s", "3 min"));
        assert_eq!(words(3.0 * 3600.0 + 61.0), "3 h 01 min");
    }
}
