//! `model.embeddings`: the processor has the rows at hand anyway, so that what the key does is looked for on a GPU.

use rtune_kernels::cuda::emulator::SCHEDULES;
use rtune_trainer::config::Config;
use rtune_trainer::gpu::Device;
use rtune_trainer::run::{Event, Observer, Outcome};

use super::Open;
use crate::training::{bytes_of, run_before};
use crate::workplace::{BYTES, CHATML, TINY, Workplace, config, write_base};

/// What the device holds when the model stands in its memory.
struct Held {
    device: Device,
    bytes: usize,
}

impl Observer for Held {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Ready(_) = event {
            self.bytes = self.device.held_bytes();
        }
    }
    fn stop_requested(&self) -> bool {
        false
    }
}

pub(super) fn the_key_says_where_they_are(open: Open<'_>) {
    let Some(device) = open(SCHEDULES[0]) else { return };
    let place = Workplace::new();
    let mut base = config(TINY);
    // One that is the head too stays on the device.
    base["tie_word_embeddings"] = false.into();
    write_base(&place.path("model"), base);
    let held = |embeddings: &str| {
        let settings = [
            format!("output.dir={}", place.path(embeddings).display()),
            format!("data.train={}", place.path("train.jsonl").display()),
            format!("model.embeddings={embeddings}"),
            "data.validation=0".to_owned(),
            "train.steps=2".to_owned(),
        ];
        let config = Config::load(&place.path("config.toml"), &settings).expect("valid");
        let mut held = Held { device: device.clone(), bytes: 0 };
        let outcome = run_before(&mut held, Some(device.clone()), &config, &place.path("model"), false);
        assert!(matches!(outcome, Outcome::Complete(_)), "{outcome:?}");
        held.bytes
    };
    let (on_device, on_host) = (held("device"), held("host"));
    // In bf16. Whatever else there is is there both times.
    let table_bytes = 2 * TINY.hidden * (BYTES + CHATML.special.len());
    assert!(10 * on_device.saturating_sub(on_host) >= 9 * table_bytes, "{on_device} and {on_host} bytes");
    let last = |run: &str| bytes_of(&place.path(run).join("checkpoints/step-000002"));
    let (on_device, on_host) = (last("device"), last("host"));
    for name in ["adapter_model.safetensors", "optimizer.safetensors", "state.json"] {
        assert!(on_device[name] == on_host[name], "{name}: both places give the same bits");
    }
}
