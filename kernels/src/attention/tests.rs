use super::*;
use crate::arena::Arena;

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const WIDTH: usize = 6;

fn numbers(count: usize, salt: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 7919 + salt * 104_729) % 2003) as f64 / 1001.0 - 1.0).collect()
}

fn shape(bounds: &[usize]) -> Shape<'_> {
    Shape {
        heads: HEADS,
        kv_heads: KV_HEADS,
        head_width: WIDTH,
        scale: 0.4,
        bounds,
        parents: &[],
        window: None,
        softcap: None,
    }
}

/// Everything, a window within a tile, one over several, capped scores, and both.
const KINDS: [(Option<usize>, Option<f64>); 5] =
    [(None, None), (Some(8), None), (Some(70), None), (None, Some(0.6)), (Some(1), Some(0.8))];

fn shape_of(bounds: &[usize], (window, softcap): (Option<usize>, Option<f64>)) -> Shape<'_> {
    Shape { window, softcap, ..shape(bounds) }
}

/// Attention by its definition, one query at a time.
fn naive(shape: &Shape<'_>, q: &[f64], k: &[f64], v: &[f64]) -> Vec<f64> {
    let mut o = vec![0.0; q.len()];
    for window in shape.bounds.windows(2) {
        for t in window[0]..window[1] {
            for head in 0..HEADS {
                let kv = head / (HEADS / KV_HEADS);
                let key = |s: usize, e: usize| (s * KV_HEADS + kv) * WIDTH + e;
                let query = |e: usize| (t * HEADS + head) * WIDTH + e;
                let first = window[0].max(shape.window.map_or(0, |w| (t + 1).saturating_sub(w)));
                let weights: Vec<f64> = (first..=t)
                    .map(|s| {
                        let z = (0..WIDTH).map(|e| q[query(e)] * k[key(s, e)]).sum::<f64>() * shape.scale;
                        shape.softcap.map_or(z, |cap| cap * (z / cap).tanh()).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for e in 0..WIDTH {
                    o[query(e)] =
                        weights.iter().enumerate().map(|(i, w)| w / total * v[key(first + i, e)]).sum();
                }
            }
        }
    }
    o
}

struct Case {
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
}

impl Case {
    fn new(tokens: usize) -> Self {
        let kv = tokens * KV_HEADS * WIDTH;
        Self { q: numbers(tokens * HEADS * WIDTH, 1), k: numbers(kv, 2), v: numbers(kv, 3) }
    }

    fn forward(&self, bounds: &[usize]) -> (Vec<f64>, Vec<f64>) {
        self.forward_of(&shape(bounds))
    }

    fn forward_of(&self, shape: &Shape<'_>) -> (Vec<f64>, Vec<f64>) {
        let (mut o, mut lse) = (vec![f64::NAN; self.q.len()], vec![f64::NAN; shape.tokens() * HEADS]);
        forward(shape, &self.q, &self.k, &self.v, &mut o, &mut lse, &Arena::new());
        (o, lse)
    }
}

#[test]
fn forward_agrees_with_the_definition_at_odd_lengths() {
    for bounds in [&[0, 1][..], &[0, 63, 64, 128], &[0, 65], &[0, 5, 5, 132, 133], &[0, 127, 256]] {
        let case = Case::new(*bounds.last().expect("bounds"));
        for kind in KINDS {
            let shape = shape_of(bounds, kind);
            let (o, _) = case.forward_of(&shape);
            let want = naive(&shape, &case.q, &case.k, &case.v);
            assert!(o.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12), "bounds {bounds:?} {kind:?}");
        }
    }
}

#[test]
fn backward_agrees_with_finite_differences() {
    let bounds = [0, 3, 90, 91];
    for kind in KINDS {
        let shape = shape_of(&bounds, kind);
        let mut case = Case::new(91);
        let d_o = numbers(case.q.len(), 4);
        let (o, lse) = case.forward_of(&shape);
        let (mut dq, mut dk, mut dv) =
            (vec![f64::NAN; case.q.len()], vec![f64::NAN; case.k.len()], vec![f64::NAN; case.k.len()]);
        let out = Gradients { dq_the: &mut dq, dk_tke: &mut dk, dv_tke: &mut dv };
        backward(&shape, &case.q, &case.k, &case.v, &o, &lse, &d_o, out, &Arena::new());
        let loss = |case: &Case| case.forward_of(&shape).0.iter().zip(&d_o).map(|(a, b)| a * b).sum::<f64>();
        let pick: [fn(&mut Case) -> &mut Vec<f64>; 3] = [|c| &mut c.q, |c| &mut c.k, |c| &mut c.v];
        for (which, gradient) in pick.iter().zip([&dq, &dk, &dv]) {
            for i in (0..gradient.len()).step_by(11) {
                let old = which(&mut case)[i];
                which(&mut case)[i] = old + 1e-4;
                let up = loss(&case);
                which(&mut case)[i] = old - 1e-4;
                let slope = (up - loss(&case)) / 2e-4;
                which(&mut case)[i] = old;
                // At a smaller step the rounding of the loss, not the gradient, makes the difference.
                assert!((slope - gradient[i]).abs() < 2e-8, "{kind:?}: {slope} {}", gradient[i]);
            }
        }
    }
}

#[test]
fn a_segment_does_not_see_its_neighbour() {
    let bounds = [0, 40, 100];
    let case = Case::new(100);
    let (before, _) = case.forward(&bounds);
    let mut changed = Case::new(100);
    changed.q[..40 * HEADS * WIDTH].fill(9.0);
    changed.k[..40 * KV_HEADS * WIDTH].fill(f64::NAN);
    changed.v[..40 * KV_HEADS * WIDTH].fill(-3.0);
    let (after, _) = changed.forward(&bounds);
    let row = HEADS * WIDTH;
    assert_eq!(before[40 * row..], after[40 * row..]);
}

#[test]
fn new_tokens_see_what_the_whole_document_would_have_shown_them() {
    let bounds = [0, 5, 5 + 133, 5 + 133 + 1];
    let case = Case::new(139);
    for kind in KINDS {
        new_tokens_see(&case, &bounds, kind);
    }
}

fn new_tokens_see(case: &Case, bounds: &[usize], kind: (Option<usize>, Option<f64>)) {
    let (want, _) = case.forward_of(&shape_of(bounds, kind));
    let (q_row, kv_row) = (HEADS * WIDTH, KV_HEADS * WIDTH);
    // The first document gives its last token, the second its last 70, the third its only one.
    let firsts = [4, 5 + 63, 138];
    let mut q = Vec::new();
    let (mut new_bounds, mut expected) = (vec![0], Vec::new());
    for (first, window) in firsts.iter().zip(bounds.windows(2)) {
        q.extend_from_slice(&case.q[first * q_row..window[1] * q_row]);
        expected.extend_from_slice(&want[first * q_row..window[1] * q_row]);
        new_bounds.push(q.len() / q_row);
    }
    let pasts: Vec<Past<'_, f64>> = bounds
        .windows(2)
        .map(|w| Past {
            keys_lke: &case.k[w[0] * kv_row..w[1] * kv_row],
            values_lke: &case.v[w[0] * kv_row..w[1] * kv_row],
        })
        .collect();
    let mut o = vec![f64::NAN; q.len()];
    cached(&shape_of(&new_bounds, kind), &pasts, &q, &mut o, &Arena::new());
    assert!(o.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
}

/// A prefix of 70 tokens that two documents go on, one alone, a prefix of 2, and what goes on that.
const FAMILY_BOUNDS: [usize; 8] = [0, 70, 75, 150, 153, 155, 156, 190];
const FAMILY_PARENTS: [Option<usize>; 7] = [None, Some(0), Some(0), None, None, Some(4), Some(4)];

/// The tokens of each document, prefix and all.
fn documents() -> Vec<Vec<usize>> {
    let own = |segment: usize| FAMILY_BOUNDS[segment]..FAMILY_BOUNDS[segment + 1];
    let parents = FAMILY_PARENTS.iter().enumerate();
    parents
        .map(|(segment, parent)| parent.iter().flat_map(|p| own(*p)).chain(own(segment)).collect())
        .collect()
}

/// The rows of a tensor at some tokens.
fn rows_at(tensor: &[f64], tokens: &[usize], row: usize) -> Vec<f64> {
    tokens.iter().flat_map(|token| &tensor[token * row..(token + 1) * row]).copied().collect()
}

#[test]
fn a_shared_prefix_is_as_good_as_one_of_each() {
    let case = Case::new(190);
    for kind in KINDS {
        let shape = Shape { parents: &FAMILY_PARENTS, ..shape_of(&FAMILY_BOUNDS, kind) };
        let (o, lse) = case.forward_of(&shape);
        let d_o = numbers(case.q.len(), 4);
        let [mut dq, mut dk, mut dv] =
            [case.q.len(), case.k.len(), case.k.len()].map(|len| vec![f64::NAN; len]);
        let out = Gradients { dq_the: &mut dq, dk_tke: &mut dk, dv_tke: &mut dv };
        backward(&shape, &case.q, &case.k, &case.v, &o, &lse, &d_o, out, &Arena::new());
        let (q_row, kv_row) = (HEADS * WIDTH, KV_HEADS * WIDTH);
        let (mut dk_want, mut dv_want) = (vec![0.0; dk.len()], vec![0.0; dv.len()]);
        for (segment, tokens) in documents().iter().enumerate() {
            let own = FAMILY_BOUNDS[segment + 1] - FAMILY_BOUNDS[segment];
            let first = tokens.len() - own;
            let bounds = [0, tokens.len()];
            let alone = shape_of(&bounds, kind);
            let document = Case {
                q: rows_at(&case.q, tokens, q_row),
                k: rows_at(&case.k, tokens, kv_row),
                v: rows_at(&case.v, tokens, kv_row),
            };
            let (o_alone, lse_alone) = document.forward_of(&alone);
            let mine = &tokens[first..];
            close(&rows_at(&o, mine, q_row), &o_alone[first * q_row..], 1e-13);
            close(&rows_at(&lse, mine, HEADS), &lse_alone[first * HEADS..], 1e-13);
            // What comes back to the prefix' own outputs is counted by the prefix itself.
            let mut d_o = rows_at(&d_o, tokens, q_row);
            d_o[..first * q_row].fill(0.0);
            let [mut dq_a, mut dk_a, mut dv_a] =
                [document.q.len(), document.k.len(), document.k.len()].map(|len| vec![f64::NAN; len]);
            let out = Gradients { dq_the: &mut dq_a, dk_tke: &mut dk_a, dv_tke: &mut dv_a };
            let Case { q, k, v } = &document;
            backward(&alone, q, k, v, &o_alone, &lse_alone, &d_o, out, &Arena::new());
            close(&rows_at(&dq, mine, q_row), &dq_a[first * q_row..], 1e-12);
            for (want, alone) in [(&mut dk_want, &dk_a), (&mut dv_want, &dv_a)] {
                for (place, token) in tokens.iter().enumerate() {
                    let line = &mut want[token * kv_row..(token + 1) * kv_row];
                    line.iter_mut().zip(&alone[place * kv_row..]).for_each(|(sum, one)| *sum += one);
                }
            }
        }
        close(&dk, &dk_want, 1e-12);
        close(&dv, &dv_want, 1e-12);
    }
}

fn close(found: &[f64], want: &[f64], most: f64) {
    assert_eq!(found.len(), want.len());
    let worst = found.iter().zip(want).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max);
    assert!(worst < most, "{worst}");
}

/// Gradients of queries, keys and values by their definition, one query at a time.
fn naive_back(shape: &Shape<'_>, case: &Case, o: &[f64], d_o: &[f64]) -> [Vec<f64>; 3] {
    let Case { q, k, v } = case;
    let [mut dq, mut dk, mut dv] = [q, k, v].map(|tensor| vec![0.0; tensor.len()]);
    for window in shape.bounds.windows(2) {
        for t in window[0]..window[1] {
            for head in 0..shape.heads {
                let kv = head / shape.group();
                let query = (t * shape.heads + head) * WIDTH;
                let of = |s: usize| (s * shape.kv_heads + kv) * WIDTH;
                let dot = |a: &[f64], at: usize, b: &[f64], bt: usize| {
                    (0..WIDTH).map(|e| a[at + e] * b[bt + e]).sum::<f64>()
                };
                let first = window[0].max(shape.window.map_or(0, |w| (t + 1).saturating_sub(w)));
                let capped = |s: usize| {
                    let z = dot(q, query, k, of(s)) * shape.scale;
                    shape
                        .softcap
                        .map_or((z, 1.0), |cap| (cap * (z / cap).tanh(), 1.0 - (z / cap).tanh().powi(2)))
                };
                let total: f64 = (first..=t).map(|s| capped(s).0.exp()).sum();
                let delta = dot(d_o, query, o, query);
                for s in first..=t {
                    let (z, slope) = capped(s);
                    let p = z.exp() / total;
                    let ds = p * (dot(d_o, query, v, of(s)) - delta) * slope * shape.scale;
                    for e in 0..WIDTH {
                        dv[of(s) + e] += p * d_o[query + e];
                        dk[of(s) + e] += ds * q[query + e];
                        dq[query + e] += ds * k[of(s) + e];
                    }
                }
            }
        }
    }
    [dq, dk, dv]
}

fn gone_back(shape: &Shape<'_>, case: &Case, d_o: &[f64], threads: usize) -> (Vec<f64>, [Vec<f64>; 3]) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let (o, lse) = case.forward_of(shape);
        let [mut dq, mut dk, mut dv] =
            [case.q.len(), case.k.len(), case.k.len()].map(|len| vec![f64::NAN; len]);
        let out = Gradients { dq_the: &mut dq, dk_tke: &mut dk, dv_tke: &mut dv };
        backward(shape, &case.q, &case.k, &case.v, &o, &lse, d_o, out, &Arena::new());
        (o, [dq, dk, dv])
    })
}

#[test]
fn parts_of_a_long_document_are_as_good_as_the_whole() {
    // Two parts, a short document, and one of four.
    let bounds = [0, 1100, 1130, 3200];
    let case = Case::new(3200);
    let d_o = numbers(case.q.len(), 4);
    for kind in [KINDS[0], KINDS[2], KINDS[3]] {
        let shape = shape_of(&bounds, kind);
        let (o, found) = gone_back(&shape, &case, &d_o, 3);
        let want = naive_back(&shape, &case, &o, &d_o);
        for (found, want) in found.iter().zip(&want) {
            close(found, want, 1e-11);
        }
        assert_eq!(gone_back(&shape, &case, &d_o, 1), (o, found), "the number of threads changes no bit");
    }
}

#[test]
fn a_long_document_has_work_for_many_threads() {
    for (tokens, kv_heads, parts) in [
        (64, 1, 1),
        (960, 1, 1),
        (1024, 1, 2),
        (2048, 2, 4),
        (8192, 1, 8),
        (8192, 2, 8),
        (8192, 8, 2),
        (8192, 32, 1),
    ] {
        let ends = query_ends(tokens, kv_heads);
        assert_eq!((ends.len(), ends.last()), (parts, Some(&tokens)), "{tokens} {kv_heads}");
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let work: Vec<usize> = starts.zip(&ends).map(|(first, end)| end * end - first * first).collect();
        let (least, most) = (work.iter().min().expect("parts"), work.iter().max().expect("parts"));
        assert!(most * 2 < least * 3, "{work:?}");
        assert!(split_sums(tokens, kv_heads) <= 5 * tokens);
    }
    assert_eq!(shape(&[0, 2048]).tasks().len(), 4 * HEADS);
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_shared_prefix() {
    let case = Case::new(190);
    let shape = Shape { parents: &FAMILY_PARENTS, ..shape(&FAMILY_BOUNDS) };
    let d_o = numbers(case.q.len(), 4);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let (o, lse) = case.forward_of(&shape);
            let [mut dq, mut dk, mut dv] =
                [case.q.len(), case.k.len(), case.k.len()].map(|len| vec![f64::NAN; len]);
            let out = Gradients { dq_the: &mut dq, dk_tke: &mut dk, dv_tke: &mut dv };
            backward(&shape, &case.q, &case.k, &case.v, &o, &lse, &d_o, out, &Arena::new());
            (o, dq, dk, dv)
        })
    };
    assert_eq!(run(1), run(4));
}
