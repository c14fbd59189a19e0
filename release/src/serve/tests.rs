use std::collections::BTreeMap;
use std::path::Path;

use rtune_adapters::{Alongside, Biases, peft};

use super::*;

/// The model and adapter of the fixture `llama`.
fn fixture() -> (ModelConfig, VerifiedAdapter) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama");
    let config = ModelConfig::from_file(&folder.join("config.json")).expect("read");
    let mut adapter = peft::read(&folder.join("adapter")).expect("read");
    adapter.config.rank_pattern.clear();
    adapter.config.alpha_pattern.clear();
    (config, VerifiedAdapter { adapter, initial: None, files: BTreeMap::new() })
}

fn problems(server: Server, config: &ModelConfig, adapter: &VerifiedAdapter) -> Vec<String> {
    let misfits = misfits(server, Form::Adapter, config, Some(adapter));
    misfits.into_iter().map(|misfit| misfit.problem).collect()
}

#[test]
fn a_plain_adapter_fits_where_adapters_are_served() {
    let (config, adapter) = fixture();
    for server in [Server::Vllm, Server::Tgi, Server::Sglang, Server::TensorrtLlm] {
        assert_eq!(problems(server, &config, &adapter), Vec::<String>::new(), "{server:?}");
        assert_eq!(misfits(server, Form::Model, &config, None), Vec::new(), "{server:?}");
    }
    for server in [Server::HfEndpoints, Server::Sagemaker, Server::LmStudio, Server::Mlx] {
        assert!(problems(server, &config, &adapter)[0].ends_with("does not load an adapter as PEFT has it"));
    }
    assert_eq!(misfits(Server::LmStudio, Form::Adapter, &config, Some(&adapter))[0].change, AS_GGUF);
    assert_eq!(misfits(Server::LmStudio, Form::Gguf, &config, None), Vec::new());
    assert_eq!(misfits(Server::Vllm, Form::Gguf, &config, None)[0].change, MERGE);
}

#[test]
fn what_would_be_left_out_or_scaled_wrongly_is_named() {
    let told = |change: &dyn Fn(&mut VerifiedAdapter), part: &str, servers: &[Server]| {
        for server in [Server::Vllm, Server::Tgi, Server::Sglang, Server::TensorrtLlm] {
            let (config, mut adapter) = fixture();
            change(&mut adapter);
            let found = problems(server, &config, &adapter);
            assert_eq!(
                found.iter().any(|problem| problem.contains(part)),
                servers.contains(&server),
                "{server:?} {found:?}"
            );
        }
    };
    let all = [Server::Vllm, Server::Tgi, Server::Sglang, Server::TensorrtLlm];
    told(&|adapter| adapter.adapter.config.dora = true, "no DoRA", &all);
    let alongside = |change: fn(&mut Alongside)| {
        move |adapter: &mut VerifiedAdapter| change(&mut adapter.adapter.config.alongside)
    };
    told(&alongside(|with| with.biases = Biases::All), "no biases", &all);
    told(&alongside(|with| with.modules = vec!["lm_head".to_owned()]), "no whole modules", &all);
    told(&alongside(|with| with.tokens = vec![3]), "no trained or new tokens", &all);
    told(
        &|adapter| adapter.adapter.config.alpha_pattern = vec![("q_proj".to_owned(), 99.0)],
        "one alpha",
        &all,
    );
    // One that says the same again changes nothing.
    told(
        &|adapter| {
            adapter.adapter.config.alpha_pattern = vec![("q_proj".to_owned(), adapter.adapter.config.alpha)]
        },
        "one alpha",
        &[],
    );
    told(
        &|adapter| adapter.adapter.config.rank = 640,
        "up to 512, and this adapter has 640",
        &[Server::Vllm],
    );
    told(
        &|adapter| (adapter.adapter.config.rank, adapter.initial) = (320, Some(adapter.adapter.clone())),
        "has 640",
        &[Server::Vllm],
    );
    let one_block = |adapter: &mut VerifiedAdapter| {
        adapter.adapter.tensors.retain(|name, _| !name.contains("layers.1.mlp.up"))
    };
    told(&one_block, "leaves out all `up_proj`", &[Server::Tgi]);
    let other_name = |adapter: &mut VerifiedAdapter| {
        let tensors = std::mem::take(&mut adapter.adapter.tensors);
        adapter.adapter.tensors =
            tensors.into_iter().map(|(name, of)| (name.replace("down_proj", "dense"), of)).collect();
    };
    told(&other_name, "no linear called `dense`", &[Server::Tgi, Server::Sglang, Server::TensorrtLlm]);
}

#[test]
fn families_that_a_server_does_not_have_are_named() {
    let (mut config, adapter) = fixture();
    config.model_type = "falcon".to_owned();
    assert!(
        problems(Server::Vllm, &config, &adapter)[0]
            .contains("takes no adapters for models of the family `falcon`")
    );
    assert_eq!(misfits(Server::Vllm, Form::Model, &config, None), Vec::new());
    for server in [Server::Sglang, Server::Mlx, Server::TensorrtLlm] {
        let misfits = misfits(server, Form::Model, &config, None);
        assert!(misfits[0].problem.contains("no models of the family `falcon`"), "{misfits:?}");
        assert_eq!(misfits[0].change, ANOTHER_SERVER);
    }
}

/// What TGI computes by transformers' own classes.
#[test]
fn families_that_tgi_has_no_model_of_its_own_for_leave_as_whole_models_alone() {
    let (mut config, adapter) = fixture();
    for (family, is_own) in [
        ("llama", true),
        ("qwen2", true),
        ("granite", true),
        ("qwen3", false),
        ("qwen3_moe", false),
        ("smollm3", false),
        ("olmo2", false),
    ] {
        config.model_type = family.to_owned();
        let adapters = problems(Server::Tgi, &config, &adapter).join("\n");
        let packed = misfits(Server::Tgi, Form::Packed, &config, None);
        assert_eq!(misfits(Server::Tgi, Form::Model, &config, None), Vec::new(), "{family}");
        assert_eq!(misfits(Server::Vllm, Form::Packed, &config, None), Vec::new(), "{family}");
        if is_own {
            assert!(adapters.is_empty() && packed.is_empty(), "{family}: {adapters} {packed:?}");
            continue;
        }
        assert!(
            adapters.contains(&format!("takes no adapters for models of the family `{family}`")),
            "{adapters}"
        );
        assert!(
            packed[0].problem.contains(&format!("no GPTQ and no AWQ of the family `{family}`")),
            "{packed:?}"
        );
        assert_eq!(packed[0].change, MERGE);
    }
}

#[test]
fn commands_have_room_for_the_rank() {
    let (_, mut adapter) = fixture();
    let place = Place { out: "out", base: "o/base", base_is_folder: false, revision: None, name: "bot" };
    adapter.adapter.config.rank = 24;
    let line = |server, form| command(server, form, place, Some(&adapter)).join("\n");
    assert_eq!(
        line(Server::Vllm, Form::Adapter),
        "vllm serve o/base --enable-lora --max-lora-rank 32 --lora-modules bot=out"
    );
    assert!(
        line(Server::TensorrtLlm, Form::Adapter)
            .contains("'  max_lora_rank: 24' > lora.yaml\ntrtllm-serve o/base")
    );
    assert!(line(Server::HfEndpoints, Form::Model).starts_with("rtune push out OWNER/bot"));
    assert_eq!(line(Server::Mlx, Form::Model), "mlx_lm.server --model out");
}

/// What AWS and the hub's endpoints call a name.
#[test]
fn names_of_services_are_those_that_they_take() {
    let line = |server, name| {
        let place = Place { out: "o", base: "o/base", base_is_folder: false, revision: None, name };
        command(server, Form::Model, place, None).join("\n")
    };
    for (name, endpoint, model) in [
        ("bot", "bot", "bot"),
        ("Bot_v1.2 (new)", "bot-v1-2-new", "Bot-v1-2-new"),
        ("-é-", "model", "model"),
        (
            "support-bot-of-the-second-quarter",
            "support-bot-of-the-second-quarte",
            "support-bot-of-the-second-quarter",
        ),
        (
            "a-support-bot-of-the-2nd-quarte.r",
            "a-support-bot-of-the-2nd-quarte",
            "a-support-bot-of-the-2nd-quarte-r",
        ),
    ] {
        let found = line(Server::HfEndpoints, name);
        assert!(
            found.contains(&format!("hf endpoints deploy {endpoint} --repo OWNER/{endpoint} ")),
            "{found}"
        );
        let found = line(Server::Sagemaker, name);
        assert!(found.contains(&format!("--model-name {model} ")), "{found}");
        assert!(found.contains(&format!("ModelDataUrl=s3://BUCKET/{model}/model.tar.gz,")), "{found}");
    }
}

/// A path with a space, a folder as the base, a revision.
#[test]
fn commands_survive_a_shell_and_name_the_very_base() {
    let (_, adapter) = fixture();
    let folder =
        Place { out: "my out", base: "/models/a base", base_is_folder: true, revision: None, name: "my out" };
    let line = |server, place| command(server, Form::Adapter, place, Some(&adapter)).join("\n");
    assert_eq!(
        line(Server::Tgi, folder),
        "docker run --gpus all --shm-size 1g -p 8080:80 -v \"$(realpath 'my out')\":/adapter -v \"$(realpath '/models/a base')\":/base \
         -e LORA_ADAPTERS='my out'=/adapter ghcr.io/huggingface/text-generation-inference:latest --model-id /base"
    );
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(line(Server::TensorrtLlm, folder).replace("> lora.yaml", "").replace("trtllm-serve", "echo"))
        .output()
        .expect("a shell");
    let expected = "lora_config:\n  lora_dir: [\"my out\"]\n  max_lora_rank: 4\n/models/a base --extra_llm_api_options lora.yaml\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    let revised = Place { base: "o/base", base_is_folder: false, revision: Some("v1"), ..folder };
    for server in [Server::Vllm, Server::Tgi, Server::Sglang] {
        assert!(line(server, revised).contains("o/base --revision v1"), "{}", line(server, revised));
    }
    assert!(line(Server::TensorrtLlm, revised).contains("'revision: \"v1\"'"));
    assert_eq!(["", "a", "it's"].map(for_shell), ["''", "a", "'it'\\''s'"]);
}

#[test]
fn what_is_read_in_groups_is_there_in_groups() {
    let (config, whole) = fixture();
    let without = |names: &[&str]| {
        let mut adapter = whole.clone();
        adapter.adapter.tensors.retain(|tensor, _| !names.iter().any(|name| tensor.contains(name)));
        [Server::Sglang, Server::Vllm].map(|server| problems(server, &config, &adapter).join("\n"))
    };
    for (names, told) in [
        (&["layers.1.self_attn.v_proj"][..], "`k_proj` together with `v_proj`"),
        (&["layers.0.self_attn.q_proj"], "`k_proj` together with `q_proj`"),
        (&["q_proj", "k_proj"], "`v_proj` together with `q_proj`"),
        (&["gate_proj"], "`up_proj` together with `gate_proj`"),
    ] {
        let [sglang, vllm] = without(names);
        assert!(sglang.contains(told) && vllm.is_empty(), "{names:?}: {sglang} {vllm}");
    }
    for names in [&["k_proj"][..], &["up_proj"], &["q_proj", "k_proj", "v_proj"]] {
        assert_eq!(without(names), ["", ""], "{names:?}");
    }
}

#[test]
fn pairs_on_experts_are_those_that_a_server_reads() {
    let on = |parts: &[&str]| {
        let (config, mut adapter) = fixture();
        let one = adapter.adapter.tensors.values().next().expect("a tensor").clone();
        let names = parts.iter().flat_map(|part| {
            ["lora_A", "lora_B"].map(|half| format!("model.layers.0.mlp.experts.0.{part}.{half}.weight"))
        });
        adapter.adapter.tensors = names.map(|name| (name, one.clone())).collect();
        [Server::Vllm, Server::TensorrtLlm, Server::Tgi].map(|server| {
            let found = problems(server, &config, &adapter);
            found.iter().any(|problem| problem.contains("expert"))
        })
    };
    assert_eq!(on(&["gate_proj", "up_proj", "down_proj"]), [false, true, true]);
    assert_eq!(on(&["down_proj"]), [true, true, true]);
    let (config, adapter) = fixture();
    assert_eq!(problems(Server::TensorrtLlm, &config, &adapter), Vec::<String>::new());
}
