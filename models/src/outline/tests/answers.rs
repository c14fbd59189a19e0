//! What passes that answer take, against decoders that make them.

use rtune_adapters::LoraConfig;
use rtune_kernels::arena::Arena;

use super::{cases, decoder};
use crate::decoder::Fresh;
use crate::outline::*;
use crate::{Decoder, Quantization};

const DOCUMENTS: usize = 3;
/// New tokens of each document.
const TOKENS: usize = 64;
/// As in `passes.rs`.
const MOST_OVER_LENT: f64 = 1.35;
const NF4: Quantization = Quantization::Nf4 { double: true };

/// The most elements that an arena lent.
fn lent(decoder: &Decoder, parameters: &[f32]) -> usize {
    let arena = Arena::<f32>::new();
    let tokens: Vec<u32> = (0..TOKENS as u32).map(|t| t % 5).collect();
    let positions = decoder.positions(TOKENS);
    let mut caches = vec![decoder.empty_cache(); DOCUMENTS];
    let fresh = caches.iter_mut().map(|cache| Fresh { tokens: &tokens, cache }).collect();
    let output = decoder.forward_cached(parameters, fresh, &positions, &arena);
    let rows: Vec<usize> = (0..DOCUMENTS * TOKENS).collect();
    let head = decoder.head_rows(parameters, &output, rows, &arena);
    let mut logits = arena.take(DOCUMENTS * TOKENS * decoder.spec().vocabulary);
    decoder.logits(parameters, &head.normed_nd, &mut logits, &arena);
    arena.usage().peak_lent_bytes / size_of::<f32>()
}

#[test]
fn answers_take_the_buffers_that_are_computed() {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut wrong = Vec::new();
    let plain = LoraConfig::new(4, 8.0);
    let dora = LoraConfig { dora: true, ..plain.clone() };
    for case in cases() {
        let outline = BaseOutline::open(&case).expect("an outline");
        let mut decoder = decoder(&case, &outline, NF4);
        for lora in [&plain, &dora] {
            let parameters = decoder.attach_lora::<f32>(lora).expect("attached");
            let trained = outline.trained(lora, 0, NF4).expect("trained");
            let tokens = DOCUMENTS * TOKENS;
            let pass = AnswerPass { tokens, predicted: tokens, longest: TOKENS, threads: 1 };
            let computed = outline.answer_elements(&trained, &pass);
            let lent = threads.install(|| lent(&decoder, parameters.flat()));
            let ratio = computed as f64 / lent as f64;
            if computed < lent || ratio > MOST_OVER_LENT {
                let case = case.file_name().unwrap_or_default().display();
                wrong.push(format!(
                    "{case}, DoRA {}: computed {computed}, lent {lent}, {ratio:.3}",
                    lora.dora
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The bits of the logits of prompts of several documents, and then of a token of each.
fn logits(decoder: &Decoder, parameters: &[f32]) -> Vec<u32> {
    let (arena, positions) = (Arena::<f32>::new(), decoder.positions(TOKENS + 1));
    let prompt: Vec<u32> = (0..TOKENS as u32).map(|t| t % 5).collect();
    let mut caches = vec![decoder.empty_cache(); DOCUMENTS];
    let mut all = Vec::new();
    for tokens in [&prompt[..], &[3]] {
        let fresh = caches.iter_mut().map(|cache| Fresh { tokens, cache }).collect();
        let output = decoder.forward_cached(parameters, fresh, &positions, &arena);
        let rows: Vec<usize> = (1..=DOCUMENTS).map(|document| document * tokens.len() - 1).collect();
        let head = decoder.head_rows(parameters, &output, rows, &arena);
        let mut logits = arena.take(DOCUMENTS * decoder.spec().vocabulary);
        decoder.logits(parameters, &head.normed_nd, &mut logits, &arena);
        all.extend(logits.iter().map(|logit| logit.to_bits()));
    }
    all
}

/// In every family and however the base is held: whether answers are made by a copy is a matter of memory and time alone.
#[test]
fn an_unpacked_copy_answers_the_same_bits() {
    for case in cases() {
        let outline = BaseOutline::open(&case).expect("an outline");
        for quantization in super::HELD {
            let mut decoder = super::decoder(&case, &outline, quantization);
            let mut parameters = decoder.attach_lora::<f32>(&LoraConfig::new(4, 8.0)).expect("attached");
            for (at, number) in parameters.flat_mut().iter_mut().enumerate() {
                *number = 0.01 * ((at * 7919 % 101) as f32 - 50.0) / 50.0;
            }
            let packed = logits(&decoder, parameters.flat());
            decoder.unpack();
            assert_eq!(logits(&decoder, parameters.flat()), packed, "{} {quantization:?}", case.display());
        }
    }
}

/// Short answers to long prompts hold no more than the prompts and a little.
#[test]
fn caches_grow_by_little() {
    let case = &cases()[0];
    let outline = BaseOutline::open(case).expect("an outline");
    let decoder = decoder(case, &outline, NF4);
    let (arena, positions) = (Arena::<f32>::new(), decoder.positions(80));
    let mut cache = decoder.empty_cache();
    for tokens in [&[1; 64][..], &[2], &[3], &[4]] {
        let fresh = vec![Fresh { tokens, cache: &mut cache }];
        drop(decoder.forward_cached(&[], fresh, &positions, &arena));
    }
    let each = outline.cache_bytes(size_of::<f32>());
    assert_eq!(cache.tokens(), 67);
    assert!(
        cache.held_bytes() >= 67 * each && cache.held_bytes() <= 72 * each,
        "{}",
        cache.held_bytes() / each
    );
}
