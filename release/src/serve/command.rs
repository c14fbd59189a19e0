//! The command that serves what was written.

use super::rules::rank_of;
use super::{Form, Server};
use crate::model::VerifiedAdapter;

/// Ranks that vLLM makes room for (`MaxLoRARanks`): the smallest that is enough is asked for.
const VLLM_RANKS: [usize; 8] = [8, 16, 32, 64, 128, 256, 320, 512];

/// Most characters of an endpoint's name, and of a model's in SageMaker.
const MOST_OF_AN_ENDPOINT: usize = 32;
const MOST_OF_SAGEMAKER: usize = 63;

/// What stands where, as it is: [`command`] quotes it for a shell.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What was written.
    pub out: &'a str,
    /// The base, as the server finds it: a repository or a folder.
    pub base: &'a str,
    /// Whether that is a folder of this machine.
    pub base_is_folder: bool,
    /// The revision of a repository, where not its usual one was trained on.
    pub revision: Option<&'a str>,
    /// A name for it.
    pub name: &'a str,
}

/// Shell commands that serve what was written, a line each.
#[must_use]
pub fn command(
    server: Server,
    form: Form,
    place: Place<'_>,
    adapter: Option<&VerifiedAdapter>,
) -> Vec<String> {
    let rank = adapter.map_or(0, |adapter| rank_of(adapter.adapter.config.rank, adapter.initial.is_some()));
    let [out, base, name] = [place.out, place.base, place.name].map(for_shell);
    let name = match server {
        Server::HfEndpoints => slug(&place.name.to_ascii_lowercase(), MOST_OF_AN_ENDPOINT),
        Server::Sagemaker => slug(place.name, MOST_OF_SAGEMAKER),
        _ => name,
    };
    match form {
        Form::Adapter => of_adapter(server, place, [&out, &base, &name], rank),
        _ => None,
    }
    .unwrap_or_else(|| of_model(server, form, [&out, &name]))
}

/// Those that load an adapter beside its base.
fn of_adapter(
    server: Server,
    place: Place<'_>,
    [out, base, name]: [&str; 3],
    rank: usize,
) -> Option<Vec<String>> {
    let revision = place.revision.map_or_else(String::new, |name| format!(" --revision {}", for_shell(name)));
    let lines = match server {
        Server::Vllm => {
            let room = VLLM_RANKS.into_iter().find(|room| *room >= rank).unwrap_or(rank);
            vec![format!(
                "vllm serve {base}{revision} --enable-lora --max-lora-rank {room} --lora-modules {name}={out}"
            )]
        }
        Server::Tgi => {
            // A folder is not there inside, where it is not shown.
            let (shown, base) = match place.base_is_folder {
                true => (format!(" -v \"$(realpath {base})\":/base"), "/base"),
                false => (String::new(), base),
            };
            vec![format!(
                "docker run --gpus all --shm-size 1g -p 8080:80 -v \"$(realpath {out})\":/adapter{shown} -e LORA_ADAPTERS={name}=/adapter \
                 ghcr.io/huggingface/text-generation-inference:latest --model-id {base}{revision}"
            )]
        }
        Server::Sglang => vec![format!(
            "python -m sglang.launch_server --model-path {base}{revision} --enable-lora --lora-paths {name}={out} --max-lora-rank {rank}"
        )],
        Server::TensorrtLlm => {
            // JSON's strings are YAML's.
            let folder = serde_json::Value::from(place.out);
            let mut yaml = vec![
                "lora_config:".to_owned(),
                format!("  lora_dir: [{folder}]"),
                format!("  max_lora_rank: {rank}"),
            ];
            yaml.extend(
                place.revision.map(|revision| format!("revision: {}", serde_json::Value::from(revision))),
            );
            let yaml: Vec<String> = yaml.iter().map(|line| for_shell(line)).collect();
            vec![
                format!("printf '%s\\n' {} > lora.yaml", yaml.join(" ")),
                format!("trtllm-serve {base} --extra_llm_api_options lora.yaml"),
            ]
        }
        Server::HfEndpoints | Server::Sagemaker | Server::LmStudio | Server::Mlx => return None,
    };
    Some(lines)
}

/// Those that load a whole model.
fn of_model(server: Server, form: Form, [out, name]: [&str; 2]) -> Vec<String> {
    match server {
        Server::Vllm => vec![format!("vllm serve {out} --served-model-name {name}")],
        Server::Tgi => vec![format!(
            "docker run --gpus all --shm-size 1g -p 8080:80 -v \"$(realpath {out})\":/model \
             ghcr.io/huggingface/text-generation-inference:latest --model-id /model"
        )],
        Server::Sglang => vec![format!(
            "python -m sglang.launch_server --model-path {out} --served-model-name {name}{}",
            if form == Form::FourBits { " --load-format bitsandbytes" } else { "" }
        )],
        Server::HfEndpoints => vec![
            format!("rtune push {out} OWNER/{name} --private"),
            format!(
                "hf endpoints deploy {name} --repo OWNER/{name} --framework pytorch --task text-generation --accelerator gpu \
                 --instance-type nvidia-l4 --instance-size x1 --vendor aws --region us-east-1"
            ),
        ],
        Server::Sagemaker => vec![
            format!(
                "tar -C {out} -czf model.tar.gz . && aws s3 cp model.tar.gz s3://BUCKET/{name}/model.tar.gz"
            ),
            format!(
                "aws sagemaker create-model --model-name {name} --execution-role-arn ROLE --primary-container \
                 Image=IMAGE,ModelDataUrl=s3://BUCKET/{name}/model.tar.gz,Environment={{HF_MODEL_ID=/opt/ml/model}}"
            ),
        ],
        Server::TensorrtLlm => vec![format!("trtllm-serve {out}")],
        Server::LmStudio => vec![format!("lms import {out} --user-repo rtune/{name} --copy")],
        Server::Mlx => vec![format!("mlx_lm.server --model {out}")],
    }
}

/// A name of letters, digits and single hyphens between them, of `most` at most.
fn slug(name: &str, most: usize) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-");
    slug.truncate(most);
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "model".to_owned() } else { slug.to_owned() }
}

/// An argument as a shell takes it.
#[must_use]
pub fn for_shell(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:,+".contains(c);
    match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}
