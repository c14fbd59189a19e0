use rand_core::Rng;

use super::*;
use crate::classify::Confusion;
use crate::classify::tests::{close, numbers, peers, sets};
use crate::stream::stream;
use crate::text::bleu;

/// Fewer draws than a user has: the verdict on outcomes does not depend on them.
const FAST: Settings = Settings { alpha: 0.05, power: 0.8, margin: 0.0, draws: 400, trials: 400, seed: 1 };

/// A number from 0 up to 1.
fn uniform(random: &mut impl Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Outcomes of two models: some cases gained, some lost, of the others most right with both.
fn outcomes(cases: usize, gained: f64, lost: f64, set: u64) -> (Vec<bool>, Vec<bool>) {
    let mut random = stream(3, "test", "outcomes", set);
    let case = |_| match uniform(&mut random) {
        draw if draw < gained => (false, true),
        draw if draw < gained + lost => (true, false),
        draw if draw < 0.8 => (true, true),
        _ => (false, false),
    };
    (0..cases).map(case).unzip()
}

#[test]
fn figures_are_those_of_scipy() {
    for case in sets(&peers(), "paired") {
        let figure = |name: &str| numbers(&case[name])[0] as u64;
        close("p", &numbers(&case["p"]), &[exact_mcnemar(figure("gained"), figure("lost"))]);
        close("wilson", &numbers(&case["wilson"]), &wilson_interval(figure("right"), figure("cases"), 0.05));
    }
    for (probability, quantile) in
        [(0.975, 1.959_963_984_540_054), (0.8, 0.841_621_233_572_914_3), (0.5, 0.0)]
    {
        close("quantile", &[quantile], &[normal_quantile(probability)]);
    }
    close("small", &[-6.361_340_902_404_056], &[normal_quantile(1e-10)]);
    assert!(exact_mcnemar(60_000, 61_000) < 0.005, "large counts have a probability too");
    assert_eq!(exact_mcnemar(0, 0), 1.0);
}

#[test]
fn the_number_of_cases_is_that_of_the_tables() {
    let cases = |difference, discordant| cases_for_outcomes(difference, discordant, 0.05, 0.8);
    for (difference, discordant, expected) in
        [(0.10, 0.20, 155), (0.05, 0.10, 312), (0.05, 0.20, 626), (0.03, 0.10, 870), (0.02, 0.06, 1175)]
    {
        assert_eq!(cases(difference, discordant), Some(expected), "{difference} {discordant}");
        let least = smallest_visible_outcome(expected as usize, discordant, 0.05, 0.8).expect("visible");
        assert!(least <= difference && least > 0.97 * difference, "{least}");
    }
    assert_eq!(cases(0.0, 0.2), None);
    assert_eq!(smallest_visible_outcome(3, 0.2, 0.05, 0.8), None);
    assert_eq!(cases_for_difference(0.5, 0.25, 100, 0.05, 0.8), Some(197));
    assert_eq!(cases_for_difference(0.0, 0.25, 100, 0.05, 0.8), None);
}

#[test]
fn holm_corrects_and_keeps_the_order() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    close("holm", &[0.03, 0.06, 0.06, 0.02], &adjusted);
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

/// What was fixed beforehand needs no correction, and a margin is in its unit alone.
#[test]
fn the_metric_that_decides_is_judged_by_itself() {
    let (first, second) = outcomes(180, 0.15, 0.05, 3);
    let cases = Cases::independent(180);
    let one = |name: &str, settings: &Settings| {
        compare_outcomes(name, &first, &second, &cases, settings).expect("a verdict")
    };
    let mut all = vec![one("decides", &FAST), one("other", &FAST), one("third", &FAST)];
    judge_after_first(&mut all, &FAST);
    close("p", &[all[0].p, (2.0 * all[0].p).min(1.0)], &[all[0].adjusted_p, all[1].adjusted_p]);
    let wide = Settings { margin: 1.0, ..FAST };
    let mut all = vec![one("decides", &wide), one("other", &wide)];
    judge_after_first(&mut all, &wide);
    assert_eq!(all[0].verdict, Verdict::Equivalent);
    assert_ne!(all[1].verdict, Verdict::Equivalent, "the margin is not in its unit");
    judge_after_first(&mut [], &FAST);
}

#[test]
fn equal_models_are_seldom_called_different_and_a_gain_is_found() {
    let independent = Cases::independent(180);
    let called = |gained: f64, lost: f64, sets: u64| {
        let differs = |set: &u64| {
            let (first, second) = outcomes(180, gained, lost, *set);
            let comparison =
                compare_outcomes("exact", &first, &second, &independent, &FAST).expect("a verdict");
            comparison.verdict != Verdict::Inconclusive
        };
        (0..sets).filter(differs).count() as f64 / sets as f64
    };
    // Three standard errors of 300 sets at 5% are 3.8%.
    let wrong = called(0.1, 0.1, 300);
    assert!(wrong <= 0.088, "{wrong}");
    // Three standard errors of 100 sets at 80% are 12%; examples/verdicts.rs has 2,000.
    let found = called(0.15, 0.05, 100);
    assert!(found >= 0.75, "{found}");
}

#[test]
fn verdicts_follow_the_figures() {
    let cases = Cases::independent(200);
    let verdict = |gained, lost, settings: &Settings| {
        let first: Vec<bool> = (0..200).map(|case| (gained..150).contains(&case)).collect();
        let second: Vec<bool> = (0..200).map(|case| case < 150 - lost).collect();
        compare_outcomes("exact", &first, &second, &cases, settings).expect("a verdict")
    };
    let better = verdict(30, 10, &FAST);
    assert_eq!((better.verdict, better.needed_cases), (Verdict::Better, None));
    assert!(better.p < 0.01 && better.interval[0] > 0.0, "{better:?}");
    let flips = better.outcomes.expect("outcomes");
    assert_eq!((flips.both, flips.gained, flips.lost, flips.neither), (110, 30, 10, 50));
    assert_eq!(verdict(10, 30, &FAST).verdict, Verdict::Worse);
    let open = verdict(15, 10, &FAST);
    assert_eq!(open.verdict, Verdict::Inconclusive);
    let needed = open.needed_cases.expect("a number");
    assert_eq!(Some(needed), cases_for_outcomes(0.025, 0.125, 0.05, 0.8));
    assert!(needed > 1000 && open.warnings.is_empty(), "{open:?}");
    // Bonett and Price's interval of no flip in 200 cases is 1.4 points on either side.
    let same = |margin| verdict(0, 0, &Settings { margin, ..FAST });
    assert_eq!(same(0.02).verdict, Verdict::Equivalent);
    assert_eq!(same(0.01).verdict, Verdict::Inconclusive);
    assert_eq!((same(0.0).verdict, same(0.0).needed_cases), (Verdict::Inconclusive, None));
}

#[test]
fn few_cases_and_few_clusters_are_warned_of() {
    let (first, second) = outcomes(60, 0.2, 0.1, 1);
    let few = compare_outcomes("exact", &first, &second, &Cases::independent(60), &FAST).expect("a verdict");
    assert!(few.warnings.len() == 1 && few.warnings[0].starts_with("60 cases are few"), "{few:?}");
    let keys: Vec<Option<usize>> = (0..60).map(|case| Some(case / 6)).collect();
    let clustered =
        compare_outcomes("exact", &first, &second, &Cases::clustered(&keys), &FAST).expect("a verdict");
    assert_eq!((clustered.cases, clustered.clusters), (60, 10));
    assert_eq!(clustered.p, clustered.permutation_p, "McNemar's test knows no clusters");
    assert!(clustered.warnings.iter().any(|warning| warning.contains("only 10 clusters")), "{clustered:?}");
}

#[test]
fn figures_do_not_depend_on_threads() {
    let (first, second) = outcomes(150, 0.2, 0.1, 9);
    let keys: Vec<Option<usize>> = (0..150).map(|case| (case % 3 > 0).then_some(case / 4)).collect();
    let cases = Cases::clustered(&keys);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| compare_outcomes("exact", &first, &second, &cases, &FAST).expect("a verdict"))
    };
    assert_eq!(with(1), with(3));
    let other = Settings { seed: 2, ..FAST };
    let drawn_else = compare_outcomes("exact", &first, &second, &cases, &other).expect("a verdict");
    assert_ne!(with(1).permutation_p, drawn_else.permutation_p);
}

/// Copies of cases say nothing new: as clusters they leave the interval as it was, as cases they would narrow it.
#[test]
fn clusters_are_drawn_as_a_whole() {
    let (first, second) = outcomes(100, 0.2, 0.1, 4);
    let copied = |outcomes: &[bool]| outcomes.iter().flat_map(|&right| [right; 4]).collect::<Vec<bool>>();
    let keys: Vec<Option<usize>> = (0..400).map(|case| Some(case / 4)).collect();
    let compared = |first: &[bool], second: &[bool], cases: &Cases| {
        compare_outcomes("exact", first, second, cases, &FAST).expect("a verdict")
    };
    let once = compared(&first, &second, &Cases::independent(100));
    let clustered = compared(&copied(&first), &copied(&second), &Cases::clustered(&keys));
    let ignored = compared(&copied(&first), &copied(&second), &Cases::independent(400));
    close("interval", &once.first_interval, &clustered.first_interval);
    close("error", &[once.standard_error], &[clustered.standard_error]);
    assert!(ignored.standard_error < 0.6 * once.standard_error, "{ignored:?}");
    assert!(ignored.p < clustered.p);
}

#[test]
fn a_sign_flip_of_few_cases_is_that_of_all_flips() {
    // Of the 32 ways to give signs to 1, 2, 3, 4 and 5, two have a sum of 15: the one seen and its opposite.
    let (first, second) = (Means::new(vec![0.0; 5]), Means::new(vec![1.0, 2.0, 3.0, 4.0, 5.0]));
    let p = permutation_p(&first, &second, &Cases::independent(5), 20_000, 1);
    assert!((p - 2.0 / 32.0).abs() < 0.006, "{p}");
    assert_eq!(permutation_p(&first, &first, &Cases::independent(5), 50, 1), 1.0);
}

#[test]
fn corpus_scores_are_computed_again_from_their_sums() {
    let answers = ["the lamp is on", "a lamp is off now", "no", "the bulb was sent on monday"];
    let references = ["the lamp is on now", "the lamp is off", "yes", "the bulb was sent on sunday"];
    let statistics: Vec<_> = answers
        .iter()
        .zip(references)
        .map(|(answer, reference)| bleu::statistics(answer, reference))
        .collect();
    let whole = statistics.iter().copied().sum::<bleu::BleuStatistics>().score();
    let first = Summed::new(statistics.clone(), bleu::BleuStatistics::score);
    let second = Summed::new(statistics.into_iter().rev().collect(), bleu::BleuStatistics::score);
    let cases = Cases::independent(4);
    let comparison = compare("BLEU", Better::Higher, &first, &second, &cases, &FAST).expect("a verdict");
    assert_eq!((comparison.first, comparison.second), (whole, whole));
    assert!(comparison.first_interval[0] < whole && comparison.first_interval[1] > whole, "{comparison:?}");
    assert_eq!(comparison.verdict, Verdict::Inconclusive);

    let gold = [0, 0, 0, 1, 1, 0];
    let labels = |answers: [Option<usize>; 6]| {
        Labels::new(2, gold.into_iter().zip(answers).collect(), |confusion: &Confusion| {
            confusion.f_beta(1, 1.0)
        })
    };
    let first = labels([Some(0), Some(0), Some(1), Some(1), None, Some(0)]);
    let second = labels([Some(0), Some(0), Some(0), Some(1), Some(1), Some(0)]);
    let cases = Cases::independent(6);
    let comparison =
        compare("F1 of spam", Better::Higher, &first, &second, &cases, &FAST).expect("a verdict");
    close("F1", &[0.5, 1.0], &[comparison.first, comparison.second]);
}

#[test]
fn lower_is_better_where_it_is() {
    let nats: Vec<f64> = (0..120).map(|case| 2.0 + f64::from(case % 7) / 10.0).collect();
    let ratios = |less: f64| -> Vec<Ratio> {
        nats.iter().map(|nats| Ratio { over: 10.0 * (nats - less), under: 10.0 }).collect()
    };
    let perplexity = |ratio: &Ratio| ratio.value().exp();
    let (first, second) = (Summed::new(ratios(0.0), perplexity), Summed::new(ratios(0.1), perplexity));
    let cases = Cases::independent(120);
    let comparison = compare("perplexity", Better::Lower, &first, &second, &cases, &FAST).expect("a verdict");
    assert_eq!(comparison.verdict, Verdict::Better);
    assert!(comparison.difference < 0.0 && comparison.interval[1] < 0.0, "{comparison:?}");
}

#[test]
fn slices_are_corrected_for_their_number() {
    let (first, second) = outcomes(240, 0.18, 0.06, 12);
    let names: Vec<Option<String>> =
        (0..240).map(|case| (case % 4 > 0).then(|| ["en", "de", "fr"][case % 4 - 1].to_owned())).collect();
    let slices = slices(&names);
    assert_eq!(
        slices.iter().map(|(name, cases)| (name.as_str(), cases.len())).collect::<Vec<_>>(),
        [("en", 60), ("de", 60), ("fr", 60)]
    );
    let cases = Cases::independent(240);
    let all =
        compare_outcomes_by_slice("exact", (&first, &second), &cases, &slices, &FAST).expect("verdicts");
    assert_eq!(
        all.iter().map(|one| one.slice.as_deref()).collect::<Vec<_>>(),
        [Some("en"), Some("de"), Some("fr")]
    );
    assert!(all.iter().all(|one| one.cases == 60 && one.adjusted_p >= one.p && !one.warnings.is_empty()));
    let lowest = all.iter().min_by(|one, other| one.p.total_cmp(&other.p)).expect("a slice");
    close("holm", &[(3.0 * lowest.p).min(1.0)], &[lowest.adjusted_p]);
}

#[test]
fn flips_are_listed_and_paraphrases_agree() {
    let (first, second) = ([true, false, true, false], [false, true, true, false]);
    assert_eq!(Flips::new(&first, &second), Flips { gained: vec![1], lost: vec![0] });
    let cases = Cases::clustered(&[Some("a"), Some("a"), Some("b"), Some("a"), None, Some("b")]);
    assert_eq!(cases.clusters(), [vec![0, 1, 3], vec![2, 5], vec![4]]);
    // One of three pairs agrees in the first cluster, the only one in the second; a case alone agrees with none.
    let agreed = agreement(&["x", "x", "y", "z", "w", "y"], &cases).expect("clusters");
    close("agreement", &[(1.0 / 3.0 + 1.0) / 2.0], &[agreed]);
    assert_eq!(agreement(&["x", "y"], &Cases::independent(2)), None);
}

#[test]
fn what_cannot_be_compared_is_named() {
    let compare = |first: &[f64], second: &[f64], cases: usize| {
        let (first, second) = (Means::new(first.to_vec()), Means::new(second.to_vec()));
        compare("score", Better::Higher, &first, &second, &Cases::independent(cases), &FAST).map(|_| ())
    };
    let other = CompareError::Cases { metric: "score".into(), first: 2, second: 1 };
    assert_eq!(compare(&[1.0, 2.0], &[1.0], 2), Err(other));
    let beyond = CompareError::Cases { metric: "score".into(), first: 1, second: 1 };
    assert_eq!(compare(&[1.0], &[1.0], 2), Err(beyond));
    assert_eq!(compare(&[], &[], 0), Err(CompareError::NoCase { metric: "score".into() }));
    let not = CompareError::NotANumber { metric: "score".into(), model: "second" };
    assert_eq!(compare(&[1.0], &[f64::NAN], 1), Err(not));
}
