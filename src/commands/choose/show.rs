//! What was found, as tables and as JSON.

use comfy_table::Table;
use rtune_models::{Licence, SavePolicy};
use rtune_trainer::evaluate::likelihood::{bits_per_byte, standard_error};
use rtune_trainer::memory::{GPU_SHARE, gpus};
use serde_json::{Value, json};

use super::Wish;
use super::look::{Found, Size};
use super::rank;
use crate::reporter::say;
use crate::table::{align_right, table};

const GIB: f64 = (1_u64 << 30) as f64;

pub(super) fn tables(found: &[Found], order: &[usize], wish: &Wish) {
    let sizes: Vec<(&Found, &Size)> =
        found.iter().filter_map(|one| one.size.as_ref().map(|size| (one, size))).collect();
    if !sizes.is_empty() {
        say(&size_table(&sizes, wish).to_string());
        say(&assumptions(&sizes, wish));
    }
    for one in found {
        if let Some(reason) = &one.stopped {
            say(&format!("\nstopped: {reason}"));
        }
    }
    for (one, _) in &sizes {
        let licence = one.licence.clone().unwrap_or_default();
        say(&format!("\n{}: licence {}", one.candidate.name(), licence_words(&licence)));
        for duty in licence.duties().flat_map(|known| known.duties) {
            say(&format!("  - {duty}"));
        }
    }
    if !order.is_empty() {
        say("");
        say(&rank_table(found, order).to_string());
        say(&rank::meaning(found, order));
    }
}

fn size_table(sizes: &[(&Found, &Size)], wish: &Wish) -> Table {
    let mut table = table(vec![
        "base",
        "family",
        "licence",
        "parameters",
        "context",
        "train here",
        "GPUs",
        "serve NF4",
        "serve 16-bit",
        "GPUs",
    ]);
    for (one, size) in sizes {
        let Size { training, on_gpu, serving, .. } = size;
        let half = serving.half_bytes + serving.half_cache_bytes;
        table.add_row(vec![
            one.candidate.name(),
            size.family.clone(),
            one.licence.as_ref().map_or_else(String::new, Licence::name),
            millions(size.parameters.total()),
            size.context.to_string(),
            gib(training.peak_bytes()),
            gpus(on_gpu.step_bytes(), wish.gpu_bytes).to_string(),
            gib(serving.nf4_bytes + serving.cache_bytes),
            gib(half),
            gpus(half, wish.gpu_bytes).to_string(),
        ]);
    }
    align_right(&mut table, 3);
    table
}

fn gib(bytes: usize) -> String {
    format!("{:.2} GiB", bytes as f64 / GIB)
}

/// `134515008` as `134.5M`.
fn millions(count: usize) -> String {
    match count {
        1_000_000_000.. => format!("{:.2}B", count as f64 / 1e9),
        1_000_000.. => format!("{:.1}M", count as f64 / 1e6),
        _ => count.to_string(),
    }
}

/// What the figures of the table take for granted.
fn assumptions(sizes: &[(&Found, &Size)], wish: &Wish) -> String {
    let tokens = sizes.iter().map(|(_, size)| size.training.tokens).max().unwrap_or(0);
    let inputs = sizes.iter().any(|(_, size)| size.training.policy != SavePolicy::All);
    let kept = if inputs { ", some keeping only the inputs of blocks" } else { "" };
    let context = sizes.iter().map(|(_, size)| size.served_context).max().unwrap_or(0);
    format!(
        "train here: peak memory of `rtune train` on this processor, packed rows of up to {tokens} tokens{kept}; computed from \
         headers, rows as long as they may be.\n\
         GPUs: computed, not measured: GPUs of {:.0} GiB, {:.0}% of it used, the \
         same numbers spread evenly.\n\
         serve: weights, and keys and values of {} x {context} tokens, in 32 bits beside NF4, in 16 beside 16-bit weights.",
        wish.gpu_bytes / GIB,
        100.0 * GPU_SHARE,
        wish.sequences,
    )
}

fn licence_words(licence: &Licence) -> String {
    if licence.is_unknown() {
        return "unknown: neither its card nor a licence file says one; find out before you pass anything on"
            .to_owned();
    }
    let from = licence.from.as_ref().map(|from| format!(" (from {from})")).unwrap_or_default();
    let known: Vec<&str> = licence.duties().map(|known| known.commercial.name()).collect();
    let known = if known.is_empty() { "not known here: read it".to_owned() } else { known.join(", ") };
    let link = licence.link.as_ref().map(|link| format!("; {link}")).unwrap_or_default();
    format!("{}{from}, {known}{link}", licence.name())
}

fn rank_table(found: &[Found], order: &[usize]) -> Table {
    let answered = order.iter().any(|&index| found[index].answers.is_some());
    let mut header = vec!["", "base", "bits a byte", "standard error", "behind the best", "95%"];
    if answered {
        header.extend(["chrF2", "exact match"]);
    }
    let mut table = table(header);
    for (place, &index) in order.iter().enumerate() {
        let one = &found[index];
        let rows = one.likelihood.as_deref().unwrap_or_default();
        let mut line = vec![
            (place + 1).to_string(),
            one.candidate.name(),
            format!("{:.4}", bits_per_byte(rows)),
            standard_error(rows).map_or_else(|| "-".to_owned(), |error| format!("{error:.4}")),
        ];
        line.extend(match rank::behind(found, order, place) {
            Some((by, Some([low, high]))) => [format!("{by:.4}"), format!("{low:.4} to {high:.4}")],
            Some((by, None)) => [format!("{by:.4}"), "-".to_owned()],
            None => ["-".to_owned(), "-".to_owned()],
        });
        if answered {
            let figure = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            line.push(figure(one.answers.as_ref().map(|answers| format!("{:.2}", answers.chrf))));
            line.push(figure(
                one.answers.as_ref().map(|answers| format!("{:.1}%", 100.0 * answers.exact_match)),
            ));
        }
        table.add_row(line);
    }
    align_right(&mut table, 2);
    table
}

pub(super) fn json(found: &[Found], order: &[usize], wish: &Wish) -> Value {
    let ranking: Vec<Value> = order
        .iter()
        .enumerate()
        .map(|(place, &index)| {
            let behind = rank::behind(found, order, place);
            json!({"base": found[index].candidate.name(), "behind_bits_per_byte": behind.map(|(by, _)| by),
                "interval_95": behind.map(|(_, interval)| interval)})
        })
        .collect();
    json!({
        "format": 1,
        "gpu_memory_bytes": wish.gpu_bytes,
        "gpu_share_used": GPU_SHARE,
        "sequences": wish.sequences,
        "licences": wish.config.model.licences,
        "bases": found.iter().map(|one| base_json(one, wish)).collect::<Vec<Value>>(),
        "ranking": ranking,
        "meaning": (!order.is_empty()).then(|| rank::meaning(found, order)),
    })
}

fn base_json(one: &Found, wish: &Wish) -> Value {
    let licence = one.licence.as_ref().map(|licence| {
        let known: Vec<Value> = licence
            .duties()
            .map(|known| {
                json!({"id": known.id, "title": known.title, "commercial": known.commercial.name(), "duties": known.duties})
            })
            .collect();
        json!({"ids": licence.ids, "from": licence.from, "link": licence.link, "known": known})
    });
    let likelihood = one.likelihood.as_deref().map(|rows| {
        let listed: Vec<Value> = rows
            .iter()
            .map(|row| json!({"id": row.id, "file": row.file, "line": row.line, "bits": row.bits, "tokens": row.tokens, "bytes": row.bytes}))
            .collect();
        json!({"bits_per_byte": bits_per_byte(rows), "standard_error": standard_error(rows), "rows": listed})
    });
    json!({
        "base": one.candidate.base,
        "revision": one.candidate.revision,
        "licence": licence,
        "stopped": one.stopped,
        "problem": one.problem().map(ToString::to_string),
        "size": one.size.as_ref().map(|size| size_json(size, wish)),
        "likelihood": likelihood,
        "answers": one.answers,
    })
}

fn size_json(size: &Size, wish: &Wish) -> Value {
    let Size { parameters, training, on_gpu, serving, .. } = size;
    let half = serving.half_bytes + serving.half_cache_bytes;
    json!({
        "family": size.family,
        "context_tokens": size.context,
        "parameters": {"total": parameters.total(), "active": parameters.active(), "embedding": parameters.embedding,
            "attention": parameters.attention, "mlp": parameters.mlp, "experts": parameters.experts,
            "routers": parameters.routers, "norms_and_biases": parameters.vectors, "head": parameters.head},
        "training": {"peak_bytes": training.peak_bytes(), "base_bytes": training.base_bytes,
            "trained_parameters": training.trained, "adapter_gradient_and_moment_bytes": training.adapter_bytes(),
            "pass_bytes": training.passes_bytes(), "program_bytes": training.resident_bytes(),
            "row_tokens": training.tokens, "save_activations": training.policy.to_string()},
        "training_on_gpu": {"computed_bytes": on_gpu.step_bytes(), "save_activations": on_gpu.policy.to_string(),
            "gpus": gpus(on_gpu.step_bytes(), wish.gpu_bytes)},
        "serving": {"context_tokens": size.served_context, "nf4_bytes": serving.nf4_bytes, "cache_bytes": serving.cache_bytes,
            "half_precision_bytes": serving.half_bytes, "half_precision_cache_bytes": serving.half_cache_bytes,
            "gpus_half_precision": gpus(half, wish.gpu_bytes)},
    })
}

#[cfg(test)]
mod tests {
    use super::millions;

    #[test]
    fn counts_are_rounded_to_what_people_call_a_model() {
        assert_eq!([999, 134_515_008, 8_030_261_248].map(millions), ["999", "134.5M", "8.03B"]);
    }
}
