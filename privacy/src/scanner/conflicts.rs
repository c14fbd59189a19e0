//! Which of several findings at one place stands.

use std::cmp::Ordering;

use crate::finding::Finding;

/// Of findings of one entity that share a byte the surer one stays, then the longer, then the earlier; in order of place.
pub(crate) fn settle_each_entity(mut findings: Vec<Finding>) -> Vec<Finding> {
    // Stable, as that is quick on what is nearly in order.
    findings.sort_by(by_place);
    let mut settled = Vec::with_capacity(findings.len());
    each_heap(&mut findings, |heap| {
        let before = settled.len();
        heap.sort_unstable_by(|a, b| a.entity.cmp(&b.entity).then_with(|| by_place(a, b)));
        for of_one_entity in heap.chunk_by_mut(|a, b| a.entity == b.entity) {
            keep_surest(of_one_entity, &mut settled);
        }
        settled[before..].sort_unstable_by(by_place);
    });
    settled
}

/// Findings that share no byte: of equal spans the surer stands, one that lies within another goes, of others that overlap the
/// surer stands, then the longer, then the earlier; in order of place.
pub(crate) fn settle(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(by_place);
    let mut outer: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        // By place the longer of two that start together comes first: only the last one kept can reach furthest.
        if outer.last().is_none_or(|last| finding.end > last.end) {
            outer.push(finding);
        }
    }
    let mut settled = Vec::with_capacity(outer.len());
    keep_surest(&mut outer, &mut settled);
    settled
}

/// Calls `each` with the findings that hang together by shared bytes, `findings` being in order of place.
fn each_heap(findings: &mut [Finding], mut each: impl FnMut(&mut [Finding])) {
    let mut rest = findings;
    while let Some(first) = rest.first() {
        let mut reach = first.end;
        let mut size = 1;
        while let Some(next) = rest.get(size).filter(|next| next.start < reach) {
            reach = reach.max(next.end);
            size += 1;
        }
        let (heap, others) = rest.split_at_mut(size);
        rest = others;
        each(heap);
    }
}

/// Of each heap of `findings`, which are in order of place, the surest that share no byte.
fn keep_surest(findings: &mut [Finding], settled: &mut Vec<Finding>) {
    each_heap(findings, |heap| {
        if let [alone] = heap {
            settled.push(*alone);
            return;
        }
        heap.sort_unstable_by(|a, b| {
            let by_score = b.score.total_cmp(&a.score).then_with(|| b.len().cmp(&a.len()));
            by_score.then_with(|| by_place(a, b))
        });
        let before = settled.len();
        for finding in heap {
            let at = before + settled[before..].partition_point(|other| other.end <= finding.start);
            if settled.get(at).is_none_or(|next| !next.overlaps(finding)) {
                settled.insert(at, *finding);
            }
        }
    });
}

/// By start, the longer first, then the surer, then by entity and rule: a total order, so that results never depend on how the
/// findings were come by.
pub(crate) fn by_place(a: &Finding, b: &Finding) -> Ordering {
    let place = a.start.cmp(&b.start).then_with(|| b.end.cmp(&a.end));
    let score = b.score.total_cmp(&a.score);
    place.then(score).then_with(|| a.entity.cmp(&b.entity)).then_with(|| a.rule.cmp(b.rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;

    fn finding(start: usize, end: usize, score: f32, entity: Entity) -> Finding {
        Finding { start, end, entity, score, rule: "test" }
    }

    #[test]
    fn the_surer_of_two_equal_spans_stays_and_what_is_contained_goes() {
        let equal = vec![finding(0, 9, 0.4, Entity::UsSsn), finding(0, 9, 1.0, Entity::CaSin)];
        assert_eq!(settle(equal)[0].entity, Entity::CaSin);
        let contained = vec![finding(2, 5, 1.0, Entity::Url), finding(0, 9, 0.5, Entity::EmailAddress)];
        assert_eq!(settle(contained).len(), 1);
        let overlapping = vec![finding(0, 5, 0.5, Entity::Url), finding(4, 9, 0.6, Entity::PhoneNumber)];
        assert_eq!(settle(overlapping)[0].entity, Entity::PhoneNumber);
    }

    #[test]
    fn entities_do_not_hide_each_other_before_conflicts() {
        let two = vec![
            finding(0, 9, 0.4, Entity::UsSsn),
            finding(0, 9, 1.0, Entity::CaSin),
            finding(0, 3, 0.1, Entity::CaSin),
        ];
        assert_eq!(settle_each_entity(two).len(), 2);
    }
}
