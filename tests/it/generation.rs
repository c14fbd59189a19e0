//! Decoding with cached keys and values gives what the whole row would have given, whatever else is in the batch.

use rtune_kernels::arena::Arena;
use rtune_models::Quantization;
use rtune_models::decoder::Fresh;
use rtune_models::generate::{Answer, Documents, End, Go, Limits, Request, Sampler, Sampling, generate};

use crate::reference::{Case, document, logits, opened};

const NF4: Quantization = Quantization::Nf4 { double: true };

fn limits(batch_documents: usize) -> Limits {
    Limits {
        stop_tokens: vec![],
        max_new_tokens: 12,
        max_positions: 64,
        batch_documents,
        batch_tokens: 20,
        documents: Documents::Kept,
    }
}

fn prompts(case: &Case) -> Vec<Vec<u32>> {
    let tokens = &case.rows()[0].tokens;
    (1..6).map(|n| tokens[..2 * n].to_vec()).collect()
}

fn answers(case: &Case, prompts: &[Vec<u32>], limits: &Limits, sampling: &Sampling) -> Vec<Answer> {
    let request = |prompt: &Vec<u32>| Request {
        prompt: prompt.clone(),
        sampler: Sampler::new(sampling, 3),
        document: None,
    };
    let requests = prompts.iter().map(request);
    let flat = case.parameters.flat();
    generate(&case.decoder, flat, requests, limits, &Arena::new(), &mut |_, _| Go::On).expect("answers")
}

fn tokens(answers: &[Answer]) -> Vec<Vec<u32>> {
    answers.iter().map(|answer| answer.tokens.clone()).collect()
}

/// A document that becomes long may be turned otherwise from its first token on (LongRoPE), so that what a pass gives is
/// to be compared with the row up to its end.
#[test]
fn passes_over_new_tokens_give_the_logits_of_the_row_so_far() {
    for case in opened(NF4) {
        let row = &case.rows()[0];
        let vocabulary = case.decoder.spec().vocabulary;
        let arena = Arena::new();
        let positions = case.decoder.positions(row.tokens.len());
        let mut cache = case.decoder.empty_cache();
        let count = row.tokens.len();
        for window in [0, 5, 6, 2 * count / 3, 2 * count / 3 + 1, count].windows(2) {
            let (start, end) = (window[0], window[1]);
            let fresh = vec![Fresh { tokens: &row.tokens[start..end], cache: &mut cache }];
            let output = case.decoder.forward_cached(case.parameters.flat(), fresh, &positions, &arena);
            let head =
                case.decoder.head_rows(case.parameters.flat(), &output, (0..end - start).collect(), &arena);
            let mut found = vec![0.0; (end - start) * vocabulary];
            case.decoder.logits(case.parameters.flat(), &head.normed_nd, &mut found, &arena);
            let so_far = case.logits(&document(row.tokens[..end].to_vec(), vec![false; end]));
            let want = &so_far[start * vocabulary..];
            let scale = want.iter().fold(0.0_f32, |m, l| m.max(l.abs()));
            let worst = found.iter().zip(want).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(worst < 1e-5 * scale, "{}, {start}..{end}: {worst} of {scale}", case.name);
            assert_eq!(cache.tokens(), end);
        }
        // Going back to where the document was shorter.
        cache.truncate(4);
        let fresh = vec![Fresh { tokens: &row.tokens[4..6], cache: &mut cache }];
        let output = case.decoder.forward_cached(case.parameters.flat(), fresh, &positions, &arena);
        let head = case.decoder.head_rows(case.parameters.flat(), &output, vec![1], &arena);
        let mut found = vec![0.0; vocabulary];
        case.decoder.logits(case.parameters.flat(), &head.normed_nd, &mut found, &arena);
        let want = case.logits(&document(row.tokens[..6].to_vec(), vec![false; 6]));
        let worst = found.iter().zip(&want[5 * vocabulary..]).map(|(a, b)| (a - b).abs());
        let scale = want.iter().fold(0.0_f32, |m, l| m.max(l.abs()));
        assert!(worst.fold(0.0, f32::max) < 1e-5 * scale, "{}", case.name);
    }
}

#[test]
fn greedy_answers_are_those_of_whole_rows_in_any_batch() {
    for case in opened(NF4) {
        let prompts = prompts(&case);
        let mut want = Vec::new();
        for prompt in &prompts {
            let mut row = prompt.clone();
            for _ in 0..12 {
                let all = case.logits(&document(row.clone(), vec![false; row.len()]));
                let last = &all[all.len() - case.decoder.spec().vocabulary..];
                let best =
                    (0..last.len()).rev().max_by(|&a, &b| last[a].total_cmp(&last[b])).expect("logits");
                row.push(best as u32);
            }
            want.push(row[prompt.len()..].to_vec());
        }
        for batch in [1, 2, 5] {
            let found = answers(&case, &prompts, &limits(batch), &Sampling::GREEDY);
            assert_eq!(tokens(&found), want, "{}, {batch} at a time", case.name);
            assert!(found.iter().all(|answer| answer.end == End::Length));
        }
    }
}

#[test]
fn an_answer_ends_with_a_stop_token_at_its_limit_or_at_the_models() {
    let case = opened(NF4).next().expect("a case");
    let prompts = prompts(&case);
    let free = tokens(&answers(&case, &prompts, &limits(5), &Sampling::GREEDY));
    let stopping = Limits { stop_tokens: vec![free[0][3]], ..limits(5) };
    let stopped = answers(&case, &prompts, &stopping, &Sampling::GREEDY);
    let before = free[0].iter().position(|token| *token == free[0][3]).expect("there");
    assert_eq!((stopped[0].end, &stopped[0].tokens[..]), (End::Stop, &free[0][..before]));
    let short = Limits { max_positions: prompts[4].len() + 4, ..limits(5) };
    let cut = answers(&case, &prompts, &short, &Sampling::GREEDY);
    assert_eq!((cut[4].end, &cut[4].tokens[..]), (End::Length, &free[4][..4]));
}

#[test]
fn a_conversation_goes_on_where_it_was() {
    let case = opened(NF4).next().expect("a case");
    let prompt = prompts(&case)[2].clone();
    let first = answers(&case, std::slice::from_ref(&prompt), &limits(1), &Sampling::GREEDY).remove(0);
    let mut longer = prompt;
    longer.extend(&first.tokens);
    longer.extend([1, 2, 3]);
    let fresh = answers(&case, std::slice::from_ref(&longer), &limits(1), &Sampling::GREEDY).remove(0);
    let sampler = Sampler::new(&Sampling::GREEDY, 0);
    let request = Request { prompt: longer, sampler, document: Some(first.document) };
    let arena = Arena::new();
    let mut go = |_, _| Go::On;
    let flat = case.parameters.flat();
    let on = generate(&case.decoder, flat, vec![request], &limits(1), &arena, &mut go).expect("an answer");
    assert_eq!(on[0].tokens, fresh.tokens);
}

#[test]
fn without_parameters_the_base_answers_alone_and_unpacking_changes_no_bit() {
    for mut case in opened(NF4) {
        let row = case.rows()[0].clone();
        // What DoRA trains besides is no difference to the base: its zero is another.
        if case.has_dora() {
            continue;
        }
        let zeros = vec![0.0; case.parameters.flat().len()];
        assert_eq!(logits::<f32>(&case.decoder, &[], &row), logits(&case.decoder, &zeros, &row));
        let before = case.logits(&row);
        case.decoder.unpack();
        assert_eq!(case.logits(&row), before, "{}", case.name);
    }
}

#[test]
fn a_caller_who_has_enough_gets_what_there_is() {
    let case = opened(NF4).next().expect("a case");
    let request =
        |prompt: Vec<u32>| Request { prompt, sampler: Sampler::new(&Sampling::GREEDY, 0), document: None };
    let requests = prompts(&case).into_iter().map(request);
    let mut seen = 0;
    let mut stop = |_, _| {
        seen += 1;
        if seen == 3 { Go::Enough } else { Go::On }
    };
    let flat = case.parameters.flat();
    let found =
        generate(&case.decoder, flat, requests, &limits(1), &Arena::new(), &mut stop).expect("answers");
    assert_eq!(found[0].tokens.len(), 3);
    assert!(found.iter().all(|answer| answer.end == End::Interrupted));
    assert!(found[1..].iter().all(|answer| answer.tokens.is_empty()));
}
