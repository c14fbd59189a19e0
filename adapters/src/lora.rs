//! LoRA (Hu et al., arXiv 2106.09685): which linears are adapted, and how.

use std::ops::Range;

use regex::Regex;
use rtune_kernels::real::Real;

use crate::merge::dense;
use crate::{AdapterError, Linear, Parameters, Weight};

/// Largest rank. Above the width of the largest models' narrow side an adapter is no smaller than the weight.
pub const MAX_RANK: usize = 4096;

/// Behind the name of a linear: DoRA's magnitudes, as PEFT writes them.
pub const MAGNITUDE_SUFFIX: &str = ".lora_magnitude_vector";

/// How an adapter's output is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// `alpha / rank`.
    Standard,
    /// `alpha / sqrt(rank)` (rsLoRA, arXiv 2312.03732).
    RankStabilized,
}

/// Which linears of the blocks are adapted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// All of them, except those of experts.
    AllLinear,
    /// Those whose name is, or ends with a dot and, one of these.
    Names(Vec<String>),
}

/// What PEFT calls `LoraConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rank `r`.
    pub rank: usize,
    /// `lora_alpha`.
    pub alpha: f64,
    /// How the scale follows from rank and alpha.
    pub scaling: Scaling,
    /// Which linears.
    pub targets: Targets,
    /// Ranks of linears whose name matches, `(.*\.)?(pattern)$` as in PEFT; the first match counts.
    pub rank_pattern: Vec<(String, usize)>,
    /// Alphas of linears whose name matches, likewise.
    pub alpha_pattern: Vec<(String, f64)>,
    /// Whether the rows of the sum have a length that is trained (DoRA, arXiv 2402.09353).
    pub dora: bool,
}

impl LoraConfig {
    /// Rank and scale of the linear called `name`.
    ///
    /// # Errors
    /// If a pattern is no regular expression, or the rank is 0 or above [`MAX_RANK`], or alpha is not above 0.
    pub fn of(&self, name: &str) -> Result<(usize, f64), AdapterError> {
        let rank = find(&self.rank_pattern, name)?.unwrap_or(self.rank);
        let alpha = find(&self.alpha_pattern, name)?.unwrap_or(self.alpha);
        if rank == 0 || rank > MAX_RANK {
            return Err(AdapterError::Config(format!(
                "rank of `{name}`: expected 1 to {MAX_RANK}, found {rank}"
            )));
        }
        if !(alpha.is_finite() && alpha > 0.0) {
            return Err(AdapterError::Config(format!(
                "alpha of `{name}`: expected a number above 0, found {alpha}"
            )));
        }
        let divisor = match self.scaling {
            Scaling::Standard => rank as f64,
            Scaling::RankStabilized => (rank as f64).sqrt(),
        };
        Ok((rank, alpha / divisor))
    }

    fn wants(&self, name: &str, only_by_name: bool) -> bool {
        match &self.targets {
            Targets::AllLinear => !only_by_name,
            Targets::Names(targets) => targets.iter().any(|t| is_called(name, t)),
        }
    }

    /// The ranks that [`attach`] would give to linears of these names, in order; `None` for one that it leaves as it is. A
    /// linear comes with whether it is adapted only where it is asked for by its name.
    ///
    /// # Errors
    /// Those of [`attach`].
    pub fn ranks<'a>(
        &self,
        linears: impl IntoIterator<Item = (&'a str, bool)>,
    ) -> Result<Vec<Option<usize>>, AdapterError> {
        let (mut names, mut ranks) = (Vec::new(), Vec::new());
        for (name, only_by_name) in linears {
            names.push(name.to_owned());
            let wanted = self.wants(name, only_by_name);
            ranks.push(wanted.then(|| self.of(name)).transpose()?.map(|(rank, _)| rank));
        }
        check_targets(self, &names)?;
        Ok(ranks)
    }
}

fn is_called(name: &str, target: &str) -> bool {
    name.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn find<T: Copy>(patterns: &[(String, T)], name: &str) -> Result<Option<T>, AdapterError> {
    for (pattern, value) in patterns {
        if let Some(matches) = matches_plainly(pattern, name) {
            if matches {
                return Ok(Some(*value));
            }
            continue;
        }
        let whole = Regex::new(&format!(r"^(.*\.)?({pattern})$")).map_err(|e| {
            AdapterError::Config(format!("pattern `{pattern}` is no regular expression: {e}"))
        })?;
        if whole.is_match(name) {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

/// What the regular expression says, where the pattern is a plain name, in which a dot stands for any character: PEFT
/// writes one per linear for some initialisations, and compiling each for each linear takes seconds.
fn matches_plainly(pattern: &str, name: &str) -> Option<bool> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    if !pattern.bytes().chain(name.bytes()).all(plain) {
        return None;
    }
    let Some(start) = name.len().checked_sub(pattern.len()) else { return Some(false) };
    let (before, rest) = name.as_bytes().split_at(start);
    let equal = rest.iter().zip(pattern.as_bytes()).all(|(byte, wanted)| *wanted == b'.' || byte == wanted);
    Some(equal && before.last().is_none_or(|byte| *byte == b'.'))
}

/// The place of one adapter in the flat vector of parameters.
#[derive(Clone, Debug)]
pub struct Lora {
    /// `A`, `[rank, in]`.
    pub a: Range<usize>,
    /// `B`, `[out, rank]`.
    pub b: Range<usize>,
    /// Rank.
    pub rank: usize,
    /// Factor on `B A x`.
    pub scale: f64,
    /// What DoRA has besides.
    pub magnitude: Option<Magnitude>,
}

/// The lengths that DoRA gives to the rows of a weight and its adapter.
#[derive(Clone, Debug)]
pub struct Magnitude {
    /// Their place in the flat vector, `[out]`.
    pub range: Range<usize>,
    /// The squared lengths of the rows of the frozen weight.
    pub weight_squares: Vec<f64>,
}

/// The squared lengths of a weight's rows.
fn row_squares(weight: &Weight) -> Vec<f64> {
    let values = dense(weight);
    values.chunks(weight.columns()).map(|row| row.iter().map(|&v| f64::from(v).powi(2)).sum()).collect()
}

/// Puts adapters beside the wanted `linears` and gives their parameters, `A` before `B` in the order of the linears, all
/// zero; behind them DoRA's magnitudes, which begin as the lengths of the weight's rows.
///
/// # Errors
/// If a target names no linear, no linear is wanted, or [`LoraConfig::of`] fails.
pub fn attach<'a, R: Real>(
    linears: impl IntoIterator<Item = &'a mut Linear>,
    config: &LoraConfig,
) -> Result<Parameters<R>, AdapterError> {
    let mut parameters = Parameters::new();
    let mut names = Vec::new();
    for linear in linears {
        names.push(linear.name().to_owned());
        linear.lora = None;
        if !config.wants(linear.name(), linear.is_only_by_name()) {
            continue;
        }
        let (rank, scale) = config.of(linear.name())?;
        let (inputs, outputs) = (linear.in_features(), linear.out_features());
        let a = parameters.push(format!("{}.lora_A.weight", linear.name()), vec![rank, inputs]);
        let b = parameters.push(format!("{}.lora_B.weight", linear.name()), vec![outputs, rank]);
        let magnitude = config.dora.then(|| {
            let weight_squares = row_squares(linear.weight());
            let range = parameters.push(format!("{}{MAGNITUDE_SUFFIX}", linear.name()), vec![outputs]);
            for (place, &square) in parameters.flat_mut()[range.clone()].iter_mut().zip(&weight_squares) {
                *place = R::of(square.sqrt());
            }
            Magnitude { range, weight_squares }
        });
        linear.lora = Some(Lora { a, b, rank, scale, magnitude });
    }
    check_targets(config, &names)?;
    Ok(parameters)
}

fn check_targets(config: &LoraConfig, names: &[String]) -> Result<(), AdapterError> {
    let Targets::Names(targets) = &config.targets else { return Ok(()) };
    let missing: Vec<String> =
        targets.iter().filter(|t| !names.iter().any(|n| is_called(n, t))).cloned().collect();
    if targets.is_empty() {
        return Err(AdapterError::Config("no targets: an adapter on nothing would do nothing".to_owned()));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut available: Vec<String> =
        names.iter().filter_map(|n| n.rsplit('.').next()).map(str::to_owned).collect();
    available.sort_unstable();
    available.dedup();
    Err(AdapterError::NoSuchTarget { targets: missing, available })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LoraConfig {
        LoraConfig {
            rank: 4,
            alpha: 8.0,
            scaling: Scaling::Standard,
            targets: Targets::AllLinear,
            rank_pattern: vec![("q_proj".into(), 2), (r"layers\.1\.mlp.*".into(), 7)],
            alpha_pattern: vec![("v_proj".into(), 3.0)],
            dora: false,
        }
    }

    #[test]
    fn patterns_match_as_in_peft() {
        let c = config();
        assert_eq!(c.of("model.layers.0.self_attn.q_proj").expect("q"), (2, 4.0));
        assert_eq!(c.of("model.layers.1.mlp.down_proj").expect("down"), (7, 8.0 / 7.0));
        assert_eq!(c.of("model.layers.0.self_attn.v_proj").expect("v"), (4, 0.75));
        assert_eq!(c.of("model.layers.0.self_attn.faq_proj").expect("other"), (4, 2.0));
        let stable = LoraConfig { scaling: Scaling::RankStabilized, ..config() };
        assert_eq!(stable.of("x.o_proj").expect("o"), (4, 4.0));
    }

    #[test]
    fn plain_patterns_match_as_the_regular_expression_does() {
        let names =
            ["q_proj", "a.q_proj", "a.faq_proj", "a.b.q_proj", "q_proj.a", "a.q.proj", ".q_proj", "a..q", ""];
        let patterns =
            ["q_proj", "b.q_proj", "a.q_proj", "q.proj", ".q_proj", ".", "", "a.", "..", "a.b.q_proj.c"];
        for pattern in patterns {
            let regex = Regex::new(&format!(r"^(.*\.)?({pattern})$")).expect("a regular expression");
            for name in names {
                assert_eq!(
                    matches_plainly(pattern, name),
                    Some(regex.is_match(name)),
                    "`{pattern}` on `{name}`"
                );
            }
        }
        assert_eq!(matches_plainly("q_proj|v_proj", "q_proj"), None);
        assert_eq!(matches_plainly("q_proj", "ä.q_proj"), None);
    }

    #[test]
    fn a_target_that_names_nothing_is_refused_with_the_names_there_are() {
        let mut linears = [Linear::new("m.q_proj".into(), Weight::from_f32(3, 2, vec![0.0; 6]), None)];
        let wanted =
            LoraConfig { targets: Targets::Names(vec!["q_proj".into(), "c_attn".into()]), ..config() };
        let error = attach::<f32>(&mut linears, &wanted).expect_err("refused");
        assert_eq!(error.to_string(), "no linear layer of the model is called `c_attn`");
        assert!(error.hint().expect("a hint").starts_with("the model has q_proj;"));
        let half = LoraConfig { targets: Targets::Names(vec!["proj".into()]), ..config() };
        assert!(attach::<f32>(&mut linears, &half).is_err(), "a name is matched by whole parts");
    }
}
