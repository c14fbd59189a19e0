//! Which cases belong together.

use std::collections::HashMap;
use std::hash::Hash;

/// Cases that are compared, each in one cluster: cases of a cluster (a conversation, a source, paraphrases of a question)
/// say much the same, so that clusters, not cases, are what is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cases {
    clusters: Vec<Vec<usize>>,
    cases: usize,
}

impl Cases {
    /// Each of the cases 0 to `count` less one is a cluster of its own.
    #[must_use]
    pub fn independent(count: usize) -> Self {
        Self { clusters: (0..count).map(|case| vec![case]).collect(), cases: count }
    }

    /// Cases with equal keys are a cluster; one without a key is alone. Clusters stand in the order of their first case.
    #[must_use]
    pub fn clustered<K: Eq + Hash>(keys: &[Option<K>]) -> Self {
        let mut clusters: Vec<Vec<usize>> = Vec::new();
        let mut places: HashMap<&K, usize> = HashMap::new();
        for (case, key) in keys.iter().enumerate() {
            let place = match key {
                Some(key) => *places.entry(key).or_insert(clusters.len()),
                None => clusters.len(),
            };
            if place == clusters.len() {
                clusters.push(Vec::new());
            }
            clusters[place].push(case);
        }
        Self { clusters, cases: keys.len() }
    }

    /// Those of `cases` that are among these, in their clusters.
    #[must_use]
    pub fn among(&self, cases: &[usize]) -> Self {
        let kept: std::collections::HashSet<usize> = cases.iter().copied().collect();
        let of = |cluster: &Vec<usize>| -> Vec<usize> {
            cluster.iter().copied().filter(|case| kept.contains(case)).collect()
        };
        let clusters: Vec<Vec<usize>> =
            self.clusters.iter().map(of).filter(|cluster| !cluster.is_empty()).collect();
        let cases = clusters.iter().map(Vec::len).sum();
        Self { clusters, cases }
    }

    /// How many cases there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cases
    }

    /// The clusters, each with its cases.
    #[must_use]
    pub fn clusters(&self) -> &[Vec<usize>] {
        &self.clusters
    }

    /// Whether a cluster has more than one case.
    #[must_use]
    pub fn are_clustered(&self) -> bool {
        self.clusters.len() < self.cases
    }

    /// The cases, cluster by cluster.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.clusters.iter().flatten().copied()
    }

    /// The highest case, if there is one.
    pub(super) fn last(&self) -> Option<usize> {
        self.iter().max()
    }
}

/// How stable answers are: the part of the pairs within a cluster that are the same, the mean over clusters of two cases or
/// more; `None` if there is none. Clusters of paraphrases and of typing errors say whether wording decides.
///
/// # Panics
/// If a case has no answer.
#[must_use]
pub fn agreement<T: PartialEq>(answers: &[T], cases: &Cases) -> Option<f64> {
    let pairs = cases.clusters.iter().filter(|cluster| cluster.len() > 1).map(|cluster| {
        let all = (cluster.len() * (cluster.len() - 1) / 2) as f64;
        let same = |(index, &one): (usize, &usize)| {
            cluster[index + 1..].iter().filter(|&&other| answers[one] == answers[other]).count()
        };
        cluster.iter().enumerate().map(same).sum::<usize>() as f64 / all
    });
    let (sum, count) = pairs.fold((0.0, 0u64), |(sum, count), share| (sum + share, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// The cases of each slice, by its name, in the order of their first cases; a case without a name is in none.
#[must_use]
pub fn slices<N: AsRef<str>>(names: &[Option<N>]) -> Vec<(String, Vec<usize>)> {
    let mut slices: Vec<(String, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (case, name) in names.iter().enumerate() {
        let Some(name) = name else { continue };
        let place = *places.entry(name.as_ref()).or_insert(slices.len());
        if place == slices.len() {
            slices.push((name.as_ref().to_owned(), Vec::new()));
        }
        slices[place].1.push(case);
    }
    slices
}
