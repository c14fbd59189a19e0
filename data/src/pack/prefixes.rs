//! Which examples begin alike, and what of that they may share.

use super::Item;
use crate::tokenize::Example;

/// A shorter prefix is not shared: the attention of what stands behind it is cut into two products for it.
const LEAST_TOKENS: usize = 8;
/// Most examples behind one prefix. The search takes so many steps for each example of a step.
const MOST_EXAMPLES: usize = 512;

/// Tokens at the beginning of an example that others may share. What is learnt is not among them, nor the token that it is
/// predicted from: the loss over it counts as often as it stands in examples.
fn sharable(example: &Example) -> usize {
    let learnt = example.supervised.iter().position(|supervised| *supervised);
    learnt.unwrap_or(example.tokens.len()).saturating_sub(1)
}

/// Puts examples together that share a prefix, so that the fewest tokens are left; each family fits into `capacity_tokens`,
/// or is one example.
///
/// In the order of their tokens examples that begin alike stand together, so that families are runs in that order; of all ways
/// to cut it into runs the best is taken. Ties go to the later cut, and equal examples stand in their given order: the result
/// depends on nothing but the examples and the capacity.
pub(super) fn families(examples: &[&Example], capacity_tokens: usize) -> Vec<Item> {
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by(|&one, &other| examples[one].tokens.cmp(&examples[other].tokens).then(one.cmp(&other)));
    let mut items = Vec::new();
    for (run, prefix) in runs(examples, &order) {
        let mut members = order[run].to_vec();
        members.sort_unstable();
        split(examples, members, prefix, capacity_tokens, &mut items);
    }
    items
}

/// Tokens that neighbours in `order` may share.
fn common(examples: &[&Example], pair: &[usize]) -> usize {
    let [one, other] = [examples[pair[0]], examples[pair[1]]];
    let most = sharable(one).min(sharable(other));
    one.tokens.iter().zip(&other.tokens).take(most).take_while(|(a, b)| a == b).count()
}

/// The best cut into runs, each with the prefix that its examples share.
fn runs(examples: &[&Example], order: &[usize]) -> Vec<(std::ops::Range<usize>, usize)> {
    let common: Vec<usize> = order.windows(2).map(|pair| common(examples, pair)).collect();
    // For each end: the tokens that are saved before it, where its run begins, and what that shares.
    let mut best = vec![(0, 0, 0)];
    for end in 1..=order.len() {
        let mut found = (best[end - 1].0, end - 1, 0);
        let mut prefix = usize::MAX;
        for start in (end.saturating_sub(MOST_EXAMPLES)..end - 1).rev() {
            prefix = prefix.min(common[start]);
            if prefix < LEAST_TOKENS {
                break;
            }
            let saved = best[start].0 + (end - start - 1) * prefix;
            if saved > found.0 {
                found = (saved, start, prefix);
            }
        }
        best.push(found);
    }
    let mut runs = Vec::new();
    let mut end = order.len();
    while end > 0 {
        let (_, start, prefix) = best[end];
        runs.push((start..end, prefix));
        end = start;
    }
    runs
}

/// Cuts a family into such as fit.
fn split(
    examples: &[&Example],
    members: Vec<usize>,
    prefix: usize,
    capacity_tokens: usize,
    items: &mut Vec<Item>,
) {
    let mut open = Item { prefix, members: Vec::new(), tokens: prefix };
    for member in members {
        let whole = examples[member].tokens.len();
        let own = whole - prefix;
        if whole > capacity_tokens {
            items.push(Item::alone(member, whole));
            continue;
        }
        if open.tokens + own > capacity_tokens {
            let full = std::mem::replace(&mut open, Item { prefix, members: Vec::new(), tokens: prefix });
            items.push(full);
        }
        open.members.push(member);
        open.tokens += own;
    }
    if !open.members.is_empty() {
        items.push(open);
    }
}
