//! The command that serves what was written.

use super::rules::rank_of;
use super::{Form, Server};
use crate::model::VerifiedAdapter;

/// Ranks that vLLM makes room for (`MaxLoRARanks`): the smallest that is enough is asked for.
const VLLM_RANKS: [usize; 8] = [8, 16, 32, 64, 128, 256, 320, 512];

/// What stands where.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What was written.
    pub out: &'a str,
    /// The base, as the server finds it: a repository or a folder.
    pub base: &'a str,
    /// A name for it.
    pub name: &'a str,
}

/// Shell commands that serve what was written, a line each.
#[must_use]
pub fn command(
    server: Server,
    form: Form,
    Place { out, base, name }: Place<'_>,
    adapter: Option<&VerifiedAdapter>,
) -> Vec<String> {
    let rank = adapter.map_or(0, |adapter| rank_of(adapter.adapter.config.rank, adapter.initial.is_some()));
    let is_adapter = form == Form::Adapter;
    match server {
        Server::Vllm if is_adapter => {
            let room = VLLM_RANKS.into_iter().find(|room| *room >= rank).unwrap_or(rank);
            vec![format!(
                "vllm serve {base} --enable-lora --max-lora-rank {room} --lora-modules {name}={out}"
            )]
        }
        Server::Vllm => vec![format!("vllm serve {out} --served-model-name {name}")],
        Server::Tgi if is_adapter => vec![format!(
            "docker run --gpus all --shm-size 1g -p 8080:80 -v \"$(realpath {out})\":/adapter -e LORA_ADAPTERS={name}=/adapter \
             ghcr.io/huggingface/text-generation-inference:latest --model-id {base}"
        )],
        Server::Tgi => vec![format!(
            "docker run --gpus all --shm-size 1g -p 8080:80 -v \"$(realpath {out})\":/model \
             ghcr.io/huggingface/text-generation-inference:latest --model-id /model{}",
            if form == Form::FourBits { " --quantize bitsandbytes-nf4" } else { "" }
        )],
        Server::Sglang if is_adapter => vec![format!(
            "python -m sglang.launch_server --model-path {base} --enable-lora --lora-paths {name}={out} --max-lora-rank {rank}"
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
        Server::TensorrtLlm if is_adapter => vec![
            format!("printf 'lora_config:\\n  lora_dir: [{out}]\\n  max_lora_rank: {rank}\\n' > lora.yaml"),
            format!("trtllm-serve {base} --extra_llm_api_options lora.yaml"),
        ],
        Server::TensorrtLlm => vec![format!("trtllm-serve {out}")],
        Server::LmStudio => vec![format!("lms import {out} --user-repo rtune/{name} --copy")],
        Server::Mlx => vec![format!("mlx_lm.server --model {out}")],
    }
}
